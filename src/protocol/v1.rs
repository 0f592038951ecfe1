//! `wsroom.v1`: the JSON events that clients of this subprotocol send and receive.
//!
//! Only the grammar of the events, and the frames that carry them. Not here: which client gets
//! which event (`relay`), and the wait for a binary frame that was announced (`client`). Pure
//! functions: a client's own thread reads, the broadcaster writes.

use std::borrow::Cow;
use std::io::{self, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::Data;

use super::frame;
use super::message::{self, Content, Message, MessageId, UserId};

/// The name of the subprotocol in the handshake (`Sec-WebSocket-Protocol`).
pub const NAME: &str = "wsroom.v1";

/// The longest `name`, `media_type` and `ref` of an event, in bytes.
const MAX_FIELD_BYTES: usize = 255;

/// The action that a client takes with one WebSocket message.
#[derive(Debug, Eq, PartialEq)]
pub enum Action {
    /// The client says this to everyone, with a `ref` if it gave one.
    Say(Content, Option<String>),
    /// The client announces a binary message.
    Announce(Announced),
    /// The client's user is writing.
    Type,
}

/// Reads one WebSocket message of a client; `announced` is the announcement just before it, if
/// there was one.
///
/// # Errors
/// The message is not a valid event; the complaint is for the client.
pub fn read(kind: Data, payload: &[u8], announced: Option<Announced>) -> Result<Action, Complaint> {
    if kind != Data::Text {
        // A binary message without an announcement is allowed. It has no name.
        let Announced { name, media_type, reference } = announced.unwrap_or_default();
        let bytes = Bytes::copy_from_slice(payload);
        return Ok(Action::Say(Content::Binary { name, media_type, bytes }, reference));
    }
    if announced.is_some() {
        let detail = "a binary message was announced, and the next one was a text".to_owned();
        return Err(Complaint::new("no-binary", detail));
    }
    let text = str::from_utf8(payload).expect("tungstenite refuses a text that is not UTF-8");
    Action::parse(text)
}

/// An event from a client, with the fields of all event types in one struct. So serde skips unknown
/// fields while it reads. (As a tagged enum, serde would first build a tree of the whole event, many
/// times as large as its text.)
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

/// The announcement of a binary message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Announced {
    /// The name of a file, or empty.
    pub name: String,
    /// The media type, such as `image/png`, or empty.
    pub media_type: String,
    /// The sender's `ref` for the message.
    pub reference: Option<String>,
}

/// The reason why a client's message had no effect. The client stays connected.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Complaint {
    /// For programs: `bad-json`, `bad-event`, `no-binary` or `not-kept`.
    pub code: &'static str,
    /// For people, in words.
    pub detail: String,
    /// The `ref` of the message that was not kept, if it had one.
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
        if [&name, &media_type, &reference].into_iter().any(|text| length(text) > MAX_FIELD_BYTES) {
            return bad(format!("ref, name and media_type take {MAX_FIELD_BYTES} bytes at most"));
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

/// A member of a room, as the other members see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MemberInfo {
    /// The number of the connection.
    pub id: u64,
    /// The number of its user in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name that people see.
    pub name: String,
}

/// An event from the server to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerEvent<'a> {
    /// The first event of all.
    Welcome {
        /// The client itself.
        you: &'a MemberInfo,
        /// The room that it has joined.
        room: &'a str,
        /// All members, the client too; missing in a crowd, where only `count` is sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberInfo]>,
        /// The number of members.
        count: usize,
        /// The newest message of the room, 0 if there is none.
        last: MessageId,
        /// No message after `since` is missing, as far as is known before the replay.
        complete: bool,
        /// The largest message that the server takes, in bytes (`--max-message-size`).
        limit: usize,
    },
    /// The replay ends here. This event is sent even if there was no replay.
    Live {
        /// The newest message of the room when the replay began.
        last: MessageId,
        /// No message after `since` is missing.
        complete: bool,
    },
    /// The complete list of members. It replaces every list before it.
    Members {
        /// All members.
        members: &'a [MemberInfo],
        /// The number of members.
        count: usize,
    },
    /// Members that have joined since the last such event.
    Joined {
        /// The new members; missing in a crowd.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberInfo]>,
        /// The number of members now.
        count: usize,
    },
    /// Members that have left since the last such event.
    Left {
        /// The numbers of their connections; missing in a crowd.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [u64]>,
        /// The number of members now.
        count: usize,
    },
    /// Members that have a new name.
    Renamed {
        /// These members, with their new names.
        members: &'a [MemberInfo],
    },
    /// A text message.
    Message {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Its author.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// The text.
        text: &'a str,
        /// The sender's `ref`, in the sender's own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// A binary message. Its bytes are the next frame.
    Binary {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Its author.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// The name of a file, or empty.
        name: &'a str,
        /// The media type, such as `image/png`, or empty.
        media_type: &'a str,
        /// The number of bytes in that frame.
        size: usize,
        /// The sender's `ref`, in the sender's own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// A member is writing.
    Typing {
        /// That member.
        from: &'a MemberInfo,
    },
    /// The client has asked to be slow (`slow=`), and bytes wait for it.
    Behind {
        /// Bytes that wait.
        waiting: usize,
        /// Bytes that may wait. With more, the client is cut off.
        limit: usize,
    },
    /// A message of this client had no effect.
    Error(&'a Complaint),
}

/// The author of a message, with the name that they had then.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct From<'a> {
    /// Their number in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name that people see.
    pub name: &'a str,
}

impl ServerEvent<'_> {
    /// Writes the event as one text frame. The event is encoded twice: the first time only counts
    /// the bytes for the header, so that a long text is never copied a second time.
    ///
    /// # Errors
    /// `out` cannot be written to. A vector always can.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, self)?;
        frame::write_header(out, Data::Text, length.0)?;
        serde_json::to_writer(out, self)?;
        Ok(())
    }

    /// The event as one text frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).expect("writing to a vector cannot fail");
        bytes
    }
}

/// Counts the bytes that are written to it.
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

/// Writes a message: one frame for a text, two for a binary message. `reference` is the sender's
/// `ref`.
///
/// # Errors
/// `out` cannot be written to. A vector always can.
pub fn write_message(
    out: &mut impl Write,
    message: &Message,
    reference: Option<&str>,
) -> io::Result<()> {
    let from = From { user: message.author.user, name: &message.author.name };
    let (id, at) = (message.id, message::time(message.id));
    match &message.content {
        Content::Text(text) => {
            let text = str::from_utf8(text).expect("the content of a text is UTF-8");
            ServerEvent::Message { id, from, at, text, reference }.write(out)
        }
        Content::Binary { name, media_type, bytes } => {
            let size = bytes.len();
            ServerEvent::Binary { id, from, at, name, media_type, size, reference }.write(out)?;
            frame::write(out, Data::Binary, bytes)
        }
    }
}
