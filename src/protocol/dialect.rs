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
use super::v1::{self, Action, Complaint, Copied};

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

    /// Reads the payload of a client's message, whose text or bytes may have `limit` bytes.
    ///
    /// # Errors
    /// The payload has no meaning in this dialect; the complaint is for the client.
    pub fn read(self, kind: Data, payload: &[u8], limit: usize) -> Result<Action, Complaint> {
        match self {
            Self::Plain => Ok(Action::Say(plain_content(kind, payload), None)),
            Self::V1 => v1::read(kind, payload, limit),
        }
    }

    /// The most bytes of one frame, where a text or the bytes of a message may have `limit` bytes.
    pub fn largest_frame(self, limit: usize) -> usize {
        match self {
            Self::Plain => limit,
            Self::V1 => v1::MAX_ESCAPE_BYTES.saturating_mul(limit) + v1::MAX_ENVELOPE_BYTES,
        }
    }

    /// Writes a message; a plain client gets its payload alone, without what is
    /// `copied`, and nothing of an act.
    ///
    /// # Errors
    /// `out` cannot be written to. A vector always can.
    pub fn write_message(
        self,
        out: &mut impl Write,
        message: &Message,
        copied: Copied,
    ) -> io::Result<()> {
        match (self, &message.content) {
            (Self::V1, _) => v1::write_message(out, message, copied),
            (Self::Plain, Content::Text(text)) => frame::write(out, Data::Text, text),
            (Self::Plain, Content::Binary { bytes, .. }) => frame::write(out, Data::Binary, bytes),
            // Its frame would look like something that somebody says.
            (Self::Plain, Content::Act(_)) => Ok(()),
        }
    }
}

/// Every message of a plain client is for the whole room. The payload is copied, here and in `v1`: it
/// is a part of tungstenite's read buffer, and a message that shared it would hold all of that
/// buffer in memory.
fn plain_content(kind: Data, payload: &[u8]) -> Content {
    let bytes = Bytes::copy_from_slice(payload);
    match kind {
        Data::Text => Content::Text(bytes),
        _ => Content::Binary { name: String::new(), media_type: String::new(), bytes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::address::RoomName;
    use crate::protocol::message::Author;

    fn binary(name: &str, media_type: &str, bytes: &'static [u8]) -> Content {
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        Content::Binary { name, media_type, bytes: Bytes::from_static(bytes) }
    }

    fn written(dialect: Dialect, content: Content) -> Vec<u8> {
        let author = Author { user: None, name: "guest-1".to_owned() };
        let message = Message { id: 1, room: RoomName::lobby(), author, content, origin: None };
        let mut out = Vec::new();
        let copied = Copied { member: Some(1), reference: Some("mine") };
        dialect.write_message(&mut out, &message, copied).unwrap();
        out
    }

    #[test]
    fn each_dialect_stands_at_the_index_that_is_its_number() {
        for (index, dialect) in Dialect::ALL.into_iter().enumerate() {
            assert_eq!(dialect as usize, index, "{dialect:?}");
        }
    }

    #[test]
    fn a_plain_client_says_every_payload_as_it_is() {
        let event = r#"{"type":"typing"}"#;
        for (kind, payload, content) in [
            (Data::Text, &b"hello"[..], Content::Text("hello".into())),
            (Data::Text, b"", Content::Text(Bytes::new())),
            (Data::Text, event.as_bytes(), Content::Text(event.into())),
            (Data::Binary, b"\x00\xff", binary("", "", b"\x00\xff")),
        ] {
            let action = Dialect::Plain.read(kind, payload, 0);
            assert_eq!(action, Ok(Action::Say(content, None)));
        }
        assert_eq!(Dialect::V1.read(Data::Text, event.as_bytes(), 0), Ok(Action::Type));
    }

    #[test]
    fn a_plain_client_is_sent_the_bare_payload() {
        assert_eq!(written(Dialect::Plain, Content::Text("hello".into())), b"\x81\x05hello");
        assert_eq!(
            written(Dialect::Plain, binary("a.png", "image/png", b"\x89P")),
            b"\x82\x02\x89P"
        );
    }

    #[test]
    fn a_client_of_v1_is_sent_an_event_with_its_ref() {
        let event = r#"{"type":"message","id":1,"from":{"id":1,"name":"guest-1"},"at":"1970-01-01T00:00:00.000Z","text":"hello","ref":"mine"}"#;
        let written = written(Dialect::V1, Content::Text("hello".into()));
        assert_eq!(str::from_utf8(&written[2..]), Ok(event));
    }
}
