//! The door takes one whole, sound request per connection, and says why it refuses any other.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use support::{Answer, PATIENCE, Server, Visitor, handshake};

/// The longest head.
const MAX_HEAD: usize = 16 << 10;

/// A request for a file of the page, with more lines in its head.
fn get(lines: &str) -> String {
    format!("GET /style.css HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A request with a body, to an address that takes none: what matters is how it is read.
fn post(lines: &str, body: &str) -> String {
    format!("POST /style.css HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}")
}

/// A sound request whose head has exactly so many bytes.
fn head_of(length: usize) -> String {
    let padding = length - get("X: \r\n").len();
    get(&format!("X: {}\r\n", "x".repeat(padding)))
}

/// Each of these requests is answered with this status and a sentence.
fn refuses(server: &Server, status: u16, requests: &[String]) {
    for request in requests {
        eprintln!("{status} for {:?}", request.chars().take(100).collect::<String>());
        server.is_visited().asks(request).refuses_with(status);
    }
}

#[test]
fn a_head_of_16_kib_passes_and_one_byte_more_is_answered_431() {
    let server = Server::start();
    assert_eq!(server.is_visited().asks(head_of(MAX_HEAD)).is_sound().status, 200);
    refuses(&server, 431, &[head_of(MAX_HEAD + 1), head_of(1 << 20)]);
}

#[test]
fn a_head_that_never_ends_is_answered_431() {
    let server = Server::start();
    let request_line = format!("GET /{}", "x".repeat(MAX_HEAD));
    let field = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(MAX_HEAD));
    refuses(&server, 431, &[request_line, field, "\r\n".repeat(MAX_HEAD / 2)]);
}

#[test]
fn a_hundred_fields_pass_and_one_more_is_answered_431() {
    let server = Server::start();
    let fields = |count: usize| get(&"X: x\r\n".repeat(count - 1));
    assert_eq!(server.is_visited().asks(fields(100)).is_sound().status, 200);
    refuses(&server, 431, &[fields(101)]);
}

#[test]
fn a_request_in_pieces_of_one_byte_is_served() {
    let server = Server::start();
    for (request, status) in [(get(""), 200), (post("Content-Length: 5\r\n", "hello"), 405)] {
        let mut visitor = server.is_visited();
        for byte in request.bytes() {
            visitor.sends([byte]);
        }
        assert_eq!(visitor.gets_an_answer().is_sound().status, status);
    }
}

/// This takes the 10 s that a client has for its request: all wait at the same time.
#[test]
fn whoever_does_not_ask_in_time_is_let_go() {
    let server = Server::start();
    let half_a_body = post("Content-Length: 1000\r\n", "hel");
    let server = &server;
    thread::scope(|all| {
        all.spawn(|| assert!(server.is_visited().reads_to_the_end().is_empty()));
        for half in ["GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n", &half_a_body] {
            all.spawn(move || server.is_visited().asks(half).refuses_with(408).status);
        }
        for start in ["", "GET /", "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", &half_a_body] {
            all.spawn(move || dribbles(server.is_visited(), start).refuses_with(408).status);
        }
        let half_a_post = half_a_body.replace("/style.css", "/rooms/a");
        all.spawn(move || server.is_visited().asks(half_a_post).has_a_problem(408).status);
    });
}

/// Sends one more byte again and again until there is an answer.
fn dribbles(mut visitor: Visitor, beginning: &str) -> Answer {
    visitor.sends(beginning);
    visitor.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while nothing_came(&visitor) {
        assert!(Instant::now() < deadline, "it may dribble for ever");
        visitor.sends("x");
    }
    visitor.gets_an_answer()
}

fn nothing_came(visitor: &Visitor) -> bool {
    match visitor.stream.peek(&mut [0]) {
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        Ok(_) => false,
    }
}

#[test]
fn a_chunked_body_is_answered_411() {
    let server = Server::start();
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let requests = ["Transfer-Encoding: chunked\r\n", "transfer-encoding:\tCHUNKED \r\n"];
    refuses(&server, 411, &requests.map(|coding| post(coding, body)));
}

#[test]
fn a_body_whose_end_is_in_doubt_is_answered_400() {
    let server = Server::start();
    let requests = [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
    ];
    refuses(&server, 400, &requests.map(|coding| post(coding, "hello")));
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refuses(&server, 400, &[old.to_owned()]);
}

#[test]
fn an_odd_content_length_is_answered_400() {
    let server = Server::start();
    let odd =
        ["+5", "-1", "-0", "0x2a", "5, 5", "5,5", "5 5", "5;", "5.0", "5e0", "\"5\"", "", " "];
    let requests = odd.map(|length| post(&format!("Content-Length: {length}\r\n"), "hello"));
    refuses(&server, 400, &requests);
    let twice = [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nX: x\r\ncontent-length: 6\r\n",
    ];
    refuses(&server, 400, &twice.map(|lines| post(lines, "hello!")));
}

#[test]
fn a_body_of_64_kib_passes_and_a_larger_one_is_answered_413() {
    let server = Server::start();
    let body = "x".repeat(64 << 10);
    let largest = server.is_visited().asks(post("Content-Length: 65536\r\n", &body));
    assert_eq!(largest.is_sound().status, 405);
    let lengths = ["65537", "4294967296", "18446744073709551616", "99999999999999999999999"];
    refuses(&server, 413, &lengths.map(|n| post(&format!("Content-Length: {n}\r\n"), "hello")));
}

#[test]
fn a_malformed_head_is_answered_400() {
    let server = Server::start();
    let heads = [
        // Folded lines.
        get("X: a\r\n b\r\n"),
        get("X: a\r\n\tb\r\n"),
        "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n".to_owned(),
        // Field names.
        get("X : a\r\n"),
        get("X\t: a\r\n"),
        get("Content-Length : 5\r\n"),
        get("X\0: a\r\n"),
        get("X y: a\r\n"),
        get("X\r\n"),
        get(": a\r\n"),
        get("Ä: a\r\n"),
        // Field values.
        get("X: a\0b\r\n"),
        get("X: a\x01b\r\n"),
        get("X: a\x7fb\r\n"),
        get("X: a\rb\r\n"),
    ];
    refuses(&server, 400, &heads);
}

#[test]
fn a_bad_request_line_is_answered_400() {
    let server = Server::start();
    let lines = [
        "GET",
        "GET /",
        "GET HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/",
        "GET / FTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /ä HTTP/1.1",
        "GET app.js HTTP/1.1",
        "GET ftp://localhost/ HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
        "G\0T / HTTP/1.1",
        "GÄT / HTTP/1.1",
        "G(T / HTTP/1.1",
        " GET / HTTP/1.1",
        // Not 22, with which TLS begins.
        "\x17\x03\x01\x02",
    ];
    refuses(&server, 400, &lines.map(|line| format!("{line}\r\nHost: localhost\r\n\r\n")));
}

/// The version is one that is spoken here, so it is not the version that is wrong.
#[test]
fn a_space_too_many_in_the_request_line_is_answered_400() {
    let server = Server::start();
    let lines = ["GET /  HTTP/1.1", "GET /a b HTTP/1.1", "GET / x HTTP/1.0"];
    refuses(&server, 400, &lines.map(|line| format!("{line}\r\nHost: localhost\r\n\r\n")));
}

#[test]
fn a_host_that_is_missing_doubled_or_bad_is_answered_400() {
    let server = Server::start();
    let fields = [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nhost: other\r\n",
        "Host: local host\r\n",
        "Host: localhost, other\r\n",
        "Host: localhost/\r\n",
        "Host: user@localhost\r\n",
        "Host: \"localhost\"\r\n",
        "Host: <localhost>\r\n",
        "Host: localhost\\\r\n",
        "Host: localhöst\r\n",
    ];
    for target in ["/", "http://localhost/", "/echo"] {
        refuses(&server, 400, &fields.map(|field| format!("GET {target} HTTP/1.1\r\n{field}\r\n")));
    }
}

#[test]
fn another_version_of_http_is_answered_505() {
    let server = Server::start();
    let lines = [
        "GET / HTTP/2.0",
        "GET / HTTP/3.0",
        "GET / HTTP/1.2",
        "GET / HTTP/0.9",
        "PRI * HTTP/2.0",
        "GET / HTTP/2",
    ];
    refuses(&server, 505, &lines.map(|line| format!("{line}\r\nHost: localhost\r\n\r\n")));
    refuses(&server, 505, &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()]);
}

