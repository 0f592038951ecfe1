//! The anatomy of a frame (RFC 6455 §5.2): its header, and the beginning of its payload, as they come
//! byte by byte.
//!
//! Not here: whether the frame is allowed. tungstenite decides that; this file takes any bytes. Pure
//! functions, on any thread.

use serde::Serialize;

/// A control frame carries no more (§5.5), so a Close is kept whole.
const KEPT_BYTES: usize = 125;

/// The most bytes of a payload that are shown.
const SHOWN_BYTES: usize = 64;

const CLOSE: u8 = 8;

/// One frame, perhaps only a part of it. It keeps little of a payload, however long that is.
#[derive(Default)]
pub struct Anatomy {
    /// Two bytes, up to eight for the length, and four for the masking key.
    header: Vec<u8>,
    /// The first bytes of the payload, as they stood on the wire.
    payload: Vec<u8>,
    /// The number of all bytes of the payload that have come.
    arrived: u64,
}

/// A frame, as an experiment is told of it.
#[derive(Debug, Serialize)]
pub struct FrameInfo {
    header: String,
    fin: bool,
    rsv: [bool; 3],
    opcode: u8,
    name: &'static str,
    masked: bool,
    length: u64,
    length_bits: u8,
    key: Option<String>,
    masked_bytes: String,
    bytes: String,
    complete: bool,
    /// Only a Close has this field; `null` in one without a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<Option<CloseInfo>>,
}

/// The code and the reason of a Close (§5.5.1).
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct CloseInfo {
    code: u16,
    reason: String,
}

impl Anatomy {
    /// Takes the bytes of this frame, and none behind it, from the beginning of `bytes`. Returns how
    /// many these are.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        // The first two bytes tell how long the header is, so it is taken byte by byte.
        let mut taken = 0;
        while !self.has_header() && taken < bytes.len() {
            self.header.push(bytes[taken]);
            taken += 1;
        }
        if !self.has_header() {
            return taken;
        }
        let missing = usize::try_from(self.length() - self.arrived).unwrap_or(usize::MAX);
        let part = &bytes[taken..][..missing.min(bytes.len() - taken)];
        let kept = part.len().min(KEPT_BYTES - self.payload.len());
        self.payload.extend_from_slice(&part[..kept]);
        self.arrived += part.len() as u64;
        taken + part.len()
    }

    /// Whether the header is there.
    pub fn has_header(&self) -> bool {
        let second = self.header.get(1);
        second.is_some_and(|second| self.header.len() == header_length(*second))
    }

    /// Whether the whole frame is there.
    pub fn is_whole(&self) -> bool {
        self.has_header() && self.arrived == self.length()
    }

    /// Whether it is a Close.
    pub fn is_close(&self) -> bool {
        self.opcode() == CLOSE
    }

    /// The code and the reason of a Close; `None` if its payload has no code.
    pub fn close(&self) -> Option<CloseInfo> {
        let payload = self.unmasked();
        let (code, reason) = payload.split_first_chunk()?;
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some(CloseInfo { code: u16::from_be_bytes(*code), reason })
    }

    /// The frame in words and numbers. Its header must be there.
    pub fn info(&self) -> FrameInfo {
        let first = self.header[0];
        let (shown, unmasked) = (self.payload.len().min(SHOWN_BYTES), self.unmasked());
        FrameInfo {
            header: hex(&self.header),
            fin: first & 0x80 != 0,
            rsv: [first & 0x40 != 0, first & 0x20 != 0, first & 0x10 != 0],
            opcode: self.opcode(),
            name: name(self.opcode()),
            masked: self.key().is_some(),
            length: self.length(),
            length_bits: length_bits(self.header[1]),
            key: self.key().map(hex),
            masked_bytes: hex(&self.payload[..shown]),
            bytes: hex(&unmasked[..shown]),
            complete: self.is_whole(),
            close: self.is_close().then(|| self.close()),
        }
    }

    fn opcode(&self) -> u8 {
        self.header[0] & 0x0f
    }

    /// The length of the payload: seven bits, or 16 or 64 bits behind them.
    fn length(&self) -> u64 {
        let short = self.header[1] & 0x7f;
        let extended = &self.header[2..2 + extended_bytes(short)];
        let long = extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        if extended.is_empty() { u64::from(short) } else { long }
    }

    /// The masking key: the last four bytes of the header of a masked frame.
    fn key(&self) -> Option<&[u8]> {
        let is_masked = self.header[1] & 0x80 != 0;
        is_masked.then(|| &self.header[self.header.len() - 4..])
    }

    /// The kept bytes without their mask (§5.3).
    fn unmasked(&self) -> Vec<u8> {
        let key = self.key().unwrap_or(&[0]);
        self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }
}

/// The length of a header with this second byte: a bit for the mask, and seven for the length.
fn header_length(second: u8) -> usize {
    let key = if second & 0x80 != 0 { 4 } else { 0 };
    2 + extended_bytes(second & 0x7f) + key
}

