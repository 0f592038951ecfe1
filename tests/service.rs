//! The service manager is told how the server is, and a restart on its socket refuses nobody.
//!
//! These tests do what systemd does: they set its variables, hold the socket, and receive what it is told.
#![cfg(unix)]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{PATIENCE, Program, Visitor};
use tempfile::TempDir;

/// Who is told: a datagram socket in a folder of its own.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    /// The server's command, with the variables of a service.
    fn command(&self) -> Command {
        let mut command = Program::command();
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// The next thing that it is told.
    fn hears(&self) -> String {
        let mut told = [0; 256];
        let count = self.socket.recv(&mut told).expect("it is told something");
        String::from_utf8_lossy(&told[..count]).trim_end().to_owned()
    }

    /// Whether it was told more than it has heard.
    fn has_unheard_news(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        self.socket.recv(&mut [0; 256]).is_ok()
    }
}

fn talks(program: &Program) {
    let mut ada = program.joins("lab");
    ada.says("hello");
    ada.hears("hello");
    ada.leaves();
}

#[test]
fn it_is_told_when_the_server_is_ready_and_when_it_stops() {
    let manager = Manager::new();
    let program = Program::spawn(manager.command());
    assert_eq!(manager.hears(), "READY=1");
    talks(&program);
    program.gets_signal("TERM");
    assert_eq!(manager.hears(), "STOPPING=1");
    assert_eq!(program.ends().0, Some(0));
    assert!(!manager.has_unheard_news(), "it asked for no watchdog");
}

#[test]
fn a_reload_does_not_end_a_service_that_has_no_files() {
    let manager = Manager::new();
    let program = Program::spawn(manager.command());
    assert_eq!(manager.hears(), "READY=1");
    program.gets_signal("HUP");
    talks(&program);
    program.gets_signal("TERM");
    assert_eq!(program.ends().0, Some(0));
}

/// The writer's place in the data file is taken for a while: to the broadcaster the disk is very slow.
#[test]
fn the_watchdog_is_fed_while_the_broadcaster_turns_and_not_while_it_hangs() {
    let manager = Manager::new();
    let data = manager.folder.path().join("data");
    let mut command = manager.command();
    command.env("WATCHDOG_USEC", "400000").arg("--data").arg(&data);
    let program = Program::spawn(command);
    assert_eq!(manager.hears(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
    let other = rusqlite::Connection::open(&data).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut ada = program.joins("lab");
    ada.says("hello");
    program.logs("the watchdog is not told");
    other.execute_batch("COMMIT").unwrap();
    // It was fed before; now it must be fed by a broadcaster that can write again.
    talks(&program);
    while manager.hears() != "WATCHDOG=1" {}
    program.gets_signal("TERM");
    while manager.hears() != "STOPPING=1" {}
    assert_eq!(program.ends().0, Some(0));
    assert!(!manager.has_unheard_news(), "a server that stops is not alive for ever");
}

/// Starts the server as systemd does: the socket is descriptor 3, and the variables tell so.
fn starts_on(listener: &TcpListener) -> Program {
    let socket = OwnedFd::from(listener.try_clone().unwrap());
    let program = Program::command();
    let mut command = Command::new("sh");
    let script = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#;
    command.arg("-c").arg(script).arg(program.get_program());
    command.args(["--listen", "127.0.0.1:1"]);
    Program::spawn_with_input(command, Stdio::from(socket))
}

/// One visitor after the other, until the end; counts those who were shown the page. Who is refused, or gets
/// no answer, fails the test.
fn is_visited_until(address: SocketAddr, over: &AtomicBool) -> usize {
    let mut shown = 0;
    while !over.load(Ordering::Relaxed) {
        let page = Visitor::connect(address).asks("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(page.status, 200);
        shown += 1;
    }
    shown
}

#[test]
fn a_restart_on_the_managers_socket_refuses_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut program = starts_on(&listener);
    assert_eq!(program.address(), address);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let visitors = [(); 4].map(|()| scope.spawn(|| is_visited_until(address, &over)));
        for _ in 0..4 {
            let mut ada = program.joins("lab");
            program.gets_signal("TERM");
            ada.is_told(1001);
            assert_eq!(program.ends().0, Some(0));
            // Nobody serves now. This visitor waits, and is answered by the next server.
            let mut early = Visitor::connect(address);
            early.sends("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            program = starts_on(&listener);
            assert_eq!(early.gets_an_answer().status, 200);
        }
        over.store(true, Ordering::Relaxed);
        for visitor in visitors {
            assert!(visitor.join().expect("nobody was refused") > 0);
        }
    });
}

#[test]
fn a_request_of_which_a_half_has_come_when_the_server_stops_is_answered() {
    let program = Program::start(&[]);
    let mut late = program.is_visited();
    late.sends("GET / HTTP/1.1\r\nHo");
    // Who comes behind it is served, so it was accepted too.
    talks(&program);
    program.gets_signal("TERM");
    program.logs("stopping");
    assert_eq!(late.asks("st: localhost\r\n\r\n").status, 200);
    assert_eq!(program.ends().0, Some(0));
}

#[test]
fn what_is_no_listening_socket_is_refused_with_the_remedy() {
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    for (socket, count) in [(OwnedFd::from(bound), 1), (datagrams.into(), 1), (listener, 2)] {
        let mut command = Command::new("sh");
        let script = format!(r#"exec 3<&0; LISTEN_FDS={count} LISTEN_PID=$$ exec "$0""#);
        command.arg("-c").arg(script).arg(Program::command().get_program());
        let output = command.stdin(Stdio::from(socket)).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("LISTEN_FDS") && told.contains("ListenStream="), "{told}");
    }
}
