//! The rules of the specification, `/protocol.html`, that need a test of their own: each function is
//! named after its rule. Other rules have their tests where their subject is, under the same names
//! (`sessions`, `history`, `v1`, `closing` …).

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{
    Answer, Direction, Program, Proxy, PythonClient, Server, V1, Way, handshake, request,
};
use tungstenite::Message;

const ADA: &str = "ada-0123456789abcdef";

/// Joins room `a` with this session, and with more options.
fn joins(server: &Server, session: &str, more: &str) -> (V1, Value) {
    V1::comes_back(server, &format!("/ws/a?session={session}{more}"))
}

/// Whether news of members name this one.
fn names(news: &Value, id: &Value) -> bool {
    let members = news["members"].as_array();
    members.is_some_and(|members| members.iter().any(|it| it == id || it["id"] == *id))
}

/// The news of members that a client hears, up to those of this type that name this member.
fn news_until(member: &mut V1, kind: &str, id: &Value) -> Vec<Value> {
    let mut news = Vec::new();
    loop {
        let event = member.next();
        let is_last = event["type"] == kind && names(&event, id);
        if event.get("count").is_some() || event["type"] == "renamed" {
            news.push(event);
        }
        if is_last {
            return news;
        }
    }
}

#[test]
fn rule_2_unknown_options_are_ignored_and_bad_ones_refused() {
    let server = Server::start();
    V1::comes_back(&server, "/ws/a?colour=blue&since=0&&x");
    let short = format!("session={}", "x".repeat(15));
    let long = format!("session={}", "x".repeat(65));
    for bad in [
        "since=-1",
        "since=x",
        "last=-1",
        "last=x",
        "last=1&since=0",
        "slow=99",
        "session=a~bcdefghijklmnop",
        &short,
        &long,
    ] {
        server.is_visited().asks(handshake(&format!("/ws/a?{bad}"))).refuses_with(400);
    }
}

#[test]
fn rule_3_a_binary_message_is_one_frame_of_a_line_and_bytes() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.hears_the_past();
    let bytes = b"\n\n{\"type\":\"binary\"}\n\x00\xff";
    ada.shows_as(&json!({"type": "binary", "name": "a\nb"}), bytes);
    let frame = loop {
        if let Message::Binary(frame) = ada.client.next() {
            break frame;
        }
    };
    let line = frame.split(|byte| *byte == b'\n').next().unwrap();
    let event: Value = serde_json::from_slice(line).unwrap();
    assert_eq!((&event["type"], &event["name"]), (&json!("binary"), &json!("a\nb")));
    assert_eq!(&frame[line.len() + 1..], bytes);
}

#[test]
fn rule_4_unknown_fields_are_ignored() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.does(&json!({"type": "message", "text": "hello", "colour": [{"blue": 1}], "name": "x"}));
    ada.hears("hello");
    ada.shows_as(&json!({"type": "binary", "colour": null}), b"bytes");
    ada.sees(b"bytes");
}

#[test]
fn rule_5_first_comes_the_welcome_then_the_past_then_live() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.says("old");
    ada.hears("old");
    for (options, is_told) in
        [("", false), ("?last=0", false), ("?last=1", true), ("?since=0", true)]
    {
        let (mut bob, _) = V1::comes_back(&server, &format!("/ws/a{options}"));
        if is_told {
            assert_eq!(bob.next()["text"], "old", "{options}");
        }
        assert_eq!(bob.next()["type"], "live", "{options}");
        // No second one comes.
        bob.does(&json!({"type": "ping"}));
        bob.hears_of("pong");
    }
}

#[test]
fn rule_6_the_answer_to_an_unknown_key_removes_the_cookie() {
    let server = Server::start();
    let port = server.address().port();
    let key =
        format!("Cookie: wsroom_key_{port}=nobody\r\nSec-WebSocket-Protocol: wsroom.v1\r\n\r\n");
    let mut ada = server.is_visited();
    let head = ada.sends(handshake("/ws/a").replacen("\r\n\r\n", &format!("\r\n{key}"), 1));
    let answer = Answer::parse(&head.reads_a_head());
    let cookie = answer.field("Set-Cookie").expect("a cookie");
    assert!(cookie.contains("Max-Age=0") && cookie.contains(&port.to_string()), "{cookie}");
}

