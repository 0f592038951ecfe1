//! A signal ends the server in order: everyone is told, nobody can hold it up, the port is free.

mod support;

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use support::{Client, Program, Server, Visitor, handshake, masked};

/// In its own room: reads nothing until much waits for it, more than its socket holds.
fn falls_behind(program: &Program) -> Visitor {
    let mut slow = program.is_visited();
    slow.upgrades("/ws/slow");
    let address = slow.stream.local_addr().unwrap();
    let joined = program.logs(&format!("{address} joined room slow"));
    let number = joined.split_whitespace().find(|word| word.starts_with("client-")).unwrap();
    let is_behind = format!("{number} is behind");

    let mut talker = program.joins("slow");
    let piece = vec![7; 256 << 10];
    for _ in 0..256 {
        if program.has_logged(&is_behind) {
            talker.leaves();
            return slow;
        }
        talker.shows(&piece);
        talker.sees(&piece);
    }
    panic!("64 MiB went into a socket that nobody reads");
}

/// The connection ends, with or without a reset, and nothing was said on it.
fn is_sent_away(mut visitor: Visitor) {
    assert_eq!(visitor.reads_to_the_end(), b"");
}

fn is_told_why(client: &mut Client) {
    assert_eq!(client.is_told(1001), "the server is stopping");
}

fn nobody_listens_at(address: SocketAddr) {
    assert!(TcpStream::connect(address).is_err(), "somebody still listens at {address}");
}

fn everyone_is_told(signal: &str) {
    let program = Program::start(&["-v", "--max-backlog", "256M"]);
    let mut slow = falls_behind(&program);
    let (mut ada, mut bob) = (program.joins("physics"), program.joins("chemistry"));
    let mut eve = Client::connect(program.address(), "/echo");
    let mut half = program.is_visited();
    half.sends(&handshake("/ws/physics").as_bytes()[..40]);
    let silent = program.is_visited();

    ada.says("last words");
    ada.hears("last words");
    program.gets_signal(signal);
    for client in [&mut ada, &mut bob, &mut eve] {
        is_told_why(client);
    }
    is_sent_away(half);
    is_sent_away(silent);
    // Behind all that waited for it.
    assert_eq!(slow.reads_a_close(), (1001, "the server is stopping".to_owned()));
    slow.sends(masked(0x88, &1001_u16.to_be_bytes()));
    slow.reads_the_end();

    let address = program.address();
    let (status, log) = program.ends();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("stopping"), "{log}");
    assert!(!log.contains("[WARN]") && !log.contains("[ERROR]"), "{log}");
    nobody_listens_at(address);
}

#[test]
fn on_sigterm_everyone_is_told() {
    everyone_is_told("TERM");
}

#[test]
fn on_sigint_everyone_is_told() {
    everyone_is_told("INT");
}

#[test]
fn without_clients_it_just_ends() {
    let program = Program::start(&[]);
    program.gets_signal("TERM");
    let (status, log) = program.ends();
    // Where things are kept, and that it stops.
    assert_eq!((status, log.lines().count()), (Some(0), 2), "{log}");
}

#[test]
fn an_unanswered_close_does_not_hold_it() {
    let program = Program::start(&[]);
    let mut mute: Vec<_> = (0..3).map(|_| program.is_visited()).collect();
    for (visitor, path) in mute.iter_mut().zip(["/ws", "/ws/physics", "/echo"]) {
        visitor.upgrades(path);
    }
    program.gets_signal("TERM");
    for visitor in &mut mute {
        assert_eq!(visitor.reads_a_close().0, 1001);
    }
    let (status, log) = program.ends();
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("[WARN]"), "{log}");
}

#[test]
fn clients_that_never_read_do_not_hold_it() {
    let program = Program::start(&["-v", "--max-backlog", "256M"]);
    let _slow = falls_behind(&program);
    let address = program.address();
    // Its answers fill its own socket, so that its thread is blocked in a write.
    let mut full = Client::connect(address, "/echo");
    full.socket.get_ref().set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let piece = tungstenite::Message::binary(vec![7; 1 << 20]);
    while full.socket.send(piece.clone()).is_ok() {}
    program.gets_signal("TERM");
    let (status, log) = program.ends();
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("[WARN]"), "{log}");
}

