//! A server with a token lets in whoever has it, and tells everyone else what is missing.

mod support;

use std::fs;

use serde_json::json;
use support::{Answer, Client, Program, Server, V1, bearer, handshake, named, request, until};
use tempfile::NamedTempFile;

const TOKEN: &str = "the-token-of-the-physics-class";
const WRONG: &str = "the-token-of-another-class";
const ADMIN: &str = "the-admin-token-of-this-server";

/// The most wrong tokens of one address in a minute.
const MOST: usize = 60;

fn server() -> Server {
    Server::with(&["--token", TOKEN, "--admin-token", ADMIN])
}

/// How a request carries a token.
#[derive(Clone, Copy, Debug)]
enum By {
    Query,
    Bearer,
    Cookie,
}

const ALL: [By; 3] = [By::Query, By::Bearer, By::Cookie];

/// What is asked, and its status once it is let in.
struct Route {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    status: u16,
}

const fn get(path: &'static str, status: u16) -> Route {
    Route { method: "GET", path, body: "", status }
}

const fn asks(method: &'static str, path: &'static str, status: u16) -> Route {
    Route { method, path, body: "name=Ada", status }
}

/// What a server without a token would answer, nobody having been there.
const CLOSED: [Route; 22] = [
    get("/rooms", 200),
    get("/rooms/a/members", 200),
    get("/rooms/a/messages", 200),
    get("/rooms/a/messages?since=0", 200),
    get("/rooms/a/messages/1", 404),
    asks("POST", "/rooms/a", 202),
    asks("DELETE", "/rooms/a", 405),
    get("/users", 200),
    get("/users/1", 404),
    get("/users/me", 401),
    asks("PUT", "/users/me", 401),
    asks("DELETE", "/users/1", 404),
    get("/invitation?page=http://a/&room=a", 200),
    get("/token", 200),
    asks("POST", "/token", 204),
    asks("PUT", "/token", 405),
    get("/nothing", 404),
    asks("BREW", "/tea", 404),
    get("/ws/a", 101),
    get("/ws", 101),
    get("/ws/a%20b", 400),
    get("/echo", 101),
];

impl Route {
    fn bytes(&self, path: &str, field: Option<&str>) -> Vec<u8> {
        let form = "Content-Type: application/x-www-form-urlencoded";
        if self.path.starts_with("/ws") || self.path == "/echo" {
            let field = field.map(|field| format!("\r\n{field}\r\n\r\n"));
            return handshake(path)
                .replace("\r\n\r\n", field.as_deref().unwrap_or("\r\n\r\n"))
                .into();
        }
        let fields: Vec<&str> = [form].into_iter().chain(field).collect();
        request(self.method, path, &fields, self.body)
    }

    fn answer(&self, server: &Server, token: Option<(By, &str)>) -> Answer {
        let port = server.address().port();
        let joint = if self.path.contains('?') { '&' } else { '?' };
        let bytes = match token {
            None => self.bytes(self.path, None),
            Some((By::Query, token)) => {
                self.bytes(&format!("{}{joint}token={token}", self.path), None)
            }
            Some((By::Bearer, token)) => self.bytes(self.path, Some(&bearer(token))),
            Some((By::Cookie, token)) => {
                self.bytes(self.path, Some(&format!("Cookie: wsroom_token_{port}={token}")))
            }
        };
        let mut visitor = server.is_visited();
        match visitor.sends(bytes).reads_a_head() {
            head if head.starts_with(b"HTTP/1.1 101 ") => Answer::parse(&head),
            head => Answer::parse(&[head, visitor.reads_to_the_end()].concat()),
        }
    }
}

/// A 401 that asks for the token, in the form of its address.
fn asks_for_the_token<'a>(answer: &'a Answer, route: &Route) -> &'a str {
    let api = ["/users", "/rooms", "/invitation", "/token"];
    if api.iter().any(|begin| route.path.starts_with(begin)) {
        answer.has_a_problem(401);
    } else {
        answer.refuses_with(401);
    }
    assert!(answer.body.contains("token"), "{answer:?}");
    answer.field("WWW-Authenticate").expect("RFC 9110 §11.6.1")
}

#[test]
fn everything_but_the_page_needs_the_token_and_takes_it_in_three_ways() {
    let server = server();
    for route in &CLOSED {
        let (method, path) = (route.method, route.path);
        let asked = asks_for_the_token(&route.answer(&server, None), route).to_owned();
        // No error code where there was no token (RFC 6750 §3.1).
        assert_eq!(asked, "Bearer realm=\"wsroom\"", "{method} {path}");
        for by in ALL {
            let answer = route.answer(&server, Some((by, TOKEN)));
            assert_eq!(answer.status, route.status, "{method} {path} by {by:?}: {answer:?}");
            // What is missing there is the key of a user.
            let challenge = answer.field("WWW-Authenticate").unwrap_or_default();
            assert!(!challenge.contains("realm"), "{answer:?}");
        }
    }
}

