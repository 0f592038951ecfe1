//! TLS on the wire: what is agreed on, who is sent elsewhere, and that nobody waits for anybody.
//! That everything else is as on a plain socket is shown by the other tests, run over TLS too.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};
use support::{PATIENCE, Program, Server, Stream, Visitor, Way, handshake, masked};
use tungstenite::Message;

/// A connection with a client's settings of its own, its handshake done; or why not.
fn agrees(address: SocketAddr, config: ClientConfig) -> Result<Visitor, String> {
    let socket = TcpStream::connect(address).expect("the server accepts");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = Stream::tls(socket, session);
    stream.shakes_hands().map_err(|error| error.to_string())?;
    Ok(Visitor { stream })
}

/// The first bytes of a TLS client, which says no more.
fn first_words() -> Vec<u8> {
    let name = "localhost".try_into().unwrap();
    let mut session = ClientConnection::new(Arc::new(Way::trusting()), name).unwrap();
    let mut words = Vec::new();
    session.write_tls(&mut words).unwrap();
    words
}

fn bare(address: SocketAddr) -> Visitor {
    Visitor::over(Way::Plain.connects(address))
}

#[test]
fn a_page_and_a_websocket_share_the_port() {
    let server = Server::over(Way::Tls, &[]);
    assert!(server.get("/").body.contains("<title>wsroom</title>"));
    let (mut ada, mut bob) = (server.joins("tls"), server.joins("tls"));
    ada.says("hello");
    bob.hears("hello");
    let picture = vec![7; 300_000];
    bob.shows(&picture);
    ada.hears("hello");
    ada.sees(&picture);
    ada.leaves();
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let server = Server::over(Way::Tls, &[]);
    for version in [&TLS12, &TLS13] {
        let config = Way::trusting_in(&[version]);
        let mut ada = agrees(server.address(), config).expect("this version is spoken");
        assert_eq!(ada.stream.agreed().expect("it is over TLS").0, version.version);
        ada.upgrades("/ws/versions").says("hello").hears("hello");
    }
    // 1.1, in the words of a client that knows no more than that: an alert, not an answer.
    let mut old = bare(server.address());
    let mut words = first_words();
    words[1..3].copy_from_slice(&[3, 2]);
    words[9..11].copy_from_slice(&[3, 2]);
    // Without the extension that offers newer ones (RFC 8446 §4.2.1) the version above counts.
    let offer = [0, 43];
    let at = words.windows(2).position(|pair| pair == offer).expect("it offers versions");
    words[at..at + 2].copy_from_slice(&[0xfa, 0xfa]);
    let told = old.sends(&words).reads_to_the_end();
    assert_eq!(told.first(), Some(&21), "an alert (RFC 8446 section 6): {told:?}");
}

