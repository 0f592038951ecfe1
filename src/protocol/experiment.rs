//! An experiment: a client of the echo that asks with `frames` to be told what the server reads from
//! it. It may ask for a play, too: bytes that no browser can send.
//!
//! Not here: taking a frame apart (`anatomy`), and when a report leaves (`client`). Pure functions, on
//! any thread.

use serde::Serialize;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::anatomy::{Anatomy, CloseInfo, FrameInfo};
use super::frame;

/// The masking key of the plays: that of the examples in RFC 6455 §5.7, so that a reader meets known
/// bytes.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Bytes that are read as if the client had sent them right behind its handshake.
#[derive(Serialize)]
pub struct Play {
    /// The name that `play=` takes.
    pub name: &'static str,
    /// The section of RFC 6455 that it is about.
    pub section: &'static str,
    /// The rule.
    pub says: &'static str,
    /// The bytes, for a server with this `--max-message-size`.
    #[serde(skip)]
    pub bytes: fn(usize) -> Vec<u8>,
}

/// All plays, in the order of the sections.
pub static PLAYS: [Play; 10] = [
    Play {
        name: "unmasked",
        section: "5.1",
        says: "A client must mask every frame.",
        bytes: |_| b"\x81\x05Hello".to_vec(),
    },
    Play {
        name: "reserved-bit",
        section: "5.2",
        says: "The reserved bits are 0 unless an extension has a meaning for them.",
        bytes: |_| masked(0xc1, b"Hello"),
    },
    Play {
        name: "unknown-opcode",
        section: "5.2",
        says: "A frame with an opcode that nobody has defined ends the connection.",
        bytes: |_| masked(0x83, b"Hello"),
    },
    Play {
        name: "fragmented",
        section: "5.4",
        says: "A message may come in fragments, and a control frame between them.",
        bytes: |_| {
            let (first, ping) = (masked(0x01, b"Hel"), masked(0x89, b"?"));
            [first, ping, masked(0x00, b"l"), masked(0x80, b"o")].concat()
        },
    },
    Play {
        name: "lone-continuation",
        section: "5.4",
        says: "A continuation frame must continue a message.",
        bytes: |_| masked(0x80, b"lo"),
    },
    Play {
        name: "fragmented-ping",
        section: "5.5",
        says: "A control frame must not be fragmented.",
        bytes: |_| masked(0x09, b"?"),
    },
    Play {
        name: "long-ping",
        section: "5.5",
        says: "A control frame carries at most 125 bytes.",
        bytes: |_| masked(0x89, &[b'?'; 126]),
    },
    Play {
        name: "half-close-code",
        section: "5.5.1",
        says: "The code of a Close has two bytes.",
        bytes: |_| masked(0x88, b"\x03"),
    },
    Play {
        name: "too-large",
        section: "7.4.1",
        says: "A server may refuse a message that is larger than it takes.",
        bytes: |limit| {
            // The header alone: the server refuses the message before it has read any of it.
            let mut header = Vec::new();
            let length = limit as u64 + 1;
            masked_header(0x82).format(length, &mut header).expect(INTO_A_VECTOR);
            header
        },
    },
    Play {
        name: "invalid-utf8",
        section: "8.1",
        says: "A text must be UTF-8.",
        // "café" in Latin-1.
        bytes: |_| masked(0x81, b"caf\xe9"),
    },
];

const INTO_A_VECTOR: &str = "writing to a vector cannot fail";

/// The options that a client of the echo gives in the query of its address.
#[derive(Default)]
pub struct EchoOptions {
    /// `frames`: the client is told each frame that the server reads from it.
    pub frames: bool,
    /// `play=NAME`: what is read first.
    pub play: Option<&'static Play>,
}

impl EchoOptions {
    /// Reads a query. Unknown options are ignored.
    ///
    /// # Errors
    /// A value is not valid; the error is a sentence for the client.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for part in query.split('&') {
            match part.split_once('=').unwrap_or((part, "")) {
                ("frames", _) => options.frames = true,
                ("play", name) => options.play = Some(find(name)?),
                _ => {}
            }
        }
        if options.play.is_some() && !options.frames {
            return Err("play is for a client that is told its frames: say frames, too.".to_owned());
        }
        Ok(options)
    }
}

