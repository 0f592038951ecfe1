//! An outside opinion: programs by other people, Python's `websockets` and curl, find the server
//! sound. `tests/run` gets them; without them these tests fail.

mod support;

use std::process::{Command, Output};

use support::{Program, python};

/// What a program by other people says, which must not fail.
fn says(mut command: Command) -> String {
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let Output { status, stdout, stderr } = Program::runs_to_the_end(command);
    let (said, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{said}{errors}");
    said.into_owned()
}

fn curl(program: &Program, arguments: &[&str], path: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "30"]);
    command.args(arguments).arg(program.url("http") + path);
    program.is_trusted_by(&mut command);
    says(command)
}

#[test]
fn python_websockets_talks_with_it() {
    let program = Program::start(&[]);
    let mut script = python();
    script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside.py"));
    script.arg(program.url("ws"));
    program.is_trusted_by(&mut script);
    let found = says(script);
    for opinion in [
        "text",
        "binary",
        "fragments",
        "one_mebibyte",
        "one_byte_more",
        "ping",
        "close_codes",
        "order",
        "echo",
    ] {
        assert!(found.lines().any(|line| line == opinion), "{opinion} was not tried: {found}");
    }
}

#[test]
fn curl_gets_the_page_byte_for_byte() {
    let program = Program::start(&[]);
    let page = include_str!("../static/index.html");
    for arguments in [&["--fail"][..], &["--fail", "--http1.0"], &["--fail", "--http2"]] {
        assert_eq!(curl(&program, arguments, "/"), page, "{arguments:?}");
    }
    let head = curl(&program, &["--fail", "--head"], "/");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", page.len())), "{head}");
}

#[test]
fn curl_finds_it_in_good_health() {
    let program = Program::start(&[]);
    let _ada = program.joins("physics");
    let health: serde_json::Value =
        serde_json::from_str(&curl(&program, &["--fail"], "/healthz")).expect("JSON");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&health["clients"], &health["rooms"]), (&1.into(), &1.into()));
    assert!(health["uptime_s"].is_u64());
}

#[test]
fn curl_is_told_what_it_did_wrong() {
    let program = Program::start(&[]);
    let status = ["--output", "-", "--write-out", "%{http_code}"];
    for (arguments, path, code, word) in [
        (&[][..], "/ws", "426", "WebSocket"),
        (&["--data", "hello"], "/", "405", "GET"),
        (&[], "/nowhere", "404", "nothing"),
        (&["--path-as-is"], "/../Cargo.toml", "404", "nothing"),
    ] {
        let answer = curl(&program, &[&status, arguments].concat(), path);
        assert!(answer.ends_with(code) && answer.contains(word), "{path}: {answer}");
    }
}
