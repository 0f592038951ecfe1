//! Every connection ends with a Close that says why, and the client really receives it, whatever
//! it still has under way. Nobody else notices.

mod support;

use support::{Client, Server, Visitor, masked};
use tungstenite::Message;

/// Both kinds of clients, which are sent to in different ways.
const PATHS: [&str; 2] = ["/ws/physics", "/echo"];

/// More than the server has read when it finds the fault.
const MORE_UNDER_WAY: usize = 200 << 10;

/// Says hello, then something wrong with more behind it, and is told so.
fn is_refused(server: &Server, path: &str, wrong: &[u8], code: u16) {
    let mut eve = Visitor::joins(server.address(), path);
    let more = vec![0xff; MORE_UNDER_WAY];
    eve.says("hello").sends([wrong, &more].concat());
    eve.hears("hello");
    let shown = &wrong[..wrong.len().min(16)];
    let (first, payload) = eve.reads_a_frame();
    assert_eq!(first, 0x88, "no Close at {path} for {shown:x?}");
    assert_eq!(payload[..2], code.to_be_bytes(), "the code at {path} for {shown:x?}");
    assert!(payload.len() > 2, "no reason at {path} for {shown:x?}");
    assert!(String::from_utf8(payload[2..].to_vec()).is_ok(), "a reason that is not UTF-8");
    eve.reads_the_end();
}

#[test]
fn who_stops_sending_after_a_mistake_is_told_of_it_all_the_same() {
    let server = Server::start();
    for _ in 0..200 {
        let mut eve = Visitor::joins(server.address(), "/ws/physics");
        // Unmasked (RFC 6455 section 5.1), and then its side is shut.
        eve.sends(b"\x81\x01x").half_closes();
        assert_eq!(eve.reads_a_close().0, 1002);
        eve.reads_the_end();
    }
}

/// Whatever is wrong is refused with this code, in a room and by the echo, and a member of the
/// room notices nothing.
fn are_refused(wrong: &[Vec<u8>], code: u16) {
    let server = Server::start();
    let mut ada = server.joins("physics");
    for one in wrong {
        PATHS.iter().for_each(|path| is_refused(&server, path, one, code));
        ada.hears("hello");
        ada.says("a marker");
        ada.hears_nothing_before("a marker");
    }
    server.comes_to_have(1, "clients");
}

/// A Close says goodbye, with more behind it, and comes back as it should.
fn is_answered(server: &Server, path: &str, goodbye: &[u8], answer: &[u8]) {
    let mut eve = Visitor::joins(server.address(), path);
    eve.says("hello").sends([masked(0x88, goodbye), vec![0; MORE_UNDER_WAY]].concat());
    eve.hears("hello");
    assert_eq!(eve.reads_a_frame(), (0x88, answer.to_vec()), "at {path}");
    eve.reads_the_end();
}

fn a_close(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn rule_44_a_close_is_answered_with_its_code_and_reason() {
    let server = Server::start();
    let known = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013];
    for code in known.into_iter().chain([3000, 3999, 4000, 4999]) {
        let goodbye = a_close(code, "tschüß".as_bytes());
        PATHS.iter().for_each(|path| is_answered(&server, path, &goodbye, &goodbye));
    }
}

#[test]
fn a_close_without_a_code_is_answered() {
    let server = Server::start();
    PATHS.iter().for_each(|path| is_answered(&server, path, b"", b""));
}

#[test]
fn a_close_with_the_longest_reason_is_answered() {
    let server = Server::start();
    let goodbye = a_close(1000, &[b'x'; 123]);
    PATHS.iter().for_each(|path| is_answered(&server, path, &goodbye, &goodbye));
}

#[test]
fn a_client_that_says_goodbye_hears_goodbye() {
    let server = Server::start();
    for path in PATHS {
        let mut ada = Client::connect(server.address(), path);
        ada.closes_with(4321, "off to lunch");
        assert_eq!(ada.is_told(4321), "off to lunch");
    }
    // A client of the echo has its answer before the others know that it has left.
    server.comes_to_have(0, "clients");
}

#[test]
fn what_was_said_before_goodbye_is_relayed_and_what_comes_after_is_not() {
    let server = Server::start();
    let mut bob = server.joins("physics");
    let mut ada = Visitor::joins(server.address(), "/ws/physics");
    ada.sends([masked(0x81, b"last"), masked(0x88, b""), masked(0x81, b"too late")].concat());
    ada.hears("last");
    assert_eq!(ada.reads_a_frame(), (0x88, vec![]));
    ada.reads_the_end();
    bob.hears("last");
    bob.says("a marker");
    bob.hears_nothing_before("a marker");
}

#[test]
fn a_close_code_that_may_not_be_sent_is_a_violation() {
    let codes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    let closes = codes.map(|code| masked(0x88, &a_close(code, b"well")));
    are_refused(&closes, 1002);
}

#[test]
fn half_a_close_code_is_a_violation() {
    are_refused(&[masked(0x88, &[3])], 1002);
}

