//! `kill -9` at any moment, again and again: whatever anyone has heard is still there, and those
//! who come back put together one and the same history without a gap.

mod support;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;
use support::{Client, Program, Side, V1, Way};
use tungstenite::{Error, Message};

const TIMES: usize = 20;
const MEMBERS: usize = 3;

/// What one member has put together, over all of its connections.
#[derive(Default)]
struct Notes {
    heard: Vec<(i64, String)>,
}

impl Notes {
    fn since(&self) -> i64 {
        self.heard.last().map_or(0, |(id, _)| *id)
    }

    fn take(&mut self, event: &Value) {
        Side::Server.may_send(event);
        if event["type"] == "message" {
            let id = event["id"].as_i64().expect("an id");
            assert!(id > self.since(), "{event} after {}", self.since());
            self.heard.push((id, event["text"].as_str().unwrap().to_owned()));
        }
    }

    /// Comes back for what it has missed.
    fn joins(&self, program: &Program) -> V1 {
        let path = format!("/ws/a?since={}", self.since());
        let (member, welcome) = V1::over(Way::Plain.connects(program.address()), &path);
        assert_eq!(welcome["complete"], true, "{welcome}");
        member
    }

    /// Listens until the server is gone, and counts what it hears.
    fn listen(&mut self, mut member: V1, count: &AtomicU64) {
        loop {
            match member.client.socket.read() {
                Ok(Message::Text(text)) => {
                    self.take(&serde_json::from_str(&text).expect("JSON"));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(other) => assert!(!other.is_binary(), "{other:?}"),
                Err(Error::Io(_) | Error::Protocol(_) | Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Talks as fast as it is taken, until the server is gone.
fn talk(mut client: Client, name: &str, said: &AtomicU64) {
    loop {
        let number = said.fetch_add(1, Ordering::Relaxed);
        let sent = client.socket.send(Message::text(format!("{name} {number}")));
        if sent.is_err() || client.socket.read().is_err() {
            return;
        }
    }
}

fn joins(program: &Program) -> Client {
    Client::over(Way::Plain.connects(program.address()), "/ws/a")
}

/// A number below `limit`; another one each time.
fn any(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish() % limit
}

#[test]
fn rule_22_whatever_was_heard_is_still_there() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let start = || Program::start_plainly(&["-q", "--data", &file, "--history", "1000000"]);
    let mut notes: Vec<_> = (0..MEMBERS).map(|_| Notes::default()).collect();
    let said = AtomicU64::new(0);
    for _ in 0..TIMES {
        let mut program = start();
        let (heard, enough) = (AtomicU64::new(0), 1 + any(2000));
        let process = std::mem::replace(&mut program.process, stand_in());
        thread::scope(|scope| {
            let (heard, said) = (&heard, &said);
            // All are there before anyone talks: then the end may come at any moment.
            let speakers = ["x", "y"].map(|name| (name, joins(&program)));
            let members: Vec<_> = notes.iter().map(|notes| notes.joins(&program)).collect();
            for (notes, member) in notes.iter_mut().zip(members) {
                scope.spawn(move || notes.listen(member, heard));
            }
            for (name, client) in speakers {
                scope.spawn(move || talk(client, name, said));
            }
            scope.spawn(move || {
                support::until("enough to be heard", || heard.load(Ordering::Relaxed) >= enough);
                let mut process = process;
                process.kill().unwrap();
                process.wait().unwrap();
            });
        });
    }
    let program = start();
    joins(&program).says("the end");
    for notes in &mut notes {
        let mut member = notes.joins(&program);
        while notes.heard.last().is_none_or(|(_, text)| text != "the end") {
            notes.take(&member.next());
        }
    }
    assert!(notes[0].heard.len() > TIMES, "nothing was said");
    for other in &notes[1..] {
        assert_eq!(other.heard, notes[0].heard, "all have put together the same");
    }
    // Nobody's words are there twice, and each one's are in order.
    for name in ["x ", "y "] {
        let numbers = notes[0].heard.iter().filter_map(|(_, text)| text.strip_prefix(name));
        let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{name}: {numbers:?}");
    }
}

/// Something for the `Program` to end in the place of its process, which is killed elsewhere.
fn stand_in() -> std::process::Child {
    std::process::Command::new("true").spawn().unwrap()
}
