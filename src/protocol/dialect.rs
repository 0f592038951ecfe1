//! The two ways to talk in a room: bare payloads, or `wsroom.v1`.
//!
//! Here stands what both have in common, so that nobody else asks which one it is: what a client's
//! payload means, and how a message is written for it. Not here: the events of `wsroom.v1` (`v1`).
//! Pure functions, on any thread.

use std::io::{self, Write};

use bytes::Bytes;
use tungstenite::protocol::frame::coding::Data;

use super::frame;
use super::message::{Content, Message};
use super::v1::{self, Action, Announced, Complaint};

/// What a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// Bare payloads, as any WebSocket client does.
    Plain,
    /// `wsroom.v1`.
    V1,
}

impl Dialect {
    /// In the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Plain, Self::V1];

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// What a client wants with a payload; `announced` is what it has said just before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        self,
        kind: Data,
        payload: &[u8],
        announced: Option<Announced>,
    ) -> Result<Action, Complaint> {
        match self {
            Self::Plain => Ok(Action::Say(plain_content(kind, payload), None)),
            Self::V1 => v1::read(kind, payload, announced),
        }
    }

    /// Writes a message: to plain clients its payload alone. `reference` is the sender's own mark,
    /// which only `wsroom.v1` has.
    ///
    /// # Errors
    /// As `out` has them; a vector has none.
    pub fn write_message(
        self,
        out: &mut impl Write,
        message: &Message,
        reference: Option<&str>,
    ) -> io::Result<()> {
        match (self, &message.content) {
            (Self::V1, _) => v1::write_message(out, message, reference),
            (Self::Plain, Content::Text(text)) => frame::write(out, Data::Text, text),
            (Self::Plain, Content::Binary { bytes, .. }) => frame::write(out, Data::Binary, bytes),
        }
    }
}

/// Each message of a plain client is for everyone. The payload is copied, here and in `v1`: it is a
/// part of tungstenite's buffer, and keeping it would keep all of that.
fn plain_content(kind: Data, payload: &[u8]) -> Content {
    let bytes = Bytes::copy_from_slice(payload);
    match kind {
        Data::Text => Content::Text(bytes),
        _ => Content::Binary { name: String::new(), media_type: String::new(), bytes },
    }
}