fn find(name: &str) -> Result<&'static Play, String> {
    PLAYS.iter().find(|play| play.name == name).ok_or_else(|| {
        let names: Vec<_> = PLAYS.iter().map(|play| play.name).collect();
        format!("play is one of {}.", names.join(", "))
    })
}

/// How an experiment begins.
pub struct Experiment {
    /// The report of its handshake, as one text frame.
    pub handshake: Vec<u8>,
    /// What is read before the client's own bytes.
    pub play: Vec<u8>,
}

/// What an experiment is told, in one text frame of JSON each.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Report<'a> {
    /// The heads of its handshake.
    Handshake {
        /// The client's.
        request: &'a str,
        /// The server's.
        response: &'a str,
    },
    /// A frame that was read, and those that are sent because of it, right behind the report.
    Frame {
        /// `None`: the server sends something of its own accord.
        received: Option<FrameInfo>,
        /// In the order in which they are sent.
        answers: Vec<FrameInfo>,
        /// The Close among the answers, if the server ends the connection.
        refused: Option<CloseInfo>,
    },
}

impl Report<'_> {
    /// The report of a frame, or of no frame, and of what the server answers, in whole frames.
    pub fn of(received: Option<&Anatomy>, answers: &[u8]) -> Self {
        let answers = split(answers);
        let close = answers.iter().rfind(|answer| answer.is_close()).and_then(Anatomy::close);
        // "When sending a Close frame in response, the endpoint typically echos the status code it
        // received" (RFC 6455 §5.5.1). With another code it is a refusal.
        let is_refusal =
            received.is_some_and(|received| !received.is_close() || received.close() != close);
        Self::Frame {
            received: received.map(Anatomy::info),
            answers: answers.iter().map(Anatomy::info).collect(),
            refused: close.filter(|_| is_refusal),
        }
    }

    /// The report as one text frame.
    pub fn frame(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("its parts are strings and numbers");
        let mut bytes = Vec::new();
        frame::write(&mut bytes, Data::Text, &json).expect(INTO_A_VECTOR);
        bytes
    }
}

/// The anatomies of whole frames.
fn split(mut bytes: &[u8]) -> Vec<Anatomy> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let mut anatomy = Anatomy::default();
        bytes = &bytes[anatomy.take(bytes)..];
        frames.push(anatomy);
    }
    frames
}

/// A frame as a client sends it. `first` is FIN, the reserved bits and the opcode.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = Frame::from_payload(masked_header(first), payload.to_vec().into());
    frame.format(&mut bytes).expect(INTO_A_VECTOR);
    bytes
}

fn masked_header(first: u8) -> FrameHeader {
    FrameHeader {
        is_final: first & 0x80 != 0,
        rsv1: first & 0x40 != 0,
        rsv2: first & 0x20 != 0,
        rsv3: first & 0x10 != 0,
        opcode: OpCode::from(first & 0x0f),
        mask: Some(KEY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_options_have_their_grammar() {
        for (query, frames, play) in [
            ("", false, None),
            ("since=7", false, None),
            ("frames", true, None),
            ("frames=", true, None),
            ("x&frames=1&play=unmasked", true, Some("unmasked")),
            ("play=too-large&frames", true, Some("too-large")),
        ] {
            let options = EchoOptions::parse(query).unwrap();
            let found = options.play.map(|play| play.name);
            assert_eq!((options.frames, found), (frames, play), "{query:?}");
        }
        let refused = |query| EchoOptions::parse(query).err().expect("a sentence");
        assert!(refused("play=unmasked").contains("frames"));
        for query in ["frames&play", "frames&play=", "frames&play=hamlet", "play=hamlet"] {
            let sentence = refused(query);
            assert!(PLAYS.iter().all(|play| sentence.contains(play.name)), "{sentence}");
        }
    }

    /// RFC 6455 §5.7 has these bytes.
    #[test]
    fn a_play_is_written_as_a_client_writes() {
        let bytes = masked(0x81, b"Hello");
        assert_eq!(bytes, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        let too_large = PLAYS.iter().find(|play| play.name == "too-large").unwrap();
        assert_eq!((too_large.bytes)(1 << 20)[..10], *b"\x82\xff\0\0\0\0\0\x10\0\x01");
    }
}
