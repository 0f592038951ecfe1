//! The owner watches the server: over a WebSocket, by the admin token alone, once a second, in bounded lists.

mod support;

use serde_json::{Value, json};
use support::school::{OWNER, School, Who};
use support::{Client, OWNED, Program, Server, Visitor, Watcher, masked};

/// The rows of a list in a snapshot.
fn rows<'a>(snapshot: &'a Value, what: &str) -> &'a Vec<Value> {
    snapshot[what]["list"].as_array().expect("a list")
}

/// The count of a list, and the number of its rows.
fn lengths(snapshot: &Value, what: &str) -> (u64, usize) {
    (snapshot[what]["count"].as_u64().expect("a count"), rows(snapshot, what).len())
}

#[test]
fn the_owner_sees_who_is_where() {
    let school = School::opens();
    let (bob, welcome) = school.is_joined_by(Who::User, "");
    let mut guest = school.server.joins("lobby");
    let mut owner = school.server.is_watched_with(OWNER);
    let seen = owner.sees_that("both", |seen| lengths(seen, "clients") == (2, 2));
    assert_eq!(lengths(&seen, "rooms"), (2, 2), "{seen}");
    assert!(rows(&seen, "rooms").contains(&json!({"room": "physics", "members": 1})), "{seen}");
    assert_eq!((&seen["users"], &seen["roomless"]), (&json!(1), &json!(1)), "{seen}");
    let row = rows(&seen, "clients").iter().find(|row| row["room"] == "physics");
    let mut row = row.expect("Bob is in physics").clone();
    assert!(row["seconds"].take().is_u64(), "{row}");
    let expected = json!({
        "room": "physics", "member": welcome["you"]["id"], "name": "Bob", "user": school.bob.id,
        "address": "127.0.0.1", "seconds": null, "waiting": 0,
    });
    assert_eq!(row, expected);
    // What is said and sent is counted.
    guest.says("hello");
    guest.hears("hello");
    let more = owner.sees_that("a message", |now| now["messages"] != seen["messages"]);
    for what in ["messages", "deliveries"] {
        assert_eq!(more[what].as_u64(), seen[what].as_u64().map(|count| count + 1), "{what}");
    }
    let bytes = |seen: &Value| seen["bytes"].as_u64().expect("bytes");
    assert!(bytes(&more) >= bytes(&seen) + "hello".len() as u64, "{more}");
    assert!(more["at"].as_u64() > seen["at"].as_u64(), "{more}");
    bob.client.leaves();
    guest.leaves();
    owner.sees_that("nobody", |seen| lengths(seen, "clients") == (0, 0));
}

#[test]
fn only_the_admin_token_lets_watch() {
    let school = School::opens();
    for token in ["", "the-token-of-somebody-else", &school.ada.key, &school.bob.key] {
        let mut other = school.server.is_watched_with(token);
        assert_eq!(other.client.is_told(1008), "this is not the admin token", "{token:?}");
    }
    let first = json!({"type": "token", "token": OWNER}).to_string();
    for wrong in ["", "{}", OWNER, r#"{"type":"token"}"#, r#"{"type":"hello","token":"x"}"#] {
        let mut other = Client::over(school.server.connects(), "/owner");
        other.says(wrong);
        assert!(other.is_told(1008).contains("the first message is"), "{wrong:?}");
    }
    let mut other = Client::over(school.server.connects(), "/owner");
    other.shows(first.as_bytes());
    assert!(other.is_told(1008).contains("the first message is"));
    // Neither the query nor a field counts, so nobody is tempted to write it where it is logged.
    let path = format!("/owner?token={OWNER}");
    let field = format!("Authorization: Bearer {OWNER}");
    let (mut other, _) = Client::offering_with(school.server.connects(), &path, &[], Some(&field));
    other.says("{}");
    assert!(other.is_told(1008).contains("the first message is"));
    school.server.is_watched_with(OWNER).sees();
}

#[test]
fn a_server_without_an_admin_token_is_watched_by_nobody() {
    let server = Server::start();
    for token in ["", OWNER] {
        let mut other = server.is_watched_with(token);
        assert!(other.client.is_told(1008).contains("--admin-token"), "{token:?}");
    }
}

#[test]
fn whoever_sends_no_token_is_ended() {
    let server = Server::with(&OWNED);
    let mut other = Client::over(server.connects(), "/owner");
    assert!(other.is_told(1008).contains("within 10 s"));
}

#[test]
fn after_too_many_wrong_tokens_none_of_this_address_is_looked_at() {
    let server = Server::with(&OWNED);
    for _ in 0..60 {
        server.is_watched_with("the-token-of-somebody-else").client.is_told(1008);
    }
    let mut owner = server.is_watched_with(OWNER);
    assert!(owner.client.is_told(1008).contains("too many wrong tokens"));
}

