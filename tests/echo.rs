//! The echo returns each message to its sender, and to nobody else: same type, same bytes, in
//! order.

mod support;

use std::thread;

use support::{Client, Server, Visitor, handshake, masked};
use tungstenite::Message;

#[test]
fn every_message_comes_back_as_it_was() {
    let server = Server::start();
    let mut ada = server.calls_into_the_echo();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        for message in [Message::text("x".repeat(size)), Message::binary(vec![0x80; size])] {
            ada.sends(message.clone());
            assert!(ada.next() == message, "{size} bytes came back changed");
        }
    }
}

#[test]
fn an_echo_is_heard_by_nobody_else() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.calls_into_the_echo(), server.calls_into_the_echo());
    let mut carol = server.joins("echo");
    ada.says("hello");
    ada.hears("hello");
    for other in [&mut bob, &mut carol] {
        other.says("a marker");
        other.hears_nothing_before("a marker");
    }
}

#[test]
fn pipelined_messages_come_back_in_order() {
    let server = Server::start();
    let mut ada = server.calls_into_the_echo();
    // 100 KB fit into the sockets' buffers, so nobody waits for somebody who waits.
    let texts: Vec<String> = (0..1000).map(|n| format!("{n:0100}")).collect();
    texts.iter().for_each(|text| ada.says(text));
    texts.iter().for_each(|text| ada.hears(text));
}

#[test]
fn a_ping_between_two_messages_is_answered_in_its_place() {
    let server = Server::start();
    let mut ada = Visitor::joins(server.address(), "/echo");
    let said = [masked(0x81, b"one"), masked(0x89, b"two"), masked(0x82, b"three")];
    ada.sends(said.concat());
    assert_eq!(ada.reads_a_frame(), (0x81, b"one".to_vec()));
    assert_eq!(ada.reads_a_frame(), (0x8a, b"two".to_vec()));
    assert_eq!(ada.reads_a_frame(), (0x82, b"three".to_vec()));
}

#[test]
fn what_comes_right_behind_the_handshake_comes_back() {
    let server = Server::start();
    let mut ada = server.is_visited();
    ada.sends([handshake("/echo").into_bytes(), masked(0x81, b"hello")].concat());
    ada.reads_a_head();
    ada.hears("hello");
}

#[test]
fn a_message_in_fragments_comes_back_in_one_frame() {
    let server = Server::start();
    let mut ada = Visitor::joins(server.address(), "/echo");
    ada.sends(masked(0x01, b"he")).sends(masked(0x89, b"?")).sends(masked(0x80, b"llo"));
    assert_eq!(ada.reads_a_frame(), (0x8a, b"?".to_vec()));
    ada.hears("hello");
}

/// More than all buffers between the two ends hold.
const TOO_MUCH: usize = 64 << 20;

#[test]
fn one_that_never_reads_its_echo_hurts_nobody_else() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.calls_into_the_echo(), server.joins("physics"));
    let mut greedy = Visitor::joins(server.address(), "/echo");
    let pouring = thread::spawn(move || {
        greedy.sends(masked(0x82, &[7; 64 << 10]).repeat(TOO_MUCH >> 16));
        greedy
    });
    for n in 0..1000 {
        talks_alone(&mut ada, n);
        talks_alone(&mut bob, n);
    }
    // It is stuck in sending until the server has cut it off.
    pouring.join().unwrap();
    server.comes_to_have(2, "clients");
}

fn talks_alone(client: &mut Client, n: u32) {
    client.says(&n.to_string());
    client.hears(&n.to_string());
}

#[test]
fn one_that_is_cut_off_has_heard_nothing_twice() {
    let server = Server::start();
    let mut greedy = Visitor::joins(server.address(), "/echo");
    let mut pouring = Visitor { stream: greedy.stream.try_clone().unwrap() };
    let pouring = thread::spawn(move || {
        for n in 0..(TOO_MUCH >> 16) as u32 {
            pouring.sends(masked(0x82, &numbered(n)));
        }
    });
    // It is stuck in sending until the server has cut it off.
    pouring.join().unwrap();
    for (n, frame) in greedy.reads_whole_frames().iter().enumerate() {
        assert!(*frame == (0x82, numbered(n as u32)), "frame {n} came wrong");
    }
}

/// 64 KiB that tell their number from the first byte to the last.
fn numbered(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(16 << 10)
}