/// The line to the old connection is so slow that its bytes come when the session is elsewhere.
#[test]
fn rule_8_what_comes_over_an_old_connection_has_no_effect() {
    let server = Server::over(Way::Plain, &[]);
    let proxy = Proxy::to(server.address());
    let path = format!("/ws/a?session={ADA}");
    let mut bob = server.joins("a");
    for room in ["a", "b"] {
        let (mut old, _) = V1::over(Way::Plain.connects(proxy.address()), &path);
        proxy.holds_back_after(3);
        old.says("too late");
        let elsewhere = path.replace("/a", &format!("/{room}"));
        let (_new, _) = V1::over(Way::Plain.connects(proxy.address()), &elsewhere);
        proxy.delivers_the_rest();
        bob.says("marker");
        bob.hears_nothing_before("marker");
    }
}

#[test]
fn rule_10_one_that_comes_back_is_the_same_member_and_no_news() {
    let server = Server::start();
    let (mut bob, _) = V1::joins(&server, "a");
    let (ada, first) = joins(&server, ADA, "");
    news_until(&mut bob, "joined", &first["you"]["id"]);
    ada.client.vanishes();
    let (_ada, second) = joins(&server, ADA, "");
    assert_eq!(second["you"], first["you"]);
    let (_cleo, cleo) = V1::joins(&server, "a");
    let news = news_until(&mut bob, "joined", &cleo["you"]["id"]);
    assert!(news.iter().all(|event| !names(event, &first["you"]["id"])), "{news:?}");
}