#[test]
fn a_wrong_token_is_refused_in_each_way() {
    let servers = ALL.map(|by| (by, server()));
    for (by, server) in servers {
        for route in &CLOSED {
            let answer = route.answer(&server, Some((by, WRONG)));
            let asked = asks_for_the_token(&answer, route);
            assert_eq!(asked, "Bearer realm=\"wsroom\", error=\"invalid_token\"", "{by:?}");
            // The browser would send a wrong cookie for ever.
            let removed = answer.field("Set-Cookie");
            assert_eq!(removed.is_some(), matches!(by, By::Cookie), "{answer:?}");
            assert!(removed.is_none_or(|cookie| cookie.contains("Max-Age=0")), "{answer:?}");
        }
    }
}

#[test]
fn the_page_and_its_health_stay_open() {
    let server = server();
    for path in ["/", "/app.js", "/style.css", "/protocol.html", "/healthz"] {
        let route = get(path, 200);
        assert_eq!(route.answer(&server, None).status, 200, "{path}");
        for by in ALL {
            assert_eq!(route.answer(&server, Some((by, WRONG))).status, 200, "{path} by {by:?}");
        }
    }
}

#[test]
fn without_the_option_nobody_is_asked() {
    let server = Server::start();
    for route in CLOSED.iter().filter(|route| route.path != "/users/me") {
        assert_eq!(route.answer(&server, None).status, route.status, "{}", route.path);
        let answer = route.answer(&server, Some((By::Query, WRONG)));
        assert_eq!(answer.status, route.status, "{}", route.path);
    }
}

#[test]
fn a_key_says_who_it_is_and_a_token_lets_them_in() {
    let server = server();
    let form = "Content-Type: application/json";
    let made = server.is_visited().asks(request(
        "POST",
        &format!("/users?token={TOKEN}"),
        &[form],
        named("Ada"),
    ));
    let ada = made.tells(201);
    let key = bearer(ada["key"].as_str().unwrap());
    // The key alone does not let her in.
    let me = |path: &str| server.is_visited().asks(request("GET", path, &[&key], ""));
    assert_eq!(me("/users/me").status, 401);
    assert_eq!(me(&format!("/users/me?token={TOKEN}")).tells(200)["name"], "Ada");
    let path = format!("/ws/physics?token={TOKEN}&last=0");
    let (_, welcome) = V1::joins_with(&server, &path, &key);
    assert_eq!(welcome["you"]["name"], "Ada");
    // With the token in the field she is a guest, and no key is missed.
    let (_, welcome) = V1::joins_with(&server, "/ws/physics", &bearer(TOKEN));
    assert_eq!(welcome["you"]["user"], json!(null));
    assert_eq!(welcome["key"], json!(null));
}

#[test]
fn the_admin_is_let_in() {
    let server = server();
    assert_eq!(get("/rooms", 200).answer(&server, Some((By::Bearer, ADMIN))).status, 200);
    assert_eq!(get("/rooms", 200).answer(&server, Some((By::Query, ADMIN))).status, 401);
}

#[test]
fn a_browser_keeps_the_token_in_a_cookie() {
    let server = server();
    let route = asks("POST", "/token", 204);
    let answer = route.answer(&server, Some((By::Bearer, TOKEN)));
    let cookie = answer.field("Set-Cookie").expect("a cookie");
    let port = server.address().port();
    let begin = format!("wsroom_token_{port}={TOKEN}; HttpOnly; SameSite=Strict; Path=/");
    assert!(cookie.starts_with(&begin) && !cookie.contains("Max-Age"), "{cookie}");
    // A page from elsewhere cannot make a browser keep one.
    let fields = [&bearer(TOKEN), "Origin: http://evil.example"];
    let strange = server.is_visited().asks(request("POST", "/token", &fields, ""));
    assert_eq!((strange.status, strange.field("Set-Cookie")), (403, None));
    let needed = |server: &Server| {
        get("/token", 200).answer(server, Some((By::Bearer, TOKEN))).tells(200)["needed"].clone()
    };
    assert_eq!((needed(&server), needed(&Server::start())), (json!(true), json!(false)));
}

#[test]
fn after_many_wrong_tokens_an_address_waits() {
    let server = server();
    let mut ada = Client::over(server.connects(), &format!("/ws/physics?token={TOKEN}"));
    let rooms = get("/rooms", 200);
    // Without a token nothing is guessed.
    (0..2 * MOST).for_each(|_| assert_eq!(rooms.answer(&server, None).status, 401));
    for n in 0..MOST {
        let guess = format!("guess-number-{n:05}");
        assert_eq!(rooms.answer(&server, Some((ALL[n % 3], &guess))).status, 401, "{n}");
    }
    for by in ALL {
        for token in [WRONG, TOKEN] {
            let answer = rooms.answer(&server, Some((by, token)));
            let wait = answer.has_a_problem(429).field("Retry-After").expect("a time");
            assert!((1..=60).contains(&wait.parse::<u64>().unwrap()), "{wait}");
        }
    }
    let shake = get("/ws/physics", 101);
    shake.answer(&server, Some((By::Query, TOKEN))).refuses_with(429);
    // Whoever asks without one is told what is missing, and those who are in stay in.
    assert_eq!(rooms.answer(&server, None).status, 401);
    assert_eq!(get("/", 200).answer(&server, Some((By::Query, TOKEN))).status, 200);
    ada.says("still here");
    ada.hears("still here");
}

