//! A client that brings a session is known when it comes back: it has one connection at a time, it is
//! the same member, and what it sends again is not heard again.

mod support;

use serde_json::{Value, json};
use support::{Client, Person, Program, Server, V1, Way, handshake};
use tungstenite::Message;

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

/// Joins a room with a session.
fn joins(server: &Server, room: &str, session: &str) -> (V1, Value) {
    V1::comes_back(server, &format!("/ws/{room}?session={session}"))
}

fn joins_as(server: &Server, person: &Person, session: &str) -> (V1, Value) {
    V1::joins_with(server, &format!("/ws/a?session={session}"), &person.bearer())
}

#[test]
fn rule_8_a_session_that_comes_back_ends_its_old_connection() {
    let server = Server::start();
    let (mut old, first) = joins(&server, "a", ADA);
    let (mut bob, _) = V1::joins(&server, "a");
    let (mut new, second) = joins(&server, "a", ADA);
    old.client.is_told(4001);
    assert_eq!(first["you"], second["you"], "the same member");
    new.says("it is me");
    let heard = bob.hears("it is me");
    assert_eq!(heard["from"]["id"], first["you"]["id"]);
    server.comes_to_have(2, "clients");
}

#[test]
fn rule_8_what_the_old_connection_still_says_is_dropped() {
    let server = Server::start();
    let mut bob = server.joins("a");
    let mut old = server.is_visited();
    old.upgrades(&format!("/ws/a?session={ADA}"));
    let (mut new, _) = joins(&server, "a", ADA);
    old.sends(support::masked(0x81, b"too late"));
    new.says("in time");
    bob.hears("in time");
    new.says("marker");
    bob.hears("marker");
    assert_eq!(old.reads_a_close().0, 4001);
}

#[test]
fn rule_10_a_short_break_of_the_line_is_no_news() {
    let server = Server::start();
    let (mut bob, _) = V1::joins(&server, "a");
    bob.hears_the_past();
    let (ada, first) = joins(&server, "a", ADA);
    assert_eq!(bob.next()["type"], "joined");
    ada.client.vanishes();
    // Nobody can tell from outside when the server has noticed. If it has not, this ends the old one.
    let (mut ada, second) = joins(&server, "a", ADA);
    assert_eq!(first["you"], second["you"]);
    assert_eq!(second["count"], 2);
    ada.says("back");
    assert_eq!(bob.next()["text"], "back", "no news before");
}

#[test]
fn rule_9_who_is_away_counts_as_present() {
    let server = Server::start();
    let (ada, first) = joins(&server, "a", ADA);
    ada.client.vanishes();
    server.comes_to_have(0, "clients");
    assert_eq!(server.count_of("rooms"), 1);
    let (_bob, welcome) = V1::joins(&server, "a");
    assert_eq!(welcome["count"], 2);
    assert!(welcome["members"].as_array().unwrap().contains(&first["you"]), "{welcome}");
}

#[test]
fn rule_9_and_11_who_does_not_come_back_has_left() {
    let server = Server::start();
    let (mut bob, _) = V1::joins(&server, "a");
    bob.hears_the_past();
    let (ada, first) = joins(&server, "a", ADA);
    ada.client.vanishes();
    assert_eq!(bob.next()["type"], "joined");
    let left = bob.next();
    assert_eq!(left, json!({"type": "left", "members": [first["you"]["id"]], "count": 1}));
    // Later it is somebody new, by the same name.
    let (_ada, again) = joins(&server, "a", ADA);
    assert_ne!(again["you"]["id"], first["you"]["id"]);
    assert_eq!(again["you"]["name"], first["you"]["name"]);
}

#[test]
fn rule_9_a_close_is_told_at_once() {
    let server = Server::start();
    let (mut bob, _) = V1::joins(&server, "a");
    bob.hears_the_past();
    let (ada, first) = joins(&server, "a", ADA);
    ada.client.leaves();
    assert_eq!(bob.next()["type"], "joined");
    assert_eq!(bob.next()["members"], json!([first["you"]["id"]]));
    // A seat that was kept would be ten seconds of `count: 2`.
    assert_eq!(V1::joins(&server, "a").1["count"], 2, "bob and this one");
}

#[test]
fn rule_11_a_guest_has_one_name_in_all_rooms() {
    let server = Server::start();
    let (ada, first) = joins(&server, "a", ADA);
    ada.client.leaves();
    let (ada, second) = joins(&server, "b", ADA);
    assert_eq!(second["you"]["name"], first["you"]["name"]);
    // Moving without a word: it has left the other room all the same.
    let (mut bob, _) = V1::joins(&server, "b");
    bob.hears_the_past();
    let (mut moved, third) = joins(&server, "c", ADA);
    assert_eq!(third["you"]["name"], first["you"]["name"]);
    bob.hears_of_somebody("left", |id| *id == second["you"]["id"]);
    moved.says("here");
    moved.hears("here");
    drop(ada);
}

