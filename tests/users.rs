//! `/users`: a name belongs to whoever has its key, and whoever has it speaks by that name.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{
    Program, Server, V1, Visitor, Way, bearer, handshake, named, request, request_with_json,
};

/// What a browser sends. Its name has the port in it, for cookies have none.
fn cookie(server: &Server, key: &str) -> String {
    format!("wsroom_key_{}={key}", server.address().port())
}

#[test]
fn a_new_user_is_told_the_key_once() {
    let server = Server::over(Way::Plain, &[]);
    let answer = server.creates_user("  Ada  ");
    let user = answer.tells(201);
    assert_eq!(user["name"], "Ada");
    let location = format!("/users/{}", user["id"]);
    // Relative to the address that was asked, whatever prefix a proxy gives it.
    assert_eq!(answer.field("Location"), location.strip_prefix('/'));
    let key = user["key"].as_str().unwrap();
    assert!(key.len() >= 22, "128 bits are 22 characters of base64: {key}");
    let cookie =
        format!("{}; HttpOnly; SameSite=Strict; Max-Age=31536000; Path=/", cookie(&server, key));
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
    let answer = server.creates_user("Ada");
    let cookie = answer.field("Set-Cookie").unwrap();
    assert!(cookie.split("; ").any(|attribute| attribute == "Secure"), "{answer:?}");
}

