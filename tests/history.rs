//! What was said is kept, and who comes back with the last id that it has heard gets the rest: in
//! order, exactly once, and then what is said now.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{Client, Program, Server, V1, Way};
use tungstenite::Message;

fn id(event: &Value) -> i64 {
    event["id"].as_i64().unwrap_or_else(|| panic!("no id in {event}"))
}

#[test]
fn rule_23_who_comes_back_gets_what_it_missed() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.says("one");
    let one = id(&ada.hears("one"));
    ada.says("two");
    ada.shows("cat.png", "image/png", b"cat");
    ada.says("four");
    let (two, _, four) = (ada.hears("two"), ada.sees(b"cat"), ada.hears("four"));
    let (mut bob, welcome) = V1::comes_back(&server, &format!("/ws/a?since={one}"));
    assert_eq!((&welcome["last"], &welcome["complete"]), (&four["id"], &json!(true)));
    assert_eq!(bob.next(), of_the_past(two.clone()), "the very same event");
    assert_eq!(bob.sees(b"cat")["name"], "cat.png");
    assert_eq!(bob.next(), of_the_past(four.clone()));
    assert_eq!(bob.next(), json!({"type": "live", "last": four["id"], "complete": true}));
    ada.says("now");
    bob.hears("now");
    // Who has heard all gets nothing; who has heard nothing, everything.
    let path = format!("/ws/a?since={}", id(&four) + 1_000_000);
    assert_eq!(V1::comes_back(&server, &path).0.hears_the_past().0.len(), 0);
    assert_eq!(V1::comes_back(&server, "/ws/a?since=0").0.hears_the_past().0.len(), 5);
}

/// The member who said it may be gone, and its number another one's.
fn of_the_past(mut event: Value) -> Value {
    event["from"].as_object_mut().expect("an author").remove("id").expect("a member");
    event
}

#[test]
fn rule_24_the_newest_are_told_to_who_asks_for_so_many() {
    let server = Server::with(&["--history", "5"]);
    let (mut ada, _) = V1::joins(&server, "a");
    for number in 0..8 {
        ada.says(&number.to_string());
        ada.hears(&number.to_string());
    }
    for (last, expected) in [(0, vec![]), (2, vec!["6", "7"]), (100, vec!["3", "4", "5", "6", "7"])]
    {
        let (mut bob, welcome) = V1::comes_back(&server, &format!("/ws/a?last={last}"));
        assert_eq!(welcome["complete"], true, "nothing is missing among the newest");
        let (past, live) = bob.hears_the_past();
        assert_eq!(past.iter().map(|message| &message["text"]).collect::<Vec<_>>(), expected);
        assert_eq!(live["complete"], true);
    }
    assert_eq!(V1::comes_back(&server, "/ws/b?last=5").0.hears_the_past().0.len(), 0);
    let mut plain = Client::over(server.connects(), "/ws/a?last=1");
    plain.hears("7");
    ada.says("now");
    plain.hears("now");
    for bad in ["last=x", "last=-1", "last=1&since=0"] {
        let request = support::handshake(&format!("/ws/a?{bad}"));
        server.is_visited().asks(request).refuses_with(400);
    }
}

/// Live messages come with their bytes, and so do small ones.
#[test]
fn large_files_of_the_past_come_later_to_who_asks_for_that() {
    let server = Server::start();
    let (mut ada, _) = V1::comes_back(&server, "/ws/a?files=later");
    ada.hears_of("live");
    let (small, large) = (vec![7; 64 << 10], vec![7; (64 << 10) + 1]);
    for bytes in [&small, &large] {
        ada.shows("cat.png", "image/png", bytes);
        ada.sees(bytes);
    }
    let (mut bob, _) = V1::comes_back(&server, "/ws/a?since=0&files=later");
    bob.sees(&small);
    let file = bob.hears_of("file");
    assert_eq!((&file["name"], &file["size"]), (&json!("cat.png"), &json!(large.len())));
    let raw = server.is_visited().asks(support::request(
        "GET",
        &format!("/rooms/a/messages/{}", file["id"]),
        &[],
        "",
    ));
    assert_eq!((raw.status, raw.body.len()), (200, large.len()));
    bob.hears_of("live");
    // Others get all of it.
    let (mut eve, _) = V1::comes_back(&server, "/ws/a?since=0");
    eve.sees(&small);
    eve.sees(&large);
    Client::over(server.connects(), "/ws/a?last=1&files=later").sees(&large);
    let messages = server.get("/rooms/a/messages?files=later").tells(200)["messages"].clone();
    let has_bytes = [&messages[0], &messages[1]].map(|message| message["base64"].is_string());
    assert_eq!((has_bytes, &messages[1]["size"]), ([true, false], &json!(large.len())));
    server.get("/rooms/a/messages?files=now").has_a_problem(400);
    server.is_visited().asks(support::handshake("/ws/a?files=now")).refuses_with(400);
}

