//! Nobody takes more than their share: one address has so many connections, and whoever says too
//! much is read more slowly, and slows only itself.

mod support;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;

use socket2::{Domain, Socket, Type};
use support::{Answer, Client, Server, Stream, Visitor, handshake, masked, request, until};

const HERE: &str = "127.0.0.1";
const THERE: &str = "127.0.0.2";

/// A plain connection that comes from this address of the host.
fn connects_from(address: &str, server: SocketAddr) -> Visitor {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: IpAddr = address.parse().unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let socket: TcpStream = socket.into();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    Visitor::over(Stream::plain(socket))
}

fn asks(from: &str, server: &Server, path: &str) -> Answer {
    connects_from(from, server.address()).asks(request("GET", path, &[], ""))
}

fn is_turned_away(answer: &Answer) {
    assert!(answer.body.contains("your address"), "{answer:?}");
    assert_eq!(answer.field("Retry-After"), Some("5"));
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs 127.0.0.2")]
fn one_connection_more_from_one_address_is_answered_429() {
    let server = Server::over(support::Way::Plain, &["--max-clients-per-ip", "3"]);
    let mut ada = connects_from(HERE, server.address());
    ada.upgrades("/ws/lab");
    // One that has asked nothing counts too.
    let silent = [(); 2].map(|()| connects_from(HERE, server.address()));
    is_turned_away(asks(HERE, &server, "/").refuses_with(429));
    is_turned_away(asks(HERE, &server, "/rooms").has_a_problem(429));
    let shake = handshake("/ws/lab");
    is_turned_away(connects_from(HERE, server.address()).asks(shake).refuses_with(429));
    // Others do not notice, and those who are here talk on.
    assert_eq!(asks(THERE, &server, "/").status, 200);
    ada.says("still here").hears("still here");
    drop(silent);
    until("a free place", || asks(HERE, &server, "/").status == 200);
}

#[test]
fn without_the_option_one_address_may_have_many() {
    let server = Server::start();
    let mut all = [(); 40].map(|()| server.joins("lab"));
    all[0].says("hello");
    all.iter_mut().for_each(|one| one.hears("hello"));
}

/// Much more than the server may take in a second, and then one word.
fn all_at_once(word: &str) -> Vec<u8> {
    [masked(0x81, &[b'.'; 1000]).repeat(64), masked(0x81, word.as_bytes())].concat()
}

/// Hears up to `text`, and counts in `heard` what the fast one says before it.
fn hears_among_the_fast(member: &mut Client, heard: &mut usize, text: &str) {
    loop {
        match member.next().into_text().expect("a text") {
            said if said.as_str() == text => return,
            said => assert_eq!(said.as_str(), ".".repeat(1000)),
        }
        *heard += 1;
    }
}

#[test]
fn rule_41_one_that_says_too_many_bytes_loses_nothing_and_delays_nobody() {
    let server = Server::with(&["--max-bytes-rate", "16K"]);
    let (mut bob, mut carol) = (server.joins("physics"), server.joins("physics"));
    let mut fast = server.is_visited();
    fast.upgrades("/ws/physics").sends(all_at_once("over"));
    let mut heard = 0;
    for n in 0..5 {
        carol.says(&format!("calm {n}"));
        hears_among_the_fast(&mut bob, &mut heard, &format!("calm {n}"));
    }
    assert!(heard < 64, "the fast one was read as fast as it spoke");
    hears_among_the_fast(&mut bob, &mut heard, "over");
    assert_eq!(heard, 64);
}

/// Pings cost the server as much as messages do.
#[test]
fn pings_count_as_bytes_too() {
    let server = Server::with(&["--max-bytes-rate", "1K"]);
    let mut fast = server.is_visited();
    fast.upgrades("/echo");
    fast.sends([masked(0x89, b"").repeat(500), masked(0x81, b"over")].concat());
    // 3,000 bytes at 1,000 a second: what has come so far is not all of it.
    fast.reads_a_frame();
    let waiting = bytes_waiting_for(&fast);
    assert!(waiting < 500 * 2, "{waiting} bytes came at once");
    loop {
        match fast.reads_a_frame() {
            (0x8a, payload) => assert!(payload.is_empty()),
            (first, payload) => return assert_eq!((first, &payload[..]), (0x81, &b"over"[..])),
        }
    }
}

/// Bytes that it could read at once.
fn bytes_waiting_for(visitor: &Visitor) -> usize {
    visitor.stream.set_nonblocking(true).unwrap();
    let count = visitor.stream.peek(&mut [0; 4096]).unwrap_or(0);
    visitor.stream.set_nonblocking(false).unwrap();
    count
}

#[test]
fn posts_of_one_address_have_so_many_bytes_a_second() {
    let server = Server::with(&["--max-bytes-rate", "1K"]);
    let post = |body: &str| server.is_visited().asks(request("POST", "/rooms/a", &[], body));
    // A longer one than the limit may be said, but nothing behind it.
    assert_eq!(post(&"x".repeat(5000)).status, 202);
    let answer = post("more");
    // Unless a second has passed meanwhile.
    if answer.status != 202 {
        assert_eq!(answer.has_a_problem(429).field("Retry-After"), Some("1"));
    }
    until("the next second", || post("more").status == 202);
}

/// A client that says all it can waits for the broadcaster now and then, and loses nothing by it.
#[test]
fn a_flood_arrives_whole_and_a_quiet_room_is_heard_in_it() {
    const MANY: usize = 20_000;
    let server = Server::start();
    let mut flooder = server.is_visited();
    flooder.upgrades("/ws/flood");
    let mut ada = server.joins("quiet");
    let mut listener = server.joins("flood");
    let frames: Vec<u8> = (0..MANY).flat_map(|n| masked(0x81, n.to_string().as_bytes())).collect();
    let mut writer = Visitor::over(flooder.stream.try_clone().unwrap());
    let writing = thread::spawn(move || {
        writer.sends(frames);
    });
    let reading = thread::spawn(move || {
        for n in 0..MANY {
            flooder.hears(&n.to_string());
        }
    });
    for n in 0..100 {
        ada.says(&n.to_string());
        ada.hears(&n.to_string());
    }
    (0..MANY).for_each(|n| listener.hears(&n.to_string()));
    writing.join().unwrap();
    reading.join().unwrap();
}
