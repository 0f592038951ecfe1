//! `wsroom.v1`: what the clients that offer this subprotocol say and hear, as JSON.
//!
//! The grammar alone, and the frames it goes in. Not here: who hears what (`broadcaster`) and
//! when an announced binary frame comes (`feed`). Pure functions: a client's own thread reads,
//! the broadcaster writes.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::Data;

use crate::frame;
use crate::store::{Content, Kept, MessageId, UserId};

/// As it is offered and chosen in the handshake (`Sec-WebSocket-Protocol`).
pub const NAME: &str = "wsroom.v1";

/// The longest name and media type of a binary message, and the longest `ref`, in bytes.
const LONGEST: usize = 255;

/// What a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaks {
    /// Bare payloads, as any WebSocket client does.
    Plain,
    /// `wsroom.v1`.
    V1,
}

/// What a client does with one message.
pub enum Deed {
    /// Says this to everyone, with a mark of its own.
    Say(Content, Option<String>),
    /// Announces a binary message.
    Announce(Announced),
    /// Is writing.
    Type,
}

/// What a plain client does: each message is for everyone.
pub fn plain_deed(kind: Data, payload: Bytes) -> Deed {
    let content = match kind {
        Data::Text => Content::Text(payload),
        _ => Content::Binary { name: String::new(), media_type: String::new(), bytes: payload },
    };
    Deed::Say(content, None)
}

/// What a client of `wsroom.v1` does; `announced` is what it said just before.
///
/// # Errors
/// What is wrong with it.
pub fn deed(kind: Data, payload: Bytes, announced: Option<Announced>) -> Result<Deed, Complaint> {
    if kind != Data::Text {
        // Without an announcement it is binary all the same: it has no name, that is all.
        let Announced { name, media_type, reference } = announced.unwrap_or_default();
        return Ok(Deed::Say(Content::Binary { name, media_type, bytes: payload }, reference));
    }
    if announced.is_some() {
        let detail = "a binary message was announced, and the next one was a text".to_owned();
        return Err(Complaint::new("no-binary", detail));
    }
    let text = str::from_utf8(&payload).expect("tungstenite takes no other text");
    Ok(match Said::parse(text)? {
        Said::Message { text, reference } => Deed::Say(Content::Text(text.into()), reference),
        Said::Binary(announced) => Deed::Announce(announced),
        Said::Typing => Deed::Type,
    })
}

/// What a client says.
#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said {
    /// A text for everyone.
    Message {
        /// The text.
        text: String,
        /// Comes back in the sender's own copy, so that it knows that this one is kept.
        #[serde(default, rename = "ref")]
        reference: Option<String>,
    },
    /// The next binary frame is for everyone, and this is about it.
    Binary(Announced),
    /// The client's user is writing; not kept.
    Typing,
}

/// What is told of a binary message before it comes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Announced {
    /// A file's name.
    #[serde(default)]
    pub name: String,
    /// Such as `image/png`.
    #[serde(default)]
    pub media_type: String,
    /// As in a text.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
}

/// Why something was not done; it is no reason to disconnect.
#[derive(Clone, Debug, Serialize)]
pub struct Complaint {
    /// For programs: `bad-json`, `bad-event`, `no-binary`, `not-kept`.
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

impl Said {
    fn parse(text: &str) -> Result<Self, Complaint> {
        let said: Self = serde_json::from_str(text).map_err(|error| {
            let code = if error.is_data() { "bad-event" } else { "bad-json" };
            Complaint::new(code, error.to_string())
        })?;
        match said.longest() {
            0..=LONGEST => Ok(said),
            _ => {
                let detail = format!("ref, name and media_type take {LONGEST} bytes at most");
                Err(Complaint::new("bad-event", detail))
            }
        }
    }

    fn longest(&self) -> usize {
        let length = |reference: &Option<String>| reference.as_ref().map_or(0, String::len);
        match self {
            Self::Message { reference, .. } => length(reference),
            Self::Binary(it) => length(&it.reference).max(it.name.len()).max(it.media_type.len()),
            Self::Typing => 0,
        }
    }
}

/// Somebody in a room, as the others see them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Member {
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
pub enum Heard<'a> {
    /// The first of all.
    Welcome {
        /// The client itself.
        you: &'a Member,
        /// Where it is.
        room: &'a str,
        /// Everyone there, the client itself too; missing where only their number is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<Member>>,
        /// How many there are.
        count: usize,
        /// The newest message of the room, 0 if there is none.
        last: MessageId,
        /// How many messages follow now, before any live one.
        replayed: usize,
        /// Nothing is missing between `since` and the first of them.
        complete: bool,
        /// Bytes that a message may have (`--max-message-size`).
        limit: usize,
    },
    /// Came since the last such event.
    Joined {
        /// Who; missing where only their number is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [Member]>,
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
        members: &'a [Member],
    },
    /// A text.
    Message {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Who said it.
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
        from: &'a Member,
    },
    /// Something that this client asked for was not done.
    Error(&'a Complaint),
}

/// Who said a message, as they were called then.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct From<'a> {
    /// Their number in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Shown to people.
    pub name: &'a str,
}

impl Heard<'_> {
    /// Adds it to `bytes` as one text frame.
    pub fn push(&self, bytes: &mut Vec<u8>) {
        let text = serde_json::to_vec(self).expect("strings, numbers and lists are all JSON");
        frame::push(bytes, Data::Text, &text);
    }

    /// It as one text frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.push(&mut bytes);
        bytes
    }
}

/// Adds a message as a client of `wsroom.v1` hears it: one frame, or two for a binary one.
pub fn push_message(bytes: &mut Vec<u8>, kept: &Kept, reference: Option<&str>) {
    let from = From { user: kept.author.user, name: &kept.author.name };
    let (id, at) = (kept.id, time(kept.id));
    match &kept.content {
        Content::Text(text) => {
            let text = str::from_utf8(text).expect("tungstenite takes no other text");
            Heard::Message { id, from, at, text, reference }.push(bytes);
        }
        Content::Binary { name, media_type, bytes: payload } => {
            let size = payload.len();
            Heard::Binary { id, from, at, name, media_type, size, reference }.push(bytes);
            frame::push(bytes, Data::Binary, payload);
        }
    }
}

/// Adds a message as a plain client hears it: its payload alone.
pub fn push_plainly(bytes: &mut Vec<u8>, kept: &Kept) {
    match &kept.content {
        Content::Text(text) => frame::push(bytes, Data::Text, text),
        Content::Binary { bytes: payload, .. } => frame::push(bytes, Data::Binary, payload),
    }
}

/// When a message was said: its id counts the microseconds.
pub fn time(id: MessageId) -> String {
    let since = Duration::from_micros(u64::try_from(id).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
