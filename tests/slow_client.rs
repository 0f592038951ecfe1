//! A client that stops reading delays nobody. If it catches up in time it has missed nothing;
//! if not, it is gone, and what waited for it is freed.

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use support::{Client, Program, Server, V1, Visitor, Way, handshake, masked, until};

/// What is said at once.
const PIECE: usize = 64 << 10;

/// So many pieces (16 MiB) are far more than the kernel keeps for a client that does not read.
const MANY: u32 = 256;

/// Room for all of them, for every test in which nobody is to be cut off.
const PLENTY: [&str; 2] = ["--max-backlog", "64M"];

/// A member that reads when the test says so. Its own buffer stays small.
fn a_slow_reader(address: SocketAddr) -> Visitor {
    let slow = Visitor::connect(address);
    SockRef::from(&slow.stream).set_recv_buffer_size(PIECE).unwrap();
    let mut slow = slow;
    slow.upgrades("/ws/physics");
    slow
}

/// A piece that tells its number from the first byte to the last.
fn piece(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(PIECE / 4)
}

/// `ada` shows pieces, and each is seen by both before the next.
fn talk(ada: &mut Client, bob: &mut Client, pieces: Range<u32>) {
    for n in pieces {
        ada.shows(&piece(n));
        bob.sees(&piece(n));
        ada.sees(&piece(n));
    }
}

/// The slow one sees every piece, whole and once, and nothing in between.
fn catches_up(slow: &mut Visitor, pieces: Range<u32>) {
    for n in pieces {
        assert!(slow.reads_a_frame() == (0x82, piece(n)), "piece {n} is not as it was");
    }
}

#[test]
fn a_client_that_stops_reading_delays_nobody_and_misses_nothing() {
    let server = Server::with(&PLENTY);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    for round in 0..3 {
        let pieces = round * MANY..(round + 1) * MANY;
        talk(&mut ada, &mut bob, pieces.clone());
        assert_eq!(server.count_of("clients"), 3, "they heard it all while it was there");
        catches_up(&mut slow, pieces);
        ada.says("caught up?");
        slow.hears("caught up?").says("yes");
        for member in [&mut ada, &mut bob] {
            member.hears("caught up?");
            member.hears("yes");
        }
        slow.hears("yes");
    }
}

#[test]
fn one_that_reads_on_while_others_talk_on_misses_nothing() {
    let server = Server::with(&PLENTY);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    talk(&mut ada, &mut bob, 0..MANY);
    // It reads two for each one that is said, so it is behind, and then it is not any more.
    for n in 0..2 * MANY {
        talk(&mut ada, &mut bob, MANY + n..MANY + n + 1);
        catches_up(&mut slow, (2 * n).min(MANY + n)..(2 * n + 2).min(MANY + n + 1));
    }
    ada.says("caught up?");
    slow.hears("caught up?");
}

#[test]
fn one_that_is_behind_again_and_again_misses_nothing() {
    let server = Server::with(&["--max-backlog", "256M"]);
    let mut ada = a_slow_reader(server.address());
    let mut slow = a_slow_reader(server.address());
    let mut ears = Visitor { stream: ada.stream.try_clone().unwrap() };
    let large = vec![7; 512 << 10];
    thread::scope(|scope| {
        scope.spawn(|| hears_large_and_small(&mut slow, &large));
        scope.spawn(|| hears_large_and_small(&mut ears, &large));
        let frame = masked(0x82, &large);
        for n in 0..100 {
            ada.sends(&frame);
            for i in 0..10 {
                ada.says(&format!("{n} {i}"));
            }
        }
    });
}

/// A large message fills the socket; the small ones come just when it has been taken.
fn hears_large_and_small(member: &mut Visitor, large: &[u8]) {
    for n in 0..100 {
        assert!(member.reads_a_frame() == (0x82, large.to_vec()), "large one {n} is not as it was");
        for i in 0..10 {
            member.hears(&format!("{n} {i}"));
        }
    }
}

