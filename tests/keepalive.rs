//! Pings are answered, and a client that falls silent is pinged, and then gone.

mod support;

use support::{Client, Server, Visitor, masked};
use tungstenite::Message;

/// Both kinds of clients, which are sent to in different ways.
const PATHS: [&str; 2] = ["/ws/physics", "/echo"];

const PING: (u8, Vec<u8>) = (0x89, vec![]);

#[test]
fn a_ping_is_answered_with_its_payload() {
    let server = Server::start();
    for path in PATHS {
        let mut ada = Client::connect(server.address(), path);
        for payload in [&b""[..], b"there?", &[0xff; 125]] {
            ada.sends(Message::Ping(payload.to_vec().into()));
            assert_eq!(ada.next(), Message::Pong(payload.to_vec().into()));
        }
    }
}

#[test]
fn every_ping_is_answered_in_its_place() {
    let server = Server::start();
    for path in PATHS {
        let mut ada = Visitor::joins(server.address(), path);
        let counted = |n: u32| [masked(0x89, &n.to_be_bytes()), masked(0x82, &n.to_be_bytes())];
        ada.sends((0..200).flat_map(counted).collect::<Vec<_>>().concat());
        for n in 0..200_u32 {
            assert_eq!(ada.reads_a_frame(), (0x8a, n.to_be_bytes().to_vec()), "at {path}");
            assert_eq!(ada.reads_a_frame(), (0x82, n.to_be_bytes().to_vec()), "at {path}");
        }
    }
}

#[test]
fn a_ping_is_answered_to_nobody_else() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    ada.sends(Message::Ping(vec![1].into()));
    assert_eq!(ada.next(), Message::Pong(vec![1].into()));
    ada.says("a marker");
    bob.hears_nothing_before("a marker");
}

#[test]
fn a_pong_that_nobody_asked_for_is_ignored() {
    let server = Server::start();
    for path in PATHS {
        let mut ada = Client::connect(server.address(), path);
        ada.sends(Message::Pong(vec![1, 2, 3].into()));
        ada.says("a marker");
        ada.hears_nothing_before("a marker");
    }
}

#[test]
fn rule_35_one_that_falls_silent_is_pinged_and_then_gone() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    for path in PATHS {
        let mut silent = Visitor::joins(server.address(), path);
        assert_eq!(silent.reads_a_frame(), PING, "at {path}");
        let (code, reason) = silent.reads_a_close();
        assert_eq!(code, 4002, "at {path}");
        assert!(reason.contains("idle timeout"), "{reason:?}");
        silent.reads_the_end();
    }
    server.comes_to_have(0, "clients");
}

#[test]
fn one_that_falls_silent_within_a_message_is_gone_too() {
    let server = Server::with(&["--idle-timeout", "1s"]);
    for path in PATHS {
        let mut silent = Visitor::joins(server.address(), path);
        silent.sends(masked(0x01, b"I was about to")).sends(&masked(0x80, b"say")[..7]);
        assert_eq!(silent.reads_a_frame(), PING, "at {path}");
        assert_eq!(silent.reads_a_close().0, 4002, "at {path}");
    }
}

#[test]
fn one_that_answers_its_pings_stays() {
    let server = Server::with(&["--idle-timeout", "2s"]);
    let mut quiet = PATHS.map(|path| Visitor::joins(server.address(), path));
    // Four pings take longer than the timeout.
    for _ in 0..4 {
        for client in &mut quiet {
            assert_eq!(client.reads_a_frame(), PING);
            client.sends(masked(0x8a, b""));
        }
    }
    for client in &mut quiet {
        client.says("still here").hears("still here");
    }
}

#[test]
fn one_that_says_something_instead_of_answering_stays() {
    let server = Server::with(&["--idle-timeout", "2s"]);
    let mut ada = Visitor::joins(server.address(), "/ws/physics");
    for n in 0..4 {
        assert_eq!(ada.reads_a_frame(), PING);
        ada.says(&n.to_string()).hears(&n.to_string());
    }
}