/// The bytes of the extended length behind these seven bits.
fn extended_bytes(short: u8) -> usize {
    match short {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

fn length_bits(second: u8) -> u8 {
    match second & 0x7f {
        126 => 16,
        127 => 64,
        _ => 7,
    }
}

fn name(opcode: u8) -> &'static str {
    match opcode {
        0 => "continuation",
        1 => "text",
        2 => "binary",
        CLOSE => "close",
        9 => "ping",
        10 => "pong",
        _ => "reserved",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The examples of RFC 6455 §5.7, and some bytes of the next frame behind each.
    const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    const NEXT: &[u8] = b"\x89\x00";

    /// The anatomy of the first frame in `bytes`, and how many bytes it took.
    fn taken(bytes: &[u8]) -> (Anatomy, usize) {
        let mut anatomy = Anatomy::default();
        let count = anatomy.take(bytes);
        (anatomy, count)
    }

    fn told(anatomy: &Anatomy) -> Value {
        serde_json::to_value(anatomy.info()).unwrap()
    }

    #[test]
    fn a_masked_text_is_taken_apart() {
        let (anatomy, count) = taken(&[HELLO, NEXT].concat());
        assert_eq!(count, HELLO.len());
        let hello = json!({
            "header": "81 85 37 fa 21 3d", "fin": true, "rsv": [false, false, false], "opcode": 1,
            "name": "text", "masked": true, "length": 5, "length_bits": 7, "key": "37 fa 21 3d",
            "masked_bytes": "7f 9f 4d 51 58", "bytes": "48 65 6c 6c 6f", "complete": true,
        });
        assert_eq!(told(&anatomy), hello);
    }

    #[test]
    fn the_pieces_in_which_a_frame_comes_make_no_difference() {
        let bytes = [HELLO, NEXT].concat();
        for first in 0..HELLO.len() {
            for second in first..=bytes.len() {
                let mut anatomy = Anatomy::default();
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                let counts = pieces.map(|piece| anatomy.take(piece));
                assert_eq!(counts.iter().sum::<usize>(), HELLO.len(), "cut at {first}, {second}");
                assert_eq!(told(&anatomy)["bytes"], "48 65 6c 6c 6f", "cut at {first}, {second}");
            }
        }
    }

    #[test]
    fn a_length_has_7_or_16_or_64_bits() {
        for (header, length, bits) in [
            (&b"\x82\x00"[..], 0, 7),
            (b"\x82\x7d", 125, 7),
            (b"\x82\x7e\x00\x7e", 126, 16),
            (b"\x82\x7e\xff\xff", 65_535, 16),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65_536, 64),
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX, 64),
            // Longer than it need be, which §5.2 forbids: it is told as it was sent.
            (b"\x82\x7e\x00\x01", 1, 16),
        ] {
            let (anatomy, count) = taken(header);
            assert_eq!(count, header.len());
            let told = told(&anatomy);
            assert_eq!((&told["length"], &told["length_bits"]), (&json!(length), &json!(bits)));
            assert_eq!(told["complete"], length == 0);
        }
    }

    #[test]
    fn of_a_long_payload_only_the_beginning_is_kept() {
        let mut anatomy = Anatomy::default();
        assert_eq!(anatomy.take(b"\x02\x7f\x00\x00\x00\x00\x00\x10\x00\x00"), 10);
        for _ in 0..1024 {
            assert!(!anatomy.is_whole());
            assert_eq!(anatomy.take(&[7; 1024]), 1024);
        }
        assert!(anatomy.is_whole());
        assert_eq!(anatomy.take(NEXT), 0);
        assert_eq!(anatomy.payload.len(), KEPT_BYTES);
        assert_eq!(told(&anatomy)["bytes"], vec!["07"; SHOWN_BYTES].join(" "));
    }

    #[test]
    fn a_close_has_its_code_and_its_whole_reason() {
        let reason = "x".repeat(123);
        let (anatomy, _) = taken(&[b"\x88\x7d\x03\xe8", reason.as_bytes()].concat());
        assert_eq!(told(&anatomy)["close"], json!({"code": 1000, "reason": reason}));
        for bytes in [&b"\x88\x00"[..], b"\x88\x01\x03"] {
            assert_eq!(told(&taken(bytes).0).get("close"), Some(&Value::Null), "{bytes:?}");
        }
        assert_eq!(told(&taken(HELLO).0).get("close"), None);
    }

    #[test]
    fn reserved_bits_and_opcodes_are_told_as_they_are() {
        for (first, rsv, name) in [
            (0xc1, [true, false, false], "text"),
            (0xa0, [false, true, false], "continuation"),
            (0x9a, [false, false, true], "pong"),
            (0x83, [false; 3], "reserved"),
            (0x8f, [false; 3], "reserved"),
        ] {
            let told = told(&taken(&[first, 0]).0);
            assert_eq!((&told["rsv"], &told["name"]), (&json!(rsv), &json!(name)), "{first:#x}");
        }
    }
}
