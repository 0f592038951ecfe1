//! `wsroom.v1`: clients that offer it hear JSON events, with names and numbers; plain clients in
//! the same room hear the same messages bare.

mod support;

use serde_json::json;
use support::{Client, Program, Server, V1, Way};

#[test]
fn rule_1_it_is_chosen_when_it_is_offered() {
    let server = Server::start();
    let offers = |path: &str, offers: &[&str]| Client::offering(server.connects(), path, offers).1;
    assert_eq!(offers("/ws/a", &["wsroom.v1"]).as_deref(), Some("wsroom.v1"));
    assert_eq!(offers("/ws/a", &["chat", "wsroom.v1", "wsroom.v2"]).as_deref(), Some("wsroom.v1"));
}

#[test]
fn a_client_is_welcomed_and_told_who_is_there() {
    let server = Server::start();
    let mut plain = server.joins("physics");
    let (mut ada, welcome) = V1::joins(&server, "physics");
    assert_eq!(welcome["room"], "physics");
    assert_eq!(welcome["count"], 2);
    assert_eq!((&welcome["last"], &welcome["complete"]), (&json!(0), &json!(true)));
    assert_eq!(ada.next(), json!({"type": "live", "last": 0, "complete": true}));
    assert_eq!(welcome["limit"], 1 << 20, "the largest message");
    let you = &welcome["you"];
    assert_eq!(you["name"], format!("guest-{}", you["id"]));
    assert!(you.get("user").is_none(), "a guest has no number in the directory: {you}");
    let members = welcome["members"].as_array().expect("a list");
    assert_eq!(members.len(), 2);
    assert!(members.contains(you), "{welcome}");
    ada.says("hello");
    plain.hears("hello");
}

#[test]
fn both_kinds_hear_each_other() {
    let server = Server::start();
    let mut plain = server.joins("a");
    let (mut ada, welcome) = V1::joins(&server, "a");
    plain.says("bare");
    plain.hears("bare");
    let heard = ada.hears("bare");
    assert!(heard["from"]["name"].as_str().unwrap().starts_with("guest-"));
    assert!(heard.get("ref").is_none(), "{heard}");
    ada.says("dressed \"up\"\n");
    plain.hears("dressed \"up\"\n");
    assert_eq!(ada.hears("dressed \"up\"\n")["from"]["name"], welcome["you"]["name"]);
    plain.shows(b"\x00\xff");
    plain.sees(b"\x00\xff");
    assert_eq!(ada.sees(b"\x00\xff")["name"], "");
    ada.shows("cat.png", "image/png", b"\x89PNG");
    plain.sees(b"\x89PNG");
    let seen = ada.sees(b"\x89PNG");
    assert_eq!((&seen["name"], &seen["media_type"]), (&json!("cat.png"), &json!("image/png")));
}

#[test]
fn a_ref_comes_back_to_its_sender_alone() {
    let server = Server::start();
    let ((mut ada, _), (mut bob, _)) = (V1::joins(&server, "a"), V1::joins(&server, "a"));
    for number in 0..3 {
        ada.does(&json!({"type": "message", "text": "mine", "ref": number.to_string()}));
        bob.says("not mine");
    }
    let mut refs = Vec::new();
    for _ in 0..6 {
        let (one, other) = (ada.hears_of("message"), bob.hears_of("message"));
        assert!(other.get("ref").is_none(), "{other}");
        assert_eq!(one.get("ref").is_some(), one["text"] == "mine", "{one}");
        assert_eq!(one["id"], other["id"], "everyone hears one order");
        refs.extend(one["ref"].as_str().map(str::to_owned));
    }
    assert_eq!(refs, ["0", "1", "2"]);
    ada.shows_as(&json!({"type": "binary", "name": "x", "ref": "file"}), b"x");
    assert_eq!(ada.sees(b"x")["ref"], "file");
    assert!(bob.sees(b"x").get("ref").is_none());
}

#[test]
fn rule_20_ids_increase_and_are_exact_in_a_browser() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    let mut last = 0;
    for number in 0..200 {
        ada.says(&number.to_string());
    }
    for number in 0..200 {
        let heard = ada.hears(&number.to_string());
        let id = heard["id"].as_i64().expect("a whole number");
        assert!(id > last && id < 1 << 53, "{id} after {last}");
        assert!(heard["at"].as_str().unwrap().ends_with('Z'), "{heard}");
        last = id;
    }
}

