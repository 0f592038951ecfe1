//! With `--max-rate` a client that says too much is read more slowly: it loses nothing, and
//! those who keep to the rate do not wait for it.

mod support;

use support::{Client, Server, Visitor, masked};
use tungstenite::Message;

const MANY: usize = 40;

/// What a fast one says at once, much more than the server may take in a second.
fn all_at_once() -> Vec<u8> {
    (0..MANY).flat_map(|n| masked(0x81, format!("fast {n}").as_bytes())).collect()
}

/// Hears up to `text`, and counts in `heard` what the fast one says before it, in order.
fn hears_among_the_fast(member: &mut Client, heard: &mut usize, text: &str) {
    loop {
        let message = member.next();
        if message == Message::text(text) {
            return;
        }
        assert_eq!(message, Message::text(format!("fast {heard}")));
        *heard += 1;
    }
}

/// All that it said, from its `first` message on.
fn hears_itself(fast: &mut Visitor, first: usize) {
    for n in first..MANY {
        fast.hears(&format!("fast {n}"));
    }
}

#[test]
fn rule_41_one_that_is_too_fast_loses_nothing_and_delays_nobody() {
    let server = Server::with(&["--max-rate", "10"]);
    let (mut bob, mut carol) = (server.joins("physics"), server.joins("physics"));
    let mut fast = Visitor::joins(server.address(), "/ws/physics");
    fast.sends(all_at_once());
    let mut heard = 0;
    for n in 0..5 {
        // She keeps to the rate: she says the next when she has heard the last.
        carol.says(&format!("calm {n}"));
        hears_among_the_fast(&mut bob, &mut heard, &format!("calm {n}"));
    }
    assert!(heard < MANY, "the fast one was read as fast as it spoke");
    hears_among_the_fast(&mut bob, &mut heard, &format!("fast {}", MANY - 1));
    assert_eq!(heard, MANY - 1);
    for n in 0..MANY {
        hears_among_the_calm(&mut fast, &format!("fast {n}"));
    }
}

/// The fast one hears itself, in order, and the others in between.
fn hears_among_the_calm(fast: &mut Visitor, text: &str) {
    loop {
        let (first, payload) = fast.reads_a_frame();
        assert_eq!(first, 0x81);
        if payload == text.as_bytes() {
            return;
        }
        assert!(payload.starts_with(b"calm"), "waited for {text}");
    }
}

#[test]
fn what_the_echo_may_say_already_does_not_wait_for_what_it_may_not() {
    let server = Server::with(&["--max-rate", "10"]);
    let mut fast = Visitor::joins(server.address(), "/echo");
    fast.sends(all_at_once()).hears("fast 0");
    assert!(bytes_waiting_for(&fast) < 8 * (MANY - 1), "the first came only with all the others");
    hears_itself(&mut fast, 1);
}

#[test]
fn pings_and_goodbyes_of_a_fast_one_keep_their_place() {
    let server = Server::with(&["--max-rate", "10"]);
    let mut fast = Visitor::joins(server.address(), "/ws/physics");
    fast.sends([all_at_once(), masked(0x89, b"?"), masked(0x88, b"")].concat());
    hears_itself(&mut fast, 0);
    assert_eq!(fast.reads_a_frame(), (0x8a, b"?".to_vec()));
    assert_eq!(fast.reads_a_frame(), (0x88, vec![]));
    fast.reads_the_end();
}

/// Bytes that it could read at once.
fn bytes_waiting_for(visitor: &Visitor) -> usize {
    visitor.stream.set_nonblocking(true).unwrap();
    let count = visitor.stream.peek(&mut [0; 4096]).unwrap_or(0);
    visitor.stream.set_nonblocking(false).unwrap();
    count
}

#[test]
fn without_a_rate_nobody_is_held_back() {
    let server = Server::start();
    let mut ada = server.joins("physics");
    for n in 0..2000 {
        ada.says(&n.to_string());
        ada.hears(&n.to_string());
    }
}