/// (rustls alone remembers its last 256 sessions, and each connection makes two.)
#[test]
fn whoever_comes_back_resumes_however_many_came_meanwhile() {
    let server = Server::over(Way::Tls, &[]);
    for versions in [&[&TLS12], &[&TLS13]] {
        let (ada, others) = (Way::trusting_in(versions), Way::trusting_in(versions));
        let visits = |config: &ClientConfig| {
            let mut visitor = agrees(server.address(), config.clone()).expect("TLS is spoken");
            visitor.asks("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            visitor.stream.is_resumed()
        };
        assert!(!visits(&ada), "{versions:?}");
        (0..300).for_each(|_| {
            visits(&others);
        });
        assert!(visits(&ada), "{versions:?}");
    }
}

#[test]
fn http_1_1_is_agreed_on_and_nothing_else() {
    let server = Server::over(Way::Tls, &[]);
    let offering = |offers: &[&str]| {
        let mut config = Way::trusting();
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        config
    };
    let both = agrees(server.address(), offering(&["h2", "http/1.1"])).expect("one is good");
    assert_eq!(both.stream.agreed().expect("it is over TLS").1.as_deref(), Some(&b"http/1.1"[..]));
    let why = agrees(server.address(), offering(&["h2"])).err().expect("none is good");
    assert!(why.contains("NoApplicationProtocol"), "{why}");
}

#[test]
fn a_plain_request_is_sent_to_https() {
    let server = Server::over(Way::Tls, &[]);
    let host = server.address().to_string();
    for (target, there) in [("/", "/"), ("/a?b=c", "/a?b=c"), ("/ws/physics", "/ws/physics")] {
        let asked = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = bare(server.address()).asks(asked);
        answer.refuses_with(308);
        let location = format!("https://{host}{there}");
        assert_eq!(answer.field("Location"), Some(location.as_str()));
        // Tomorrow a plain server may be here.
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    }
    // A WebSocket too, though most clients will not follow.
    bare(server.address()).asks(handshake("/ws")).refuses_with(308);
    for bad in ["", "ada@example.org", "[::1", "a:b:c"] {
        let asked = format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n");
        bare(server.address()).asks(asked).refuses_with(400);
    }
    let absolute = "GET http://eve@evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n";
    bare(server.address()).asks(absolute).refuses_with(400);
    bare(server.address()).asks("GET / HTTP/1.0\r\n\r\n").refuses_with(400);
}

#[test]
fn tls_on_a_plain_port_is_closed_in_order_with_one_line() {
    let program = Program::start_plainly(&[]);
    let mut lost = bare(program.address());
    lost.sends(first_words()).reads_the_end();
    drop(lost);
    program.logs("speaks TLS");
    program.gets_signal("TERM");
    let (status, log) = program.ends();
    assert_eq!(status, Some(0));
    let lines: Vec<_> = log.lines().filter(|line| line.contains("client-1 ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
}

#[test]
fn stalled_handshakes_delay_nobody() {
    let server = Server::over(Way::Tls, &[]);
    let words = first_words();
    let stalled: Vec<_> = (0..200)
        .map(|number| {
            let mut visitor = bare(server.address());
            // Every way to stop in the middle.
            visitor.sends(&words[..1 + number % words.len()]);
            visitor
        })
        .collect();
    let (mut ada, mut bob) = (server.joins("a"), server.joins("a"));
    ada.says("hello");
    bob.hears("hello");
    assert!(server.get("/").body.contains("wsroom"));
    assert_eq!(server.count_of("clients"), 2);
    // Each is let go within the door's time, however it stalls.
    for mut visitor in stalled {
        visitor.reads_to_the_end();
    }
    ada.says("still there");
    bob.hears("still there");
}

#[test]
fn a_handshake_of_single_bytes_gets_no_more_time() {
    let server = Server::over(Way::Tls, &[]);
    let mut slow = bare(server.address());
    slow.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    for byte in first_words() {
        slow.sends([byte]);
        // Each read waits half a second for the server to have had enough of it.
        match slow.stream.read(&mut [0; 256]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("not an end in order: {error}"),
            // The end, or an alert before it.
            Ok(_) => {
                slow.reads_to_the_end();
                return;
            }
        }
    }
    panic!("it was read for ever");
}

#[test]
fn big_messages_go_both_ways_at_once() {
    let server = Server::over(Way::Tls, &[]);
    let (mut ada, mut bob) = (server.joins("big"), server.joins("big"));
    // It joins and never reads; it is cut off when too much waits for it, and hurts nobody.
    let deaf = server.joins("big");
    let mut witness = server.joins("small");
    let big = |name: u8, number: u8| {
        let mut bytes = vec![name; 1 << 20];
        bytes[0] = number;
        bytes
    };
    const EACH: u8 = 12;
    thread::scope(|scope| {
        for (client, name) in [(&mut ada, b'a'), (&mut bob, b'b')] {
            scope.spawn(move || {
                // Two threads of one client: one pours in while the other takes out.
                let mut writer = client.socket.get_ref().try_clone().unwrap();
                let pouring = thread::spawn(move || {
                    for number in 0..EACH {
                        writer.write_all(&masked(0x82, &big(name, number))).unwrap();
                    }
                });
                let mut next = [0, 0];
                while next != [EACH, EACH] {
                    let Message::Binary(bytes) = client.next() else { panic!("a text") };
                    let from = usize::from(bytes[1] - b'a');
                    assert_eq!(bytes, big(bytes[1], next[from]), "whole and in order");
                    next[from] += 1;
                }
                pouring.join().unwrap();
            });
        }
        for number in 0..50 {
            witness.says(&number.to_string());
            witness.hears(&number.to_string());
        }
    });
    drop(deaf);
}

#[test]
fn the_end_is_said_and_an_end_unsaid_is_noticed() {
    let program = Program::start_over(Way::Tls, &["-v"]);
    // The server's own end is said: reading to it is no error.
    let mut ada = program.is_visited();
    ada.upgrades("/ws/end").sends(masked(0x88, &1000_u16.to_be_bytes()));
    ada.reads_a_close();
    ada.reads_the_end();
    // Somebody on the way may have cut this one short.
    let mut bob = program.is_visited();
    bob.upgrades("/ws/end");
    bob.stream.shutdown(std::net::Shutdown::Write).unwrap();
    program.logs("cut short");
}

#[test]
fn forged_records_end_their_own_connection_only() {
    let server = Server::over(Way::Tls, &[]);
    let mut ada = server.joins("a");
    let mut eve = server.joins("a");
    // An application data record that nobody has sealed (RFC 8446 section 5.2).
    let forged = [&[23, 3, 3, 0, 20][..], &[7; 20]].concat();
    eve.socket.get_ref().socket().write_all(&forged).unwrap();
    assert!(eve.socket.read().is_err(), "it is over for eve");
    server.comes_to_have(1, "clients");
    ada.says("hello");
    ada.hears("hello");
}
