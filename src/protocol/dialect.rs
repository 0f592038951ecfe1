//! The two ways to talk in a room: bare payloads, or `wsroom.v1`.
//!
//! [`Dialect`] reads a client's payload and writes a message in either dialect, so other code
//! rarely has to ask which one a client speaks. Not here: the events of `wsroom.v1` (`v1`).
//! Pure functions, on any thread.

use std::io::{self, Write};

use bytes::Bytes;
use tungstenite::protocol::frame::coding::Data;

use super::frame;
use super::message::{Content, Message};
use super::v1::{self, Action, Announced, Complaint};

/// The dialect that a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// Bare payloads, as any WebSocket client does.
    Plain,
    /// `wsroom.v1`.
    V1,
}

impl Dialect {
    /// All dialects, each at the index that is its number.
    pub const ALL: [Self; 2] = [Self::Plain, Self::V1];

    /// The number of dialects.
    pub const COUNT: usize = Self::ALL.len();

    /// Reads the payload of a client's message; `announced` is the announcement just before it, if
    /// there was one.
    ///
    /// # Errors
    /// The payload has no meaning in this dialect; the complaint is for the client.
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

    /// Writes a message; a plain client gets its payload alone. `reference` is the sender's `ref`,
    /// which only `wsroom.v1` has.
    ///
    /// # Errors
    /// `out` cannot be written to. A vector always can.
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

/// Every message of a plain client is for the whole room. The payload is copied, here and in `v1`:
/// it is a part of tungstenite's read buffer, and a message that shared it would hold all of that
/// buffer in memory.
fn plain_content(kind: Data, payload: &[u8]) -> Content {
    let bytes = Bytes::copy_from_slice(payload);
    match kind {
        Data::Text => Content::Text(bytes),
        _ => Content::Binary { name: String::new(), media_type: String::new(), bytes },
    }
}
