//! `/users`: a name belongs to whoever has its key, and whoever has it speaks by that name.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{Answer, Client, Program, Server, V1, Visitor, Way, handshake};

/// Somebody in the directory, with their key.
struct Person {
    id: i64,
    key: String,
}

/// A request with a body of JSON, and whatever fields besides.
fn request(method: &str, path: &str, fields: &[String], body: &str) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
    for field in fields {
        head += &format!("{field}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    format!("{head}\r\n{body}")
}

fn bearer(key: &str) -> Vec<String> {
    vec![format!("Authorization: Bearer {key}")]
}

/// What a browser sends. Its name has the port in it, for cookies have none.
fn cookie(server: &Server, key: &str) -> String {
    format!("wsroom_key_{}={key}", server.address().port())
}

fn creates(server: &Server, name: &str) -> Answer {
    let body = json!({"name": name}).to_string();
    server.is_visited().asks(request("POST", "/users", &[], &body))
}

fn json_of(answer: &Answer) -> Value {
    assert!(answer.field("Content-Type").is_some_and(|kind| kind.contains("json")), "{answer:?}");
    serde_json::from_str(&answer.body).expect("JSON")
}

fn enters(server: &Server, name: &str) -> Person {
    let answer = creates(server, name);
    assert_eq!(answer.status, 201, "{answer:?}");
    let user = json_of(&answer);
    Person { id: user["id"].as_i64().unwrap(), key: user["key"].as_str().unwrap().to_owned() }
}

/// Refused with a sentence for people and a status for programs (RFC 9457).
fn has_a_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{answer:?}");
    let problem = json_of(answer);
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(' ')), "{problem}");
}

fn changes(server: &Server, method: &str, id: i64, fields: &[String], name: &str) -> Answer {
    let body = if method == "PUT" { json!({"name": name}).to_string() } else { String::new() };
    server.is_visited().asks(request(method, &format!("/users/{id}"), fields, &body))
}

#[test]
fn a_new_user_is_told_the_key_once() {
    let server = Server::over(Way::Plain, &[]);
    let answer = creates(&server, "  Ada  ");
    let user = json_of(&answer);
    assert_eq!((answer.status, &user["name"]), (201, &json!("Ada")));
    let location = format!("/users/{}", user["id"]);
    assert_eq!(answer.field("Location"), Some(location.as_str()));
    let key = user["key"].as_str().unwrap();
    assert!(key.len() >= 22, "128 bits are 22 characters of base64: {key}");
    let cookie =
        format!("{}; HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000", cookie(&server, key));
    assert_eq!(answer.field("Set-Cookie"), Some(cookie.as_str()));
    for path in [location.as_str(), "/users"] {
        let seen = server.get(path);
        assert_eq!(seen.status, 200);
        assert!(seen.body.contains("Ada") && !seen.body.contains("key"), "{seen:?}");
    }
    let created_at = user["created_at"].as_str().unwrap();
    assert!(created_at.starts_with("20") && created_at.ends_with('Z'), "{created_at}");
}

#[test]
fn over_tls_the_cookie_goes_over_tls_alone() {
    let server = Server::over(Way::Tls, &[]);
    let answer = creates(&server, "Ada");
    assert!(answer.field("Set-Cookie").unwrap().ends_with("; Secure"), "{answer:?}");
}

