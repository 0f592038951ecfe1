//! Who may become a WebSocket, and what everyone else is told (RFC 6455 §4.2).

mod support;

use support::{Answer, Server, Visitor, handshake, masked};

// Lines of a sound handshake.
const HOST: &str = "Host: localhost\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A handshake that is sound but for one line.
fn handshake_with(line: &str, instead: &str) -> String {
    let sound = handshake("/ws/lab");
    assert!(sound.contains(line), "there is no {line:?}");
    sound.replace(line, instead)
}

/// The answer, without the frames behind a 101.
fn asks(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    let mut visitor = server.is_visited();
    let mut bytes = visitor.sends(request).reads_a_head();
    if !bytes.starts_with(b"HTTP/1.1 101 ") {
        bytes.extend(visitor.reads_to_the_end());
    }
    Answer::parse(&bytes)
}

/// Each of these becomes a WebSocket.
fn welcomes(server: &Server, requests: &[String]) {
    for request in requests {
        let answer = asks(server, request);
        assert_eq!(answer.status, 101, "{request}: {answer:?}");
        assert_eq!(answer.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}

/// Each of these is answered with this status and a sentence.
fn refuses(server: &Server, status: u16, requests: &[String]) -> Vec<Answer> {
    let refuse = |request| {
        eprintln!("{status} for {request:?}");
        asks(server, request).refuses_with(status).clone()
    };
    requests.iter().map(refuse).collect()
}

fn is_welcome(visitor: &mut Visitor) {
    assert_eq!(Answer::parse(&visitor.reads_a_head()).status, 101);
}

#[test]
fn the_example_of_the_rfc_gets_the_answer_of_the_rfc() {
    let server = Server::start();
    let answer = asks(&server, handshake("/echo"));
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(answer.field("Upgrade").unwrap().eq_ignore_ascii_case("websocket"), "{answer:?}");
    assert!(answer.field("Connection").unwrap().eq_ignore_ascii_case("upgrade"), "{answer:?}");
    assert_eq!((answer.field("Content-Length"), answer.body.as_str()), (None, ""));
}

#[test]
fn the_tokens_may_be_in_any_case_and_in_lists() {
    let server = Server::start();
    let connections = [
        "connection: upgrade\r\n",
        "CONNECTION: UPGRADE\r\n",
        "Connection:Upgrade\r\n",
        "Connection: \t Upgrade \t \r\n",
        "Connection: keep-alive, Upgrade\r\n",
        "Connection: Upgrade,keep-alive\r\n",
        "Connection: ,, keep-alive ,\tuPGRADE ,\r\n",
        "Connection: keep-alive\r\nConnection: Upgrade\r\n",
        "Connection: Upgrade\r\nX: x\r\nconnection: close\r\n",
    ];
    welcomes(&server, &connections.map(|line| handshake_with(CONNECTION, line)));
    let upgrades = [
        "upgrade: WebSocket\r\n",
        "UPGRADE: WEBSOCKET\r\n",
        "Upgrade: h2c, websocket\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
    ];
    welcomes(&server, &upgrades.map(|line| handshake_with(UPGRADE, line)));
}

#[test]
fn whatever_stands_around_the_handshake_does_not_matter() {
    let server = Server::start();
    let fields = [
        "Pragma: no-cache\r\nCache-Control: no-cache\r\n",
        "User-Agent: Mozilla/5.0 (ä)\r\n",
        "Content-Length: 0\r\n",
        "Cookie: a=b; c=\"d\"\r\n",
        "Keep-Alive:\r\n",
    ];
    welcomes(&server, &fields.map(|fields| handshake_with(KEY, &format!("{KEY}{fields}"))));
    let many = "X: x\r\n".repeat(95);
    welcomes(&server, &[handshake_with(KEY, &format!("{many}{KEY}"))]);
    let targets = ["/ws", "/ws?token=a/b?c", "/echo?x", "http://localhost/ws/lab"];
    welcomes(&server, &targets.map(handshake));
}

#[test]
fn an_address_without_an_upgrade_is_answered_426_and_told_how() {
    let server = Server::start();
    let requests = [
        handshake_with(UPGRADE, ""),
        handshake_with(CONNECTION, ""),
        handshake_with(UPGRADE, "Upgrade: websockets\r\n"),
        handshake_with(UPGRADE, "Upgrade: h2c\r\n"),
        handshake_with(UPGRADE, "Upgrade: \"websocket\"\r\n"),
        handshake_with(CONNECTION, "Connection: upgraded\r\n"),
        handshake_with(CONNECTION, "Connection: keep-alive\r\n"),
        handshake_with("HTTP/1.1", "HTTP/1.0"),
        "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /ws/lab HTTP/1.0\r\n\r\n".to_owned(),
    ];
    for answer in refuses(&server, 426, &requests) {
        assert_eq!(answer.field("Upgrade"), Some("websocket"));
        assert_eq!(answer.field("Connection"), Some("close, upgrade"));
        assert!(answer.body.contains("ws://"), "no help: {}", answer.body);
    }
}

#[test]
fn another_version_is_answered_426_and_told_which() {
    let server = Server::start();
    let versions =
        ["8", "7", "0", "", "13, 8", "8, 13", "013", "+13", "13.0", "0x0d", "1 3", "thirteen"];
    let line = |version| format!("Sec-WebSocket-Version: {version}\r\n");
    let mut requests = versions.map(|version| handshake_with(VERSION, &line(version))).to_vec();
    requests.push(handshake_with(VERSION, ""));
    requests.push(handshake_with(VERSION, &(line("13") + &line("8"))));
    for answer in refuses(&server, 426, &requests) {
        assert_eq!(answer.field("Sec-WebSocket-Version"), Some("13"));
        assert_eq!(answer.field("Upgrade"), Some("websocket"));
    }
}

#[test]
fn a_key_that_is_missing_malformed_or_doubled_is_answered_400() {
    let server = Server::start();
    let line = |key| format!("Sec-WebSocket-Key: {key}\r\n");
    let malformed = [
        "",
        "AA==",
        // 15, 17 and 32 bytes.
        "AQIDBAUGBwgJCgsMDQ4P",
        "AQIDBAUGBwgJCgsMDQ4PEBE=",
        "AQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxA=",
        // Not base64, or not the base64 of RFC 4648 §4.
        "!!!!!!!!!!!!!!!!!!!!!!==",
        "____________________-w==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut requests = malformed.map(|key| handshake_with(KEY, &line(key))).to_vec();
    requests.push(handshake_with(KEY, ""));
    requests.push(handshake_with(KEY, &KEY.repeat(2)));
    requests.push(handshake_with(KEY, &(KEY.to_owned() + &line("AQIDBAUGBwgJCgsMDQ4PEA=="))));
    refuses(&server, 400, &requests);
}

#[test]
fn another_method_is_answered_405_and_told_which() {
    let server = Server::start();
    let requests = ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "WS"]
        .map(|method| handshake_with("GET", method));
    for answer in refuses(&server, 405, &requests) {
        assert_eq!(answer.field("Allow"), Some("GET"));
    }
}

#[test]
fn a_head_request_is_told_what_a_get_would_be() {
    let server = Server::start();
    let answer = asks(&server, "HEAD /ws HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let whole = server.get("/ws");
    assert_eq!((answer.is_sound().status, answer.body.as_str()), (426, ""));
    assert_eq!(answer.field("Content-Length"), whole.field("Content-Length"));
    assert_eq!(asks(&server, handshake_with("GET", "HEAD")).status, 426);
}

#[test]
fn an_unknown_address_with_an_upgrade_is_answered_404() {
    let server = Server::start();
    let paths = ["/", "/chat", "/WS", "/wsx", "/ws%2flab", "/%77s", "//ws", "/Echo", "/echo/"];
    for answer in refuses(&server, 404, &paths.map(handshake)) {
        assert!(answer.body.contains("/ws/ROOM"), "no help: {}", answer.body);
    }
    let answer = asks(&server, handshake("/healthz"));
    assert!(answer.has_a_problem(404).body.contains("/ws/ROOM"), "no help: {}", answer.body);
}

#[test]
fn a_bad_room_name_is_answered_400() {
    let server = Server::start();
    let long = "x".repeat(65);
    let names = [
        "", ".", "..", "/", "a/b", "a/", "/a", "%61", "a%20b", "a%2fb", "%00", "a%0ab", "a+b",
        "a@b", "a:b", "a,b", "a;b", "a=b", "a&b", "a!b", "a*b", "a'b", "(a)", "a\\b", "a#b", "a|b",
        "<b>", "\"", &long,
    ];
    for answer in refuses(&server, 400, &names.map(|name| handshake(&format!("/ws/{name}")))) {
        assert!(answer.body.contains("1 to 64"), "no help: {}", answer.body);
    }
    server.get("/ws/a%20b").refuses_with(400);
}

#[test]
fn odd_but_good_room_names_are_rooms_of_their_own() {
    let server = Server::start();
    let long = "x".repeat(64);
    let names = ["a", "A", "0", "...", "~", "-", "--", "_", "ws", "echo", "A.b_c~d-9", &long];
    let mut visitors = names.map(|name| {
        let mut visitor = server.is_visited();
        visitor.upgrades(&format!("/ws/{name}")).sends(masked(0x81, name.as_bytes()));
        visitor
    });
    for (name, visitor) in names.iter().zip(&mut visitors) {
        assert_eq!(visitor.reads_a_frame(), (0x81, name.as_bytes().to_vec()));
    }
    assert_eq!(server.count_of("rooms"), names.len() as u64);
}

#[test]
fn a_page_of_this_host_may_connect_and_so_may_a_program() {
    let server = Server::start();
    let pairs = [
        ("localhost", "http://localhost"),
        ("localhost", "http://LocalHost"),
        ("LOCALHOST:8080", "http://localhost:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        // Behind a proxy that does TLS.
        ("talk.example", "https://talk.example"),
        ("talk.example:8443", "https://talk.example:8443"),
        // The default port, written or not.
        ("talk.example:443", "https://talk.example"),
        ("talk.example", "http://talk.example:80"),
    ];
    let from =
        |(host, origin)| handshake_with(HOST, &format!("Host: {host}\r\nOrigin: {origin}\r\n"));
    welcomes(&server, &pairs.map(from));
    welcomes(&server, &[handshake("/ws")]);
}

/// Origins that are not those of `localhost`.
const FOREIGN: [&str; 16] = [
    "null",
    "",
    "localhost",
    "http://",
    "file://",
    "http://evil.example",
    "http://localhost:8080",
    "http://localhost:443",
    "https://localhost:80",
    "http://localhost.evil.example",
    "http://evil-localhost",
    "http://localhost@evil.example",
    "http://evil.example/localhost",
    "http://evil.example://localhost",
    "http://localhost, http://evil.example",
    "http://localhost\r\nOrigin: http://evil.example",
];

fn from(origin: &str) -> String {
    handshake_with(HOST, &format!("{HOST}Origin: {origin}\r\n"))
}

#[test]
fn a_page_from_elsewhere_is_answered_403() {
    let server = Server::start();
    for answer in refuses(&server, 403, &FOREIGN.map(from)) {
        assert!(answer.body.contains("--allow-origin"), "no help: {}", answer.body);
    }
}

#[test]
fn an_allowed_origin_may_connect_too() {
    let listed = ["--allow-origin", "https://App.example", "--allow-origin", "http://b.example:81"];
    let server = Server::with(&listed);
    let welcome =
        ["https://app.example", "https://APP.example", "http://b.example:81", "http://localhost"];
    welcomes(&server, &welcome.map(from));
    let others = [
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil",
        "http://b.example",
    ];
    refuses(&server, 403, &others.map(from));
    refuses(&server, 403, &FOREIGN.map(from));
}

#[test]
fn a_star_allows_every_origin() {
    let server = Server::with(&["--allow-origin", "*"]);
    welcomes(&server, &["http://evil.example", "https://localhost:1", "null"].map(from));
}

#[test]
fn of_unknown_subprotocols_and_extensions_none_is_chosen() {
    let server = Server::start();
    let offers = [
        "Sec-WebSocket-Protocol: chat\r\n",
        "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Protocol: graphql-ws\r\n",
        "Sec-WebSocket-Protocol: \r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    ];
    for offer in offers {
        let answer = asks(&server, handshake_with(KEY, &format!("{KEY}{offer}")));
        assert_eq!(answer.status, 101, "{offer}");
        assert_eq!(answer.field("Sec-WebSocket-Protocol"), None, "{offer}");
        assert_eq!(answer.field("Sec-WebSocket-Extensions"), None, "{offer}");
    }
}

#[test]
fn a_handshake_with_a_body_is_answered_400() {
    let server = Server::start();
    let body =
        |length| handshake_with(KEY, &format!("{KEY}Content-Length: {length}\r\n")) + "hello";
    refuses(&server, 400, &[body("5"), body("65536"), body("0x2a")]);
}

#[test]
fn a_handshake_in_many_small_segments_is_good() {
    let server = Server::start();
    let mut visitor = server.is_visited();
    let request = handshake_with(KEY, &format!("X: {}\r\n{KEY}", "x".repeat(100)));
    assert!(request.len() > 200);
    for byte in request.bytes() {
        visitor.sends([byte]);
    }
    is_welcome(&mut visitor);
}

#[test]
fn what_comes_right_behind_the_head_is_kept() {
    let server = Server::start();
    let frames =
        [masked(0x81, b"first"), masked(0x82, &[7; 5000]), masked(0x81, b"third")].concat();
    for path in ["/ws/lab", "/echo"] {
        // Nothing, a part of the first frame, a part of the second, and all.
        for with_the_head in [0, 1, 8, 2000, frames.len()] {
            let (now, later) = frames.split_at(with_the_head);
            let mut visitor = server.is_visited();
            visitor.sends([handshake(path).as_bytes(), now].concat());
            is_welcome(&mut visitor);
            visitor.sends(later);
            assert_eq!(visitor.reads_a_frame(), (0x81, b"first".to_vec()));
            assert_eq!(visitor.reads_a_frame(), (0x82, vec![7; 5000]));
            assert_eq!(visitor.reads_a_frame(), (0x81, b"third".to_vec()));
        }
    }
}

#[test]
fn whoever_was_refused_is_in_no_room() {
    let server = Server::start();
    refuses(&server, 403, &[from("null")]);
    refuses(&server, 400, &[handshake_with(KEY, "")]);
    refuses(&server, 426, &[handshake_with(VERSION, "")]);
    assert_eq!((server.count_of("clients"), server.count_of("rooms")), (0, 0));
}
