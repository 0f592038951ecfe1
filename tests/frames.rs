//! An experiment, a client of the echo that asks for `frames`, is told each frame that the server reads
//! from it: byte for byte, in order, right before the answer.

mod support;

use std::net::SocketAddr;
use std::thread;

use serde_json::{Value, json};
use support::{Program, Server, Visitor, Way, handshake, masked};

/// What the server's frames look like to the one who reads them.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;

/// Somebody who experiments.
struct Student {
    visitor: Visitor,
}

impl Student {
    fn joins(server: &Server) -> Self {
        Self::plays(server.address(), "/echo?frames")
    }

    /// At an address of its own; the first report is taken.
    fn plays(address: SocketAddr, path: &str) -> Self {
        let mut student = Self { visitor: Visitor::joins(address, path) };
        assert_eq!(student.is_told()["type"], "handshake");
        student
    }

    fn sends(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.visitor.sends(bytes);
        self
    }

    /// The next frame is a report.
    fn is_told(&mut self) -> Value {
        let (first, payload) = self.visitor.reads_a_frame();
        assert_eq!(first, TEXT, "no report: {}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// The next frame is the report of a frame that was read.
    fn is_told_of(&mut self, name: &str) -> Value {
        let report = self.is_told();
        assert_eq!((&report["type"], &report["received"]["name"]), (&json!("frame"), &json!(name)));
        report
    }

    /// The next frame is this one; the last report has told of it, and of no other.
    fn gets(&mut self, first: u8, payload: &[u8], report: &Value) -> &mut Self {
        assert!(self.visitor.reads_a_frame() == (first, payload.to_vec()), "another: {report}");
        let answers = report["answers"].as_array().expect("a list");
        assert_eq!(answers.len(), 1, "{report}");
        assert_eq!(answers[0]["opcode"], first & 0x0f, "{report}");
        assert_eq!(answers[0]["length"], payload.len(), "{report}");
        self
    }

    /// It goes on as any client of the echo.
    fn is_echoed(&mut self) {
        self.sends(masked(TEXT, b"still here"));
        let report = self.is_told_of("text");
        self.gets(TEXT, b"still here", &report);
    }
}

#[test]
fn a_text_is_told_byte_for_byte_and_then_answered() {
    let server = Server::start();
    let mut ada = Student::joins(&server);
    ada.sends(masked(TEXT, b"Hello"));
    let report = ada.is_told();
    let received = json!({
        "header": "81 85 37 fa 21 3d", "fin": true, "rsv": [false, false, false], "opcode": 1,
        "name": "text", "masked": true, "length": 5, "length_bits": 7, "key": "37 fa 21 3d",
        "masked_bytes": "7f 9f 4d 51 58", "bytes": "48 65 6c 6c 6f", "complete": true,
    });
    let answer = json!({
        "header": "81 05", "fin": true, "rsv": [false, false, false], "opcode": 1,
        "name": "text", "masked": false, "length": 5, "length_bits": 7, "key": null,
        "masked_bytes": "48 65 6c 6c 6f", "bytes": "48 65 6c 6c 6f", "complete": true,
    });
    let whole =
        json!({"type": "frame", "received": received, "answers": [answer], "refused": null});
    assert_eq!(report, whole);
    ada.gets(TEXT, b"Hello", &report);
}

#[test]
fn a_length_is_told_as_it_was_coded() {
    let server = Server::start();
    let mut ada = Student::joins(&server);
    for (size, bits, header) in [
        (0, 7, "82 80 37 fa 21 3d"),
        (125, 7, "82 fd 37 fa 21 3d"),
        (126, 16, "82 fe 00 7e 37 fa 21 3d"),
        (65_535, 16, "82 fe ff ff 37 fa 21 3d"),
        (65_536, 64, "82 ff 00 00 00 00 00 01 00 00 37 fa 21 3d"),
        (1 << 20, 64, "82 ff 00 00 00 00 00 10 00 00 37 fa 21 3d"),
    ] {
        let payload = vec![0xff; size];
        ada.sends(masked(BINARY, &payload));
        let report = ada.is_told_of("binary");
        let frame = &report["received"];
        assert_eq!((&frame["header"], &frame["length"]), (&json!(header), &json!(size)));
        assert_eq!((&frame["length_bits"], &frame["complete"]), (&json!(bits), &json!(true)));
        let shown = |byte: &[&str]| byte.repeat(16)[..size.min(64)].join(" ");
        assert_eq!(frame["bytes"], shown(&["ff", "ff", "ff", "ff"]));
        assert_eq!(frame["masked_bytes"], shown(&["c8", "05", "de", "c2"]));
        assert_eq!(report["answers"][0]["length_bits"], bits);
        ada.gets(BINARY, &payload, &report);
    }
}

#[test]
fn each_fragment_is_told_and_the_last_one_is_answered() {
    let server = Server::start();
    let mut ada = Student::joins(&server);
    ada.sends([masked(0x01, b"he"), masked(0x89, b"?"), masked(0x80, b"llo")].concat());
    let first = ada.is_told_of("text");
    assert_eq!((&first["received"]["fin"], &first["answers"]), (&json!(false), &json!([])));
    let ping = ada.is_told_of("ping");
    ada.gets(PONG, b"?", &ping);
    let last = ada.is_told_of("continuation");
    ada.gets(TEXT, b"hello", &last);
}

#[test]
fn a_pong_is_told_and_not_answered() {
    let server = Server::start();
    let mut ada = Student::joins(&server);
    ada.sends(masked(PONG, b"!"));
    let report = ada.is_told_of("pong");
    assert_eq!((&report["answers"], &report["refused"]), (&json!([]), &Value::Null));
    ada.is_echoed();
}

#[test]
fn a_close_is_told_with_its_code_and_reason() {
    let server = Server::start();
    for (payload, close, refused) in [
        (&b"\x03\xe8bye"[..], json!({"code": 1000, "reason": "bye"}), Value::Null),
        (b"", Value::Null, Value::Null),
        // 1005 must not stand in a frame (RFC 6455 §7.4.1).
        (b"\x03\xed", json!({"code": 1005, "reason": ""}), json!(1002)),
    ] {
        let mut ada = Student::joins(&server);
        ada.sends(masked(CLOSE, payload));
        let report = ada.is_told_of("close");
        assert_eq!(report["received"]["close"], close);
        assert_eq!(report["refused"].get("code").unwrap_or(&Value::Null), &refused, "{report}");
        let (first, answered) = ada.visitor.reads_a_frame();
        assert_eq!(
            (first, report["answers"][0]["length"].as_u64()),
            (CLOSE, Some(answered.len() as u64))
        );
        if refused.is_null() {
            assert_eq!((&report["answers"][0]["close"], answered.as_slice()), (&close, payload));
        }
        ada.visitor.reads_the_end();
    }
}

#[test]
fn every_play_that_breaks_a_rule_is_told_and_refused() {
    let server = Server::with(&["--max-message-size", "1000"]);
    for (play, header, bytes, code, section) in [
        ("unmasked", "81 05", "48 65 6c 6c 6f", 1002, "section 5.1"),
        ("reserved-bit", "c1 85 37 fa 21 3d", "48 65 6c 6c 6f", 1002, "section 5.2"),
        ("unknown-opcode", "83 85 37 fa 21 3d", "48 65 6c 6c 6f", 1002, "section 5.2"),
        ("lone-continuation", "80 82 37 fa 21 3d", "6c 6f", 1002, "section 5.4"),
        ("fragmented-ping", "09 81 37 fa 21 3d", "3f", 1002, "section 5.5"),
        ("long-ping", "89 fe 00 7e 37 fa 21 3d", &["3f"; 64].join(" "), 1002, "section 5.5"),
        ("half-close-code", "88 81 37 fa 21 3d", "03", 1002, "section 5.5.1"),
        ("too-large", "82 fe 03 e9 37 fa 21 3d", "", 1009, "--max-message-size"),
        ("invalid-utf8", "81 84 37 fa 21 3d", "63 61 66 e9", 1007, "not UTF-8"),
    ] {
        let mut ada = Student::plays(server.address(), &format!("/echo?frames&play={play}"));
        let report = ada.is_told();
        let received = &report["received"];
        assert_eq!((&received["header"], &received["bytes"]), (&json!(header), &json!(bytes)));
        assert_eq!(received["complete"], play != "too-large", "{play}");
        let (told, reason) = ada.visitor.reads_a_close();
        assert_eq!(told, code, "{play}");
        assert!(reason.contains(section), "{play}: {reason}");
        let close = json!({"code": code, "reason": reason});
        assert_eq!(
            (&report["refused"], &report["answers"][0]["close"]),
            (&close, &close),
            "{play}"
        );
        ada.visitor.reads_the_end();
    }
}

#[test]
fn a_play_that_keeps_the_rules_goes_on() {
    let server = Server::start();
    let mut ada = Student::plays(server.address(), "/echo?play=fragmented&frames=1");
    assert_eq!(ada.is_told_of("text")["received"]["bytes"], "48 65 6c");
    let ping = ada.is_told_of("ping");
    ada.gets(PONG, b"?", &ping);
    assert_eq!(ada.is_told_of("continuation")["answers"], json!([]));
    let last = ada.is_told_of("continuation");
    ada.gets(TEXT, b"Hello", &last);
    ada.is_echoed();
}

#[test]
fn every_play_is_listed_and_none_that_is_unknown_is_played() {
    let server = Server::start();
    let list = server.get("/experiments").tells(200);
    let plays = list["plays"].as_array().expect("a list");
    let names: Vec<_> = plays.iter().map(|play| play["name"].as_str().expect("a name")).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for play in plays {
        let [section, says] = ["section", "says"].map(|field| play[field].as_str().unwrap());
        assert!(section.starts_with(|c: char| c.is_ascii_digit()) && says.ends_with('.'), "{play}");
    }
    for name in &names {
        Student::plays(server.address(), &format!("/echo?frames&play={name}")).is_told();
    }
    for query in ["frames&play=hamlet", "frames&play="] {
        let refusal = server.is_visited().asks(handshake(&format!("/echo?{query}")));
        assert!(names.iter().all(|name| refusal.refuses_with(400).body.contains(name)));
    }
    let refusal = server.is_visited().asks(handshake("/echo?play=unmasked"));
    assert!(refusal.refuses_with(400).body.contains("frames"));
}

#[test]
fn the_handshake_is_told_as_it_arrived_without_its_secrets() {
    let server = Server::with(&["--token", "a-token-of-sixteen"]);
    server.get("/experiments").has_a_problem(401);
    let mut ada = server.is_visited();
    let request =
        handshake("/echo?frames=yes&token=a-token-of-sixteen&key=xx&session=0123456789abcdef")
            .replace("\r\n\r\n", "\r\ncookie: a=xx\r\nX-Odd:   spaced \r\n\r\n");
    ada.sends(&request);
    let response = String::from_utf8(ada.reads_a_head()).unwrap();
    let mut ada = Student { visitor: ada };
    let report = ada.is_told();
    let shown = request
        .replace(
            "token=a-token-of-sixteen&key=xx&session=0123456789abcdef",
            "token=…&key=…&session=…",
        )
        .replace("cookie: a=xx", "cookie: …");
    assert_eq!(report, json!({"type": "handshake", "request": shown, "response": response}));
}

#[test]
fn at_a_room_it_means_nothing() {
    let server = Server::start();
    let mut ada = Visitor::joins(server.address(), "/ws/physics?frames&play=hamlet");
    ada.says("hello").hears("hello");
}

#[test]
fn pipelined_frames_are_told_in_order_each_before_its_answer() {
    let server = Server::start();
    let mut ada = server.is_visited();
    let said =
        (0..1000_u32).map(|n| masked(if n % 3 == 0 { 0x89 } else { BINARY }, &n.to_be_bytes()));
    // The first of them come with the handshake.
    ada.sends([handshake("/echo?frames").into_bytes(), said.collect::<Vec<_>>().concat()].concat());
    ada.reads_a_head();
    let mut ada = Student { visitor: ada };
    assert_eq!(ada.is_told()["type"], "handshake");
    for n in 0..1000_u32 {
        let (name, first) = if n % 3 == 0 { ("ping", PONG) } else { ("binary", BINARY) };
        let report = ada.is_told_of(name);
        ada.gets(first, &n.to_be_bytes(), &report);
    }
}

#[test]
fn reports_apart_it_hears_what_every_client_of_the_echo_hears() {
    let server = Server::start();
    let mut dice = fastrand::Rng::with_seed(6455);
    for _ in 0..300 {
        let frames: Vec<_> = (0..dice.usize(1..6)).map(|_| some_frame(&mut dice)).collect();
        let said = frames.concat();
        let heard = |path| {
            let mut ada = Visitor::joins(server.address(), path);
            ada.sends(&said).half_closes();
            ada.reads_whole_frames()
        };
        let mut told = heard("/echo?frames");
        told.retain(|(first, payload)| *first != TEXT || !payload.starts_with(b"{\"type\":"));
        assert_eq!(told, heard("/echo"), "{said:02x?}");
    }
}

/// Mostly sound, and sometimes anything or cut short.
fn some_frame(dice: &mut fastrand::Rng) -> Vec<u8> {
    let first = if dice.u8(..4) == 0 {
        dice.u8(..)
    } else {
        dice.choice([0x01, 0x80, TEXT, 0x89]).unwrap()
    };
    let length = dice.choice([0, 1, 2, 125, 126, 200, 70_000]).unwrap();
    let mut frame = masked(first, &vec![dice.u8(..0x80); length]);
    if dice.u8(..10) == 0 {
        frame.truncate(dice.usize(..frame.len()));
    }
    frame
}

#[test]
fn half_a_frame_is_told_when_its_client_has_ended() {
    let server = Server::start();
    let frame = masked(TEXT, b"Hello");
    for (count, bytes) in [(6, Some("")), (8, Some("48 65")), (5, None), (0, None)] {
        let mut ada = Student::joins(&server);
        ada.sends(&frame[..count]).visitor.half_closes();
        if let Some(bytes) = bytes {
            let report = ada.is_told_of("text");
            let received = &report["received"];
            assert_eq!((&received["bytes"], &received["complete"]), (&json!(bytes), &json!(false)));
            assert_eq!((&report["answers"], &report["refused"]), (&json!([]), &Value::Null));
        }
        ada.visitor.reads_the_end();
    }
    let mut gone = Student::joins(&server);
    gone.sends(&frame[..8]);
    gone.visitor.vanishes();
    server.comes_to_have(0, "clients");
}

#[test]
fn a_ping_of_the_server_is_told_too_within_a_frame_as_well() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    let mut ada = Student::joins(&server);
    ada.sends(&masked(TEXT, b"Hello")[..8]);
    let ping = ada.is_told();
    assert_eq!((&ping["received"], &ping["answers"][0]["name"]), (&Value::Null, &json!("ping")));
    ada.gets(0x89, b"", &ping);
    let last = ada.is_told_of("text");
    assert_eq!(last["received"]["complete"], false);
    let (code, reason) = ada.visitor.reads_a_close();
    assert_eq!((code, &last["refused"]["reason"]), (4002, &json!(reason)));
}

#[test]
fn the_last_close_is_told_when_the_server_stops() {
    let server = Server::start();
    let mut ada = Student::joins(&server);
    ada.is_echoed();
    let stopping = thread::spawn(|| server.stops());
    let report = ada.is_told();
    assert_eq!((&report["received"], &report["refused"]), (&Value::Null, &Value::Null));
    assert_eq!(ada.visitor.reads_a_close().0, 1001);
    ada.sends(masked(CLOSE, b"\x03\xe9"));
    stopping.join().unwrap();
}

#[test]
fn the_rate_of_messages_holds() {
    let server = Server::with(&["--max-rate", "50"]);
    let mut ada = Student::joins(&server);
    // More than a second's worth: from then on there are pauses, and each answer leaves before its own.
    ada.sends(masked(TEXT, b"x").repeat(60));
    for _ in 0..60 {
        let report = ada.is_told_of("text");
        ada.gets(TEXT, b"x", &report);
    }
}

/// Their reports are 9 MB.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn reports_that_wait_for_a_slow_reader_take_no_memory() {
    const FRAMES: usize = 20_000;
    let program = Program::start_plainly(&["-q"]);
    let mut ada = Visitor { stream: Way::Plain.connects(program.address()) };
    let mut pouring = Visitor { stream: ada.stream.try_clone().unwrap() };
    ada.upgrades("/echo?frames");
    let mut ada = Student { visitor: ada };
    assert_eq!(ada.is_told()["type"], "handshake");
    ada.is_echoed();
    let memory = program.status("VmRSS");
    let pouring = thread::spawn(move || {
        pouring.sends(masked(BINARY, b"").repeat(FRAMES));
    });
    for _ in 0..FRAMES {
        let report = ada.is_told_of("binary");
        ada.gets(BINARY, b"", &report);
    }
    pouring.join().unwrap();
    let more = program.status("VmHWM") - memory;
    assert!(more < 500, "{more} KiB for {FRAMES} empty frames");
}