#[test]
fn http_1_0_is_served_without_a_host() {
    let server = Server::start();
    let answer = server.is_visited().asks("GET /style.css HTTP/1.0\r\n\r\n");
    assert_eq!(answer.is_sound().status, 200);
    assert_eq!(answer.body, server.get("/style.css").body);
}

#[test]
fn a_whole_address_as_the_target_is_served() {
    let server = Server::start();
    for target in [
        "http://localhost/style.css",
        "HTTP://localhost:8080/style.css?x=/",
        "https://other/style.css",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = server.is_visited().asks(request);
        assert_eq!(answer.is_sound().status, 200, "{target}");
        assert_eq!(answer.body, server.get("/style.css").body);
    }
    let nothing_behind = "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.is_visited().asks(nothing_behind).body, server.get("/").body);
}

#[test]
fn one_connection_is_one_request() {
    let server = Server::start();
    for first in
        [get(""), get("Connection: keep-alive\r\n"), post("Content-Length: 5\r\n", "hello")]
    {
        let mut visitor = server.is_visited();
        visitor.sends(first + &handshake("/ws/behind") + &get(""));
        let bytes = visitor.reads_to_the_end();
        let answers = String::from_utf8_lossy(&bytes).matches("HTTP/1.1 ").count();
        assert_eq!(answers, 1, "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!((server.count_of("clients"), server.count_of("rooms")), (0, 0));
}

#[test]
fn what_follows_a_refused_request_is_not_answered() {
    let server = Server::start();
    for first in
        [get("X : x\r\n"), get("Content-Length: 0x2a\r\n"), post("Content-Length: 65537\r\n", "")]
    {
        let answer = server.is_visited().asks(first + &handshake("/ws/behind") + &get(""));
        assert!(!answer.refuses_with(answer.status).body.contains("HTTP/1.1"), "{answer:?}");
    }
    assert_eq!((server.count_of("clients"), server.count_of("rooms")), (0, 0));
}

#[test]
fn a_client_that_holds_its_body_back_is_asked_for_it() {
    let server = Server::start();
    for expectation in ["100-continue", "100-Continue"] {
        let mut visitor = server.is_visited();
        visitor.sends(post(&format!("Content-Length: 5\r\nExpect: {expectation}\r\n"), ""));
        assert_eq!(visitor.reads(25), b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(visitor.asks("hello").is_sound().status, 405);
    }
}

#[test]
fn a_body_that_is_there_or_refused_is_not_asked_for() {
    let server = Server::start();
    let there = post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello");
    assert_eq!(server.is_visited().asks(there).is_sound().status, 405);
    let refused = post("Content-Length: 65537\r\nExpect: 100-continue\r\n", "");
    server.is_visited().asks(refused).refuses_with(413);
}

#[test]
fn another_expectation_is_answered_417() {
    let server = Server::start();
    let expectations = ["a-miracle", "", "100-continue, a-miracle"];
    refuses(
        &server,
        417,
        &expectations.map(|e| post(&format!("Content-Length: 5\r\nExpect: {e}\r\n"), "hello")),
    );
}

/// Closing while bytes of the client are unread resets the connection, and with it the answer.
#[test]
fn an_answer_arrives_although_much_more_was_under_way() {
    let server = Server::start();
    for (head, status) in [
        (get("X: a\r\n b\r\n"), 400),
        (post("Content-Length: 102400\r\n", ""), 413),
        (post("Transfer-Encoding: chunked\r\n", ""), 411),
        (get(&"X: x\r\n".repeat(200)), 431),
        (post("Content-Length: 5\r\n", ""), 405),
        ("POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n".to_owned(), 405),
    ] {
        let request = head + &"x".repeat(2 << 20);
        let mut visitor = server.is_visited();
        let mut bytes = Vec::new();
        visitor.stream.write_all(request.as_bytes()).expect("all is taken");
        visitor.stream.read_to_end(&mut bytes).expect("an end without a reset");
        Answer::parse(&bytes).refuses_with(status);
    }
}

/// A client that ends its side at once, as `printf … | nc -N` does, gets its answer too.
#[test]
fn a_client_that_has_said_all_and_half_closed_is_answered() {
    let server = Server::start();
    let mut visitor = server.is_visited();
    visitor.sends(get("")).half_closes();
    assert_eq!(visitor.gets_an_answer().is_sound().status, 200);
}

#[test]
fn a_client_that_ends_in_the_middle_of_its_request_is_let_go() {
    let server = Server::start();
    for half in ["", "GET / HT", &post("Content-Length: 5\r\n", "hel")] {
        let mut visitor = server.is_visited();
        visitor.sends(half).half_closes();
        let mut rest = Vec::new();
        visitor.stream.read_to_end(&mut rest).expect("the server closes");
        assert!(rest.is_empty(), "{half:?} got {:?}", String::from_utf8_lossy(&rest));
    }
}

/// The addresses of the API are for programs, and these find the reason in one form, whoever refuses.
#[test]
fn below_the_api_every_refusal_is_a_problem() {
    let server = Server::start();
    let large = 1 << 20;
    for path in
        ["/rooms", "/rooms/a", "/rooms/a/x/y", "/users", "/users/7", "/healthz", "/invitation"]
    {
        let asks = |method: &str, path: &str, lines: &str| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
            server.is_visited().asks(head)
        };
        for (lines, status) in [
            (&*format!("Content-Length: {}\r\n", large + 1), 413),
            ("Content-Length: 99999999999999999999999\r\n", 413),
            ("Content-Length: 0x2a\r\n", 400),
            ("Transfer-Encoding: chunked\r\n", 411),
            ("Content-Length: 5\r\nExpect: a-miracle\r\n", 417),
            ("Origin: http://evil.example\r\n", 403),
            ("Host: other\r\n", 400),
            ("Content-Disposition: a\r\nContent-Disposition: a\r\n", 400),
            ("Connection: upgrade\r\nUpgrade: websocket\r\n", 404),
        ] {
            eprintln!("{path} {lines:?}");
            asks("POST", path, lines).has_a_problem(status);
        }
        let answer = asks("PATCH", path, "");
        let status = if path == "/rooms/a/x/y" { 404 } else { 405 };
        answer.has_a_problem(status);
        assert_eq!(answer.field("Allow").is_some(), status == 405);
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        // A head without its body has the same fields.
        let mut visitor = server.is_visited();
        visitor.sends(format!("HEAD {path}/x/y/z HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let head = String::from_utf8(visitor.reads_to_the_end()).unwrap();
        assert!(head.starts_with("HTTP/1.1 404 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("Content-Type: application/problem+json\r\n"), "{head}");
    }
    // At other addresses, and where no address could be read, it is a sentence.
    for path in ["/", "/nothing", "/roomsy", "//rooms", "/ws/a", "/style.css/rooms"] {
        refuses(
            &server,
            411,
            &[post("Transfer-Encoding: chunked\r\n", "").replace("/style.css", path)],
        );
    }
    refuses(&server, 400, &["POST /rooms/a HTTP/1.1\r\nX : x\r\n\r\n".to_owned()]);
}