#[test]
fn rule_40_one_that_is_too_far_behind_is_gone() {
    let server = Server::with(&["--max-backlog", "4M"]);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    talk(&mut ada, &mut bob, 0..MANY);
    assert_eq!(server.count_of("clients"), 2, "it was not cut off");
    let seen = slow.reads_whole_frames();
    assert!(seen.len() < MANY as usize - 64, "what waited for it was still sent");
    for (n, frame) in (0..).zip(seen) {
        assert!(frame == (0x82, piece(n)), "piece {n} is not as it was");
    }
    talk(&mut ada, &mut bob, MANY..MANY + 10);
}

#[test]
fn one_that_takes_nothing_for_long_is_gone() {
    let server = Server::with(&PLENTY);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let _slow = a_slow_reader(server.address());
    talk(&mut ada, &mut bob, 0..MANY);
    assert_eq!(server.count_of("clients"), 3);
    server.comes_to_have(2, "clients");
    talk(&mut ada, &mut bob, 0..1);
}

#[test]
fn one_that_reads_slowly_but_steadily_stays() {
    const TICKS: usize = 48;
    let server = Server::with(&["--max-rate", "4", "--max-message-size", "16M"]);
    let mut ada = server.joins("physics");
    let mut slow = a_slow_reader(server.address());
    let large = piece(7).repeat(MANY as usize);
    ada.shows(&large);
    // Four ticks in a second: somebody who has said much and is read at the allowed rate.
    let mut clock = server.joins("clock");
    (0..TICKS).for_each(|_| clock.says("tick"));
    slow.reads(10);
    for n in 0..TICKS {
        clock.hears("tick");
        assert!(slow.reads(10_000) == large[n * 10_000..][..10_000], "cut or changed at {n}");
    }
    let rest = &large[TICKS * 10_000..];
    assert!(slow.reads(rest.len()) == rest, "the rest is not as it was");
}

#[test]
fn pongs_and_close_reach_one_that_is_behind_in_their_place() {
    let server = Server::with(&PLENTY);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    talk(&mut ada, &mut bob, 0..MANY);
    slow.sends(masked(0x89, b"one")).sends(masked(0x89, b"two")).says("wait for me");
    for member in [&mut ada, &mut bob] {
        member.hears("wait for me");
    }
    slow.sends(masked(0x88, &[0x0b, 0xb9, b'!']));
    server.comes_to_have(2, "clients");
    talk(&mut ada, &mut bob, MANY..MANY + 10);
    catches_up(&mut slow, 0..MANY);
    assert_eq!(slow.reads_a_frame(), (0x8a, b"one".to_vec()));
    assert_eq!(slow.reads_a_frame(), (0x8a, b"two".to_vec()));
    slow.hears("wait for me");
    assert_eq!(slow.reads_a_close(), (3001, "!".to_owned()));
    slow.reads_the_end();
}

#[test]
fn one_that_breaks_a_rule_while_behind_is_still_told() {
    let server = Server::with(&PLENTY);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    talk(&mut ada, &mut bob, 0..MANY);
    slow.sends(vec![0xff; 200 << 10]);
    server.comes_to_have(2, "clients");
    catches_up(&mut slow, 0..MANY);
    assert_eq!(slow.reads_a_close().0, 1002);
    slow.reads_the_end();
}

/// Progress alone is not enough: else what waits for it would be held for ever.
#[test]
fn one_that_has_ended_and_takes_the_rest_too_slowly_is_gone() {
    let server = Server::with(&PLENTY);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    talk(&mut ada, &mut bob, 0..MANY);
    slow.sends(vec![0xff; 200 << 10]);
    server.comes_to_have(2, "clients");
    let (mut taken, mut some) = (0, [0; 4096]);
    while let Ok(count @ 1..) = slow.stream.read(&mut some) {
        taken += count;
        // Its pace: seven minutes for all of it.
        thread::sleep(Duration::from_millis(100));
    }
    assert!(taken < MANY as usize * PIECE, "it got all of it");
}