#[test]
fn rule_13_a_session_is_told_to_nobody_and_not_logged() {
    let program = Program::start_plainly(&["-vv"]);
    let joins = |path: &str| V1::over(Way::Plain.connects(program.address()), path);
    let (mut bob, welcome) = joins("/ws/a");
    let mut told = welcome.to_string();
    let (mut ada, _) = joins(&format!("/ws/a?session={ADA}"));
    ada.says_with_ref("hello", "1");
    while !told.contains("hello") {
        told += &bob.next().to_string();
    }
    program.is_visited().asks(handshake(&format!("/ws/a?session={ADA}&since=x"))).refuses_with(400);
    program.is_visited().asks(handshake(&format!("/nowhere?session={ADA}"))).refuses_with(404);
    let plain = format!("GET /rooms?session={ADA} HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(program.is_visited().asks(plain).status, 200);
    program.gets_signal("TERM");
    let (_, log) = program.ends();
    assert!(log.contains("/nowhere"), "{log}");
    assert!(!told.contains(ADA) && !log.contains(ADA), "{told}\n{log}");
}

#[test]
fn rule_15_a_message_is_answered_by_its_copy_by_kept_or_by_an_error() {
    let server = Server::with(&["--max-message-size", "100"]);
    let (mut ada, _) = joins(&server, ADA, "");
    for (text, answer) in [("hello", "message"), ("hello", "kept"), (&"x".repeat(101), "error")] {
        ada.says_with_ref(text, "1");
        assert_eq!(ada.hears_of(answer)["ref"], "1");
    }
}

type Break = fn(&Proxy, usize);

/// Where a line breaks after so many bytes: on the way to the server, on the way back, or for the
/// client alone, so that the rest of its bytes comes when it is back already.
const BREAKS: [(&str, Break); 3] = [
    ("to the server", |line, bytes| line.breaks_after(bytes, Direction::ToServer)),
    ("to the client", |line, bytes| line.breaks_after(bytes, Direction::ToClient)),
    ("held back", |line, bytes| line.holds_back_after(bytes)),
];

/// At each byte of a message and of its answer.
#[test]
fn rule_16_what_a_client_has_no_answer_to_is_heard_once() {
    let server = Server::over(Way::Plain, &[]);
    let proxy = Proxy::to(server.address());
    let (mut bob, _) = V1::over(Way::Plain.connects(server.address()), "/ws/a");
    let mut ada = PythonClient::joins(proxy.address(), ADA);
    let is_heard = |ada: &mut PythonClient, bob: &mut V1, text: &str| {
        ada.says(text);
        let from = bob.hears(text)["from"].clone();
        assert_eq!(ada.hears(text), from["name"], "each knows who has said it");
        from
    };
    let first = is_heard(&mut ada, &mut bob, "first");
    for (place, breaks) in BREAKS {
        for bytes in 0.. {
            // Now she is live, and nothing is under way.
            is_heard(&mut ada, &mut bob, "ready");
            let before = proxy.connections();
            breaks(&proxy, bytes);
            assert_eq!(is_heard(&mut ada, &mut bob, &format!("{place} {bytes:04}")), first);
            if proxy.connections() == before {
                assert!(bytes > 60, "{place} after {bytes} bytes");
                break;
            }
            proxy.delivers_the_rest();
        }
        proxy.is_mended();
    }
    assert_eq!(ada.leaves(), "");
    bob.says("marker");
    bob.hears_nothing_before("marker");
}

/// At each byte likewise, by a client that does not ask what it has missed.
#[test]
fn rule_17_what_is_sent_again_after_a_break_is_relayed_once() {
    let server = Server::over(Way::Plain, &[]);
    let proxy = Proxy::to(server.address());
    let (mut bob, _) = V1::over(Way::Plain.connects(server.address()), "/ws/a");
    let joins =
        || V1::over(Way::Plain.connects(proxy.address()), &format!("/ws/a?session={ADA}")).0;
    let mut kept = 0;
    for (place, breaks) in BREAKS {
        for bytes in 0.. {
            let text = format!("{place} {bytes:04}");
            let mut ada = joins();
            ada.hears_the_past();
            breaks(&proxy, bytes);
            ada.says_with_ref(&text, &text);
            if ada.hears_before_a_break(&text) {
                bob.hears(&text);
                assert!(bytes > 60, "{place} after {bytes} bytes");
                break;
            }
            let mut ada = joins();
            ada.says_with_ref(&text, &text);
            kept += usize::from(ada.hears_an_answer(&text) == "kept");
            bob.hears(&text);
            proxy.delivers_the_rest();
        }
    }
    assert!(kept > 60, "{kept} times the server had the message");
    bob.says("marker");
    bob.hears_nothing_before("marker");
}

#[test]
fn rule_18_a_ref_is_told_to_no_other_session() {
    let server = Server::start();
    let (mut ada, _) = joins(&server, ADA, "");
    let (mut eve, _) = V1::joins(&server, "a");
    ada.says_with_ref("adas", "1");
    eve.hears("adas");
    eve.says_with_ref("eves", "1");
    assert_eq!(eve.hears("eves")["ref"], "1", "her own connection's copy");
    ada.hears("adas");
    assert!(ada.hears("eves").get("ref").is_none());
    for (options, refs) in [
        (format!("&session={ADA}"), [Some("1"), None]),
        (String::new(), [None, None]),
        ("&session=eve-0123456789abcdef".to_owned(), [None, None]),
    ] {
        let (mut one, _) = V1::comes_back(&server, &format!("/ws/a?since=0{options}"));
        let (past, _) = one.hears_the_past();
        let told: Vec<_> = past.iter().map(|message| message["ref"].as_str()).collect();
        assert_eq!(told, refs, "{options}");
    }
}

#[test]
fn rule_19_one_that_cannot_know_what_was_relayed_is_told_so() {
    for history in ["0", "2"] {
        let server = Server::with(&["--history", history]);
        let (mut ada, welcome) = joins(&server, ADA, "");
        assert_eq!(welcome["history"].to_string(), history);
        ada.says("first");
        let since = ada.hears("first")["id"].clone();
        for number in 0..3 {
            ada.says_with_ref("lost", &number.to_string());
            ada.hears("lost");
        }
        let (mut ada, _) = joins(&server, ADA, &format!("&since={since}"));
        assert_eq!(ada.hears_the_past().1["complete"], false, "of {history} messages");
        // A server that keeps the message no longer cannot know it.
        ada.says_with_ref("lost", "0");
        ada.hears("lost");
    }
}

/// The line breaks while the client connects, is welcomed and hears what it has missed.
#[test]
fn rule_23_and_26_a_past_that_breaks_off_is_told_to_the_end_and_once() {
    let server = Server::over(Way::Plain, &[]);
    let proxy = Proxy::to(server.address());
    let (mut bob, _) = V1::over(Way::Plain.connects(server.address()), "/ws/a");
    let mut ada = PythonClient::joins(proxy.address(), ADA);
    ada.says("first");
    ada.hears("first");
    bob.hears("first");
    for direction in [Direction::ToServer, Direction::ToClient] {
        for bytes in (0..1200).step_by(7) {
            proxy.breaks_now_and_after(bytes, direction);
            for part in ["one", "two"] {
                let text = format!("{part} {direction:?} {bytes}");
                bob.says(&text);
                bob.hears(&text);
                ada.hears(&text);
            }
            proxy.is_mended();
        }
    }
    ada.says("last");
    ada.hears("last");
    bob.hears("last");
}

#[test]
fn rule_26_what_comes_behind_live_is_newer_than_what_live_tells() {
    let server = Server::with(&["--history", "1000000"]);
    let mut speaker = server.joins("a");
    let talks = thread::spawn(move || {
        for number in 0..3000 {
            let own = number.to_string();
            speaker.says(&own);
            while speaker.next() != Message::text(own.as_str()) {}
        }
    });
    let mut since = 0;
    while !talks.is_finished() {
        let (mut ada, _) = V1::comes_back(&server, &format!("/ws/a?since={since}"));
        let (past, live) = ada.hears_the_past();
        let last = live["last"].as_i64().unwrap();
        since = past.last().map_or(since, |message| message["id"].as_i64().unwrap());
        assert!(since <= last, "{live} behind {since}");
        ada.says("marker");
        let next = ada.hears_of("message");
        assert!(next["id"].as_i64() > Some(last), "{next} behind {live}");
    }
    talks.join().unwrap();
}

#[test]
fn rule_27_a_person_with_a_new_name_has_the_same_numbers() {
    let server = Server::start();
    let person = server.enters("Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let (mut ada, welcome) = V1::joins_with(&server, "/ws/a", &person.bearer());
    let you = &welcome["you"];
    assert_eq!((&you["user"], &you["name"]), (&json!(person.id), &json!("Ada")));
    server.renames(&person, "Ada L.");
    let renamed = bob.hears_of("renamed");
    let same = json!({"id": you["id"], "user": person.id, "name": "Ada L."});
    assert_eq!(renamed["members"], json!([same]));
    ada.says("hello");
    assert_eq!(bob.hears("hello")["from"], same);
}

/// The list of members of a client: the one in its welcome, and what the news make of it.
struct List(Vec<Value>);

impl List {
    fn of(welcome: &Value) -> Self {
        Self(welcome["members"].as_array().expect("no crowd").clone())
    }

    fn has(&self, id: &Value) -> bool {
        self.0.iter().any(|member| member["id"] == *id)
    }

    fn takes(&mut self, news: &Value) {
        let told = news["members"].as_array().expect("no crowd");
        if news["type"] == "left" {
            assert!(told.iter().all(|id| self.has(id)), "{news} for {:?}", self.0);
            return self.0.retain(|member| !told.contains(&member["id"]));
        }
        self.0.retain(|member| told.iter().all(|it| it["id"] != member["id"]));
        self.0.extend(told.iter().cloned());
        self.0.sort_by_key(|member| member["id"].as_u64());
    }

    /// Hears of a newcomer, who comes when all news before have been told.
    fn takes_all(&mut self, member: &mut V1, server: &Server) {
        for _ in 0..2 {
            let (_newcomer, welcome) = V1::joins(server, "a");
            let news = news_until(member, "joined", &welcome["you"]["id"]);
            news.iter().for_each(|news| self.takes(news));
        }
    }
}

#[test]
fn rule_28_the_news_make_the_list_that_a_newcomer_is_told() {
    let server = Server::start();
    let (mut bob, welcome) = V1::joins(&server, "a");
    let mut list = List::of(&welcome);
    let person = server.enters("Ada");
    let mut others: Vec<_> = (0..6).map(|_| V1::joins(&server, "a").0).collect();
    let (_ada, _) = V1::joins_with(&server, "/ws/a", &person.bearer());
    others.drain(1..4).for_each(|one| one.client.leaves());
    server.renames(&person, "Ada L.");
    others.pop().unwrap().client.vanishes();
    server.comes_to_have(4, "clients");
    list.takes_all(&mut bob, &server);
    let (_cleo, cleo) = V1::joins(&server, "a");
    for member in cleo["members"].as_array().unwrap() {
        assert!(list.0.contains(member) || *member == cleo["you"], "{member} in {:?}", list.0);
    }
}

#[test]
fn rule_30_nobody_has_left_who_was_not_named_before() {
    let server = Server::start();
    let (mut bob, welcome) = V1::joins(&server, "a");
    let mut list = List::of(&welcome);
    for _ in 0..5 {
        V1::joins(&server, "a").0.client.leaves();
        list.takes_all(&mut bob, &server);
    }
}

/// Somebody goes whom all others know, and a moment later the newcomer comes.
#[test]
fn rule_30_a_newcomer_is_not_told_of_somebody_who_had_left_before() {
    let server = Server::start();
    let (mut bob, welcome) = V1::joins(&server, "a");
    let mut list = List::of(&welcome);
    let (eve, _) = V1::joins(&server, "a");
    list.takes_all(&mut bob, &server);
    eve.client.leaves();
    let (mut cleo, welcome) = V1::joins(&server, "a");
    List::of(&welcome).takes_all(&mut cleo, &server);
}

#[test]
fn rule_32_what_came_over_http_has_no_member() {
    let server = Server::start();
    let (mut ada, welcome) = V1::joins(&server, "a");
    server.is_visited().asks(request("POST", "/rooms/a", &["Content-Type: text/plain"], "posted"));
    assert!(ada.hears("posted")["from"].get("id").is_none());
    ada.says("said");
    assert_eq!(ada.hears("said")["from"]["id"], welcome["you"]["id"]);
}

#[test]
fn rule_37_a_frame_may_be_larger_than_its_payload_but_not_by_more() {
    const LIMIT: usize = 100;
    let server = Server::with(&["--max-message-size", "100"]);
    let padded = |size: usize| {
        let event = r#"{"type":"message","text":"hello"}"#;
        format!("{event}{}", " ".repeat(size - event.len()))
    };
    let shown = |line: usize, bytes: usize| {
        let event = r#"{"type":"binary"}"#;
        let padding = " ".repeat(line - event.len() - 1);
        [event.as_bytes(), padding.as_bytes(), b"\n", &vec![7; bytes]].concat()
    };
    let (mut ada, _) = V1::joins(&server, "a");
    ada.client.says(&padded(6 * LIMIT + 4096));
    ada.hears("hello");
    ada.client.shows(&shown(4096, LIMIT));
    ada.sees(&[7; LIMIT]);
    ada.client.shows(&shown(4097, LIMIT - 1));
    assert_eq!(ada.hears_of("error")["code"], "bad-event");
    ada.client.says(&padded(6 * LIMIT + 4097));
    ada.client.is_told(1009);
    let (mut ada, _) = V1::joins(&server, "a");
    ada.client.shows(&shown(4096, 6 * LIMIT + 1));
    ada.client.is_told(1009);
}

/// As large as frames can be: every byte escaped, every short field full.
#[test]
fn rule_38_no_frame_is_larger_than_the_specification_says() {
    const LIMIT: usize = 1000;
    let server = Server::with(&["--max-message-size", "1000"]);
    let person = server.enters(&"\u{1d11e}".repeat(40));
    let (mut ada, _) = V1::joins_with(&server, &format!("/ws/a?session={ADA}"), &person.bearer());
    ada.hears_the_past();
    let full = "\u{1}".repeat(255);
    ada.says_with_ref(&"\u{1}".repeat(LIMIT), &full);
    let name = "\u{1}".repeat(220);
    let line = json!({"type": "binary", "name": name, "media_type": name, "ref": name});
    ada.shows_as(&line, &[7; LIMIT]);
    let (mut text, mut binary) = (0, 0);
    while text == 0 || binary == 0 {
        match ada.client.next() {
            Message::Text(frame) if frame.contains("\"text\"") => text = frame.len(),
            Message::Binary(frame) => binary = frame.len(),
            _ => {}
        }
    }
    assert!((6 * LIMIT..=6 * LIMIT + 4096).contains(&text), "{text}");
    assert!((LIMIT + 4000..=LIMIT + 8192).contains(&binary), "{binary}");
}

#[test]
fn rule_39_short_fields_have_255_bytes() {
    let server = Server::start();
    let (mut ada, _) = joins(&server, ADA, "");
    for (length, answer) in [(0, "error"), (1, "message"), (255, "message"), (256, "error")] {
        ada.says_with_ref("hello", &"x".repeat(length));
        ada.hears_of(answer);
    }
    for field in ["name", "media_type"] {
        for (length, answer) in [(0, "binary"), (255, "binary"), (256, "error")] {
            ada.shows_as(&json!({"type": "binary", field: "x".repeat(length)}), b"");
            ada.hears_of(answer);
        }
    }
}

#[test]
fn rule_45_a_client_that_is_turned_away_comes_back() {
    let program = Program::start_plainly(&["--max-clients", "1"]);
    let bob = program.joins("a");
    let mut ada = PythonClient::joins(program.address(), ADA);
    ada.says("at last");
    program.logs("turned away");
    bob.leaves();
    ada.hears("at last");
}

#[test]
fn rule_46_a_client_whose_session_is_elsewhere_does_not_come_back() {
    let server = Server::over(Way::Plain, &[]);
    let mut ada = PythonClient::joins(server.address(), ADA);
    ada.says("here");
    ada.hears("here");
    let path = format!("/ws/a?session={ADA}&last=1");
    let (mut elsewhere, _) = V1::over(Way::Plain.connects(server.address()), &path);
    let complaints = ada.ends_with(1);
    assert!(complaints.contains("4001"), "{complaints}");
    assert!(elsewhere.hears("here").get("ref").is_some(), "the same session");
    elsewhere.says("still here");
    elsewhere.hears("still here");
}

#[test]
fn rule_47_and_48_a_post_with_a_key_is_heard_once() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    let person = server.enters("Ada");
    let posts = |key: &str, fields: &[&str]| {
        let key = format!("Idempotency-Key: {key}");
        let fields = [fields, &["Content-Type: text/plain", &key]].concat();
        server.is_visited().asks(request("POST", "/rooms/a", &fields, "posted"))
    };
    let key = "0123456789abcdef";
    let first = posts(key, &[]).tells(202);
    assert_eq!(
        (first["heard"].clone(), ada.hears("posted")["id"].clone()),
        (json!(1), first["id"].clone())
    );
    for again in [key, &format!("\"{key}\"")] {
        assert_eq!(posts(again, &[]).tells(200), json!({"heard": 0, "id": first["id"]}));
    }
    // Another user's is another message.
    assert_ne!(posts(key, &[&person.bearer()]).tells(202)["id"], first["id"]);
    ada.hears("posted");
    for bad in ["", "short", "0123456789 abcdef", &"x".repeat(256)] {
        posts(bad, &[]).has_a_problem(400);
    }
    ada.says("marker");
    ada.hears("marker");
}
