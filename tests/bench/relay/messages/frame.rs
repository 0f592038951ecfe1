//! WebSocket frames (RFC 6455 §5.2), as far as both ends of the benchmark need them.
//!
//! Not here: fragments, which nobody in a benchmark sends, and checks of what a hostile peer
//! might send. Both the load and the floor use this, so that neither has cheaper framing.

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A client's key should be unpredictable, to protect proxies. There are none here, and drawing
/// keys would only cost the load time.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A whole frame that begins at the first of some bytes.
pub struct Frame {
    pub opcode: u8,
    /// Where its payload begins.
    pub start: usize,
    /// Where the next frame begins.
    pub end: usize,
    key: Option<[u8; 4]>,
}

impl Frame {
    /// The first frame of `bytes`; `None` if more bytes must come first.
    pub fn first(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, mut start) = match second & !MASKED {
            126 => (u64::from(u16::from_be_bytes(array(bytes, 2)?)), 4),
            127 => (u64::from_be_bytes(array(bytes, 2)?), 10),
            short => (u64::from(short), 2),
        };
        let mut key = None;
        if second & MASKED != 0 {
            key = Some(array(bytes, start)?);
            start += 4;
        }
        let end = start + usize::try_from(length).ok()?;
        (end <= bytes.len()).then_some(Self { opcode: first & 0xF, start, end, key })
    }

    /// Takes the mask off the payload, which lies in `bytes`.
    pub fn unmask(&self, bytes: &mut [u8]) {
        if let Some(key) = self.key {
            mask(&mut bytes[self.start..self.end], key);
        }
    }
}

/// Appends a server's frame.
pub fn push(opcode: u8, payload: &[u8], frames: &mut Vec<u8>) {
    push_header(opcode, 0, payload.len(), frames);
    frames.extend_from_slice(payload);
}

/// Appends a client's frame.
pub fn push_masked(opcode: u8, payload: &[u8], frames: &mut Vec<u8>) {
    push_header(opcode, MASKED, payload.len(), frames);
    frames.extend_from_slice(&KEY);
    let start = frames.len();
    frames.extend_from_slice(payload);
    mask(&mut frames[start..], KEY);
}

/// Bytes of a server's frame around so many bytes of payload.
pub fn length_around(payload: usize) -> usize {
    let mut header = Vec::new();
    push_header(BINARY, 0, payload, &mut header);
    header.len() + payload
}

fn push_header(opcode: u8, masked: u8, length: usize, frames: &mut Vec<u8>) {
    frames.push(FINAL | opcode);
    if let Some(short) = u8::try_from(length).ok().filter(|&length| length < 126) {
        frames.push(masked | short);
    } else if let Ok(medium) = u16::try_from(length) {
        frames.push(masked | 126);
        frames.extend_from_slice(&medium.to_be_bytes());
    } else {
        frames.push(masked | 127);
        frames.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

fn mask(payload: &mut [u8], key: [u8; 4]) {
    for (place, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[place % 4];
    }
}

fn array<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..start + N)?.try_into().ok()
}
