//! What cannot be held is turned away, those who are here feel nothing, and places come back.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use support::{Answer, Client, Program, Server, Visitor, handshake, until};
use tungstenite::Message;

const PAGE: &str = "GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn is_turned_away(answer: &Answer) {
    let pause = answer.refuses_with(503).field("Retry-After").expect("a time to come back");
    assert!((1..60).contains(&pause.parse::<u64>().unwrap()), "{pause}");
}

/// Everyone says something, and everyone hears it.
fn talk(clients: &mut [Client]) {
    for speaker in 0..clients.len() {
        let text = format!("{speaker} speaks");
        clients[speaker].says(&text);
        clients.iter_mut().for_each(|client| client.hears(&text));
    }
}

#[test]
fn one_connection_more_than_max_clients_is_answered_503() {
    let server = Server::with(&["--max-clients", "3"]);
    let mut clients = [(); 3].map(|()| server.joins("lab"));
    for request in [PAGE, &handshake("/ws/lab"), &handshake("/echo"), "GET / HT", ""] {
        is_turned_away(&server.is_visited().asks(request));
        talk(&mut clients);
    }
    // A script that is turned away reads why.
    let answer = server.is_visited().asks(PAGE.replace("/style.css", "/rooms"));
    assert!(answer.has_a_problem(503).field("Retry-After").is_some());
}

#[test]
fn a_connection_counts_before_it_has_asked_anything() {
    let server = Server::with(&["--max-clients", "3"]);
    let silent = [(); 3].map(|()| server.is_visited());
    is_turned_away(&server.is_visited().asks(PAGE));
    drop(silent);
    until("a free place", || server.get("/").status == 200);
}

#[test]
fn a_place_comes_back_however_its_client_left() {
    let server = Server::with(&["--max-clients", "3"]);
    let mut stayers = [(); 2].map(|()| server.joins("lab"));
    let leave: [fn(Client); 3] = [Client::leaves, Client::vanishes, Client::half_closes];
    for leaves in leave.iter().cycle().take(12) {
        until("a free place", || server.get("/").status == 200);
        let mut last = None;
        until("a place to join", || {
            last = joins(server.is_visited());
            last.is_some()
        });
        is_turned_away(&server.get("/"));
        leaves(as_a_client(last.unwrap()));
        talk(&mut stayers);
    }
}

fn joins(mut visitor: Visitor) -> Option<Visitor> {
    let head = visitor.sends(handshake("/ws/quiet")).reads_a_head();
    head.starts_with(b"HTTP/1.1 101 ").then_some(visitor)
}

fn as_a_client(visitor: Visitor) -> Client {
    let role = tungstenite::protocol::Role::Client;
    Client { socket: tungstenite::WebSocket::from_raw_socket(visitor.stream, role, None) }
}

#[test]
fn in_a_flood_those_who_are_here_talk_on() {
    let server = Server::with(&["--max-clients", "3"]);
    let mut clients = [(); 3].map(|()| server.joins("lab"));
    let flood: Vec<Visitor> = (0..200).map(|_| holds(server.is_visited())).collect();
    talk(&mut clients);
    // In a flood some are told in passing, and may see a reset instead; nobody is let in.
    let told: Vec<Vec<u8>> = flood.into_iter().map(|mut v| v.reads_to_the_end()).collect();
    let answers = told.iter().filter(|bytes| !bytes.is_empty());
    assert!(answers.clone().count() > 0);
    answers.for_each(|bytes| is_turned_away(&Answer::parse(bytes)));
    talk(&mut clients);
    drop(clients);
    until("a free place", || server.get("/").status == 200);
}

fn holds(mut visitor: Visitor) -> Visitor {
    visitor.sends(PAGE);
    visitor
}

/// The program with a log in `file`, started by a shell that sets a limit first.
fn start_under(limit: &str, file: &Path) -> Program {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]);
    command.arg(Program::command().get_program());
    command.args(["--listen", "127.0.0.1:0", "--log-file"]).arg(file);
    Program::spawn(command)
}

fn text(log: &Path) -> String {
    fs::read_to_string(log).unwrap()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn max_clients_is_clipped_to_the_descriptors_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let program = start_under("ulimit -n 64", &log);
    let warning = text(&log);
    assert!(warning.contains("[WARN]") && warning.contains("--max-clients 4096"), "{warning}");
    let fitting = warning.split("allows ").nth(1).and_then(|rest| rest.split(';').next());
    let fitting: usize = fitting.expect("a number").parse().unwrap();
    assert!((8..64).contains(&fitting), "{warning}");
    let mut clients: Vec<Client> = (0..fitting).map(|_| program.joins("lab")).collect();
    is_turned_away(&program.is_visited().asks(PAGE));
    talk(&mut clients);
}