#[test]
fn plain_clients_may_come_back_too() {
    let server = Server::start();
    let mut ada = server.joins("a");
    ada.says("one");
    ada.shows(b"two");
    ada.hears("one");
    ada.sees(b"two");
    ada.leaves();
    let mut bob = Client::over(server.connects(), "/ws/a?since=0");
    bob.hears("one");
    bob.sees(b"two");
    bob.says("three");
    bob.hears("three");
    // Without asking for it nobody gets anything old.
    let mut eve = server.joins("a");
    bob.says("four");
    eve.hears_nothing_before("four");
}

#[test]
fn rule_25_who_was_away_too_long_is_told_so() {
    let server = Server::with(&["--history", "3"]);
    let (mut ada, _) = V1::joins(&server, "a");
    let ids: Vec<_> = (0..6)
        .map(|number| {
            ada.says(&number.to_string());
            id(&ada.hears(&number.to_string()))
        })
        .collect();
    for (since, complete) in
        [(0, false), (ids[0], false), (ids[1], false), (ids[2], true), (ids[4], true)]
    {
        let (mut bob, welcome) = V1::comes_back(&server, &format!("/ws/a?since={since}"));
        assert_eq!(welcome["complete"], complete, "since {since}: {welcome}");
        let expected: Vec<_> = ids[3..].iter().copied().filter(|id| *id > since).collect();
        let (past, live) = bob.hears_the_past();
        assert_eq!(past.iter().map(id).collect::<Vec<_>>(), expected);
        assert_eq!(live["complete"], complete, "since {since}: {live}");
    }
    // Of a room that nothing is known of, nobody knows what was said.
    assert_eq!(V1::comes_back(&server, "/ws/b?since=7").1["complete"], false);
    assert_eq!(V1::comes_back(&server, "/ws/b?since=0").1["complete"], true);
}

#[test]
fn a_since_that_is_no_id_is_refused() {
    let server = Server::start();
    for bad in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let request = support::handshake(&format!("/ws/a?since={bad}"));
        server.is_visited().asks(request).refuses_with(400);
    }
}

#[test]
fn without_a_history_nothing_is_kept() {
    let server = Server::with(&["--history", "0"]);
    let (mut ada, _) = V1::joins(&server, "a");
    ada.says("gone");
    assert!(id(&ada.hears("gone")) > 0);
    let (mut bob, _) = V1::comes_back(&server, "/ws/a?since=0");
    assert_eq!(bob.hears_the_past().0.len(), 0);
}

