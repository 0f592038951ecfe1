//! A client may vanish at any point, in any way: its thread, its descriptor, its place in the
//! room and its memory are freed.

mod support;

use std::net::SocketAddr;
use std::thread;

use support::{Answer, Client, Program, Visitor, handshake, masked, until};

/// A way to come and to go. It is over when the client is gone, which is before the server knows.
type Visit = fn(SocketAddr);

/// All ways but those that take the server's patience.
const VISITS: [(&str, Visit); 14] = [
    ("a reset after connecting", |a| Visitor::connect(a).vanishes()),
    ("the end of the stream after connecting", |a| {
        Visitor::connect(a).half_closes().reads_to_the_end();
    }),
    ("a reset within the request", |a| resets(Visitor::connect(a).sends("GET /ws HT"))),
    ("the end of the stream within the request", |a| {
        Visitor::connect(a).sends("GET /ws HT").half_closes().reads_to_the_end();
    }),
    ("a reset before the 101 is read", |a| {
        resets(Visitor::connect(a).sends(handshake("/ws/physics")));
    }),
    ("the end of the stream right behind the request", |a| {
        Visitor::connect(a).sends(handshake("/ws/physics")).half_closes().reads_to_the_end();
    }),
    ("a reset in a room", |a| Client::connect(a, "/ws/physics").vanishes()),
    ("the end of the stream in a room", |a| Client::connect(a, "/ws/physics").half_closes()),
    ("a reset behind a message", |a| {
        resets(Visitor::joins(a, "/ws/physics").says("hello").sends(masked(0x89, b"?")));
    }),
    ("a reset within a frame", |a| resets(in_a_frame(&mut Visitor::joins(a, "/ws/physics")))),
    ("the end of the stream within a frame", |a| {
        in_a_frame(&mut Visitor::joins(a, "/ws/physics")).half_closes().reads_to_the_end();
    }),
    ("a reset within a fragmented message in the echo", |a| {
        resets(Visitor::joins(a, "/echo").sends(masked(0x01, &[b'x'; 5000])));
    }),
    ("the end of the stream in the echo", |a| Client::connect(a, "/echo").half_closes()),
    ("a goodbye", |a| Client::connect(a, "/ws/physics").leaves()),
];

fn resets(visitor: &mut Visitor) {
    let stream = visitor.stream.try_clone().unwrap();
    Visitor { stream }.vanishes();
}

/// Half of a frame of 100 KiB.
fn in_a_frame(visitor: &mut Visitor) -> &mut Visitor {
    visitor.sends(&masked(0x82, &[7; 100 << 10])[..50 << 10])
}

/// Threads for connections. Those that rest end after a few seconds. (The total says less: tiny_http
/// lets idle threads of its own end after a while.)
fn threads_of_clients(program: &Program) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.process.id())).expect("Linux");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| ["door", "client", "writer"].contains(&name.trim())).count()
}

fn asks_for_health(address: SocketAddr) -> Answer {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    Visitor::connect(address).asks(request)
}

/// A program at rest, and the descriptors that it holds.
fn a_program(options: &[&str]) -> (Program, usize) {
    let program = Program::start(options);
    // Once for each of its lines to tiny_http, so that all of them are set up.
    (0..4).for_each(|_| drop(asks_for_health(program.address())));
    until("rest", || threads_of_clients(&program) == 0);
    let descriptors = program.descriptors();
    (program, descriptors)
}

/// Waits until nobody is there any more, and all is freed but the threads, some of which rest.
fn is_at_rest(program: &Program, descriptors: usize, after: &str) {
    // Connections are accepted in order: all earlier ones have been when this is answered.
    asks_for_health(program.address());
    until(&format!("the end of descriptors after {after}"), || {
        program.descriptors() == descriptors
    });
    let health = asks_for_health(program.address()).body;
    assert!(health.contains(r#""clients":0,"rooms":0"#), "after {after}: {health}");
}

#[test]
fn whoever_vanishes_is_forgotten() {
    let (program, descriptors) = a_program(&["-q"]);
    for (way, visit) in VISITS {
        (0..10).for_each(|_| visit(program.address()));
        is_at_rest(&program, descriptors, way);
    }
    until("the end of threads", || threads_of_clients(&program) == 0);
}

#[test]
fn nobody_is_there_after_two_thousand_visits() {
    const SLACK: u64 = 2 << 10;
    let (program, descriptors) = a_program(&["-q"]);
    come_and_go(program.address(), 250);
    is_at_rest(&program, descriptors, "250 visits");
    until("the end of threads", || threads_of_clients(&program) == 0);
    let (memory, threads) = (program.status("VmRSS"), program.status("Threads"));
    come_and_go(program.address(), 2000);
    is_at_rest(&program, descriptors, "2,000 visits");
    until("the end of threads", || threads_of_clients(&program) == 0);
    let after = program.status("VmRSS");
    assert!(after <= memory + SLACK, "{memory} KiB have become {after} KiB");
    until("no more threads than before", || program.status("Threads") <= threads);
}

/// Visits of all kinds, four at a time.
fn come_and_go(address: SocketAddr, visits: usize) {
    thread::scope(|scope| {
        for first in 0..4 {
            let mine = VISITS.iter().cycle().skip(first).take(visits / 4);
            scope.spawn(move || mine.for_each(|(_, visit)| visit(address)));
        }
    });
}

#[test]
fn whoever_stays_hears_nothing_of_it() {
    let (program, _) = a_program(&["-q"]);
    let (mut ada, mut bob) = (program.joins("music"), program.joins("music"));
    for (way, visit) in VISITS {
        visit(program.address());
        ada.says(way);
        bob.hears_nothing_before(way);
        ada.hears(way);
    }
}

#[test]
fn whoever_says_nothing_at_all_is_forgotten() {
    let (program, descriptors) = a_program(&["-q"]);
    let mut silent = Visitor::connect(program.address());
    let mut half = Visitor::connect(program.address());
    half.sends("GET /ws/physics HTTP/1.1\r\n");
    assert_eq!(silent.reads_to_the_end(), b"");
    assert_eq!(half.gets_an_answer().status, 408);
    drop((silent, half));
    is_at_rest(&program, descriptors, "silence");
}

#[test]
fn whoever_falls_silent_is_forgotten() {
    let (program, descriptors) = a_program(&["-q", "--idle-timeout", "1s"]);
    let mut ada = Visitor::joins(program.address(), "/ws/physics");
    let mut bob = Visitor::joins(program.address(), "/echo");
    in_a_frame(&mut bob);
    let mut carol = Visitor::joins(program.address(), "/ws/physics");
    in_a_frame(&mut carol);
    // They stay connected: it is the server that lets go.
    is_at_rest(&program, descriptors, "silence");
    for silent in [&mut ada, &mut bob, &mut carol] {
        assert_eq!(silent.reads_a_close().0, 4002);
        silent.reads_the_end();
    }
}

#[test]
fn whoever_vanishes_while_far_behind_is_forgotten() {
    let (program, descriptors) = a_program(&["-q", "--max-backlog", "64M"]);
    let mut ada = program.joins("physics");
    let slow = Visitor::joins(program.address(), "/ws/physics");
    let message = vec![7; 64 << 10];
    for _ in 0..256 {
        ada.shows(&message);
        ada.sees(&message);
    }
    slow.vanishes();
    ada.leaves();
    is_at_rest(&program, descriptors, "one that was behind");
    until("the end of threads", || threads_of_clients(&program) == 0);
}
