//! `/rooms`: who is where, what was said, and a word from a script.

mod support;

use serde_json::json;
use support::{Answer, Server, V1, request, until};

fn posts(server: &Server, room: &str, media_type: &str, body: &[u8]) -> Answer {
    let fields = [&*format!("Content-Type: {media_type}")];
    server.is_visited().asks(request("POST", &format!("/rooms/{room}"), &fields, body))
}

#[test]
fn a_script_is_heard() {
    let server = Server::start();
    let mut plain = server.joins("a");
    let (mut ada, _) = V1::joins(&server, "a");
    let answer = posts(&server, "a", "text/plain", "grüß dich".as_bytes());
    let receipt = answer.tells(202);
    plain.hears("grüß dich");
    let heard = ada.hears("grüß dich");
    assert_eq!(heard["from"]["name"], "guest");
    assert_eq!((&receipt["heard"], &receipt["id"]), (&json!(2), &heard["id"]));
    // What curl -d sends is text; what it does not call text is binary.
    posts(&server, "a", "application/x-www-form-urlencoded", b"hello");
    plain.hears("hello");
    posts(&server, "a", "image/png", b"\x89PNG");
    plain.sees(b"\x89PNG");
    ada.hears("hello");
    assert_eq!(ada.sees(b"\x89PNG")["media_type"], "image/png");
    // In an empty room nobody hears it, but it is kept.
    let answer = posts(&server, "empty", "text/plain", b"anyone?");
    assert_eq!(answer.tells(202)["heard"], 0);
    assert_eq!(V1::comes_back(&server, "/ws/empty?since=0").0.hears_the_past().0.len(), 1);
    // As large as a message may be.
    let large = vec![7; 1 << 20];
    assert_eq!(posts(&server, "a", "", &large).status, 202);
    plain.sees(&large);
}

#[test]
fn what_is_posted_again_is_heard_once() {
    let server = Server::start();
    let ada = server.enters("Ada");
    let (mut bob, _) = V1::joins(&server, "a");
    let posts = |room: &str, fields: &[&str], text: &str| {
        let fields = [&["Content-Type: text/plain"], fields].concat();
        server.is_visited().asks(request("POST", &format!("/rooms/{room}"), &fields, text))
    };
    let key = "Idempotency-Key: \"4c2a6a60-58a3-4dd8-9a5b-2a1b9b7f0c11\"";
    let receipt = posts("a", &[key], "once").tells(202);
    assert_eq!(bob.hears("once")["id"], receipt["id"]);
    // The quotes make no difference.
    for again in [key, &key.replace('"', "")] {
        let known = posts("a", &[again], "once").tells(200);
        assert_eq!(known, json!({"heard": 0, "id": receipt["id"]}));
    }
    // Another room, another user, and another key are another message.
    assert_eq!(posts("b", &[key], "elsewhere").status, 202);
    assert_eq!(posts("a", &[key, &ada.bearer()], "by Ada").status, 202);
    bob.hears("by Ada");
    assert_eq!(posts("a", &[&key.replace("4c2a", "4c2b")], "another").status, 202);
    bob.hears("another");
    let long = format!("Idempotency-Key: {}", "x".repeat(256));
    for bad in ["Idempotency-Key: short", "Idempotency-Key: with a space inside", &long] {
        posts("a", &[bad], "refused").has_a_problem(400);
    }
    posts("a", &[], "marker");
    bob.hears("marker");
}