#[test]
fn a_reason_that_is_not_utf8_is_invalid() {
    are_refused(
        &[masked(0x88, &a_close(1000, b"\xff")), masked(0x88, &a_close(3000, b"x\xc3"))],
        1007,
    );
}

#[test]
fn text_that_is_not_utf8_is_invalid() {
    let (overlong, surrogate, beyond) = (b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80");
    let mut texts = vec![masked(0x81, overlong), masked(0x81, surrogate), masked(0x81, beyond)];
    texts.push(masked(0x81, b"half a letter\xc3"));
    // Split over fragments: wrong in the first, in the last, across both, and incomplete.
    texts.push([masked(0x01, b"\xff"), masked(0x80, b"")].concat());
    texts.push([masked(0x01, b"good"), masked(0x00, b""), masked(0x80, b"\xff")].concat());
    texts.push([masked(0x01, b"\xc3"), masked(0x80, b"x")].concat());
    texts.push([masked(0x01, b"\xf0\x9f"), masked(0x00, b"\xa6"), masked(0x80, b"")].concat());
    are_refused(&texts, 1007);
}

#[test]
fn a_reserved_bit_is_a_violation() {
    let firsts = [0xc1, 0xa1, 0x91, 0xf2, 0xc9, 0xa8];
    are_refused(&firsts.map(|first| masked(first, b"hi")), 1002);
}

#[test]
fn an_unknown_opcode_is_a_violation() {
    let unknown = (0x3..=0x7).chain(0xb..=0xf);
    let frames: Vec<Vec<u8>> = unknown.map(|opcode| masked(0x80 | opcode, b"hi")).collect();
    are_refused(&frames, 1002);
}

#[test]
fn a_frame_without_a_mask_is_a_violation() {
    let (text, ping, close) = (vec![0x81, 2, b'h', b'i'], vec![0x89, 0], vec![0x88, 0]);
    are_refused(&[text, ping, close], 1002);
}

#[test]
fn a_control_frame_in_fragments_is_a_violation() {
    are_refused(&[0x08, 0x09, 0x0a].map(|first| masked(first, b"")), 1002);
}

#[test]
fn a_control_frame_over_125_bytes_is_a_violation() {
    let of = |first, size| masked(first, &vec![b'x'; size]);
    are_refused(&[of(0x89, 126), of(0x8a, 126), of(0x88, 126), of(0x89, 65_536)], 1002);
}

#[test]
fn a_continuation_of_nothing_is_a_violation() {
    let behind_a_whole_one = [masked(0x81, b"hello"), masked(0x80, b"more")].concat();
    let server = Server::start();
    for path in PATHS {
        let mut eve = Visitor::joins(server.address(), path);
        eve.sends(&behind_a_whole_one).hears("hello");
        assert_eq!(eve.reads_a_close().0, 1002);
    }
    are_refused(&[masked(0x80, b"more"), masked(0x00, b"")], 1002);
}

#[test]
fn a_new_message_inside_a_fragmented_one_is_a_violation() {
    let inside = |first| [masked(0x01, b"be"), masked(first, b"gin")].concat();
    are_refused(&[0x81, 0x01, 0x82, 0x02].map(inside), 1002);
}

#[test]
fn a_message_that_is_too_big_is_refused() {
    let limit: u64 = 1 << 20;
    // Only the header of the frame has come, and it is enough.
    let declaring = |size: u64| [&[0x82, 0xff], size.to_be_bytes().as_slice(), &[0; 4]].concat();
    let whole = masked(0x82, &vec![7; limit as usize + 1]);
    let half = masked(0x01, &vec![b'x'; limit as usize / 2 + 1]);
    let fragments = [half, masked(0x80, &vec![b'x'; limit as usize / 2])].concat();
    let wrong = [declaring(limit + 1), declaring(1 << 40), declaring(u64::MAX), whole, fragments];
    are_refused(&wrong, 1009);
}

#[test]
fn the_limit_on_messages_is_the_one_asked_for() {
    let server = Server::with(&["--max-message-size", "100"]);
    for path in PATHS {
        let mut ada = Client::connect(server.address(), path);
        ada.shows(&[7; 100]);
        ada.sees(&[7; 100]);
        // Control frames are not messages.
        ada.sends(Message::Ping(vec![8; 125].into()));
        assert_eq!(ada.next(), Message::Pong(vec![8; 125].into()));
        ada.shows(&[7; 101]);
        ada.is_told(1009);
    }
}

#[test]
fn fragments_without_end_are_refused() {
    let mut endless = masked(0x01, b"");
    endless.extend(masked(0x00, b"").repeat(300_000));
    are_refused(&[endless], 1008);
}

#[test]
fn those_who_stay_keep_talking_while_others_break_every_rule() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    for n in 0..50 {
        let mut eve = Visitor::joins(server.address(), "/ws/physics");
        ada.says(&n.to_string());
        eve.sends(vec![0xff; MORE_UNDER_WAY]);
        bob.hears(&n.to_string());
        ada.hears(&n.to_string());
        assert_eq!(eve.reads_a_close().0, 1002);
    }
}
