//! `wsroom pipe`: each line of the input is a message and each message a line of the output, exactly
//! once, whatever happens to the server meanwhile.

mod support;

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use support::{Direction, OWNED, Program, Proxy, Tool, V1, Way, until};

const TOKEN: &str = "a-token-of-some-length";

/// Everything that was said in the room, as a newcomer is told it.
fn past(program: &Program, room: &str) -> Vec<String> {
    let mut newcomer = Tool::in_room("pipe", program, room, &["--since", "0"]);
    newcomer.has_all();
    let (status, lines, errors) = newcomer.ends();
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    lines
}

#[test]
fn lines_cross_both_ways() {
    let program = Program::start(&["-q"]);
    let mut ada = program.joins("a");
    let mut pipe = Tool::in_room("pipe", &program, "a", &[]);
    pipe.says("hello");
    ada.hears("hello");
    ada.says("welcome, pipe");
    pipe.prints("welcome, pipe");
    // An empty line is an empty message, and the end of a line may be that of another system.
    pipe.says("");
    pipe.says("from elsewhere\r");
    ada.hears("welcome, pipe");
    ada.hears("");
    ada.hears("from elsewhere");
    pipe.ends_quietly();
    assert_eq!(past(&program, "a"), ["hello", "welcome, pipe", "", "from elsewhere"]);
}

#[test]
fn own_messages_are_printed_when_asked_for() {
    let program = Program::start(&["-q"]);
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--echo"]);
    pipe.says("hello");
    pipe.prints("hello");
    pipe.ends_quietly();
}

#[test]
fn it_may_stay_and_listen() {
    let program = Program::start(&["-q"]);
    let mut ada = program.joins("a");
    ["one", "two", "three"].iter().for_each(|text| ada.says(text));
    ada.hears("one");
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--last", "2", "--stay"]);
    pipe.has_all();
    pipe.prints("two");
    pipe.prints("three");
    ada.says("four");
    pipe.prints("four");
    pipe.is_interrupted();
    pipe.ends_quietly();
}

#[test]
fn what_was_said_meanwhile_is_printed() {
    let program = Program::start_plainly(&["-q"]);
    let proxy = Proxy::to(program.address());
    let url = format!("ws://{}/ws/a", proxy.address());
    let mut pipe = Tool::starts(&["pipe", &url, "--stay"]);
    let mut ada = program.joins("a");
    pipe.says("here");
    ada.hears("here");
    proxy.breaks_after(0, Direction::ToClient);
    ["one", "two"].iter().for_each(|text| ada.says(text));
    pipe.prints("one");
    pipe.prints("two");
    pipe.complains("back again");
    ada.says("three");
    pipe.prints("three");
    pipe.is_interrupted();
    assert_eq!(pipe.ends().0, Some(0));
}

#[test]
fn a_killed_server_costs_no_line() {
    talks_while_the_server_is_killed("100000");
}

/// Half of what the room keeps may be on its way when the server is killed.
#[test]
fn a_killed_server_that_keeps_little_costs_no_line() {
    talks_while_the_server_is_killed("10");
}

/// Again and again, while it talks, the server is killed and started again with the same file.
fn talks_while_the_server_is_killed(history: &str) {
    const LINES: usize = 4000;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let start = || Program::start_plainly(&["-q", "--history", history, "--data", &file]);
    let mut program = start();
    let proxy = Proxy::to(program.address());
    let url = format!("ws://{}/ws/a", proxy.address());
    let mut pipe = Tool::starts(&["pipe", &url, "--echo"]);
    let mut input = pipe.input.take().unwrap();
    let talk = thread::spawn(move || (0..LINES).for_each(|n| writeln!(input, "{n}").unwrap()));
    for number in 0..LINES {
        pipe.prints(&number.to_string());
        if number % 1000 == 500 {
            program.process.kill().unwrap();
            program.process.wait().unwrap();
            program = start();
            proxy.leads_to(program.address());
        }
    }
    talk.join().unwrap();
    let (status, rest, errors) = pipe.ends();
    assert_eq!((status, rest.len()), (Some(0), 0), "{errors}");
    assert!(errors.contains("back again"), "{errors}");
    let kept = LINES.min(history.parse().unwrap());
    let all: Vec<_> = (LINES - kept..LINES).map(|number| number.to_string()).collect();
    let mut newcomer = Tool::in_room("pipe", &program, "a", &["--last", &kept.to_string()]);
    newcomer.has_all();
    assert!(newcomer.ends().1 == all, "the room has heard something else");
}

