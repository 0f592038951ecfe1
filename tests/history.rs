//! What was said is kept, and who comes back with the last id that it has heard gets the rest: in
//! order, exactly once, and then what is said now.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{Client, Program, Server, V1, Way, until};
use tungstenite::Message;

fn id(event: &Value) -> i64 {
    event["id"].as_i64().unwrap_or_else(|| panic!("no id in {event}"))
}

#[test]
fn who_comes_back_gets_what_it_missed() {
    let server = Server::start();
    let (mut ada, _) = V1::joins(&server, "a");
    ada.says("one");
    let one = id(&ada.hears("one"));
    ada.says("two");
    ada.shows("cat.png", "image/png", b"cat");
    ada.says("four");
    let (two, four) = (ada.hears("two"), (ada.sees(b"cat"), ada.hears("four")).1);
    let (mut bob, welcome) = V1::comes_back(&server, &format!("/ws/a?since={one}"));
    assert_eq!((&welcome["replayed"], &welcome["complete"]), (&json!(3), &json!(true)));
    assert_eq!(welcome["last"], four["id"]);
    assert_eq!(bob.hears("two"), two, "the very same event");
    assert_eq!(bob.sees(b"cat")["name"], "cat.png");
    assert_eq!(bob.hears("four"), four);
    ada.says("now");
    bob.hears("now");
    // Who has heard all gets nothing; who has heard nothing, everything.
    let (_, welcome) = V1::comes_back(&server, &format!("/ws/a?since={}", id(&four) + 1_000_000));
    assert_eq!(welcome["replayed"], 0);
    assert_eq!(V1::comes_back(&server, "/ws/a?since=0").1["replayed"], 5);
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
fn who_was_away_too_long_is_told_so() {
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
        let expected: Vec<_> = ids[3..].iter().filter(|&&id| id > since).collect();
        assert_eq!(welcome["replayed"], expected.len());
        for expected in expected {
            assert_eq!(id(&bob.hears_of("message")), *expected);
        }
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
    let (_, welcome) = V1::comes_back(&server, "/ws/a?since=0");
    assert_eq!(welcome["replayed"], 0);
}

/// Ten come back again and again while two pour in, and each puts together the whole.
#[test]
fn resuming_in_a_storm_misses_and_repeats_nothing() {
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

/// Each of them could else hold a whole history: as many times 16 MiB as there are clients.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn many_who_ask_for_a_long_past_and_do_not_read_cost_no_more_than_they_may() {
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
    let more = (program.status("VmRSS") - memory) >> 10;
    // 32 MiB for all who are told of more than --max-backlog, and 4 MiB for each of the others.
    assert!(more < 32 + 4 * CROWD as u64 + 60, "{more} MiB wait for {CROWD} clients");
    // Those have the newest part, and know that it is a part.
    let (mut last, welcome) = crowd.into_iter().last().unwrap();
    assert_eq!((&welcome["replayed"], &welcome["complete"]), (&json!(4), &json!(false)));
    for number in 11..15_u8 {
        last.sees(&vec![number; 1_000_000]);
    }
    // When the others are gone, there is room for everything again.
    until("the whole past", || connects().1["complete"] == true);
    let (mut bob, welcome) = connects();
    assert_eq!(welcome["replayed"], 15);
    for number in 0..15_u8 {
        bob.sees(&vec![number; 1_000_000]);
    }
}
