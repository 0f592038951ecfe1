//! A script that is told to try again has not been heard: what could not be said in time is not
//! said later either.

mod support;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use wsroom::identity::rulebook::Rulebook;
use wsroom::options::Options;
use wsroom::protocol::address::RoomName;
use wsroom::protocol::message::{Author, Content, Draft, Stay};
use wsroom::relay::broadcaster::{Broadcaster, Keeper};
use wsroom::relay::events::{self, Event, Rank};
use wsroom::relay::history::History;
use wsroom::store::memory::Memory;
use wsroom::store::{Bounds, KeptMessages, MessageLog, Range};

#[test]
fn what_was_given_up_is_not_said_later() {
    let room = RoomName::lobby();
    let text = |text: &'static str| Content::Text(text.into());
    let draft = |content| Draft {
        room: room.clone(),
        author: Author { user: None, name: "guest".to_owned() },
        content,
        origin: None,
        as_guest: None,
        stay: Stay::Kept,
    };
    let (events, inbox) = events::open();
    // The broadcaster does not turn yet: for it the disk is slow.
    let given_up = events.post(draft(text("too late")), Rank::Visitor, Duration::from_millis(10));
    assert!(given_up.is_none(), "nobody could have taken it");
    let log = Arc::new(Memory::new(Bounds { messages: 10, bytes: 1 << 20, idle: None }));
    let history = History::open(Arc::clone(&log) as Arc<dyn MessageLog>, 10).unwrap();
    let broadcaster = Broadcaster::new(
        events.clone(),
        &Options::parse_from(["wsroom"]),
        Keeper::Own(history),
        Rulebook::default(),
        Arc::default(),
    );
    let turning = thread::spawn(move || broadcaster.run(&inbox));
    let said = events.post(draft(text("in time")), Rank::Visitor, support::PATIENCE);
    said.expect("the broadcaster turns").expect("memory has room");
    let page = log.page(&room, Range::behind(0)).unwrap();
    let all: Vec<_> = page.messages.iter().map(|message| message.content.clone()).collect();
    assert_eq!(all, [text("in time")]);
    events.send(Event::Stopped);
    turning.join().unwrap();
}