/// A client that is behind has two threads, and each takes four mappings: a system that has no more
/// ends the program inside the start of one. So they are reckoned for all clients beforehand.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn max_clients_is_clipped_to_the_mappings_of_two_threads_each() {
    let most: usize =
        fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    let program = Program::start(&["--max-clients", "1000000000"]);
    let fitting = |limit: &str| {
        let warning = program.logs(limit);
        let number = warning.split("allows ").nth(1).and_then(|rest| rest.split(';').next());
        number.expect("a number").parse::<usize>().unwrap()
    };
    // If descriptors are the narrower limit, nothing is said of mappings.
    let open_files = fitting("the limit of open files");
    if open_files * 8 > most {
        let clients = fitting("the limit of memory mappings");
        assert!(clients * 2 * 4 + 1024 <= most, "{clients} clients in {most} mappings");
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn two_hundred_connections_do_not_harm_a_server_with_64_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let program = start_under("ulimit -n 64", &folder.path().join("log"));
    let mut clients = [(); 2].map(|()| program.joins("lab"));
    for _ in 0..3 {
        let crowd: Vec<Visitor> = (0..200).map(|_| program.is_visited()).collect();
        talk(&mut clients);
        drop(crowd);
        // Meanwhile it may be turned away, over TLS without a word.
        let is_served = || {
            let answer = program.is_visited().sends(PAGE).reads_to_the_end();
            answer.starts_with(b"HTTP/1.1 200")
        };
        until("a free place", is_served);
        // Some twenty are its own, two are the clients'.
        until("free descriptors", || program.descriptors() < 32);
        talk(&mut clients);
    }
}

/// Out of descriptors `accept` fails at once and for ever: without a pause that is a busy core.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn out_of_descriptors_the_server_rests_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let options = ["--idle-timeout", "8s", "--log-file", log.to_str().unwrap()];
    let program = Program::start(&options);
    let mut clients = [(); 2].map(|()| program.joins("lab"));
    // Whatever the start needs, it has: every line to tiny_http has carried a page.
    (0..8).for_each(|_| assert_eq!(program.is_visited().asks(PAGE).status, 200));
    program.has_limit("--nofile=3:");
    let waiting = [(); 20].map(|()| asks_from_its_own_thread(program.is_visited()));
    until("a warning", || text(&log).contains("no connection could be accepted"));
    talk(&mut clients);
    // The server's own Ping tells the time: 5/12 of the idle timeout have passed.
    let before = ticks(&program);
    is_pinged(&mut clients[0]);
    let spent = ticks(&program) - before;
    assert!(spent < 50, "{spent} of about 330 ticks of one core were spent");
    talk(&mut clients);
    program.has_limit("--nofile=256:");
    for visitor in waiting {
        let answer = visitor.join().expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let warnings = text(&log).matches("no connection could be accepted").count();
    assert!(warnings <= 40, "{warnings} warnings");
}

/// Over TLS nobody can ask before the server has said something.
fn asks_from_its_own_thread(mut visitor: Visitor) -> JoinHandle<Answer> {
    thread::spawn(move || visitor.asks(PAGE))
}

/// Processor time so far, in hundredths of a second.
fn ticks(program: &Program) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.process.id())).unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn is_pinged(client: &mut Client) {
    let message = client.socket.read().expect("a ping");
    assert!(matches!(message, Message::Ping(_)), "{message:?}");
}

/// The limit of threads does not bind root, but where no stack can be mapped no thread starts
/// either. One arena, so that the allocator itself needs no more mappings. On a plain port alone:
/// without a thread nobody can be waited for, so there is no handshake behind which to say 503.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc and prlimit")]
fn a_thread_that_cannot_be_started_is_a_503() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Program::command();
    command.env("MALLOC_ARENA_MAX", "1").args(["--listen", "127.0.0.1:0", "--log-file"]).arg(&log);
    let program = Program::spawn_plainly(command);
    let mut clients = [(); 2].map(|()| program.joins("lab"));
    let kib = program.status("VmSize") + 512;
    program.has_limit(&format!("--as={}:", kib << 10));
    // Threads that have ended leave their stacks to a few more.
    let mut silent = Vec::new();
    until("a thread that does not start", || {
        silent.push(program.is_visited());
        program.is_visited().asks(PAGE).status == 503
    });
    is_turned_away(&program.is_visited().asks(PAGE));
    talk(&mut clients);
    drop(silent);
    program.has_limit("--as=unlimited:");
    until("a page", || program.is_visited().asks(PAGE).status == 200);
    talk(&mut clients);
    until("a warning", || text(&log).contains("no thread could be started"));
}