/// Ten come back again and again while two pour in, and each puts together the whole.
#[test]
fn rule_23_resuming_in_a_storm_misses_and_repeats_nothing() {
    const SAID: usize = 1000;
    let server = Server::with(&["--history", "1000000"]);
    let server = &server;
    let hears_all = move || {
        let (mut heard, mut since): (Vec<String>, i64) = (Vec::new(), 0);
        while heard.len() < 2 * SAID {
            let path = format!("/ws/a?since={since}");
            let (mut one, welcome) = V1::comes_back(server, &path);
            assert_eq!(welcome["complete"], true);
            // Some of the old, some of the new, then gone again without a word.
            let stay = 300 + heard.len() % 700;
            while heard.len() < 2 * SAID && heard.len() % stay != stay - 1 {
                let event = one.hears_of("message");
                assert!(id(&event) > since, "{event} after {since}");
                since = id(&event);
                heard.push(event["text"].as_str().unwrap().to_owned());
            }
            if let Some(event) = (heard.len() < 2 * SAID).then(|| one.hears_of("message")) {
                since = id(&event);
                heard.push(event["text"].as_str().unwrap().to_owned());
            }
        }
        heard
    };
    thread::scope(|scope| {
        for name in ["x", "y"] {
            scope.spawn(move || {
                let mut speaker = server.joins("a");
                for number in 0..SAID {
                    let own = format!("{name}{number}");
                    speaker.says(&own);
                    // Who goes without having read all resets, and takes back what it said.
                    while speaker.next() != Message::text(own.as_str()) {}
                }
            });
        }
        let resumers: Vec<_> = (0..10).map(|_| scope.spawn(hears_all)).collect();
        let all: Vec<_> = resumers.into_iter().map(|it| it.join().unwrap()).collect();
        for heard in &all {
            assert_eq!(heard, &all[0], "everyone has put together the same");
        }
        for name in ["x", "y"] {
            let own: Vec<_> = all[0].iter().filter(|text| text.starts_with(name)).collect();
            assert_eq!(own.len(), SAID);
            assert!(own.iter().enumerate().all(|(n, text)| **text == format!("{name}{n}")));
        }
    });
}

#[test]
fn a_history_larger_than_the_backlog_is_no_reason_to_be_cut_off() {
    let server = Server::with(&["--max-backlog", "64K"]);
    let mut ada = server.joins("a");
    for number in 0..12_u8 {
        ada.shows(&vec![number; 900_000]);
        ada.sees(&vec![number; 900_000]);
    }
    // It takes its time to read, and others talk on.
    let mut bob = Client::over(server.connects(), "/ws/a?since=0");
    ada.says("meanwhile");
    ada.hears("meanwhile");
    for number in 0..12_u8 {
        bob.sees(&vec![number; 900_000]);
    }
    bob.hears("meanwhile");
}

/// A page of the past is in memory for each of them, not the whole: 15 MB.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn many_who_ask_for_a_long_past_and_do_not_read_hold_little_of_it() {
    const CROWD: usize = 30;
    let program = Program::start_plainly(&["-q"]);
    let connects = || V1::over(Way::Plain.connects(program.address()), "/ws/a?since=0");
    let (mut ada, _) = connects();
    for number in 0..15_u8 {
        ada.shows("", "", &vec![number; 1_000_000]);
        ada.sees(&vec![number; 1_000_000]);
    }
    let memory = program.status("VmRSS");
    let crowd: Vec<_> = (0..CROWD).map(|_| connects()).collect();
    ada.says("meanwhile");
    ada.hears("meanwhile");
    let more = (program.status("VmRSS") - memory) >> 10;
    // Each may have a stack, a page and what is collected: well under a mebibyte.
    assert!(more < CROWD as u64, "{more} MiB are held for {CROWD} clients");
    // And each of them gets all of it, in the end.
    for (mut one, welcome) in crowd {
        assert_eq!(welcome["complete"], true);
        let (past, live) = one.hears_the_past();
        assert_eq!((past.len(), &live["complete"]), (15, &json!(true)));
        one.hears("meanwhile");
    }
}

/// A room that was forgotten, or a server that began anew, cannot know what was said before.
#[test]
fn a_room_that_is_made_anew_does_not_claim_to_reach_back() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.says("first");
    let first = id(&ada.hears("first"));
    let complete = |since: i64| {
        let (mut bob, welcome) = V1::comes_back(&server, &format!("/ws/a?since={since}"));
        let live = bob.hears_the_past().1;
        assert_eq!(welcome["complete"], live["complete"]);
        live["complete"] == true
    };
    assert!(!complete(first - 1_000), "what came before the first message of the room");
    assert!(complete(first), "what came behind it");
    assert!(complete(0), "all there is");
}