/// Without a file the server cannot know what it was told before, so nothing is said twice.
#[test]
fn rule_19_what_nobody_knows_is_not_said_again() {
    let mut program = Program::start_plainly(&["-q"]);
    let proxy = Proxy::to(program.address());
    let url = format!("ws://{}/ws/a", proxy.address());
    let mut pipe = Tool::starts(&["pipe", &url, "--echo"]);
    pipe.says("heard");
    pipe.prints("heard");
    program.gets_signal("STOP");
    pipe.says("sent");
    proxy.breaks_after(0, Direction::ToServer);
    pipe.says("in its place the line breaks");
    pipe.complains("coming back");
    program.process.kill().unwrap();
    program.process.wait().unwrap();
    program = Program::start_plainly(&["-q"]);
    proxy.leads_to(program.address());
    pipe.complains("nobody knows whether line 2 was heard");
    pipe.says("new");
    while pipe.next() != "new" {}
    pipe.fails("no answer");
}

#[test]
fn what_could_not_be_kept_is_said_again() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let program = Program::with_a_disk_that_fills(&file);
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--echo"]);
    pipe.says("one");
    pipe.prints("one");
    program.has_limit("--fsize=1:");
    pipe.says("two");
    program.logs("could not be kept");
    program.has_limit("--fsize=unlimited:");
    pipe.prints("two");
    pipe.says("three");
    pipe.prints("three");
    pipe.ends_quietly();
    assert_eq!(past(&program, "a"), ["one", "two", "three"]);
}

