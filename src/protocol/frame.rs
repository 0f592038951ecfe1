//! Frames as a server sends them (RFC 6455 §5.2): unmasked, so the same bytes serve everyone.
//!
//! Not here: reading frames; tungstenite does that, and it formats these too.
//! Runs on whichever thread has something to say, mostly a client's own.

use std::io::{self, Write};

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// Writes a message in one frame.
///
/// # Errors
/// As `out` has them; a vector has none.
pub fn write(out: &mut impl Write, kind: Data, payload: &[u8]) -> io::Result<()> {
    write_header(out, kind, payload.len())?;
    out.write_all(payload)
}

/// Writes the header of a message whose payload of `length` bytes follows.
///
/// # Errors
/// As `out` has them; a vector has none.
pub fn write_header(out: &mut impl Write, kind: Data, length: usize) -> io::Result<()> {
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    let mut bytes = [0; 10]; // two, and up to eight of length (§5.2)
    let mut rest = bytes.as_mut_slice();
    header.format(length as u64, &mut rest).expect("ten bytes take any header without a mask");
    let unused = rest.len();
    out.write_all(&bytes[..bytes.len() - unused])
}

/// An empty Ping: asks a silent client whether it still lives (§5.5.2).
pub fn ping() -> Vec<u8> {
    encoded(Frame::ping(Bytes::new()))
}

/// A Close with a code (§7.4) and a reason of at most 123 bytes (§5.5: a control frame carries
/// 125, and the code takes two).
pub fn close(code: CloseCode, reason: &'static str) -> Vec<u8> {
    debug_assert!(reason.len() <= 123, "a Close reason that no frame can carry");
    encoded(Frame::close(Some(CloseFrame { code, reason: reason.into() })))
}

fn encoded(frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("writing to a vector cannot fail");
    bytes
}