#[test]
fn a_script_shows_a_file() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    let posts = |fields: &[&str], body: &[u8]| {
        server.is_visited().asks(request("POST", "/rooms/a", fields, body))
    };
    let png = "Content-Type: image/png";
    let cat = "Content-Disposition: attachment; filename=\"cat.png\"";
    assert_eq!(posts(&[png, cat], b"\x89PNG").status, 202);
    let file = ada.sees(b"\x89PNG");
    assert_eq!((&file["name"], &file["media_type"]), (&json!("cat.png"), &json!("image/png")));
    // A name makes a file of a text too. What curl says of every body is not the file's type.
    for (kind, media_type) in [
        ("Content-Type: text/plain; charset=utf-8", "text/plain"),
        ("Content-Type: application/x-www-form-urlencoded", ""),
    ] {
        let kitten = "content-disposition: inline; filename*=UTF-8''K%C3%A4tzchen.txt";
        assert_eq!(posts(&[kind, kitten], b"\xff").status, 202);
        let file = ada.sees(b"\xff");
        let said = (&file["name"], &file["media_type"]);
        assert_eq!(said, (&json!("K\u{e4}tzchen.txt"), &json!(media_type)));
    }
    let kept = server.get("/rooms/a/messages").tells(200);
    assert_eq!(kept["messages"][2]["name"], "K\u{e4}tzchen.txt");
    // Without a name it is what its type says.
    assert_eq!(
        posts(&["Content-Type: text/plain", "Content-Disposition: inline"], b"hi").status,
        202
    );
    ada.hears("hi");
    let named = |length: usize| format!("Content-Disposition: x; filename={}", "n".repeat(length));
    assert_eq!(posts(&[png, &named(255)], b"long").status, 202);
    ada.sees(b"long");
    for bad in [
        &named(256),
        "Content-Disposition: attachment; filename=\"cat.png",
        "Content-Disposition: filename=cat.png",
        "Content-Disposition: attachment; filename*=UTF-8''%FF",
        "Content-Disposition:",
    ] {
        posts(&[png, bad], b"a").has_a_problem(400);
    }
    posts(&[&format!("Content-Type: image/{}", "x".repeat(250))], b"a").has_a_problem(400);
    posts(&["Content-Type: multipart/mixed", cat], b"a").has_a_problem(415);
    // These cannot be passed on, and without them the file would have no name.
    for lines in [&[cat, cat][..], &["Content-Disposition: attachment; filename=\"K\u{e4}tzchen\""]]
    {
        posts(lines, b"a").has_a_problem(400);
    }
    posts(&["Content-Type: text/plain"], b"nothing of that");
    ada.hears("nothing of that");
}

#[test]
fn posts_from_one_address_obey_max_rate() {
    let server = Server::with(&["--max-rate", "1"]);
    let mut ada = server.joins("a");
    let mut taken = 0;
    // On a slow machine the second message may come in another second.
    until("a refusal", || {
        let answer = posts(&server, "a", "text/plain", taken.to_string().as_bytes());
        if answer.status == 202 {
            taken += 1;
            return false;
        }
        answer.has_a_problem(429);
        assert_eq!(answer.field("Retry-After"), Some("1"));
        true
    });
    // Who is refused is not heard, and comes through again.
    (0..taken).for_each(|number| ada.hears(&number.to_string()));
    until("another second", || posts(&server, "a", "text/plain", b"again").status == 202);
    ada.hears_nothing_before("again");
}

#[test]
fn without_max_rate_posts_are_not_counted() {
    let server = Server::start();
    (0..50).for_each(|_| assert_eq!(posts(&server, "a", "text/plain", b"hello").status, 202));
}

