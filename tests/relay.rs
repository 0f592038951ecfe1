//! Each message goes to everyone in the room, the sender too, as it was, in one order for all,
//! and whoever has joined misses nothing.

mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use support::{Client, Server, Visitor, handshake, masked};
use tungstenite::Message;

/// Where a frame's header changes its form, and the largest that is taken.
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20];

#[test]
fn everyone_hears_everyone() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    ada.says("hello");
    bob.hears("hello");
    ada.hears("hello");
    bob.shows(&[0, 255, 1]);
    ada.sees(&[0, 255, 1]);
    bob.sees(&[0, 255, 1]);
}

#[test]
fn a_message_of_any_size_arrives_as_it_was() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    for size in SIZES {
        for message in [a_text(size), a_binary(size)] {
            ada.sends(message.clone());
            assert!(bob.next() == message, "{size} bytes came changed");
            assert!(ada.next() == message, "{size} bytes came back changed");
        }
    }
}

#[test]
fn letters_of_every_width_arrive_as_they_were() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    for text in ["grüße", "你好", "🦀\u{10ffff}", "\0\r\n", "\u{feff}"] {
        ada.says(text);
        bob.hears(text);
    }
}

#[test]
fn a_message_in_fragments_arrives_in_one_frame() {
    let server = Server::start();
    let mut ada = Visitor::joins(server.address(), "/ws/physics");
    let mut bob = Visitor::joins(server.address(), "/ws/physics");
    // The letter ü is cut in two, and a ping comes in between.
    ada.sends(masked(0x01, b"gr\xc3")).sends(masked(0x00, b"")).sends(masked(0x89, b"there?"));
    ada.sends(masked(0x00, b"\xbc\xc3")).sends(masked(0x80, b"\x9fe"));
    bob.hears("grüße");
    assert_eq!(ada.reads_a_frame(), (0x8a, b"there?".to_vec()), "the pong comes at once");
    ada.hears("grüße");
    ada.sends(masked(0x02, b"")).sends(masked(0x00, &[7; 300])).sends(masked(0x80, b""));
    assert_eq!(bob.reads_a_frame(), (0x82, vec![7; 300]));
}

#[test]
fn the_largest_message_may_come_in_fragments() {
    let server = Server::start();
    let mut ada = Visitor::joins(server.address(), "/ws/physics");
    let mut bob = server.joins("physics");
    ada.sends(masked(0x02, &[1; 1000]));
    for _ in 0..1047 {
        ada.sends(masked(0x00, &[1; 1000]));
    }
    ada.sends(masked(0x80, &[1; 576]));
    assert!(bob.next() == Message::binary(vec![1; 1 << 20]), "1 MiB came changed");
}

#[test]
fn messages_that_leave_together_keep_a_frame_each() {
    let server = Server::start();
    let mut ada = Visitor::joins(server.address(), "/ws/physics");
    let mut bob = Visitor::joins(server.address(), "/ws/physics");
    let all: Vec<u8> =
        (0..1000).flat_map(|n: u32| masked(0x81, n.to_string().as_bytes())).collect();
    ada.sends(all);
    for n in 0..1000 {
        bob.hears(&n.to_string());
    }
}

#[test]
fn everyone_hears_the_same_order_when_all_talk_at_once() {
    const MEMBERS: usize = 8;
    const MESSAGES: usize = 200;
    let server = Server::start();
    let members: Vec<Client> = (0..MEMBERS).map(|_| server.joins("physics")).collect();
    let start = &Barrier::new(MEMBERS);
    let heard: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
        let talk = |(number, member)| scope.spawn(move || talks(member, number, MESSAGES, start));
        let talking: Vec<_> = members.into_iter().enumerate().map(talk).collect();
        talking.into_iter().map(|member| member.join().unwrap()).collect()
    });
    assert!(heard.iter().all(|order| *order == heard[0]), "not one order for all");
    for number in 0..MEMBERS {
        let own: Vec<usize> =
            heard[0].iter().filter(|(by, _)| *by == number).map(|m| m.1).collect();
        assert_eq!(own, (0..MESSAGES).collect::<Vec<_>>(), "what member {number} said");
    }
}