#[test]
fn the_directory_is_read_page_by_page() {
    let server = Server::with(&["--max-new-users", "0"]);
    let names: Vec<_> = (0..7).map(|number| format!("user {number}")).collect();
    names.iter().for_each(|name| drop(enters(&server, name)));
    let (mut seen, mut path) = (Vec::new(), "/users?limit=3".to_owned());
    loop {
        let page = json_of(&server.get(&path));
        let users = page["users"].as_array().unwrap();
        seen.extend(users.iter().map(|user| user["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_i64() else { break };
        path = format!("/users?limit=3&after={next}");
    }
    assert_eq!(seen, names);
    for bad in ["limit=0", "limit=201", "limit=x", "after=x"] {
        has_a_problem(&server.get(&format!("/users?{bad}")), 400);
    }
    for unknown in ["/users/99", "/users/x", "/users/-1"] {
        has_a_problem(&server.get(unknown), 404);
    }
}

#[test]
fn only_the_key_or_the_admin_may_change_a_user() {
    let server =
        Server::with(&["--admin-token", "a token of the admin".replace(' ', "-").as_str()]);
    let (ada, bob) = (enters(&server, "Ada"), enters(&server, "Bob"));
    has_a_problem(&changes(&server, "PUT", 99, &[], "Eve"), 404);
    for method in ["PUT", "DELETE"] {
        let answer = changes(&server, method, ada.id, &[], "Eve");
        has_a_problem(&answer, 401);
        assert_eq!(answer.field("WWW-Authenticate"), Some("Bearer"));
        has_a_problem(&changes(&server, method, ada.id, &bearer("wrong"), "Eve"), 401);
        has_a_problem(&changes(&server, method, ada.id, &bearer(&bob.key), "Eve"), 403);
    }
    let renamed = changes(&server, "PUT", ada.id, &bearer(&ada.key), "Ada L.");
    assert_eq!((renamed.status, &json_of(&renamed)["name"]), (200, &json!("Ada L.")));
    let cookie = [format!("Cookie: a=b; {}; c=d", cookie(&server, &ada.key))];
    assert_eq!(changes(&server, "PUT", ada.id, &cookie, "Ada").status, 200);
    assert_eq!(changes(&server, "PUT", bob.id, &bearer("a-token-of-the-admin"), "Rob").status, 200);
    has_a_problem(&changes(&server, "PUT", bob.id, &bearer(&bob.key), "ADA"), 409);
    // One's own name in other letters is not taken by somebody else.
    assert_eq!(changes(&server, "PUT", bob.id, &bearer(&bob.key), "ROB").status, 200);
    let me = |fields: &[String]| server.is_visited().asks(request("GET", "/users/me", fields, ""));
    assert_eq!(json_of(&me(&bearer(&ada.key)))["id"], ada.id);
    has_a_problem(&me(&[]), 401);
    has_a_problem(&me(&bearer("wrong")), 401);
    let gone = changes(&server, "DELETE", ada.id, &cookie, "");
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert!(gone.field("Set-Cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    has_a_problem(&server.get(&format!("/users/{}", ada.id)), 404);
    has_a_problem(&me(&bearer(&ada.key)), 401);
    // The number is never given again, and the name is free.
    assert!(enters(&server, "Ada").id > bob.id);
}

#[test]
fn a_bad_wish_is_refused() {
    let server = Server::start();
    let sends = |body: &str| server.is_visited().asks(request("POST", "/users", &[], body));
    for bad in [
        "{",
        "[]",
        "null",
        "{}",
        r#"{"name":7}"#,
        r#"{"name":null}"#,
        r#"{"name":"A","age":7}"#,
        r#"{"name":"A","name":"B"}"#,
        r#"{"name":""}"#,
        r#"{"name":"   "}"#,
        r#"{"name":"a\u0000"}"#,
        r#"{"name":"a\nb"}"#,
        r#"{"name":"\u202eadA"}"#,
        r#"{"name":"a\u200bb"}"#,
        r#"{"name":"\ud800"}"#,
        &json!({"name": "x".repeat(41)}).to_string(),
    ] {
        has_a_problem(&sends(bad), 400);
    }
    has_a_problem(&sends(&format!("{{\"name\":\"{}\"}}", "x".repeat(5000))), 413);
    let typed = |kind: &str| {
        let head = format!("POST /users HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: 14\r\n\r\n");
        server.is_visited().asks(format!("{head}{{\"name\":\"Ada\"}}"))
    };
    has_a_problem(&typed(""), 415);
    has_a_problem(&typed("Content-Type: text/plain\r\n"), 415);
    assert_eq!(typed("Content-Type: Application/JSON; charset=utf-8\r\n").status, 201);
    for (method, path, allow) in [
        ("DELETE", "/users", "GET, HEAD, POST"),
        ("POST", "/users/1", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/users/me", "GET, HEAD"),
    ] {
        let answer = server.is_visited().asks(request(method, path, &[], ""));
        assert_eq!((answer.status, answer.field("Allow")), (405, Some(allow)), "{method} {path}");
    }
}

#[test]
fn unpleasant_names_are_taken_as_they_are_and_told_as_json() {
    let server = Server::start();
    for name in
        ["<script>alert(1)</script>", "Robert'); DROP TABLE users;--", "\"\\", "張偉", "👩‍💻", "null"]
    {
        let person = enters(&server, name);
        let seen = json_of(&server.get(&format!("/users/{}", person.id)));
        assert_eq!(seen["name"], name);
    }
    assert_eq!(json_of(&server.get("/users"))["users"].as_array().unwrap().len(), 6);
}

#[test]
fn a_name_belongs_to_one() {
    let server = Server::with(&["--max-new-users", "0"]);
    for (first, same) in [("Ada", "ADA"), ("Straße", "STRASSE"), ("J\u{fc}rgen", "JU\u{308}RGEN")]
    {
        enters(&server, first);
        has_a_problem(&creates(&server, same), 409);
    }
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> =
            (0..24).map(|_| scope.spawn(|| creates(&server, "Grace").status)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
}

#[test]
fn a_name_that_looks_like_somebody_elses_is_taken() {
    let server = Server::with(&["--max-new-users", "0"]);
    let ada = enters(&server, "Ada Bell");
    for same in [
        "Ada\u{200d} Bell",
        "Ada\u{200c} Bell",
        "Ada Bell\u{fe0f}",
        "Ada  Bell",
        "\u{410}da Bell",
        "Ada Be1l",
    ] {
        has_a_problem(&creates(&server, same), 409);
    }
    for reserved in ["guest", "guest-1", "Guest 7"] {
        has_a_problem(&creates(&server, reserved), 400);
        has_a_problem(&changes(&server, "PUT", ada.id, &bearer(&ada.key), reserved), 400);
    }
    // Her own name she may write otherwise.
    let answer = changes(&server, "PUT", ada.id, &bearer(&ada.key), "ADA  BELL\u{200d}");
    assert_eq!(json_of(&answer)["name"], "ADA BELL");
    for kept in ["\u{1f469}\u{200d}\u{1f4bb}", "\u{62e}\u{627}\u{646}\u{647}\u{200c}\u{627}\u{6cc}"]
    {
        assert_eq!(json_of(&creates(&server, kept))["name"], kept);
    }
}

#[test]
fn new_users_from_one_address_are_limited() {
    let server = Server::with(&["--max-new-users", "3"]);
    (0..3).for_each(|number| drop(enters(&server, &number.to_string())));
    let answer = creates(&server, "one more");
    has_a_problem(&answer, 429);
    let wait: u64 = answer.field("Retry-After").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // A field of its own does not make it somebody else.
    let body = json!({"name": "sly"}).to_string();
    let sly = request("POST", "/users", &["Peer: 192.0.2.9".to_owned()], &body);
    has_a_problem(&server.is_visited().asks(sly), 429);
    // Who is refused has taken nobody's name, and what else there is goes on.
    assert_eq!(json_of(&server.get("/users"))["users"].as_array().unwrap().len(), 3);
}

#[test]
fn a_page_from_elsewhere_may_not_change_anything() {
    let server = Server::start();
    let ada = enters(&server, "Ada");
    let foreign = vec![
        "Origin: http://evil.example".to_owned(),
        format!("Cookie: {}", cookie(&server, &ada.key)),
    ];
    assert_eq!(changes(&server, "PUT", ada.id, &foreign, "Eve").status, 403);
    assert_eq!(changes(&server, "DELETE", ada.id, &foreign, "").status, 403);
    let body = json!({"name": "Eve"}).to_string();
    let create = request("POST", "/users", &foreign[..1], &body);
    assert_eq!(server.is_visited().asks(create).status, 403);
    let own = vec!["Origin: http://x".to_owned(), format!("Cookie: {}", cookie(&server, &ada.key))];
    assert_eq!(changes(&server, "PUT", ada.id, &own, "Ada L.").status, 200);
}

/// Joins as whoever has this key.
fn speaks_as(server: &Server, field: &str) -> (V1, Value) {
    let (client, chosen) =
        Client::offering_with(server.connects(), "/ws/a", &["wsroom.v1"], Some(field));
    assert_eq!(chosen.as_deref(), Some("wsroom.v1"));
    let mut member = V1 { client };
    let welcome = member.hears_of("welcome");
    (member, welcome)
}

#[test]
fn who_has_the_key_speaks_by_the_name() {
    let server = Server::start();
    let ada = enters(&server, "Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let (mut one, welcome) = speaks_as(&server, &format!("Authorization: Bearer {}", ada.key));
    assert_eq!((&welcome["you"]["name"], &welcome["you"]["user"]), (&json!("Ada"), &json!(ada.id)));
    one.says("it is me");
    assert_eq!(bob.hears("it is me")["from"], json!({"name": "Ada", "user": ada.id}));
    one.hears("it is me");
    let (mut other, _) = speaks_as(&server, &format!("Cookie: {}", cookie(&server, &ada.key)));
    other.says("me too");
    assert_eq!(bob.hears("me too")["from"]["name"], "Ada");
    // A new name is told, and counts from then on.
    assert_eq!(changes(&server, "PUT", ada.id, &bearer(&ada.key), "Ada L.").status, 200);
    let renamed = loop {
        let event = bob.next();
        if event["type"] == "renamed" {
            break event;
        }
    };
    assert!(renamed["members"].as_array().unwrap().iter().all(|who| who["name"] == "Ada L."));
    other.says("again");
    assert_eq!(bob.hears("again")["from"]["name"], "Ada L.");
    // Without a user they are guests, and what they said keeps the name.
    assert_eq!(changes(&server, "DELETE", ada.id, &bearer(&ada.key), "").status, 204);
    other.says("who am I?");
    let from = bob.hears("who am I?")["from"].clone();
    assert!(from["name"].as_str().unwrap().starts_with("guest-") && from.get("user").is_none());
    let kept = json_of(&server.get("/rooms/a/messages"));
    assert_eq!(kept["messages"][0]["from"], json!({"name": "Ada", "user": ada.id}));
}

#[test]
fn a_script_that_has_the_key_speaks_by_the_name() {
    let server = Server::start();
    let ada = enters(&server, "Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let posts = |fields: &[String], text: &str| {
        server.is_visited().asks(request("POST", "/rooms/a", fields, text))
    };
    assert_eq!(posts(&bearer(&ada.key), "from Ada").status, 202);
    assert_eq!(bob.hears("from Ada")["from"], json!({"name": "Ada", "user": ada.id}));
    has_a_problem(&posts(&bearer("wrong"), "from nobody"), 401);
    assert_eq!(posts(&[], "from a guest").status, 202);
    assert_eq!(bob.hears("from a guest")["from"], json!({"name": "guest"}));
}

/// Browsers send whatever cookies this host has: another program's are none of our business.
#[test]
fn the_key_is_found_among_foreign_cookies() {
    let server = Server::start();
    let ada = enters(&server, "Ada");
    let own = cookie(&server, &ada.key);
    for fields in [
        format!("Cookie: theme=gr\u{fc}n; {own}"),
        format!("Cookie: {own}; theme=gr\u{fc}n; a"),
        format!("Cookie: a;; =; \u{fc}=1;{own};b=\u{fc}"),
        format!("Cookie: theme=gr\u{fc}n\r\nCookie: {own}"),
        format!("Cookie: {own}\r\nX: y\r\nCOOKIE: theme=dark"),
    ] {
        let lines: Vec<String> = fields.split("\r\n").map(str::to_owned).collect();
        let me = server.is_visited().asks(request("GET", "/users/me", &lines, ""));
        assert_eq!(json_of(&me)["id"], ada.id, "{fields:?}");
        let posted = server.is_visited().asks(request("POST", "/rooms/a", &lines, "hello"));
        assert_eq!(posted.status, 202, "{fields:?}");
        let asked = handshake("/ws/a?since=0").replacen("\r\n", &format!("\r\n{fields}\r\n"), 1);
        let asked = asked.replacen("\r\n\r\n", "\r\nSec-WebSocket-Protocol: wsroom.v1\r\n\r\n", 1);
        let mut page = server.is_visited();
        page.sends(asked).reads_a_head();
        let welcome: Value = serde_json::from_slice(&page.reads_a_frame().1).unwrap();
        assert_eq!(welcome["you"]["user"], ada.id, "{fields:?}");
    }
    let all = json_of(&server.get("/rooms/a/messages"));
    assert!(all["messages"].as_array().unwrap().iter().all(|said| said["from"]["user"] == ada.id));
}

/// A foreign cookie breaks no line to tiny_http, which takes ASCII alone.
#[test]
fn foreign_cookies_alone_make_nobody_and_break_nothing() {
    let server = Server::start();
    for _ in 0..12 {
        let lines = ["Cookie: \u{fc}; wsroom_key_1=x; \u{fc}=\u{fc}".to_owned()];
        let me = server.is_visited().asks(request("GET", "/users/me", &lines, ""));
        has_a_problem(&me, 401);
    }
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_wrong_key_is_refused_at_the_handshake() {
    let server = Server::start();
    let cookie = format!("Cookie: {}", cookie(&server, "wrong"));
    for field in ["Authorization: Bearer wrong", &cookie] {
        let asked = handshake("/ws/a").replacen("\r\n", &format!("\r\n{field}\r\n"), 1);
        let answer = server.is_visited().asks(asked);
        answer.refuses_with(401);
        // A browser cannot leave out its cookie by itself.
        assert!(answer.field("Set-Cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    }
    let odd = handshake("/ws/a").replacen("\r\n", "\r\nAuthorization: Basic YTpi\r\n", 1);
    let mut guest = server.is_visited();
    guest.sends(odd);
    assert!(guest.reads_a_head().starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_file_keeps_users_over_a_restart_and_keys_stay_secret() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let body = json!({"name": "Ada"}).to_string();
    let first = Program::start_plainly(&["-vv", "--data", &file]);
    let mut visitor = Visitor::over(Way::Plain.connects(first.address()));
    let ada = json_of(&visitor.asks(request("POST", "/users", &[], &body)));
    let key = ada["key"].as_str().unwrap().to_owned();
    first.gets_signal("TERM");
    let (status, log) = first.ends();
    assert_eq!(status, Some(0));
    assert!(!log.contains(&key), "the key is in the log: {log}");
    let second = Program::start_plainly(&["-q", "--data", &file]);
    let me = request("GET", "/users/me", &bearer(&key), "");
    let answer = Visitor::over(Way::Plain.connects(second.address())).asks(me);
    assert_eq!(json_of(&answer)["id"], ada["id"]);
    drop(second);
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(key.len()).any(|part| part == key.as_bytes()), "the key is on disk");
    }
}