#[test]
fn rule_10_and_12_a_guest_who_takes_a_name_is_renamed() {
    let server = Server::start();
    let (mut bob, _) = V1::joins(&server, "a");
    bob.hears_the_past();
    let (mut ada, guest) = joins(&server, "a", ADA);
    ada.says_with_ref("once", "1");
    ada.hears("once");
    bob.hears("once");
    let person = server.enters("Ada");
    let (mut ada, user) = joins_as(&server, &person, ADA);
    assert_eq!(user["you"]["id"], guest["you"]["id"]);
    let renamed = loop {
        let event = bob.next();
        assert_ne!(event["type"], "left", "{event}");
        if event["type"] == "renamed" {
            break event;
        }
    };
    assert_eq!(renamed["members"], json!([user["you"]]));
    // What she said as a guest is known.
    ada.says_with_ref("once", "1");
    assert_eq!(ada.hears_of("kept")["ref"], "1");
}

#[test]
fn rule_12_a_users_session_is_nobody_elses() {
    let server = Server::start();
    let (person, other) = (server.enters("Ada"), server.enters("Bob"));
    let (mut ada, mine) = joins_as(&server, &person, ADA);
    ada.says_with_ref("mine", "1");
    ada.hears("mine");
    // With another key, or without one, the same characters end nothing and know nothing.
    for key in [Some(&other), None] {
        let (mut one, welcome) = match key {
            Some(person) => joins_as(&server, person, ADA),
            None => joins(&server, "a", ADA),
        };
        assert_ne!(welcome["you"]["id"], mine["you"]["id"]);
        one.says_with_ref("another's", "1");
        assert_eq!(one.hears("another's")["ref"], "1");
        ada.hears("another's");
    }
    ada.says("still here");
    ada.hears("still here");
}

#[test]
fn rule_17_a_message_that_is_sent_again_is_heard_once() {
    for options in [&[][..], &["--history", "3"]] {
        let server = Server::with(options);
        let (mut bob, _) = V1::joins(&server, "a");
        let (mut ada, _) = joins(&server, "a", ADA);
        ada.says_with_ref("once", "1");
        let id = ada.hears("once")["id"].clone();
        for _ in 0..3 {
            ada.says_with_ref("once", "1");
            assert_eq!(ada.hears_of("kept"), json!({"type": "kept", "ref": "1", "id": id}));
        }
        // After a break too, and within one turn.
        ada.client.vanishes();
        let (mut ada, _) = joins(&server, "a", ADA);
        for _ in 0..50 {
            ada.says_with_ref("once", "1");
            ada.says_with_ref("twice?", "2");
        }
        let mut heard = 0;
        for _ in 0..100 {
            let event = loop {
                let event = ada.next();
                if ["message", "kept"].iter().any(|kind| event["type"] == *kind) {
                    break event;
                }
            };
            heard += usize::from(event["type"] == "message");
        }
        assert_eq!(heard, 1, "the second one, once");
        bob.hears("once");
        bob.hears("twice?");
        ada.says("marker");
        bob.hears("marker");
    }
}

#[test]
fn rule_17_a_ref_belongs_to_its_session_and_its_room() {
    let server = Server::start();
    let (mut ada, _) = joins(&server, "a", ADA);
    let (mut bob, _) = joins(&server, "a", BOB);
    for speaker in [&mut ada, &mut bob] {
        speaker.says_with_ref("the same text", "1");
    }
    for listener in [&mut ada, &mut bob] {
        let (one, two) = (listener.hears("the same text"), listener.hears("the same text"));
        assert_ne!(one["id"], two["id"], "two devices may say the same");
    }
    let (mut ada, _) = joins(&server, "b", ADA);
    ada.says_with_ref("elsewhere", "1");
    ada.hears("elsewhere");
    // Without a session nothing is remembered.
    let (mut eve, _) = V1::joins(&server, "b");
    for _ in 0..2 {
        eve.says_with_ref("again", "1");
        assert_eq!(eve.hears("again")["ref"], "1");
        ada.hears("again");
    }
}

#[test]
fn rule_18_ones_own_messages_have_their_ref_in_the_past_too() {
    let server = Server::start();
    let (mut ada, _) = joins(&server, "a", ADA);
    let (mut bob, _) = joins(&server, "a", BOB);
    ada.says_with_ref("mine", "1");
    ada.shows_as(&json!({"type": "binary", "ref": "2"}), b"mine too");
    bob.hears("mine");
    bob.sees(b"mine too");
    bob.says_with_ref("not mine", "1");
    bob.hears("not mine");
    let (mut ada, _) = V1::comes_back(&server, &format!("/ws/a?since=0&session={ADA}"));
    let (past, _) = ada.hears_the_past();
    let refs: Vec<_> = past.iter().map(|message| message.get("ref").cloned()).collect();
    assert_eq!(refs, [Some(json!("1")), Some(json!("2")), None]);
}

#[test]
fn rule_19_a_ref_is_forgotten_with_its_message() {
    let server = Server::with(&["--history", "2"]);
    let (mut ada, _) = joins(&server, "a", ADA);
    for number in 0..3 {
        ada.says_with_ref(&number.to_string(), &number.to_string());
        ada.hears(&number.to_string());
    }
    ada.says_with_ref("2", "2");
    ada.hears_of("kept");
    ada.says_with_ref("0", "0");
    ada.hears("0");
}