#[test]
fn a_bad_post_is_refused() {
    let server = Server::start();
    posts(&server, "a", "text/plain", b"\xff").has_a_problem(400);
    posts(&server, "a%20b", "text/plain", b"a").has_a_problem(400);
    posts(&server, "a", "multipart/form-data; boundary=x", b"--x").has_a_problem(415);
    posts(&server, "a", "text/plain", &vec![b'x'; (1 << 20) + 1]).has_a_problem(413);
    let foreign = "POST /rooms/a HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\
        Content-Type: text/plain\r\nContent-Length: 1\r\n\r\na";
    server.is_visited().asks(foreign).has_a_problem(403);
    for (method, path, allow) in [
        ("DELETE", "/rooms", "GET, HEAD"),
        ("DELETE", "/rooms/a", "GET, HEAD, POST, PUT"),
        ("POST", "/rooms/a/messages", "GET, HEAD, DELETE"),
        ("POST", "/rooms/a/members", "GET, HEAD"),
        ("PUT", "/rooms/a/messages/1", "GET, HEAD, DELETE"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = server.is_visited().asks(request);
        assert_eq!(answer.has_a_problem(405).field("Allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn what_was_said_can_be_read() {
    let server = Server::start();
    let (mut ada, welcome) = V1::joins(&server, "a");
    ada.says("one");
    ada.shows("cat.png", "image/png", b"\x00cat");
    ada.says("three");
    let (one, cat, three) = (ada.hears("one"), ada.sees(b"\x00cat"), ada.hears("three"));
    let all = server.get("/rooms/a/messages").tells(200);
    assert_eq!((&all["room"], &all["complete"]), (&json!("a"), &json!(true)));
    assert_eq!(all["last"], three["id"]);
    let messages = all["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!((&messages[0]["text"], &messages[0]["id"]), (&json!("one"), &one["id"]));
    assert_eq!(messages[0]["from"]["name"], welcome["you"]["name"]);
    assert_eq!(messages[1]["base64"], "AGNhdA==");
    assert_eq!(messages[1]["media_type"], "image/png");
    let since = format!("/rooms/a/messages?since={}&limit=1", one["id"]);
    let some = server.get(&since).tells(200);
    assert_eq!(some["messages"].as_array().unwrap().len(), 1);
    assert_eq!(some["messages"][0]["id"], cat["id"]);
    // The bytes themselves, never as something that a browser would run.
    let raw = server.get(&format!("/rooms/a/messages/{}", cat["id"]));
    assert_eq!((raw.status, raw.body.as_str()), (200, "\0cat"));
    assert_eq!(raw.field("Content-Type"), Some("application/octet-stream"));
    assert_eq!(raw.field("Content-Disposition"), Some("attachment"));
    raw.is_sound();
    let raw = server.get(&format!("/rooms/a/messages/{}", one["id"]));
    assert_eq!((raw.status, raw.body.as_str()), (200, "one"));
    server.get(&format!("/rooms/b/messages/{}", one["id"])).has_a_problem(404);
    assert_eq!(server.get("/rooms/b/messages").tells(200)["messages"], json!([]));
    for bad in ["a/messages?since=x", "a/messages?limit=0", "a/messages?limit=1001", "a/messages/x"]
    {
        server.get(&format!("/rooms/{bad}")).has_a_problem(400);
    }
}

/// The ids on a page, `more` and `complete`.
fn page(server: &Server, query: &str) -> (Vec<i64>, bool, bool) {
    let page = server.get(&format!("/rooms/a/messages{query}")).tells(200);
    let messages = page["messages"].as_array().unwrap();
    let ids = messages.iter().map(|message| message["id"].as_i64().unwrap()).collect();
    (ids, page["more"] == true, page["complete"] == true)
}

/// The ids of so many posted messages.
fn talks(server: &Server, count: usize) -> Vec<i64> {
    let post = |number: usize| posts(server, "a", "text/plain", number.to_string().as_bytes());
    (0..count).map(|number| post(number).tells(202)["id"].as_i64().unwrap()).collect()
}

#[test]
fn the_newest_messages_are_read_first_and_then_older_ones() {
    let server = Server::with(&["--history", "1000"]);
    let ids = talks(&server, 250);
    assert_eq!(page(&server, ""), (ids[150..].to_vec(), true, true));
    assert_eq!(page(&server, "?limit=3"), (ids[247..].to_vec(), true, true));
    assert_eq!(page(&server, "?limit=250"), (ids.clone(), false, true));
    let (mut all, mut query) = (Vec::new(), "?limit=60".to_owned());
    loop {
        let (ids, more, complete) = page(&server, &query);
        assert!(complete && ids.is_sorted(), "{query}: {ids:?}");
        query = format!("?limit=60&before={}", ids[0]);
        all.splice(0..0, ids);
        if !more {
            break;
        }
    }
    assert_eq!(all, ids);
    assert_eq!(page(&server, &format!("?before={}", ids[0])), (vec![], false, true));
    assert_eq!(page(&server, "?before=0"), (vec![], false, true));
    assert_eq!(page(&server, &format!("?limit=1&before={}", i64::MAX)).0, ids[249..]);
}

#[test]
fn messages_between_two_ids_are_read_oldest_first() {
    let server = Server::start();
    let ids = talks(&server, 9);
    let between = |since: i64, before: i64, limit: usize| {
        page(&server, &format!("?since={since}&before={before}&limit={limit}"))
    };
    assert_eq!(between(ids[2], ids[6], 100), (ids[3..6].to_vec(), false, true));
    assert_eq!(between(ids[2], ids[6], 2), (ids[3..5].to_vec(), true, true));
    assert_eq!(between(0, ids[8] + 1, 100), (ids.clone(), false, true));
    assert_eq!(between(ids[2], ids[3], 100), (vec![], false, true));
    assert_eq!(between(ids[6], ids[2], 100), (vec![], false, true));
    // With `since` alone they go on to the newest one.
    assert_eq!(page(&server, "?since=0&limit=4"), (ids[..4].to_vec(), true, true));
    assert_eq!(page(&server, &format!("?since={}", ids[3])), (ids[4..].to_vec(), false, true));
    for bad in ["before=x", "before=-1", "before=", "since=1&before=1.5"] {
        server.get(&format!("/rooms/a/messages?{bad}")).has_a_problem(400);
    }
}

/// A request looks at `limit` messages, and the next one goes on where it has stopped.
#[test]
fn what_is_kept_can_be_searched() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    let post = |text: &str| posts(&server, "a", "text/plain", text.as_bytes()).tells(202);
    let first = post("Gr\u{fc}\u{df}e, 50% & more")["id"].clone();
    post("nothing of the kind");
    ada.shows("GR\u{dc}\u{df}E.png", "image/png", b"cat");
    ada.hears("Gr\u{fc}\u{df}e, 50% & more");
    ada.hears("nothing of the kind");
    let file = ada.sees(b"cat")["id"].clone();
    let search = |query: &str| {
        let page = server.get(&format!("/rooms/a/messages?{query}")).tells(200);
        let found = page["messages"].as_array().unwrap().iter().map(|it| it["id"].clone());
        (found.collect::<Vec<_>>(), page["more"] == true, page["next"].clone())
    };
    let found = vec![first.clone(), file.clone()];
    assert_eq!(search("q=gr%C3%BC%C3%9Fe"), (found.clone(), false, json!(null)));
    assert_eq!(search("since=0&q=GR%C3%9C%C3%9FE").0, found);
    assert_eq!(search("q=50%25+%26").0, [first.clone()]);
    assert_eq!(search("q=dog"), (vec![], false, json!(null)));
    assert_eq!(search("q=").0.len(), 3);
    // The newest message alone is looked at, and has it not.
    let newest = post("dog")["id"].clone();
    assert_eq!(search("q=e&limit=1"), (vec![], true, newest.clone()));
    assert_eq!(search(&format!("q=e&limit=1&before={newest}")), (vec![file.clone()], true, file));
    assert_eq!(search("q=50&since=0&limit=2"), (vec![first.clone()], true, search("limit=3").2));
}

/// Wherever the page is: what counts is whether the history reaches back to `since`.
#[test]
fn a_history_says_how_far_it_reaches_back() {
    let server = Server::with(&["--history", "5"]);
    let ids = talks(&server, 8);
    assert_eq!(page(&server, ""), (ids[3..].to_vec(), false, false));
    assert_eq!(page(&server, "?limit=2"), (ids[6..].to_vec(), true, false));
    assert_eq!(page(&server, &format!("?before={}", ids[5])), (ids[3..5].to_vec(), false, false));
    assert_eq!(page(&server, &format!("?before={}", ids[2])), (vec![], false, false));
    assert_eq!(page(&server, "?since=0&limit=2"), (ids[3..5].to_vec(), true, false));
    for (number, complete) in [(1, false), (2, true), (3, true), (7, true)] {
        assert_eq!(page(&server, &format!("?since={}", ids[number])).2, complete, "{number}");
    }
}

#[test]
fn rooms_are_listed_with_who_is_there_and_what_is_kept() {
    let server = Server::start();
    assert_eq!(server.get("/rooms").tells(200), json!({"rooms": []}));
    let mut ada = server.joins("b");
    let _bob = server.joins("b");
    let _silent = server.joins("c");
    ada.says("hello");
    ada.hears("hello");
    let posted = posts(&server, "a", "text/plain", b"nobody is here");
    let last = &posted.tells(202)["id"];
    let all = server.get("/rooms").tells(200);
    let rooms = all["rooms"].as_array().unwrap();
    assert_eq!(rooms[0], json!({"name": "a", "members": 0, "last": last}));
    assert_eq!((&rooms[1]["name"], &rooms[1]["members"]), (&json!("b"), &json!(2)));
    assert!(rooms[1]["last"].as_i64() > Some(0) && rooms[1]["last"].as_i64() < last.as_i64());
    assert_eq!(rooms[2], json!({"name": "c", "members": 1, "last": 0}));
    // Page by page, nobody twice.
    let (mut names, mut path) = (Vec::new(), "/rooms?limit=1".to_owned());
    loop {
        let page = server.get(&path).tells(200);
        names.push(page["rooms"][0]["name"].as_str().unwrap().to_owned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/rooms?limit=1&after={next}");
    }
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn the_members_of_a_room_are_listed() {
    let server = Server::start();
    let nobody = json!({"room": "a", "count": 0, "members": []});
    assert_eq!(server.get("/rooms/a/members").tells(200), nobody);
    let person = server.enters("Ada");
    let (_bob, bob) = V1::joins(&server, "a");
    let (_ada, ada) = V1::joins_with(&server, "/ws/a", &person.bearer());
    let mut eve = server.joins("a");
    let _elsewhere = server.joins("b");
    eve.says("I am here");
    eve.hears("I am here");
    let all = server.get("/rooms/a/members").tells(200);
    assert_eq!((&all["room"], &all["count"], all.get("next")), (&json!("a"), &json!(3), None));
    let members = all["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0], &members[1]), (3, &bob["you"], &ada["you"]));
    assert!(members[2]["name"].as_str().unwrap().starts_with("guest-"), "{all}");
    // Whoever leaves is not there any more, and whoever is renamed is called so.
    server.renames(&person, "Ada L.");
    eve.leaves();
    until("two members", || server.get("/rooms/a/members").tells(200)["count"] == 2);
    let all = server.get("/rooms/a/members").tells(200);
    assert_eq!(all["members"][1]["name"], "Ada L.");
    for bad in ["limit=0", "limit=1001", "limit=x", "after=x", "after=-1"] {
        server.get(&format!("/rooms/a/members?{bad}")).has_a_problem(400);
    }
    server.get("/rooms/a%20b/members").has_a_problem(400);
}

#[test]
fn the_members_of_a_crowd_are_listed_page_by_page() {
    let server = Server::start();
    // More than a welcome names.
    let crowd: Vec<_> = (0..250).map(|_| server.joins("a")).collect();
    let (mut ids, mut path) = (Vec::new(), "/rooms/a/members".to_owned());
    loop {
        let page = server.get(&path).tells(200);
        let members = page["members"].as_array().unwrap();
        assert_eq!(page["count"], crowd.len());
        ids.extend(members.iter().map(|member| member["id"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        assert_eq!((members.len(), Some(&next)), (100, ids.last()));
        path = format!("/rooms/a/members?after={next}");
    }
    assert_eq!(ids.len(), crowd.len());
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}