/// Says all its messages, then hears everyone's, its own too: (who, which).
fn talks(
    mut member: Client,
    number: usize,
    messages: usize,
    start: &Barrier,
) -> Vec<(usize, usize)> {
    start.wait();
    for n in 0..messages {
        member.says(&format!("{number} {n}"));
    }
    (0..8 * messages).map(|_| who_and_which(&member.next())).collect()
}

fn who_and_which(message: &Message) -> (usize, usize) {
    let (who, which) = message.to_text().unwrap().split_once(' ').unwrap();
    (who.parse().unwrap(), which.parse().unwrap())
}

#[test]
fn what_comes_right_behind_the_handshake_is_relayed() {
    let server = Server::start();
    let mut bob = server.joins("physics");
    let mut ada = server.is_visited();
    ada.sends([handshake("/ws/physics").into_bytes(), masked(0x81, b"hello")].concat());
    bob.hears("hello");
    ada.reads_a_head();
    ada.hears("hello");
}

#[test]
fn a_handshake_that_drags_messages_and_half_a_frame_behind_it_loses_nothing() {
    let server = Server::start();
    let mut bob = server.joins("physics");
    let mut said = handshake("/ws/physics").into_bytes();
    (0..100).for_each(|n: u32| said.extend(masked(0x81, format!("{n:080}").as_bytes())));
    let mut ada = server.is_visited();
    ada.sends(&said[..said.len() - 50]).reads_a_head();
    ada.sends(&said[said.len() - 50..]);
    for n in 0..100 {
        bob.hears(&format!("{n:080}"));
        ada.hears(&format!("{n:080}"));
    }
}

#[test]
fn whoever_has_joined_hears_what_is_said_next() {
    let server = Server::start();
    let mut ada = server.joins("physics");
    for n in 0..200 {
        let mut newcomer = server.joins("physics");
        ada.says(&n.to_string());
        newcomer.hears(&n.to_string());
        ada.hears(&n.to_string());
        newcomer.vanishes();
    }
}

#[test]
fn whoever_joins_while_somebody_talks_misses_nothing_from_then_on() {
    let server = Server::start();
    let mut ada = server.joins("physics");
    let (next, enough) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| talks_until(&mut ada, &next, &enough));
        let _at_last = Enough(&enough);
        for _ in 0..100 {
            joins_and_misses_nothing(&server, &next);
        }
    });
}

/// Says at its end, a failure too, that there has been talk enough.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Counts aloud, each number heard before the next is said. `next` is not said yet.
fn talks_until(ada: &mut Client, next: &AtomicU32, enough: &AtomicBool) {
    for n in 0.. {
        next.store(n + 1, Ordering::SeqCst);
        ada.says(&n.to_string());
        ada.hears(&n.to_string());
        if enough.load(Ordering::SeqCst) {
            return;
        }
    }
}

fn joins_and_misses_nothing(server: &Server, next: &AtomicU32) {
    let mut newcomer = server.joins("physics");
    let not_said_yet = next.load(Ordering::SeqCst);
    let first: u32 = newcomer.next().to_text().unwrap().parse().unwrap();
    assert!(first <= not_said_yet, "missed {not_said_yet}, said after the 101: first was {first}");
    for n in first + 1..first + 20 {
        newcomer.hears(&n.to_string());
    }
    newcomer.vanishes();
}

fn a_text(size: usize) -> Message {
    Message::text(String::from_utf8((b' '..=b'~').cycle().take(size).collect()).unwrap())
}

fn a_binary(size: usize) -> Message {
    Message::binary((0..=255).cycle().take(size).collect::<Vec<u8>>())
}