#[test]
fn where_a_token_is_needed_to_come_in_the_admin_token_is_enough() {
    let server = Server::with(&[&OWNED[..], &["--token", "the-token-of-the-class"]].concat());
    server.is_watched_with(OWNER).sees();
    let mut pupil = server.is_watched_with("the-token-of-the-class");
    assert_eq!(pupil.client.is_told(1008), "this is not the admin token");
}

#[test]
fn four_watch_at_a_time() {
    let server = Server::with(&OWNED);
    let mut owners = Vec::from_iter((0..4).map(|_| server.is_watched_with(OWNER)));
    owners.iter_mut().for_each(|owner| drop(owner.sees()));
    let mut fifth = server.is_watched_with(OWNER);
    assert_eq!(fifth.client.is_told(1013), "four owners watch already");
    owners.pop().expect("four").client.leaves();
    server.comes_to_have(3, "clients");
    server.is_watched_with(OWNER).sees();
}

#[test]
fn the_lists_are_bounded_and_begin_with_those_who_matter() {
    let server = Server::with(&OWNED);
    // A room of two, among many of one; and one who is behind, among many who are not.
    let crowd = Vec::from_iter((0..205).map(|number| server.joins(&format!("room-{number}"))));
    let mut bob = server.joins("large");
    let slow = Client::over(server.connects(), "/ws/large?slow=100");
    bob.says(&"x".repeat(10_000));
    let mut owner = server.is_watched_with(OWNER);
    let is_behind = |seen: &Value| rows(seen, "clients")[0]["waiting"].as_u64() > Some(0);
    let all = |seen: &Value| lengths(seen, "clients") == (207, 200) && is_behind(seen);
    let seen = owner.sees_that("all", all);
    assert_eq!(lengths(&seen, "rooms"), (206, 200), "{seen}");
    assert_eq!(rows(&seen, "rooms")[0], json!({"room": "large", "members": 2}));
    assert_eq!(rows(&seen, "clients")[0]["room"], "large");
    drop((crowd, slow));
}

#[test]
fn the_owner_only_listens() {
    let server = Server::with(&OWNED);
    for said in ["hello", &"x".repeat(1000)] {
        let mut owner = server.is_watched_with(OWNER);
        owner.sees();
        owner.client.says(said);
        assert!(owner.client.is_told(1008).contains("only listens"));
    }
    let mut owner = server.is_watched_with(OWNER);
    owner.client.says(&"x".repeat(2000));
    owner.client.is_told(1009);
}

#[test]
fn an_owner_who_does_not_answer_is_ended() {
    let server = Server::with(&[&OWNED[..], &["--idle-timeout", "1s"]].concat());
    let mut owner = server.is_watched_with(OWNER);
    // tungstenite answers the pings, and nothing else comes from here.
    (0..6).for_each(|_| drop(owner.sees()));
    let mut silent = Visitor::over(server.connects());
    silent.upgrades("/owner");
    silent.sends(masked(0x81, json!({"type": "token", "token": OWNER}).to_string().as_bytes()));
    assert_eq!(silent.reads_a_close().0, 4002);
}

#[test]
fn a_server_that_stops_tells_its_owner() {
    let server = Server::with(&OWNED);
    let mut owner = server.is_watched_with(OWNER);
    owner.sees();
    let stopping = std::thread::spawn(move || server.stops());
    owner.client.is_told(1001);
    stopping.join().unwrap();
}

#[test]
fn the_owner_reads_the_last_warnings_and_none_can_be_forged() {
    let program = Program::start(&OWNED);
    let connects = || program.connects("/owner");
    Watcher::with(connects(), "wrong").client.is_told(1008);
    let mut owner = Watcher::with(connects(), OWNER);
    let seen = owner.sees();
    let [warning] = &seen["warnings"].as_array().expect("a list")[..] else { panic!("{seen}") };
    let warning = warning.as_str().expect("a line");
    assert!(warning.contains(" [WARN] (client) 127.0.0.1:"), "{warning}");
    assert!(warning.ends_with(" has sent a wrong admin token"), "{warning}");
    // Many of them: as many as are remembered, and fewer lines than were asked for.
    for _ in 0..55 {
        Watcher::with(connects(), "wrong").client.is_told(1008);
    }
    let lines = owner.sees()["warnings"].as_array().expect("a list").len();
    assert!((1..=50).contains(&lines), "{lines}");
    // What is no warning is not among them, whatever a client says in its request.
    let forged = "GET /[WARN]%20forged HTTP/1.1\r\nHost: x\r\nX: a\u{1}\r\n[WARN] forged\r\n\r\n";
    program.is_visited().asks(forged);
    let forged = |line: &Value| line.as_str().expect("a line").contains("forged");
    assert!(!owner.sees()["warnings"].as_array().expect("a list").iter().any(forged));
}
