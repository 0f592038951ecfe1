//! Frames as a server sends them (RFC 6455 §5.2): unmasked, so the same bytes serve all clients.
//!
//! Not here: reading frames (tungstenite does that). Pure functions, on any thread.

use std::io::{self, Write};

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// Writes a message in one frame.
///
/// # Errors
/// `out` cannot be written to. A vector always can.
pub fn write(out: &mut impl Write, kind: Data, payload: &[u8]) -> io::Result<()> {
    write_header(out, kind, payload.len())?;
    out.write_all(payload)
}

/// Writes the header of a message. The caller writes the payload of `length` bytes behind it.
///
/// # Errors
/// `out` cannot be written to. A vector always can.
pub fn write_header(out: &mut impl Write, kind: Data, length: usize) -> io::Result<()> {
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    let mut bytes = [0; 10]; // Two bytes, then up to eight for the length (§5.2).
    let mut rest = bytes.as_mut_slice();
    header.format(length as u64, &mut rest).expect("a header without a mask has at most ten bytes");
    let unused = rest.len();
    out.write_all(&bytes[..bytes.len() - unused])
}

/// The longest reason of a Close: a control frame carries 125 bytes (§5.5), and two are the code.
pub const MAX_REASON_BYTES: usize = 123;

/// An empty Ping, which asks a silent client whether it is still there (§5.5.2).
pub fn ping() -> Vec<u8> {
    encoded(Frame::ping(Bytes::new()))
}

/// A Close with a code (§7.4) and a reason of at most 123 bytes: a control frame carries 125
/// (§5.5), and the code takes two of them.
pub fn close(code: CloseCode, reason: &'static str) -> Vec<u8> {
    debug_assert!(reason.len() <= MAX_REASON_BYTES, "the reason is too long for a Close frame");
    encoded(Frame::close(Some(CloseFrame { code, reason: reason.into() })))
}

/// As [`close`], with a reason that somebody has written: it is cut to the bytes that a Close has space
/// for.
pub fn close_in_words(code: CloseCode, mut reason: String) -> Vec<u8> {
    cut(&mut reason, MAX_REASON_BYTES);
    encoded(Frame::close(Some(CloseFrame { code, reason: reason.into() })))
}

/// The code of a Close that was made here.
pub fn code_of(close: &[u8]) -> Option<u16> {
    let code = close.get(2..4)?.try_into().ok()?;
    Some(u16::from_be_bytes(code))
}

/// Cuts a text to so many bytes, or a few less: a character stays whole.
pub fn cut(text: &mut String, bytes: usize) {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.truncate(end.unwrap_or_default());
}

fn encoded(frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("writing to a vector cannot fail");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (bytes, left) in [(0, ""), (1, "a"), (2, "a"), (3, "a\u{e9}"), (9, "a\u{e9}b")] {
            let mut text = "a\u{e9}b".to_owned();
            cut(&mut text, bytes);
            assert_eq!(text, left, "{bytes} bytes");
        }
    }

    /// RFC 6455 §5.2: seven bits of length, or 126 and two bytes, or 127 and eight bytes.
    #[test]
    fn a_header_is_as_short_as_its_length_allows() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (1, &[0x81, 1]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write_header(&mut out, Data::Text, length).unwrap();
            assert_eq!(out, header, "{length} bytes");
        }
    }

    #[test]
    fn a_message_is_its_header_and_its_bare_payload() {
        let mut out = Vec::new();
        write(&mut out, Data::Text, "é".as_bytes()).unwrap();
        write(&mut out, Data::Binary, b"\x00\xff\x01").unwrap();
        assert_eq!(out, b"\x81\x02\xc3\xa9\x82\x03\x00\xff\x01");
    }

    #[test]
    fn a_ping_is_empty() {
        assert_eq!(ping(), [0x89, 0]);
    }

    #[test]
    fn a_close_has_its_code_and_its_reason() {
        assert_eq!(close(CloseCode::Away, "bye"), b"\x88\x05\x03\xe9bye");
        assert_eq!(close(CloseCode::Size, ""), b"\x88\x02\x03\xf1");
        let longest = "x".repeat(123).leak();
        assert_eq!(close(CloseCode::Policy, longest)[..4], [0x88, 125, 0x03, 0xf0]);
    }
}
