//! A client behind a trusted proxy counts as if there was no proxy: to limits, to the log, to the
//! rule on origins and to its cookies. Nobody else is believed. The proxy is a real nginx, set up as
//! the README says, or a visitor that plays one.

mod support;

use std::net::SocketAddr;

use support::{
    Answer, Browser, Nginx, PROXY, Program, V1, Visitor, Way, handshake, masked, named,
    request_with_json, until,
};

/// A server that trusts the proxy.
fn starts(options: &[&str]) -> Program {
    Program::start_plainly(&[&["--trusted-proxy", PROXY], options].concat())
}

/// The four ways of the README: a host of one's own or a path, plain or TLS. With each the prefix,
/// and the end of the cookie's name.
const WAYS: [(&str, Way, &str, &str); 4] = [
    ("location / {", Way::Plain, "", ""),
    ("location / {", Way::Tls, "", ""),
    ("location /chat/ {", Way::Plain, "/chat", "_chat"),
    ("location /chat/ {", Way::Tls, "/chat", "_chat"),
];

/// A request for a new user, with these fields.
fn new_user(path: &str, fields: &[&str], name: &str) -> Vec<u8> {
    let fields = [fields, &["Connection: close"]].concat();
    request_with_json("POST", path, &fields, &named(name))
}

/// The answer to a request of somebody at this address.
fn asks_from(client: &str, server: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    Visitor::over(Way::Plain.connects_from(client, server)).asks(request)
}

/// A handshake with these fields, which are whole lines.
fn handshake_with(path: &str, host: &str, fields: &str) -> String {
    handshake(path).replace("Host: localhost\r\n", &format!("Host: {host}\r\n{fields}"))
}

#[test]
fn a_cookie_belongs_to_the_address_that_the_browser_sees() {
    let program = starts(&[]);
    for (number, (location, way, prefix, end)) in WAYS.into_iter().enumerate() {
        let nginx = Nginx::stands_before(program.address(), location, way);
        let host = nginx.address().to_string();
        let post = new_user(&format!("{prefix}/users"), &[], &format!("Ada {number}"));
        let post = String::from_utf8(post).unwrap().replace("Host: x", &format!("Host: {host}"));
        let answer = nginx.is_visited_from("127.0.0.1").asks(post);
        let user = answer.tells(201);
        // Relative to /chat/users.
        assert_eq!(answer.field("Location"), Some(format!("users/{}", user["id"]).as_str()));
        let set: Vec<_> = answer.field("Set-Cookie").expect("a cookie").split("; ").collect();
        let name = format!("wsroom_key_{}{end}=", nginx.address().port());
        assert!(set[0].starts_with(&name), "{set:?}");
        assert!(set.contains(&format!("Path={prefix}/").as_str()), "{set:?}");
        assert_eq!(set.contains(&"Secure"), way == Way::Tls, "{set:?}");
        let get = format!(
            "GET {prefix}/users/me HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
            set[0]
        );
        let me = nginx.is_visited_from("127.0.0.1").asks(get).tells(200);
        assert_eq!(me["id"], user["id"]);
    }
}

#[test]
fn a_page_may_connect_where_it_came_from() {
    let program = starts(&[]);
    for (location, way, prefix, _) in WAYS {
        let nginx = Nginx::stands_before(program.address(), location, way);
        let (own, path) = (nginx.url(), format!("{prefix}/ws/a"));
        let host = nginx.address().to_string();
        let connects = |origin: &str| {
            let fields = format!("Origin: {origin}\r\n");
            let mut visitor = nginx.is_visited_from("127.0.0.1");
            visitor.sends(handshake_with(&path, &host, &fields));
            String::from_utf8(visitor.reads_a_head()).unwrap()
        };
        assert!(connects(&own).starts_with("HTTP/1.1 101 "), "{own}");
        // The same host, but not the same scheme: to a browser that is another site.
        let other = match way {
            Way::Plain => own.replace("http:", "https:"),
            Way::Tls => own.replace("https:", "http:"),
        };
        for foreign in [other.as_str(), "http://evil.example"] {
            assert!(connects(foreign).starts_with("HTTP/1.1 403 "), "{foreign}");
        }
    }
}