#[test]
fn one_that_pours_in_and_never_reads_blocks_nobody() {
    let server = Server::with(&["--max-backlog", "8M"]);
    let mut bob = server.joins("physics");
    let mut greedy = a_slow_reader(server.address());
    let mut said = 0;
    while server.count_of("clients") == 2 && said < 2 * MANY {
        greedy.sends(masked(0x82, &piece(said)));
        bob.sees(&piece(said));
        said += 1;
    }
    assert!(said > 8 << 4, "cut off after {said} pieces, before 8 MiB can have waited");
    assert!(said < 2 * MANY, "it was never cut off");
    bob.says("is it gone?");
    bob.hears_nothing_before("is it gone?");
}

#[test]
fn a_message_larger_than_the_backlog_arrives() {
    let server = Server::with(&["--max-backlog", "128K", "--max-message-size", "16M"]);
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    let mut slow = a_slow_reader(server.address());
    for n in 0..2 {
        let large = piece(n).repeat(128);
        ada.shows(&large);
        for member in [&mut ada, &mut bob] {
            assert!(member.next().into_data() == large, "8 MiB came changed");
        }
        assert!(slow.reads_a_frame() == (0x82, large), "8 MiB came changed");
    }
    ada.says("and now?");
    slow.hears("and now?");
}

/// Writer threads: of clients that are behind, and for a few seconds those that rest.
fn writers(program: &Program) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.process.id())).expect("Linux");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("writer")).count()
}

#[test]
fn one_that_has_caught_up_needs_no_thread_of_its_own_any_more() {
    let program = Program::start(&["-q", PLENTY[0], PLENTY[1]]);
    let (mut ada, mut bob) = (program.joins("physics"), program.joins("physics"));
    let mut slow = a_slow_reader(program.address());
    for _ in 0..3 {
        talk(&mut ada, &mut bob, 0..MANY);
        assert!(writers(&program) > 0, "nobody is behind");
        catches_up(&mut slow, 0..MANY);
        until("the end of the writer", || writers(&program) == 0);
        talk(&mut ada, &mut bob, 0..1);
        catches_up(&mut slow, 0..1);
    }
}

#[test]
fn memory_of_those_who_were_cut_off_is_used_again() {
    const ROUNDS: u64 = 5;
    const BACKLOG: u64 = 16 << 10;
    let program = Program::start(&["-q", "--max-backlog", "16M"]);
    let (mut ada, mut bob) = (program.joins("physics"), program.joins("physics"));
    talk(&mut ada, &mut bob, 0..MANY);
    let (memory, descriptors) = (program.status("VmRSS"), program.descriptors());
    for _ in 0..ROUNDS {
        let _slow = a_slow_reader(program.address());
        talk(&mut ada, &mut bob, 0..MANY);
        assert!(program.status("VmRSS") > memory + BACKLOG / 2, "nothing waits");
        talk(&mut ada, &mut bob, 0..MANY);
        until("its end", || program.descriptors() == descriptors && writers(&program) == 0);
    }
    // The allocator may keep what one backlog took, but not what five did.
    let after = program.status("VmRSS");
    assert!(after < memory + 2 * BACKLOG, "{memory} KiB have become {after} KiB");
}

/// So that a class can watch it: one tab is slow, and the others are not.
#[test]
fn one_that_wishes_to_be_slow_is_slow_alone() {
    let program = Program::start(&["-v"]);
    let (mut ada, mut bob) = (program.joins("physics"), program.joins("physics"));
    let mut slow = program.connects("/ws/physics?slow=20000");
    let kilobyte = "x".repeat(1000);
    for _ in 0..200 {
        ada.says(&kilobyte);
        ada.hears(&kilobyte);
        bob.hears(&kilobyte);
    }
    // 64 KiB wait for it, and no more.
    program.logs("too much waited");
    slow.is_cut_off();
    // At a better pace nothing is missing.
    let mut steady = program.connects("/ws/physics?slow=1000000&since=0");
    for _ in 0..100 {
        steady.hears(&kilobyte);
    }
    ada.says("the end");
    steady.hears("the end");
}