/// The program with tokens in a file, and the file.
fn with_file(text: &str) -> (Program, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    (Program::start(&["--token-file", file.path().to_str().unwrap()]), file)
}

fn is_let_in(program: &Program, token: &str) -> bool {
    let path = format!("/rooms?token={token}");
    program.is_visited().asks(request("GET", &path, &[], "")).status == 200
}

#[test]
fn tokens_in_a_file_are_rotated_and_nobody_is_dropped() {
    let (program, file) = with_file(&format!("# this term\n{TOKEN}\n"));
    let mut ada = program.connects(&format!("/ws/physics?token={TOKEN}"));
    assert!(is_let_in(&program, TOKEN) && !is_let_in(&program, WRONG));
    fs::write(file.path(), format!("{WRONG}\n\n# until Friday\n{TOKEN}\n")).unwrap();
    program.gets_signal("HUP");
    program.logs("2 are good now");
    assert!(is_let_in(&program, TOKEN) && is_let_in(&program, WRONG));
    fs::write(file.path(), WRONG).unwrap();
    program.gets_signal("HUP");
    program.logs("1 are good now");
    assert!(is_let_in(&program, WRONG));
    // A whole class with the old link is no guesser.
    (0..2 * MOST).for_each(|_| assert!(!is_let_in(&program, TOKEN)));
    assert!(is_let_in(&program, WRONG));
    ada.says("still here");
    ada.hears("still here");
}

#[test]
fn a_bad_new_file_changes_nothing_but_the_log() {
    let (program, file) = with_file(TOKEN);
    for (text, logged) in [("", "no token"), ("s3cret and more", "line 1")] {
        fs::write(file.path(), text).unwrap();
        program.gets_signal("HUP");
        let line = program.logs(logged);
        assert!(line.contains("[ERROR]") && line.contains("the old tokens stay"), "{line}");
        assert!(!line.contains("s3cret"), "{line}");
    }
    let path = file.path().to_owned();
    drop(file);
    program.gets_signal("HUP");
    program.logs(&format!("--token-file {}: No such file", path.display()));
    assert!(is_let_in(&program, TOKEN));
}

#[test]
fn a_file_without_tokens_is_refused_at_the_start() {
    let file = NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (text, path, remedy) in [
        (" \n# none\n", path, "write one in each line"),
        ("short", path, "openssl rand"),
        (TOKEN, "/nowhere/at/all", "may read"),
    ] {
        fs::write(file.path(), text).unwrap();
        let mut command = Program::command();
        command.args(["--listen", "127.0.0.1:0", "--token-file", path]);
        let output = Program::runs_to_the_end(command);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
        assert!(line.contains(&format!("--token-file {path}: ")), "{line}");
        assert!(line.contains(remedy) && !line.contains("short"), "{line}");
    }
}

#[test]
fn no_token_is_logged() {
    let log = NamedTempFile::new().unwrap();
    let mut command = Program::command();
    command.args(["--listen", "127.0.0.1:0", "-vv", "--log-file"]).arg(log.path());
    command.env("WSROOM_TOKEN", TOKEN).env("WSROOM_ADMIN_TOKEN", ADMIN);
    let program = Program::spawn(command);
    assert!(!program.greeting.contains(TOKEN), "{}", program.greeting);
    for token in [TOKEN, WRONG] {
        for path in ["/", "/rooms", "/ws/physics", "/ws/a%20b", "/nothing", "/token"] {
            let path = format!("{path}?a&token={token}&session=0123456789abcdef");
            let fields = [&*bearer(token), &format!("Cookie: wsroom_token_1={token}")];
            program.is_visited().asks(request("GET", &path, &fields, ""));
            program.is_visited().sends(handshake(&path)).reads_a_head();
        }
    }
    let text = || fs::read_to_string(log.path()).unwrap();
    until("a joined", || text().contains("joined room physics"));
    until("a refusal", || text().contains("refused: 401"));
    program.gets_signal("INT");
    program.ends();
    for secret in [TOKEN, WRONG, ADMIN, "0123456789abcdef"] {
        assert!(!text().contains(secret), "{secret} is in the log");
    }
}

#[test]
fn the_command_shows_no_token() {
    let mut help = Program::command();
    help.env("WSROOM_TOKEN", TOKEN).arg("--help");
    let mut bad = Program::command();
    bad.env("WSROOM_TOKEN", "s3cret with a slip");
    for command in [help, bad] {
        let output = Program::runs_to_the_end(command);
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8(all).unwrap();
        assert!(!all.contains(TOKEN) && !all.contains("s3cret"), "{all}");
    }
}