#[test]
fn it_reads_no_further_than_it_is_answered() {
    let program = Program::start(&["-q"]);
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--echo"]);
    pipe.says("0");
    pipe.prints("0");
    program.gets_signal("STOP");
    let mut input = pipe.input.take().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let line = "x".repeat(1023);
    let talk = thread::spawn(move || {
        for _ in 0..5000 {
            writeln!(input, "{line}").unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    until("much to wait", || written.load(Ordering::Relaxed) >= 100);
    program.gets_signal("CONT");
    for heard in 0..5000 {
        pipe.next();
        // Unanswered are 64; as many are in the system's pipe, and a few under way.
        let ahead = written.load(Ordering::Relaxed) - heard.min(written.load(Ordering::Relaxed));
        assert!(ahead < 300, "{ahead} lines were read ahead");
    }
    talk.join().unwrap();
    pipe.ends_quietly();
}

#[test]
fn a_token_is_asked_for() {
    let program = Program::start(&["-q", "--token", TOKEN]);
    Tool::in_room("pipe", &program, "a", &[]).fails("This server asks for its token");
    Tool::in_room("pipe", &program, "a", &["--token", "another-token-of-length"]).fails("401");
    let mut command = Tool::command_in_room("pipe", &program, "a", &["--echo"]);
    command.env("WSROOM_TOKEN", TOKEN);
    let mut pipe = Tool::runs(command);
    pipe.says("let in");
    pipe.prints("let in");
    pipe.ends_quietly();
}

#[test]
fn a_user_speaks_by_name() {
    let program = Program::start(&["-q", "--token", TOKEN]);
    let created = support::request_with_json(
        "POST",
        &format!("/users?token={TOKEN}"),
        &[],
        &support::named("Ada"),
    );
    let key = program.is_visited().asks(created).tells(201)["key"].clone();
    let key = key.as_str().unwrap();
    let options = ["--token", TOKEN, "--user-key", key, "--json", "--echo"];
    let mut pipe = Tool::in_room("pipe", &program, "a", &options);
    pipe.says(r#"{"type":"message","text":"it is me"}"#);
    let said = (0..10).map(|_| pipe.next()).find(|line| line.contains("it is me")).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["from"]["name"], "Ada");
    pipe.has_all();
    assert_eq!(pipe.ends().0, Some(0));
    let wrong = ["--token", TOKEN, "--user-key", "nobody-has-this-key"];
    Tool::in_room("pipe", &program, "a", &wrong).fails("no user has this key");
}

#[test]
fn a_room_has_its_key() {
    let program = Program::start(&[&["-q"], &OWNED[..]].concat());
    program.has_a_room_with("a", &json!({"key": "two-bodies"}));
    Tool::in_room("pipe", &program, "a", &[]).fails("403");
    for room in ["a?key=two-bodies", "a"] {
        let mut command = Tool::command_in_room("pipe", &program, room, &["--echo"]);
        if room == "a" {
            command.args(["--key", "two-bodies"]);
        }
        let mut pipe = Tool::runs(command);
        pipe.says("let in");
        pipe.prints("let in");
        pipe.ends_quietly();
    }
}

#[test]
fn a_certificate_is_trusted_when_it_is_named() {
    let program = Program::start_over(Way::Tls, &["-q"]);
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--echo"]);
    pipe.says("sealed");
    pipe.prints("sealed");
    let long = "x".repeat(300_000);
    pipe.says(&long);
    pipe.prints(&long);
    pipe.ends_quietly();
    let url = format!("{}/ws/a", program.url("ws"));
    Tool::starts(&["pipe", &url]).fails("--tls-ca FILE");
}

#[test]
fn what_cannot_be_said_is_told_and_the_rest_is_said() {
    let program = Program::start(&["-q", "--max-message-size", "1K"]);
    let mut ada = program.joins("a");
    let mut pipe = Tool::in_room("pipe", &program, "a", &[]);
    pipe.says("before");
    pipe.says(&"x".repeat(1025));
    pipe.input.as_mut().unwrap().write_all(b"\xff\n").unwrap();
    pipe.says(&"y".repeat(1024));
    ada.hears("before");
    ada.hears(&"y".repeat(1024));
    let (status, _, errors) = pipe.ends();
    assert_eq!(status, Some(1), "{errors}");
    for why in
        ["line 2 is not said: it has more than 1024 bytes", "line 3 is not said: it is not UTF-8"]
    {
        assert!(errors.contains(why), "{errors}");
    }
    assert!(errors.contains("2 messages were refused"), "{errors}");
}

#[test]
fn events_go_in_and_out_as_json() {
    let program = Program::start(&["-q"]);
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--json"]);
    let mut next = |kind: &str| loop {
        let event: Value = serde_json::from_str(&pipe.next()).expect("JSON");
        if event["type"] == kind {
            return event;
        }
    };
    assert_eq!(next("welcome")["room"], "a");
    next("live");
    let (mut ada, _) = V1::over(program.way().connects(program.address()), "/ws/a");
    ada.shows("a.bin", "", b"\x00\n\xff");
    let binary = next("binary");
    assert_eq!((&binary["name"], &binary["base64"]), (&json!("a.bin"), &json!("AAr/")));
    pipe.says(r#"{"type":"binary","name":"b.bin","base64":"AAr/"}"#);
    assert_eq!(ada.sees(b"\x00\n\xff")["name"], "a.bin");
    assert_eq!(ada.sees(b"\x00\n\xff")["name"], "b.bin");
    pipe.says(r#"{"type":"message","text":"hello"}"#);
    ada.hears("hello");
    pipe.says("hello");
    pipe.says(r#"{"type":"shout"}"#);
    pipe.has_all();
    let (status, _, errors) = pipe.ends();
    assert_eq!(status, Some(1), "{errors}");
    for why in ["line 3 is not said: it is no event", "was refused: type is message"] {
        assert!(errors.contains(why), "{errors}");
    }
}

#[test]
fn nobody_reads_its_output() {
    let program = Program::start(&["-q"]);
    let mut pipe = Tool::in_room("pipe", &program, "a", &["--stay", "--echo"]);
    pipe.says("hello");
    pipe.prints("hello");
    pipe.is_not_read();
    // Its reader notices with the next line, and the pipe with one of those behind it.
    let mut ada = program.joins("a");
    until("the end of the pipe", || {
        ada.says("anybody?");
        pipe.has_ended()
    });
    pipe.ends_quietly();
}

#[test]
fn an_address_with_a_slip_is_refused() {
    assert_eq!(Tool::starts(&["pipe"]).ends().0, Some(2));
    let free = Program::free_address();
    Tool::starts(&["pipe", &format!("ws://{free}/ws/a")]).fails("cannot be reached");
    Tool::starts(&["pipe", "http://127.0.0.1/ws/a"]).fails("ws:// or wss://");
    Tool::starts(&["pipe", "ws://127.0.0.1/ws/a?since=0"]).fails("--since");
    Tool::starts(&["pipe", "ws://127.0.0.1/ws/a", "--tls-ca", "any"]).fails("wss://");
    let program = Program::start(&["-q"]);
    Tool::in_room("pipe", &program, "a/b", &[]).fails("40");
    let echo = format!("{}/echo", program.url("ws"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsroom"));
    command.args(["pipe", &echo]);
    program.is_trusted_by(&mut command);
    Tool::runs(command).fails("wsroom.v1");
}
