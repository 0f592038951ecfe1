//! `wsroom.v1`: what the clients that offer this subprotocol say and hear, as JSON.
//!
//! The grammar alone, and the frames it goes in. Not here: who hears what (`broadcaster`) and
//! when an announced binary frame comes (`feed`). Pure functions: a client's own thread reads,
//! the broadcaster writes.

use std::borrow::Cow;
use std::io::{self, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::Data;

use super::frame;
use super::message::{self, Content, Message, MessageId, UserId};

/// As it is offered and chosen in the handshake (`Sec-WebSocket-Protocol`).
pub const NAME: &str = "wsroom.v1";

/// The longest name and media type of a binary message, and the longest `ref`, in bytes.
const LONGEST: usize = 255;

/// What a client does with one message.
pub enum Action {
    /// Says this to everyone, with a mark of its own.
    Say(Content, Option<String>),
    /// Announces a binary message.
    Announce(Announced),
    /// Is writing.
    Type,
}

/// What a client of `wsroom.v1` does; `announced` is what it event just before.
///
/// # Errors
/// What is wrong with it.
pub fn read(kind: Data, payload: &[u8], announced: Option<Announced>) -> Result<Action, Complaint> {
    if kind != Data::Text {
        // Without an announcement it is binary all the same: it has no name, that is all.
        let Announced { name, media_type, reference } = announced.unwrap_or_default();
        let bytes = Bytes::copy_from_slice(payload);
        return Ok(Action::Say(Content::Binary { name, media_type, bytes }, reference));
    }
    if announced.is_some() {
        let detail = "a binary message was announced, and the next one was a text".to_owned();
        return Err(Complaint::new("no-binary", detail));
    }
    let text = str::from_utf8(payload).expect("tungstenite takes no other text");
    Action::parse(text)
}

/// What a client says: every field that any event has, so that what is not known here is skipped
/// as it streams by. (By its tag, serde would first build a tree of the whole, many times as large.)
#[derive(Deserialize)]
struct ClientEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    text: Option<String>,
    name: Option<String>,
    media_type: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

/// What is told of a binary message before it comes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Announced {
    /// A file's name.
    pub name: String,
    /// Such as `image/png`.
    pub media_type: String,
    /// The mark of the message, as in a text.
    pub reference: Option<String>,
}

/// Why something was not done; it is no reason to disconnect.
#[derive(Clone, Debug, Serialize)]
pub struct Complaint {
    /// For programs: `bad-json`, `bad-event`, `no-binary`, `not-message`.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// The mark of the message that it is about, if it had one and is known.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Complaint {
    fn new(code: &'static str, detail: String) -> Self {
        Self { code, detail, reference: None }
    }
}

impl Action {
    fn parse(text: &str) -> Result<Self, Complaint> {
        let event: ClientEvent = serde_json::from_str(text).map_err(|error| {
            let code = if error.is_data() { "bad-event" } else { "bad-json" };
            Complaint::new(code, error.to_string())
        })?;
        let bad = |detail: String| Err(Complaint::new("bad-event", detail));
        let ClientEvent { kind, text, name, media_type, reference } = event;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        if [&name, &media_type, &reference].into_iter().any(|text| length(text) > LONGEST) {
            return bad(format!("ref, name and media_type take {LONGEST} bytes at most"));
        }
        let (name, media_type) = (name.unwrap_or_default(), media_type.unwrap_or_default());
        match (&*kind, text) {
            ("message", Some(text)) => Ok(Self::Say(Content::Text(text.into()), reference)),
            ("message", None) => bad("a message has a text".to_owned()),
            ("binary", _) => Ok(Self::Announce(Announced { name, media_type, reference })),
            ("typing", _) => Ok(Self::Type),
            _ => bad("type is message, binary or typing".to_owned()),
        }
    }
}

/// Somebody in a room, as the others see them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MemberInfo {
    /// The number of the connection.
    pub id: u64,
    /// Their number in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Shown to people.
    pub name: String,
}

/// What a client hears.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerEvent<'a> {
    /// The first of all.
    Welcome {
        /// The client itself.
        you: &'a MemberInfo,
        /// Where it is.
        room: &'a str,
        /// Everyone there, the client itself too; missing where only their number is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberInfo]>,
        /// How many there are.
        count: usize,
        /// The newest message of the room, 0 if there is none.
        last: MessageId,
        /// Nothing is missing behind `since`, as far as is known before the past is read.
        complete: bool,
        /// Bytes that a message may have (`--max-message-size`).
        limit: usize,
    },
    /// The past ends here. It is there even if there was none.
    Live {
        /// The newest message of the past.
        last: MessageId,
        /// Nothing is missing behind `since`.
        complete: bool,
    },
    /// Everyone who is there: what was told before does not hold any more.
    Members {
        /// All of them.
        members: &'a [MemberInfo],
        /// How many there are.
        count: usize,
    },
    /// Came since the last such event.
    Joined {
        /// Who; missing where only their number is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberInfo]>,
        /// How many there are now.
        count: usize,
    },
    /// Went since the last such event.
    Left {
        /// The numbers of their connections.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [u64]>,
        /// How many there are now.
        count: usize,
    },
    /// Are called otherwise from now on.
    Renamed {
        /// With their new names.
        members: &'a [MemberInfo],
    },
    /// A text.
    Message {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Who event it.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// The text.
        text: &'a str,
        /// The sender's own mark, in its own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// The next frame is binary, and this is about it.
    Binary {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Who showed it.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// A file's name, or empty.
        name: &'a str,
        /// Such as `image/png`, or empty.
        media_type: &'a str,
        /// Bytes in the frame.
        size: usize,
        /// The sender's own mark, in its own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// Somebody is writing.
    Typing {
        /// Who.
        from: &'a MemberInfo,
    },
    /// This client has wished to be slow, and so much waits for it.
    Behind {
        /// Bytes.
        waiting: usize,
        /// Beyond so many it is let go.
        limit: usize,
    },
    /// Something that this client asked for was not done.
    Error(&'a Complaint),
}

/// Who event a message, as they were called then.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct From<'a> {
    /// Their number in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Shown to people.
    pub name: &'a str,
}

impl ServerEvent<'_> {
    /// Writes it as one text frame. It is encoded twice, the first time only to be measured, so
    /// that no second copy of a long text is made.
    ///
    /// # Errors
    /// As `out` has them; a vector has none.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, self)?;
        frame::write_header(out, Data::Text, length.0)?;
        serde_json::to_writer(out, self)?;
        Ok(())
    }

    /// It as one text frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).expect("a vector takes everything");
        bytes
    }
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a message: one frame, or two for a binary message. `reference` is the sender's own mark.
///
/// # Errors
/// As `out` has them; a vector has none.
pub fn write_message(
    out: &mut impl Write,
    message: &Message,
    reference: Option<&str>,
) -> io::Result<()> {
    let from = From { user: message.author.user, name: &message.author.name };
    let (id, at) = (message.id, message::time(message.id));
    match &message.content {
        Content::Text(text) => {
            let text = str::from_utf8(text).expect("tungstenite takes no other text");
            ServerEvent::Message { id, from, at, text, reference }.write(out)
        }
        Content::Binary { name, media_type, bytes } => {
            let size = bytes.len();
            ServerEvent::Binary { id, from, at, name, media_type, size, reference }.write(out)?;
            frame::write(out, Data::Binary, bytes)
        }
    }
}
