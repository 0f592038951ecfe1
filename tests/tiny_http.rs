//! The known faults of tiny_http 0.12 are out of everyone's reach: the door stands before it.

mod support;

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use support::{Answer, Program, Server, Visitor, until};

const PAGE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn post(length: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Pages come whole: twice as many as there are lines to tiny_http.
fn serves_pages(program: &Program) {
    for _ in 0..8 {
        is_whole(&program.is_visited().asks(PAGE));
    }
}

fn is_whole(page: &Answer) {
    assert_eq!(page.is_sound().status, 200, "{page:?}");
    let length = page.body.len().to_string();
    assert_eq!(page.field("Content-Length"), Some(length.as_str()));
    assert!(page.body.trim_end().ends_with("</html>"), "{page:?}");
}

/// The program's log once it has stopped: nothing in it has panicked.
fn stops_without_a_panic(program: Program) {
    program.gets_signal("TERM");
    let (status, log) = program.ends();
    assert_eq!((status, log.contains("panicked")), (Some(0), false), "{log}");
}

/// tiny_http: "the accept loop ends at the first error".
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn running_out_of_descriptors_does_not_end_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let program = Program::start(&["--log-file", log.to_str().unwrap()]);
    serves_pages(&program);
    program.has_limit("--nofile=3:");
    let mut waiting = [(); 10].map(|()| program.is_visited());
    for visitor in &mut waiting {
        visitor.sends(PAGE);
    }
    until("an accept that fails", || has_line(&log, "no connection could be accepted"));
    program.has_limit("--nofile=256:");
    for visitor in &mut waiting {
        is_whole(&visitor.gets_an_answer());
    }
    serves_pages(&program);
}

fn has_line(log: &Path, line: &str) -> bool {
    fs::read_to_string(log).unwrap().contains(line)
}

/// tiny_http: a connection that is reset before its thread looks at it panics that thread.
#[test]
fn five_hundred_resets_do_not_harm_the_page() {
    let program = Program::start(&["-q"]);
    let starts = ["", "GET / HT", PAGE, &post("5", "hel"), &post("5", "hello")];
    for start in starts.iter().cycle().take(500) {
        let mut visitor = program.is_visited();
        visitor.sends(start);
        visitor.vanishes();
    }
    serves_pages(&program);
    stops_without_a_panic(program);
}

/// tiny_http: what a handler leaves unread of a body is allocated as declared, or aborts.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn a_huge_declared_length_costs_nothing() {
    let program = Program::start(&["-q"]);
    serves_pages(&program);
    let before = program.status("VmHWM");
    for length in ["65537", "9999999999", "9223372036854775807", "99999999999999999999999"] {
        for _ in 0..25 {
            program.is_visited().asks(post(length, "hello")).refuses_with(413);
        }
    }
    grows_by_less_than(4 << 10, before, &program);
    serves_pages(&program);
    stops_without_a_panic(program);
}

/// The largest body that passes the door goes to a handler that does not read it.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn a_body_that_nobody_reads_does_not_stay() {
    let program = Program::start(&["-q"]);
    serves_pages(&program);
    let before = program.status("VmHWM");
    let request = post("65536", &"GET /x HTTP/1.1\n".repeat(4 << 10));
    for _ in 0..100 {
        program.is_visited().asks(&request).refuses_with(405);
    }
    grows_by_less_than(4 << 10, before, &program);
    serves_pages(&program);
}

fn grows_by_less_than(kib: u64, before: u64, program: &Program) {
    let after = program.status("VmHWM");
    assert!(after < before + kib, "from {before} to {after} KiB");
}

/// tiny_http: no limit on the head, and a line is held in memory as it comes.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn a_header_line_of_200_mb_costs_no_memory() {
    let program = Program::start(&["-q"]);
    serves_pages(&program);
    let before = program.status("VmHWM");
    let mut visitor = program.is_visited();
    visitor.sends("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..200 {
        // From some point on the server takes no more of it, and that is fine.
        visitor.sends(&megabyte);
    }
    visitor.gets_an_answer().refuses_with(431);
    grows_by_less_than(4 << 10, before, &program);
    serves_pages(&program);
}

/// tiny_http: no time limit, and four threads. A half request would hold one for ever.
#[test]
fn forty_half_requests_do_not_stop_the_page_for_others() {
    let server = Server::start();
    let half_a_body = post("1000", "hel");
    let starts = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n", &half_a_body];
    let holding: Vec<Visitor> = (0..40).map(|n| holds(&server, starts[n % 4])).collect();
    for _ in 0..20 {
        is_whole(&server.get("/"));
    }
    drop(holding);
}