#[test]
fn a_wish_that_cannot_be_granted_is_refused() {
    let server = Server::start();
    for bad in ["slow=99", "slow=1000001", "slow=", "slow=fast"] {
        server.is_visited().asks(handshake(&format!("/ws/a?{bad}"))).refuses_with(400);
    }
}

#[test]
fn rule_40_one_that_wishes_to_be_slow_is_told_how_much_waits_for_it() {
    let server = Server::start();
    let (mut slow, _) = V1::comes_back(&server, "/ws/physics?slow=2000");
    let mut ada = server.joins("physics");
    for _ in 0..10 {
        ada.says(&"x".repeat(500));
        ada.hears(&"x".repeat(500));
    }
    let behind = loop {
        let event = slow.next();
        if event["type"] == "behind" {
            break event;
        }
    };
    assert_eq!(behind["limit"], 64 << 10);
    assert!(behind["waiting"].as_u64().is_some_and(|bytes| bytes > 0), "{behind}");
}

/// What it has sent before is no longer in memory while it is silent.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn a_silent_client_holds_no_buffer() {
    const CROWD: u64 = 300;
    let program = Program::start_plainly(&["-q", "--history", "0"]);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| program.connects("/echo")).collect();
    let says = |crowd: &mut Vec<Client>, text: &str| {
        crowd.iter_mut().for_each(|one| one.says(text));
        crowd.iter_mut().for_each(|one| one.hears(text));
    };
    says(&mut crowd, "short");
    let before = program.status("VmRSS");
    says(&mut crowd, &"x".repeat(1500));
    let more = program.status("VmRSS").saturating_sub(before);
    assert!(more < 16 * CROWD, "{} KiB each", more / CROWD);
}

/// Else a crowd that pings and does not read would hold every word once for each of its members.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn what_waits_for_a_crowd_is_in_memory_once_although_each_has_pongs_of_its_own() {
    const CROWD: usize = 500;
    let program =
        Program::start_plainly(&["-q", "--max-backlog", "128K", "--max-message-size", "64K"]);
    let mut before = 0;
    for round in 0..3 {
        let crowd: Vec<_> = (0..CROWD).map(|_| a_slow_page(program.address())).collect();
        if round == 0 {
            before = program.status("VmHWM");
        }
        talk_while_they_ping(program.address(), &crowd);
    }
    let grown = (program.status("VmHWM") - before) >> 10;
    // What is said in a few turns, and a thread for each; a copy for each of them would be hundreds.
    assert!(grown < 35, "{grown} MiB for {CROWD} clients");
}

/// Three talk in one go, so that some turns have much of what they say, and a ping of each.
fn talk_while_they_ping(address: SocketAddr, crowd: &[Visitor]) {
    // In JSON six times as long.
    let words = masked(0x81, &[1; 60_000]).repeat(5);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for page in crowd {
                    // It may have been cut off.
                    let _ = (&page.stream).write_all(&masked(0x89, b""));
                }
                // Its pace: what waits is to be words, not pongs.
                thread::sleep(Duration::from_millis(10));
            }
        });
        let talk = || {
            let mut speaker = Visitor::over(Way::Plain.connects(address));
            speaker.upgrades("/ws/physics").sends(&words).sends(masked(0x88, b""));
            speaker.reads_to_the_end()
        };
        let speakers = [(); 3].map(|()| scope.spawn(talk));
        speakers.into_iter().for_each(|speaker| drop(speaker.join().unwrap()));
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A member that hears events, and never reads them.
fn a_slow_page(address: SocketAddr) -> Visitor {
    let mut page = Visitor::over(Way::Plain.connects(address));
    SockRef::from(&page.stream).set_recv_buffer_size(PIECE).unwrap();
    let asks = "\r\nSec-WebSocket-Protocol: wsroom.v1\r\n\r\n";
    page.sends(handshake("/ws/physics").replacen("\r\n\r\n", asks, 1)).reads_a_head();
    page
}