#[test]
fn without_a_history_nothing_is_remembered_and_clients_are_told() {
    let server = Server::with(&["--history", "0"]);
    let (mut ada, welcome) = joins(&server, "a", ADA);
    assert_eq!(welcome["history"], 0);
    for _ in 0..2 {
        ada.says_with_ref("sent", "1");
        assert_eq!(ada.hears("sent")["ref"], "1");
    }
    assert_eq!(joins(&Server::start(), "a", ADA).1["history"], 100);
}

#[test]
fn rule_7_a_session_is_made_of_characters_that_need_no_escape() {
    let server = Server::start();
    let long = "x".repeat(65);
    for bad in ["", "short", "0123456789abcde", "0123456789abcde%20", &long] {
        let request = handshake(&format!("/ws/a?session={bad}"));
        server.is_visited().asks(request).refuses_with(400);
    }
    // A plain client may have one too: it has one connection at a time.
    let mut old = Client::over(server.connects(), &format!("/ws/a?session={}", "x".repeat(64)));
    let _new = Client::over(server.connects(), &format!("/ws/a?session={}", "x".repeat(64)));
    old.is_told(4001);
}

#[test]
fn rule_6_an_unknown_key_is_told_in_the_welcome() {
    let server = Server::start();
    let nobody = "Authorization: Bearer nobody";
    let (mut ada, welcome) = V1::joins_with(&server, "/ws/a", nobody);
    assert_eq!(welcome["key"], "unknown");
    assert!(welcome["you"].get("user").is_none());
    ada.says("as a guest");
    ada.hears("as a guest");
    assert!(V1::joins(&server, "a").1.get("key").is_none());
    let person = server.enters("Ada");
    assert!(V1::joins_with(&server, "/ws/a", &person.bearer()).1.get("key").is_none());
}

#[test]
fn a_file_remembers_what_was_sent_over_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let program = Program::start_plainly(&["-q", "--data", &file]);
        let path = format!("/ws/a?last=9&session={ADA}");
        let (mut ada, _) = V1::over(Way::Plain.connects(program.address()), &path);
        let (past, _) = ada.hears_the_past();
        ada.says_with_ref("once", "1");
        match past.as_slice() {
            [] => ids.push(ada.hears("once")["id"].clone()),
            [message] => {
                assert_eq!(message["ref"], "1");
                ids.push(ada.hears_of("kept")["id"].clone());
            }
            more => panic!("it was said twice: {more:?}"),
        }
    }
    assert_eq!(ids[0], ids[1]);
}

/// Whether a client's message was answered with a Close 1013; else it was heard.
fn is_refused(one: &mut V1) -> bool {
    loop {
        match one.client.socket.read().expect("a message or a Close") {
            Message::Text(event) if event.contains(r#""type":"message""#) => return false,
            Message::Text(_) => {}
            Message::Close(Some(close)) => {
                assert_eq!(u16::from(close.code), 1013, "{close}");
                return true;
            }
            other => panic!("heard {other:?}"),
        }
    }
}

/// What JSON makes longer than the limit is in memory too. All clients together have 16 MiB of it.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn long_escapes_have_a_bound_for_all_together() {
    const CROWD: usize = 40;
    let program = Program::start_plainly(&["-q"]);
    let joins = |room: &str| V1::over(Way::Plain.connects(program.address()), room).0;
    let mut bob = joins("/ws/bob");
    let memory = program.status("VmRSS");
    let event = format!(r#"{{"type":"message","text":"{}"}}"#, r"\u0001".repeat(900_000));
    let mut crowd: Vec<_> = (0..CROWD).map(|room| joins(&format!("/ws/{room}"))).collect();
    let mut refused = 0;
    for one in &mut crowd {
        // The server may close while this is on its way.
        let _ = one.client.socket.send(tungstenite::Message::text(&*event));
        refused += usize::from(is_refused(one));
    }
    assert!((CROWD - 4..CROWD).contains(&refused), "{refused} were refused");
    let more = (program.status("VmHWM") - memory) >> 10;
    assert!(more < 150, "{more} MiB, for {} MB of JSON", CROWD * event.len() / 1_000_000);
    bob.says("undisturbed");
    bob.hears("undisturbed");
}

/// Each time an old connection is ended, and none of them is left over.
#[test]
fn a_session_may_come_back_a_thousand_times() {
    let server = Server::with(&["--max-clients", "256"]);
    let (mut bob, _) = V1::joins(&server, "a");
    bob.hears_the_past();
    let (mut ada, first) = joins(&server, "a", ADA);
    for _ in 0..1000 {
        let (new, welcome) = joins(&server, "a", ADA);
        assert_eq!(welcome["you"], first["you"]);
        std::mem::replace(&mut ada, new).client.vanishes();
    }
    ada.says("at last");
    assert_eq!(bob.next()["type"], "joined");
    assert_eq!(bob.next()["text"], "at last");
    server.comes_to_have(2, "clients");
}