#[test]
fn clients_that_never_stop_talking_do_not_hold_it() {
    let program = Program::start(&[]);
    let many = masked(0x81, b"!").repeat(20_000);
    let talkers: Vec<_> = (0..64)
        .map(|number| {
            let mut talker = program.is_visited();
            talker.upgrades(&format!("/ws/{number}"));
            talker
        })
        .collect();
    thread::scope(|talking| {
        for talker in &talkers {
            let (mut reader, mut writer) = (&talker.stream, &talker.stream);
            talking.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            let many = &many;
            talking.spawn(move || while writer.write_all(many).is_ok() {});
        }
        program.gets_signal("TERM");
        let ended = thread::scope(|waiting| waiting.spawn(|| program.ends()).join());
        // A client may be stuck in its last write for a minute after the server's end.
        talkers.iter().for_each(|talker| talker.stream.shutdown(Shutdown::Both).unwrap_or(()));
        let (status, log) = ended.expect("it ends although they talk on");
        assert_eq!(status, Some(0), "{log}");
    });
}

#[test]
fn visitors_who_ask_nothing_do_not_delay_the_others() {
    let program = Program::start(&[]);
    let mut ada = program.joins("physics");
    let idle: Vec<_> = (0..20).map(|_| program.is_visited()).collect();
    program.gets_signal("TERM");
    // Ada answers only when all of them have been sent away. If they were kept for as long as
    // she may take, she would be cut off with them, and her answer come too late.
    idle.into_iter().for_each(is_sent_away);
    is_told_why(&mut ada);
    let (status, log) = program.ends();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("left room physics: closed"), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("INT", "INT"), ("TERM", "INT"), ("INT", "TERM")] {
        let program = Program::start(&[]);
        let mut mute = program.is_visited();
        mute.upgrades("/ws");
        program.gets_signal(first);
        // It has seen the first signal, and waits for the answer to this.
        assert_eq!(mute.reads_a_close().0, 1001);
        program.gets_signal(second);
        let (status, log) = program.ends();
        assert_eq!(status, Some(1), "{first}, {second}: {log}");
    }
}

#[test]
fn the_next_server_takes_the_port_and_the_clients_back() {
    let mut program = Program::start(&[]);
    let address = program.address();
    for _ in 0..3 {
        let (mut ada, mut bob) = (program.joins("physics"), program.joins("physics"));
        ada.says("hello again");
        bob.hears("hello again");
        program.gets_signal("TERM");
        is_told_why(&mut ada);
        is_told_why(&mut bob);
        assert_eq!(program.ends().0, Some(0));
        program = Program::start_at(&address.to_string());
        assert_eq!(program.address(), address);
    }
}

#[test]
fn after_a_kill_the_next_server_takes_the_port() {
    let program = Program::start(&[]);
    let address = program.address();
    let _ada = program.joins("physics");
    program.gets_signal("KILL");
    assert_eq!(program.ends().0, None);
    let next = Program::start_at(&address.to_string());
    let mut bob = next.joins("physics");
    bob.says("hello");
    bob.hears("hello");
}

#[test]
fn a_server_in_this_process_stops_likewise() {
    let server = Server::start();
    let address = server.address();
    let (mut ada, mut eve) = (server.joins("physics"), server.calls_into_the_echo());
    let mut half = server.is_visited();
    half.sends("GET /ws HT");
    thread::scope(|stopping| {
        stopping.spawn(|| server.stops());
        is_told_why(&mut ada);
        is_told_why(&mut eve);
        is_sent_away(half);
    });
    nobody_listens_at(address);
}

#[test]
fn stopping_one_server_leaves_the_others_alone() {
    let (server, other) = (Server::start(), Server::start());
    let mut ada = other.joins("physics");
    server.stops();
    ada.says("still here");
    ada.hears("still here");
}