#[test]
fn clients_are_limited_and_logged_by_their_own_addresses() {
    let program = starts(&["--max-new-users", "1"]);
    let nginx = Nginx::stands_before(program.address(), "location / {", Way::Plain);
    let enters = |client: &str, fields: &[&str], name: &str| {
        nginx.is_visited_from(client).asks(new_user("/users", fields, name))
    };
    enters("127.0.0.7", &[], "Ada").tells(201);
    enters("127.0.0.8", &[], "Bob").tells(201);
    enters("127.0.0.7", &[], "Eve").has_a_problem(429);
    // What a client writes stands before what nginx appends, or is replaced.
    for forged in [
        "X-Forwarded-For: 127.0.0.9",
        "X-Forwarded-For: nonsense, \"",
        "Forwarded: for=127.0.0.9",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
        "Peer: 127.0.0.9",
    ] {
        enters("127.0.0.7", &[forged], "Eve").has_a_problem(429);
    }
    let mut visitor = nginx.is_visited_from("127.0.0.9");
    visitor.upgrades("/ws/a");
    program.logs("127.0.0.9 (through 127.0.0.2:");
    assert!(program.has_logged(" joined room a"));
    visitor.sends(masked(0x88, &1000_u16.to_be_bytes()));
    let line = program.logs(" left room a");
    assert!(line.contains("127.0.0.9 (through 127.0.0.2:"), "{line}");
}

#[test]
fn connections_count_for_the_clients_and_not_for_their_proxy() {
    let program = starts(&["--max-clients-per-ip", "2"]);
    let nginx = Nginx::stands_before(program.address(), "location / {", Way::Plain);
    let shakes = |client: &str| {
        let mut visitor = nginx.is_visited_from(client);
        visitor.sends(handshake("/ws/a"));
        let head = String::from_utf8(visitor.reads_a_head()).unwrap();
        (visitor, head)
    };
    let mut all = Vec::new();
    for client in ["127.0.0.7", "127.0.0.8", "127.0.0.7", "127.0.0.8"] {
        let (visitor, head) = shakes(client);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        all.push(visitor);
    }
    assert!(shakes("127.0.0.7").1.starts_with("HTTP/1.1 429 "));
    program.logs(" 127.0.0.7 (through 127.0.0.2:");
    assert!(program.logs(" refused: 429 ").contains(" 127.0.0.7 (through "));
    drop(all.remove(0));
    until("a free place", || shakes("127.0.0.7").1.starts_with("HTTP/1.1 101 "));
    assert!(shakes("127.0.0.8").1.starts_with("HTTP/1.1 429 "));
}

#[test]
fn nobody_else_is_believed() {
    let program = starts(&["--max-new-users", "1", "--host", "talk.example"]);
    let forged = [
        "X-Forwarded-For: 127.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil",
        "Forwarded: for=127.0.0.9;proto=https;host=talk.example",
        "X-Forwarded-For: nonsense",
        "Forwarded: \"",
    ];
    for (number, fields) in forged.into_iter().enumerate() {
        let client = format!("127.0.0.{}", 10 + number);
        let post = |name: &str| {
            let post = String::from_utf8(new_user("/users", &[fields], name)).unwrap();
            asks_from(&client, program.address(), post.replace("Host: x", "Host: localhost"))
        };
        let answer = post(&format!("Ada {number}"));
        answer.tells(201);
        let cookie = answer.field("Set-Cookie").expect("a cookie");
        let name = format!("wsroom_key_{}=", program.address().port());
        assert!(cookie.starts_with(&name) && cookie.ends_with("; Path=/"), "{cookie}");
        post("Eve").has_a_problem(429);
        let get = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
        asks_from(&client, program.address(), get).refuses_with(426);
        program.logs(&format!(" {client}:"));
    }
    // Nor about the name of this server, or of the page.
    let evil = "X-Forwarded-Host: talk.example\r\nOrigin: http://talk.example\r\n";
    for (host, status) in [("evil.example", 421), ("localhost", 403)] {
        let shakes = handshake_with("/ws", host, evil);
        asks_from("127.0.0.1", program.address(), shakes).refuses_with(status);
    }
    assert!(!program.has_logged("127.0.0.9"));
}