fn holds(server: &Server, start: &str) -> Visitor {
    let mut visitor = server.is_visited();
    visitor.sends(start);
    visitor
}

/// tiny_http: a burst leaves all but four connections hanging behind keep-alives.
#[test]
fn a_burst_of_thirty_page_loads_is_answered_whole() {
    let server = Server::start();
    let together = Barrier::new(30);
    thread::scope(|class| {
        for _ in 0..30 {
            class.spawn(|| {
                let mut visitor = server.is_visited();
                together.wait();
                is_whole(
                    &visitor.asks("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
                );
            });
        }
    });
}

#[test]
fn thirty_who_do_not_read_their_page_do_not_keep_it_from_others() {
    let server = Server::start();
    let mut lazy: Vec<Visitor> = (0..30).map(|_| holds(&server, PAGE)).collect();
    for _ in 0..30 {
        is_whole(&server.get("/"));
    }
    for visitor in &mut lazy {
        is_whole(&visitor.gets_an_answer());
    }
}

/// tiny_http: a length that it cannot read is none, so the body is a second request
/// (CVE-2026-66752).
#[test]
fn no_second_request_is_smuggled_in_a_body() {
    let server = Server::start();
    let hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for framing in [
        "Content-Length: 0x2a",
        "Content-Length: +42",
        "Content-Length: 42\r\nContent-Length: 0",
        "Content-Length: 42\r\nTransfer-Encoding: xchunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "X: x\r\n Content-Length: 42",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{hidden}");
        let answer = server.is_visited().asks(request);
        // All of the body is its sentence: no second answer stands behind it.
        assert!(!answer.refuses_with(400).body.contains("HTTP/1.1"), "{framing}: {answer:?}");
    }
}

/// A line to tiny_http that broke would not come back, so no request may break one.
#[test]
fn no_odd_request_costs_a_line_to_tiny_http() {
    let server = Server::start();
    for method in
        ["HEAD", "head", "get", "TRACE", "OPTIONS", "CONNECT", "M-SEARCH", "!#$%&'*+-.^_`|~"]
    {
        for path in
            ["/", "/nothing", "//", "/?", "/?a=%&b", "/%00%ff%0d%0a", "/\\\"<>{}|^`", "/a:80"]
        {
            for body in ["", "hello", &"x".repeat(2000)] {
                let length = body.len();
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                let status = server.is_visited().asks(request).is_sound().status;
                assert!([200, 404, 405].contains(&status), "{status} for {method} {path}");
            }
        }
    }
    is_whole(&server.get("/"));
}

/// tiny_http: CR and LF pass in the values of an answer's fields (CVE-2026-66753).
#[test]
fn nothing_that_a_client_sent_stands_in_the_head_of_an_answer() {
    let server = Server::start();
    let evil = "evil%0d%0aInjected:%20yes";
    let raw = ["evil\rInjected: yes", "evil\nInjected: yes", "evil\r\nInjected: yes"];
    let fields = ["If-None-Match", "Origin", "Cookie", "Content-Type", "Sec-WebSocket-Protocol"];
    let mut heads: Vec<String> =
        ["/", "/?", "/ws/", "/echo?"].map(|path| format!("GET {path}{evil} HTTP/1.1")).to_vec();
    heads.push(format!("{} / HTTP/1.1", evil.replace(['%', ':'], "")));
    for value in raw.iter().chain([&evil, &"\"evil\", W/\"evil\""]) {
        heads.extend(fields.map(|field| format!("GET / HTTP/1.1\r\n{field}: {value}")));
        heads.extend(fields.map(|field| format!("GET /echo HTTP/1.1\r\n{field}: {value}")));
    }
    for head in heads {
        let answer = server.is_visited().asks(format!("{head}\r\nHost: localhost\r\n\r\n"));
        for (name, value) in &answer.is_sound().fields {
            let field = format!("{name}: {value}").to_lowercase();
            assert!(
                !field.contains("injected") && !field.contains("evil"),
                "{field:?} for {head:?}"
            );
        }
    }
}

/// What cannot be found cannot be reached.
#[test]
fn the_way_to_tiny_http_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Program::command();
    command.env("TMPDIR", folder.path()).args(["-q", "--listen", "127.0.0.1:0"]);
    let program = Program::spawn(command);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    serves_pages(&program);
}