#[test]
fn the_directory_is_read_page_by_page() {
    let server = Server::with(&["--max-new-users", "0"]);
    let names: Vec<_> = (0..7).map(|number| format!("user {number}")).collect();
    names.iter().for_each(|name| drop(server.enters(name)));
    let (mut seen, mut path) = (Vec::new(), "/users?limit=3".to_owned());
    loop {
        let page = server.get(&path).tells(200);
        let users = page["users"].as_array().unwrap();
        seen.extend(users.iter().map(|user| user["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_i64() else { break };
        path = format!("/users?limit=3&after={next}");
    }
    assert_eq!(seen, names);
    for bad in ["limit=0", "limit=201", "limit=x", "after=x"] {
        server.get(&format!("/users?{bad}")).has_a_problem(400);
    }
    for unknown in ["/users/99", "/users/x", "/users/-1"] {
        server.get(unknown).has_a_problem(404);
    }
}

#[test]
fn only_the_key_or_the_admin_may_change_a_user() {
    let server =
        Server::with(&["--admin-token", "a token of the admin".replace(' ', "-").as_str()]);
    let (ada, bob) = (server.enters("Ada"), server.enters("Bob"));
    server.changes_user("PUT", 99, &[], "Eve").has_a_problem(404);
    for method in ["PUT", "DELETE"] {
        let answer = server.changes_user(method, ada.id, &[], "Eve");
        answer.has_a_problem(401);
        assert_eq!(answer.field("WWW-Authenticate"), Some("Bearer"));
        server.changes_user(method, ada.id, &[&bearer("wrong")], "Eve").has_a_problem(401);
        server.changes_user(method, ada.id, &[&bob.bearer()], "Eve").has_a_problem(403);
    }
    let renamed = server.changes_user("PUT", ada.id, &[&ada.bearer()], "Ada L.");
    assert_eq!(renamed.tells(200)["name"], "Ada L.");
    let cookie = format!("Cookie: a=b; {}; c=d", cookie(&server, &ada.key));
    assert_eq!(server.changes_user("PUT", ada.id, &[&cookie], "Ada").status, 200);
    assert_eq!(
        server.changes_user("PUT", bob.id, &[&bearer("a-token-of-the-admin")], "Rob").status,
        200
    );
    server.changes_user("PUT", bob.id, &[&bob.bearer()], "ADA").has_a_problem(409);
    // One's own name in other letters is not taken by somebody else.
    assert_eq!(server.changes_user("PUT", bob.id, &[&bob.bearer()], "ROB").status, 200);
    let me = |fields: &[&str]| server.is_visited().asks(request("GET", "/users/me", fields, ""));
    assert_eq!(me(&[&ada.bearer()]).tells(200)["id"], ada.id);
    me(&[]).has_a_problem(401);
    me(&[&bearer("wrong")]).has_a_problem(401);
    let gone = server.changes_user("DELETE", ada.id, &[&cookie], "");
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert!(gone.field("Set-Cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    server.get(&format!("/users/{}", ada.id)).has_a_problem(404);
    me(&[&ada.bearer()]).has_a_problem(401);
    // The number is never given again, and the name is free.
    assert!(server.enters("Ada").id > bob.id);
}

#[test]
fn a_bad_request_is_refused() {
    let server = Server::start();
    let sends =
        |body: &str| server.is_visited().asks(request_with_json("POST", "/users", &[], body));
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
        sends(bad).has_a_problem(400);
    }
    sends(&format!("{{\"name\":\"{}\"}}", "x".repeat(5000))).has_a_problem(413);
    let typed = |kind: &str| {
        let head = format!("POST /users HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: 14\r\n\r\n");
        server.is_visited().asks(format!("{head}{{\"name\":\"Ada\"}}"))
    };
    typed("").has_a_problem(415);
    typed("Content-Type: text/plain\r\n").has_a_problem(415);
    assert_eq!(typed("Content-Type: Application/JSON; charset=utf-8\r\n").status, 201);
    for (method, path, allow) in [
        ("DELETE", "/users", "GET, HEAD, POST"),
        ("POST", "/users/1", "GET, HEAD, PUT, DELETE"),
        ("POST", "/users/me", "GET, HEAD, PUT, DELETE"),
    ] {
        let answer = server.is_visited().asks(request(method, path, &[], ""));
        assert_eq!(answer.has_a_problem(405).field("Allow"), Some(allow), "{method} {path}");
    }
}

/// A request with a form, as `curl -d` and a page without a script send it.
fn request_with_form(method: &str, path: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let form = "Content-Type: application/x-www-form-urlencoded";
    request(method, path, &[fields, &[form]].concat(), body)
}

#[test]
fn a_form_names_a_user_too() {
    let server = Server::start();
    let creates =
        |body: &[u8]| server.is_visited().asks(request_with_form("POST", "/users", &[], body));
    let user = creates(b"name=Ada").tells(201);
    assert_eq!(user["name"], "Ada");
    assert_eq!(creates(b"name=Grace+B.%20Hopper").tells(201)["name"], "Grace B. Hopper");
    assert_eq!(creates("name=J\u{fc}rgen".as_bytes()).tells(201)["name"], "J\u{fc}rgen");
    assert_eq!(creates(b"name=%E5%BC%B5+%26").tells(201)["name"], "\u{5f35} &");
    creates(b"name=ADA").has_a_problem(409);
    for bad in [
        &b""[..],
        b"Ada",
        b"name",
        b"name=",
        b"name=++",
        b"Name=Ada",
        b"name=Bob&age=7",
        b"name=Bob&name=Eve",
        b"name=a%00",
        b"name=%FF",
        b"name=\xff",
        b"name=%EF%BF%BD",
        &[b"name=".as_slice(), &[b'x'; 41]].concat(),
    ] {
        eprintln!("{:?}", String::from_utf8_lossy(bad));
        creates(bad).has_a_problem(400);
    }
    creates(&[b"name=".as_slice(), &[b'x'; 5000]].concat()).has_a_problem(413);
    let key = bearer(user["key"].as_str().unwrap());
    let path = format!("/users/{}", user["id"]);
    let renames = request_with_form("PUT", &path, &[&key], b"name=Ada+L.");
    assert_eq!(server.is_visited().asks(renames).tells(200)["name"], "Ada L.");
}

#[test]
fn whoever_has_a_key_need_not_know_their_number() {
    let server = Server::with(&["--admin-token", "a-token-of-the-admin"]);
    let ada = server.enters("Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let (mut one, _) = V1::joins_with(&server, "/ws/a", &ada.bearer());
    let asks = |method: &str, fields: &[&str]| match method {
        "PUT" => server.is_visited().asks(request_with_json(
            method,
            "/users/me",
            fields,
            &named("Ada L."),
        )),
        _ => server.is_visited().asks(request(method, "/users/me", fields, "")),
    };
    for method in ["PUT", "DELETE"] {
        // The admin is no user, and a key that nobody has is nobody's.
        for fields in [&[][..], &[&*bearer("wrong")], &[&*bearer("a-token-of-the-admin")]] {
            let answer = asks(method, fields);
            answer.has_a_problem(401);
            assert_eq!(answer.field("WWW-Authenticate"), Some("Bearer"));
        }
    }
    let renamed = asks("PUT", &[&ada.bearer()]).tells(200);
    assert_eq!((&renamed["id"], &renamed["name"]), (&json!(ada.id), &json!("Ada L.")));
    one.says("it is me");
    assert_eq!(bob.hears("it is me")["from"]["name"], "Ada L.");
    let cookie = format!("Cookie: {}", cookie(&server, &ada.key));
    let gone = asks("DELETE", &[&cookie]);
    assert_eq!(gone.status, 204);
    assert!(gone.field("Set-Cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    server.get(&format!("/users/{}", ada.id)).has_a_problem(404);
    asks("DELETE", &[&cookie]).has_a_problem(401);
}

#[test]
fn unpleasant_names_are_taken_as_they_are_and_told_as_json() {
    let server = Server::start();
    for name in
        ["<script>alert(1)</script>", "Robert'); DROP TABLE users;--", "\"\\", "張偉", "👩‍💻", "null"]
    {
        let person = server.enters(name);
        let seen = server.get(&format!("/users/{}", person.id)).tells(200);
        assert_eq!(seen["name"], name);
    }
    assert_eq!(server.get("/users").tells(200)["users"].as_array().unwrap().len(), 6);
}

#[test]
fn a_name_belongs_to_one() {
    let server = Server::with(&["--max-new-users", "0"]);
    for (first, same) in [("Ada", "ADA"), ("Straße", "STRASSE"), ("J\u{fc}rgen", "JU\u{308}RGEN")]
    {
        server.enters(first);
        server.creates_user(same).has_a_problem(409);
    }
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> =
            (0..24).map(|_| scope.spawn(|| server.creates_user("Grace").status)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
}

#[test]
fn a_name_that_looks_like_somebody_elses_is_taken() {
    let server = Server::with(&["--max-new-users", "0"]);
    let ada = server.enters("Ada Bell");
    for same in [
        "Ada\u{200d} Bell",
        "Ada\u{200c} Bell",
        "Ada Bell\u{fe0f}",
        "Ada  Bell",
        "\u{410}da Bell",
        "Ada Be1l",
    ] {
        server.creates_user(same).has_a_problem(409);
    }
    for reserved in ["guest", "guest-1", "Guest 7"] {
        server.creates_user(reserved).has_a_problem(400);
        server.changes_user("PUT", ada.id, &[&ada.bearer()], reserved).has_a_problem(400);
    }
    // Her own name she may write otherwise.
    let answer = server.changes_user("PUT", ada.id, &[&ada.bearer()], "ADA  BELL\u{200d}");
    assert_eq!(answer.tells(200)["name"], "ADA BELL");
    for kept in ["\u{1f469}\u{200d}\u{1f4bb}", "\u{62e}\u{627}\u{646}\u{647}\u{200c}\u{627}\u{6cc}"]
    {
        assert_eq!(server.creates_user(kept).tells(201)["name"], kept);
    }
}

#[test]
fn new_users_from_one_address_are_limited() {
    let server = Server::with(&["--max-new-users", "3"]);
    (0..3).for_each(|number| drop(server.enters(&number.to_string())));
    let answer = server.creates_user("one more");
    answer.has_a_problem(429);
    let wait: u64 = answer.field("Retry-After").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // A field of its own does not make it somebody else.
    let sly = request_with_json("POST", "/users", &["Peer: 192.0.2.9"], &named("sly"));
    server.is_visited().asks(sly).has_a_problem(429);
    // Who is refused has taken nobody's name, and what else there is goes on.
    assert_eq!(server.get("/users").tells(200)["users"].as_array().unwrap().len(), 3);
}

#[test]
fn a_page_from_elsewhere_may_not_change_anything() {
    let server = Server::start();
    let ada = server.enters("Ada");
    let cookie = format!("Cookie: {}", cookie(&server, &ada.key));
    let foreign = ["Origin: http://evil.example", &cookie];
    server.changes_user("PUT", ada.id, &foreign, "Eve").has_a_problem(403);
    server.changes_user("DELETE", ada.id, &foreign, "").has_a_problem(403);
    let create = request_with_json("POST", "/users", &foreign[..1], &named("Eve"));
    assert_eq!(server.is_visited().asks(create).status, 403);
    let own = ["Origin: http://x", &cookie];
    assert_eq!(server.changes_user("PUT", ada.id, &own, "Ada L.").status, 200);
}

#[test]
fn who_has_the_key_speaks_by_the_name() {
    let server = Server::start();
    let ada = server.enters("Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let (mut one, welcome) = V1::joins_with(&server, "/ws/a", &ada.bearer());
    assert_eq!((&welcome["you"]["name"], &welcome["you"]["user"]), (&json!("Ada"), &json!(ada.id)));
    one.says("it is me");
    assert_eq!(bob.hears("it is me")["from"], welcome["you"]);
    one.hears("it is me");
    let cookie = format!("Cookie: {}", cookie(&server, &ada.key));
    let (mut other, _) = V1::joins_with(&server, "/ws/a", &cookie);
    other.says("me too");
    assert_eq!(bob.hears("me too")["from"]["name"], "Ada");
    // A new name is told, and counts from then on.
    assert_eq!(server.changes_user("PUT", ada.id, &[&ada.bearer()], "Ada L.").status, 200);
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
    assert_eq!(server.changes_user("DELETE", ada.id, &[&ada.bearer()], "").status, 204);
    other.says("who am I?");
    let from = bob.hears("who am I?")["from"].clone();
    assert!(from["name"].as_str().unwrap().starts_with("guest-") && from.get("user").is_none());
    let kept = server.get("/rooms/a/messages").tells(200);
    assert_eq!(kept["messages"][0]["from"], json!({"name": "Ada", "user": ada.id}));
}

#[test]
fn a_script_that_has_the_key_speaks_by_the_name() {
    let server = Server::start();
    let ada = server.enters("Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let posts = |fields: &[&str], text: &str| {
        server.is_visited().asks(request_with_json("POST", "/rooms/a", fields, text))
    };
    assert_eq!(posts(&[&ada.bearer()], "from Ada").status, 202);
    assert_eq!(bob.hears("from Ada")["from"], json!({"name": "Ada", "user": ada.id}));
    posts(&[&bearer("wrong")], "from nobody").has_a_problem(401);
    // A key that cannot be read makes nobody a guest.
    posts(&[&ada.bearer(), &ada.bearer()], "from whom?").has_a_problem(400);
    posts(&[&bearer("\u{fc}")], "from whom?").has_a_problem(400);
    assert_eq!(posts(&[], "from a guest").status, 202);
    assert_eq!(bob.hears("from a guest")["from"], json!({"name": "guest"}));
}

/// Browsers send whatever cookies this host has: another program's are none of our business.
#[test]
fn the_key_is_found_among_foreign_cookies() {
    let server = Server::start();
    let ada = server.enters("Ada");
    let own = cookie(&server, &ada.key);
    for fields in [
        format!("Cookie: theme=gr\u{fc}n; {own}"),
        format!("Cookie: {own}; theme=gr\u{fc}n; a"),
        format!("Cookie: a;; =; \u{fc}=1;{own};b=\u{fc}"),
        format!("Cookie: theme=gr\u{fc}n\r\nCookie: {own}"),
        format!("Cookie: {own}\r\nX: y\r\nCOOKIE: theme=dark"),
    ] {
        let lines: Vec<&str> = fields.split("\r\n").collect();
        let me = server.is_visited().asks(request("GET", "/users/me", &lines, ""));
        assert_eq!(me.tells(200)["id"], ada.id, "{fields:?}");
        let posted =
            server.is_visited().asks(request_with_json("POST", "/rooms/a", &lines, "hello"));
        assert_eq!(posted.status, 202, "{fields:?}");
        let asked = handshake("/ws/a?since=0").replacen("\r\n", &format!("\r\n{fields}\r\n"), 1);
        let asked = asked.replacen("\r\n\r\n", "\r\nSec-WebSocket-Protocol: wsroom.v1\r\n\r\n", 1);
        let mut page = server.is_visited();
        page.sends(asked).reads_a_head();
        let welcome: Value = serde_json::from_slice(&page.reads_a_frame().1).unwrap();
        assert_eq!(welcome["you"]["user"], ada.id, "{fields:?}");
    }
    let all = server.get("/rooms/a/messages").tells(200);
    assert!(all["messages"].as_array().unwrap().iter().all(|said| said["from"]["user"] == ada.id));
}

/// A foreign cookie breaks no line to tiny_http, which takes ASCII alone.
#[test]
fn foreign_cookies_alone_make_nobody_and_break_nothing() {
    let server = Server::start();
    for _ in 0..12 {
        let lines = ["Cookie: \u{fc}; wsroom_key_1=x; \u{fc}=\u{fc}"];
        let me = server.is_visited().asks(request("GET", "/users/me", &lines, ""));
        me.has_a_problem(401);
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
    // A key that cannot be read must not make a guest of its user.
    let twice = handshake("/ws/a").replacen("\r\n", &format!("\r\n{0}\r\n{0}\r\n", bearer("a")), 1);
    server.is_visited().asks(twice).refuses_with(400);
    let odd = handshake("/ws/a").replacen("\r\n", "\r\nAuthorization: Basic YTpi\r\n", 1);
    let mut guest = server.is_visited();
    guest.sends(odd);
    assert!(guest.reads_a_head().starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_file_keeps_users_over_a_restart_and_keys_stay_secret() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let first = Program::start_plainly(&["-vv", "--data", &file]);
    let mut visitor = Visitor::over(Way::Plain.connects(first.address()));
    let ada = visitor.asks(request_with_json("POST", "/users", &[], &named("Ada"))).tells(201);
    let key = ada["key"].as_str().unwrap().to_owned();
    first.gets_signal("TERM");
    let (status, log) = first.ends();
    assert_eq!(status, Some(0));
    assert!(!log.contains(&key), "the key is in the log: {log}");
    let second = Program::start_plainly(&["-q", "--data", &file]);
    let me = request("GET", "/users/me", &[&bearer(&key)], "");
    let answer = Visitor::over(Way::Plain.connects(second.address())).asks(me);
    assert_eq!(answer.tells(200)["id"], ada["id"]);
    drop(second);
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(key.len()).any(|part| part == key.as_bytes()), "the key is on disk");
    }
}

#[test]
fn a_directory_has_a_hundred_thousand_users_at_most() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    Server::with(&["--data", &file]).stops();
    // One less, so that the last one still enters.
    let fill = "INSERT INTO users (name, folded, created_at, key)
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 99999)
        SELECT 'user ' || n, 'user ' || n, 0, CAST(printf('%032d', n) AS BLOB) FROM numbers";
    rusqlite::Connection::open(&file).unwrap().execute_batch(fill).unwrap();
    let server = Server::with(&["--data", &file]);
    server.creates_user("Ada").tells(201);
    server.creates_user("Bob").has_a_problem(507);
}