/// What the server takes for the client's address, when the proxy sends these fields.
fn is_taken_for(program: &Program, fields: &str, address: &str) {
    let get = format!("GET /ws?{} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n", fields.len());
    asks_from(PROXY, program.address(), get).refuses_with(426);
    let line = program.logs(&format!(" {address} (through {PROXY}:"));
    assert!(line.contains(" refused: 426 "), "{line}");
}

#[test]
fn the_client_is_the_last_one_who_is_no_trusted_proxy() {
    for (fields, address) in [
        ("X-Forwarded-For: 192.0.2.7", "192.0.2.7"),
        ("X-Forwarded-For: 192.0.2.9, 192.0.2.7", "192.0.2.7"),
        ("X-Forwarded-For: 192.0.2.9, 192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-For: 192.0.2.7,,10.1.2.3:80", "192.0.2.7"),
        ("X-Forwarded-For: 10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("X-Forwarded-For: 192.0.2.9, unknown, 10.0.0.2", "10.0.0.2"),
        ("X-Forwarded-For: 2001:db8::7", "2001:db8::7"),
        ("X-Forwarded-Proto: https", PROXY),
        ("Forwarded: for=192.0.2.9, for=\"[2001:db8::7]:47011\", for=10.1.2.3", "2001:db8::7"),
        ("Forwarded: for=192.0.2.9, for=_hidden;proto=https", PROXY),
        ("Forwarded: for=10.0.0.1;by=10.0.0.2\r\nForwarded: for=10.0.0.3", "10.0.0.1"),
    ] {
        let program = starts(&["--trusted-proxy", "10.0.0.0/8"]);
        is_taken_for(&program, fields, address);
    }
}

#[test]
fn in_one_field_each_hop_tells_of_its_own_request() {
    let program = starts(&["--trusted-proxy", "10.0.0.0/8"]);
    let fields = "Forwarded: for=192.0.2.9;host=evil.example;proto=http, \
                  for=192.0.2.7;proto=https;host=\"talk.example:8443\", for=10.0.0.1;proto=http\r\n\
                  X-Forwarded-Prefix: /chat/";
    let answer = asks_from(PROXY, program.address(), new_user("/users", &[fields], "Ada"));
    answer.tells(201);
    let cookie = answer.field("Set-Cookie").expect("a cookie");
    assert!(cookie.starts_with("wsroom_key_8443_chat="), "{cookie}");
    assert!(cookie.ends_with("; Path=/chat/; Secure"), "{cookie}");
    let shakes = |origin: &str| {
        let fields = format!("{fields}\r\nOrigin: {origin}\r\n");
        let mut visitor = Visitor::over(Way::Plain.connects_from(PROXY, program.address()));
        visitor.sends(handshake_with("/ws", "x", &fields));
        String::from_utf8(visitor.reads_a_head()).unwrap()
    };
    assert!(shakes("https://talk.example:8443").starts_with("HTTP/1.1 101 "));
    for foreign in ["http://talk.example:8443", "https://talk.example", "http://evil.example"] {
        assert!(shakes(foreign).starts_with("HTTP/1.1 403 "), "{foreign}");
    }
}

#[test]
fn a_trusted_proxy_that_cannot_be_understood_is_answered_400() {
    let program = starts(&[]);
    for (fields, named) in [
        ("X-Forwarded-For: talk.example", "X-Forwarded-For"),
        ("X-Forwarded-For: 192.0.2.7, \u{fc}", "X-Forwarded-For"),
        ("X-Forwarded-Proto: https, http", "X-Forwarded-Proto"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https", "X-Forwarded-Proto"),
        ("X-Forwarded-Host: talk.example, evil.example", "X-Forwarded-Host"),
        ("X-Forwarded-Host: ada@talk.example", "X-Forwarded-Host"),
        ("X-Forwarded-Prefix: chat", "X-Forwarded-Prefix"),
        ("X-Forwarded-Prefix: /chat; Domain=example", "X-Forwarded-Prefix"),
        ("Forwarded: for=192.0.2.7;proto=ftp", "Forwarded"),
        ("Forwarded: for=\", for=192.0.2.7", "Forwarded"),
        ("Forwarded: for=192.0.2.7\r\nX-Forwarded-For: 192.0.2.7", "X-Forwarded-*"),
    ] {
        let get = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        let answer = asks_from(PROXY, program.address(), get);
        answer.refuses_with(400);
        assert!(answer.body.contains(named), "{fields}: {}", answer.body);
    }
    // A program on the proxy's host that speaks for itself is a client like any other.
    let get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    asks_from(PROXY, program.address(), get).tells(200);
}

#[test]
fn a_redirect_leads_to_where_the_client_is() {
    let papers = Way::Tls.papers();
    let options = papers.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let program = starts(&options);
    let asks = |proto: &str| {
        let fields =
            format!("X-Forwarded-Host: talk.example\r\nX-Forwarded-Prefix: /chat\r\n{proto}");
        let get = format!("GET /ws?a HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        asks_from(PROXY, program.address(), get)
    };
    let answer = asks("X-Forwarded-Proto: http");
    answer.refuses_with(308);
    assert_eq!(answer.field("Location"), Some("https://talk.example/chat/ws?a"));
    // Whose client speaks https is not sent there again, and again.
    asks("X-Forwarded-Proto: https").refuses_with(400);
}

#[test]
fn a_message_passes_up_to_the_limit_of_both() {
    const LIMIT: usize = 1 << 20;
    let program = starts(&[]);
    let nginx = Nginx::stands_before(program.address(), "location /chat/ {", Way::Plain);
    let posts = |length: usize| {
        let head = format!(
            "POST /chat/rooms/a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\
             Content-Type: text/plain\r\nConnection: close\r\n\r\n"
        );
        let body = "a".repeat(length);
        nginx.is_visited_from("127.0.0.1").asks([head.as_bytes(), body.as_bytes()].concat()).status
    };
    assert_eq!([posts(LIMIT), posts(LIMIT + 1)], [202, 413]);
    // nginx does not look into WebSockets.
    let path = "/chat/ws/a?since=0";
    let (mut ada, _) = V1::over(Way::Plain.connects(nginx.address()), path);
    assert_eq!(ada.hears_the_past().0[0]["text"].as_str().map(str::len), Some(LIMIT));
    ada.says(&"b".repeat(LIMIT));
    assert_eq!(ada.hears_of("message")["text"].as_str().map(str::len), Some(LIMIT));
}

/// Enters with a name below /chat/, and comes back as the same user.
fn comes_back_as_the_same_user(way: Way) {
    let program = starts(&[]);
    let nginx = Nginx::stands_before(program.address(), "location /chat/ {", way);
    let browser = Browser::start();
    let mut ada = browser.opens_at(&format!("{}/chat/#physics", nginx.url()));
    ada.is_asked_for_a_name();
    ada.takes_the_name("Ada");
    ada.is_connected_to("physics");
    ada.says("it is me");
    ada.hears("Ada", "it is me");
    ada.reloads();
    ada.is_connected_to("physics");
    ada.says("me again");
    ada.hears("Ada", "me again");
    // No other application on that host is sent her key.
    let cookies = ada.cookies();
    let names: Vec<_> = cookies.iter().map(|cookie| cookie["name"].as_str().unwrap()).collect();
    assert_eq!(names, [format!("wsroom_key_{}_chat", nginx.address().port())]);
    assert_eq!(cookies[0]["path"], "/chat/");
    assert_eq!(cookies[0]["secure"], way == Way::Tls);
    ada.has_no_complaints();
}

#[test]
fn the_page_below_a_path_knows_its_user_again() {
    comes_back_as_the_same_user(Way::Plain);
}

#[test]
fn the_page_below_a_path_knows_its_user_again_over_tls() {
    comes_back_as_the_same_user(Way::Tls);
}
