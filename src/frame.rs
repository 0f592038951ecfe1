//! Frames as a server sends them (RFC 6455 §5.2): unmasked, so the same bytes serve everyone.
//!
//! Not here: reading frames; tungstenite does that, and it formats these too.
//! Runs on whichever thread has something to say, mostly a client's own.

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// Adds a message in one frame.
pub fn push(bytes: &mut Vec<u8>, kind: Data, payload: &[u8]) {
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    let length = payload.len() as u64;
    bytes.reserve(header.len(length) + payload.len());
    header.format(length, bytes).expect("writing to a vector cannot fail");
    bytes.extend_from_slice(payload);
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