#[test]
fn rule_42_what_is_wrong_is_told_and_the_client_stays() {
    let server = Server::start();
    let ((mut ada, _), (mut bob, _)) = (V1::joins(&server, "a"), V1::joins(&server, "a"));
    let long = json!({"type": "message", "text": "", "ref": "x".repeat(256)}).to_string();
    for (wrong, code) in [
        ("hello", "bad-json"),
        ("", "bad-json"),
        ("{\"type\":\"message\",", "bad-json"),
        (&"[".repeat(100_000), "bad-event"),
        ("[]", "bad-event"),
        ("null", "bad-event"),
        ("{}", "bad-event"),
        (r#"{"type":"shout","text":"a"}"#, "bad-event"),
        (r#"{"type":"message"}"#, "bad-event"),
        (r#"{"type":"message","text":7}"#, "bad-event"),
        (r#"{"type":"message","text":"a","ref":7}"#, "bad-event"),
        (r#"{"type":"message","text":"a","ref":""}"#, "bad-event"),
        (r#"{"type":"binary","name":"cat.png"}"#, "bad-event"),
        (&long, "bad-event"),
    ] {
        ada.client.says(wrong);
        let error = ada.hears_of("error");
        assert_eq!((&error["code"], &error["retry"]), (&json!(code), &json!(false)), "{wrong:.40}");
        assert!(!error["detail"].as_str().unwrap().is_empty(), "{error}");
    }
    // Bytes need their line.
    ada.client.shows(b"\x89PNG");
    assert_eq!(ada.hears_of("error")["code"], "bad-event");
    ada.says("a marker");
    ada.hears("a marker");
    bob.hears("a marker");
}

#[test]
fn rule_36_and_42_an_error_names_the_message_that_it_is_about() {
    let server = Server::with(&["--max-message-size", "100"]);
    let (mut ada, welcome) = V1::joins(&server, "a");
    assert_eq!(welcome["limit"], 100);
    ada.does(&json!({"type": "message", "text": 7, "ref": "first"}));
    assert_eq!(ada.hears_of("error")["ref"], "first");
    ada.does(&json!({"type": "message", "text": "x".repeat(101), "ref": "second"}));
    let error = ada.hears_of("error");
    assert_eq!((&error["code"], &error["ref"]), (&json!("too-large"), &json!("second")));
    ada.shows_as(&json!({"type": "binary", "ref": "third"}), &[0; 101]);
    let error = ada.hears_of("error");
    assert_eq!((&error["code"], &error["ref"]), (&json!("too-large"), &json!("third")));
    ada.client.says(r#"{"type":"message","ref":"fourth""#);
    assert!(ada.hears_of("error").get("ref").is_none(), "it cannot be read");
    // The limit is for the text as it is. JSON may take six times as many bytes.
    let escaped = r"\u0001".repeat(100);
    ada.client.says(&format!(r#"{{"type":"message","text":"{escaped}"}}"#));
    ada.hears(&"\u{1}".repeat(100));
    ada.shows("a.png", "image/png", &[7; 100]);
    ada.sees(&[7; 100]);
}

#[test]
fn rule_34_a_ping_is_answered_with_its_ref_to_its_sender_alone() {
    let server = Server::start();
    let ((mut ada, _), (mut bob, _)) = (V1::joins(&server, "a"), V1::joins(&server, "a"));
    ada.does(&json!({"type": "ping"}));
    assert_eq!(ada.hears_of("pong"), json!({"type": "pong"}));
    ada.says("before");
    ada.does(&json!({"type": "ping", "ref": "7"}));
    ada.says("behind");
    ada.hears("before");
    assert_eq!(ada.hears_of("pong"), json!({"type": "pong", "ref": "7"}));
    ada.hears("behind");
    bob.hears("before");
    bob.hears("behind");
}

#[test]
fn rule_32_a_live_message_names_the_member_who_says_it() {
    let server = Server::start();
    let ((mut ada, welcome), (mut bob, _)) = (V1::joins(&server, "a"), V1::joins(&server, "a"));
    ada.says("hello");
    assert_eq!(bob.hears("hello")["from"]["id"], welcome["you"]["id"]);
    ada.shows("a.png", "image/png", b"\x89P");
    assert_eq!(bob.sees(b"\x89P")["from"]["id"], welcome["you"]["id"]);
    // In the past, the member may be gone, and its number another one's.
    let (mut eve, _) = V1::comes_back(&server, "/ws/a?last=2");
    let (past, _) = eve.hears_the_past();
    assert_eq!(past.len(), 2);
    assert!(past.iter().all(|message| message["from"].get("id").is_none()), "{past:?}");
}

#[test]
fn rule_33_typing_is_told_to_the_others() {
    let server = Server::start();
    let ((mut ada, welcome), (mut bob, _)) = (V1::joins(&server, "a"), V1::joins(&server, "a"));
    let mut plain = server.joins("a");
    ada.does(&json!({"type": "typing"}));
    assert_eq!(bob.hears_of("typing")["from"], welcome["you"]);
    // Whoever repeats it is told of once, until they have said something.
    for _ in 0..100 {
        ada.does(&json!({"type": "typing"}));
    }
    ada.says("written");
    ada.hears("written");
    bob.hears("written");
    plain.hears("written");
}

#[test]
fn rule_29_comings_and_goings_travel_together() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.hears_the_past();
    let others: Vec<_> = (0..5).map(|_| V1::joins(&server, "a").1["you"].clone()).collect();
    // Each has gone again, as its connection was dropped.
    let (mut came, mut went, mut events) = (Vec::new(), Vec::new(), 0);
    while went.len() < others.len() {
        let event = ada.next();
        events += 1;
        let members = event["members"].as_array().expect("a small room").clone();
        match event["type"].as_str().unwrap() {
            "joined" => came.extend(members.into_iter().map(|member| member["id"].clone())),
            "left" => {
                // Nobody goes who has not come, however short the visit was.
                assert!(members.iter().all(|member| came.contains(member)), "{event}");
                went.extend(members);
            }
            other => panic!("heard {other}"),
        }
        assert!(event["count"].as_u64().unwrap() >= 1);
    }
    assert!(events <= 2 * others.len(), "{events} events for {} guests", others.len());
    for other in &others {
        assert!(went.contains(&other["id"]), "{other} has gone unnoticed");
    }
    ada.says("alone");
    ada.hears("alone");
}

#[test]
fn rule_31_in_a_crowd_only_numbers_are_told() {
    let server = Server::start();
    let mut crowd: Vec<_> = (0..199).map(|_| server.joins("a")).collect();
    let (mut ada, welcome) = V1::joins(&server, "a");
    assert_eq!(welcome["count"], 200);
    assert_eq!(welcome["members"].as_array().map(Vec::len), Some(200));
    let (bob, welcome) = V1::joins(&server, "a");
    assert_eq!((&welcome["count"], welcome.get("members")), (&json!(201), None));
    loop {
        let event = ada.next();
        if event["count"] == 201 {
            assert_eq!((&event["type"], event.get("members")), (&json!("joined"), None));
            break;
        }
    }
    // Who is gone when they are few again is on nobody's list.
    crowd.pop().unwrap().leaves();
    bob.client.leaves();
    loop {
        let event = ada.next();
        assert_ne!(event["type"], "live");
        if event["count"] == 199 {
            let members = event["members"].as_array().expect("the whole list");
            assert_eq!((&event["type"], members.len()), (&json!("members"), 199));
            break;
        }
    }
    crowd.pop().unwrap().leaves();
    let left = ada.next();
    assert_eq!(
        (&left["type"], left["members"].as_array().map(Vec::len)),
        (&json!("left"), Some(1))
    );
}

#[test]
fn rule_31_in_a_crowd_everyone_is_told_their_own_new_name() {
    let server = Server::start();
    let _crowd: Vec<_> = (0..201).map(|_| server.joins("a")).collect();
    let (mut bob, _) = V1::joins(&server, "a");
    let person = server.enters("Ada");
    let (mut ada, welcome) = V1::joins_with(&server, "/ws/a", &person.bearer());
    assert_eq!((&welcome["you"]["name"], welcome.get("members")), (&json!("Ada"), None));
    server.renames(&person, "Ada L.");
    let renamed = ada.hears_of("renamed");
    assert_eq!(renamed["members"].as_array().map(Vec::len), Some(1), "{renamed}");
    assert_eq!(renamed["members"][0]["name"], "Ada L.");
    ada.says("marker");
    loop {
        let event = bob.next();
        assert_ne!(event["type"], "renamed", "a crowd has no list: {event}");
        if event["text"] == "marker" {
            break;
        }
    }
}

/// Each stands for one that everybody would have to hear.
#[test]
fn many_new_names_in_a_moment_are_told_once() {
    let server = Server::start();
    let (mut bob, _) = V1::joins(&server, "a");
    let person = server.enters("Ada");
    let mut tabs: Vec<_> =
        (0..20).map(|_| V1::joins_with(&server, "/ws/a", &person.bearer()).0).collect();
    let names: Vec<_> = (0..30).map(|number| format!("Ada {number}")).collect();
    for name in &names {
        server.renames(&person, name);
    }
    tabs[0].says("marker");
    let (mut told, mut last) = (0, None);
    loop {
        let event = bob.next();
        match event["type"].as_str().unwrap() {
            "renamed" => {
                let members = event["members"].as_array().unwrap();
                told += members.len();
                assert!(members.len() <= 20, "one line for each connection: {event}");
                last = members[0]["name"].as_str().map(str::to_owned);
            }
            "message" => break,
            _ => {}
        }
    }
    // The last of them may come behind the marker.
    while last.as_deref() != names.last().map(String::as_str) {
        last = bob.hears_of("renamed")["members"][0]["name"].as_str().map(str::to_owned);
    }
    assert!(told < 20 * 30 / 2, "{told} names were told for 30 changes by 20 connections");
}

#[test]
fn rule_21_texts_and_files_keep_their_order_in_a_storm() {
    const EACH: usize = 200;
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    let speakers: Vec<_> = (0..4)
        .map(|speaker| {
            let (mut bob, _) = V1::joins(&server, "a");
            std::thread::spawn(move || {
                for number in 0..EACH {
                    if number % 2 == 0 {
                        bob.shows("n", "", format!("{speaker} {number}").as_bytes());
                    } else {
                        bob.says(&format!("{speaker} {number}"));
                    }
                }
                bob
            })
        })
        .collect();
    let (mut next, mut last) = ([0; 4], 0);
    for _ in 0..4 * EACH {
        let (event, bytes) = loop {
            let (event, bytes) = ada.next_whole();
            if event["type"] == "message" || event["type"] == "binary" {
                break (event, bytes);
            }
        };
        let text = match event["text"].as_str() {
            Some(text) => text.to_owned(),
            None => String::from_utf8(bytes).unwrap(),
        };
        let (speaker, number) = text.split_once(' ').unwrap();
        let speaker: usize = speaker.parse().unwrap();
        assert_eq!(number, next[speaker].to_string(), "each speaker's own order");
        next[speaker] += 1;
        assert!(event["id"].as_i64() > Some(last));
        last = event["id"].as_i64().unwrap();
    }
    speakers.into_iter().for_each(|speaker| drop(speaker.join().unwrap()));
}

/// As a tree in memory, this would be twenty times as large.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn unknown_fields_are_skipped_as_they_stream_by() {
    let program = Program::start_plainly(&["-q"]);
    let unknown = format!(r#"{{"type":"typing","x":[0{}]}}"#, ",0".repeat(500_000));
    let memory = program.status("VmRSS");
    let mut crowd: Vec<_> =
        (0..20).map(|_| V1::over(Way::Plain.connects(program.address()), "/ws/a").0).collect();
    for one in &mut crowd {
        one.client.says(&unknown);
    }
    for one in &mut crowd {
        one.does(&json!({"type": "message", "text": "done", "ref": "own"}));
    }
    for one in &mut crowd {
        while one.next()["ref"] != "own" {}
    }
    let more = (program.status("VmHWM") - memory) >> 10;
    assert!(more < 80, "{more} MiB for 20 MB of JSON");
}
