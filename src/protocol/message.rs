//! A message: its id, its room, its author and its content.
//!
//! Not here: how a message looks on the wire (`dialect`), and where it is kept (`store`). Values
//! and pure functions, on any thread.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::act::Act;
use super::address::RoomName;

/// The id of a message: microseconds since 1970, made strictly increasing. No id is given out twice,
/// and each is an exact number in JavaScript until the year 2255. 0 comes before all messages.
pub type MessageId = i64;

/// The number of a user. It is never given to another user.
pub type UserId = i64;

/// The author of a message. The name stays as it was when the message was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Author {
    /// `None`: a guest.
    pub user: Option<UserId>,
    /// The name that is shown beside the message.
    pub name: String,
}

/// The content of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// A text, in UTF-8.
    Text(Bytes),
    /// Bytes of any kind, as the sender described them.
    Binary {
        /// The name of a file, or empty.
        name: String,
        /// The media type, such as `image/png`, or empty.
        media_type: String,
        /// The payload.
        bytes: Bytes,
    },
    /// Something that was done to the room, or to a message.
    Act(Box<Act>),
}

/// The hash of a client's session, which stands for it everywhere behind the door. The session
/// itself is the client's secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub [u8; 16]);

/// Where a message comes from: no two messages of a room have the same origin. So a message that is
/// sent again is known.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    /// The sender's session.
    pub session: SessionId,
    /// The `ref` that the sender gave the message.
    pub reference: String,
}

/// A message without a place in the order: it gets that when it is kept.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The room that it is for.
    pub room: RoomName,
    /// The one who says it.
    pub author: Author,
    /// The text or the bytes.
    pub content: Content,
    /// Where it comes from, if its sender has a session and gave a `ref`.
    pub origin: Option<Box<Origin>>,
    /// The session that the sender had as a guest: the message may have been kept for that.
    pub as_guest: Option<SessionId>,
    /// Whether it stays in the history.
    pub stay: Stay,
}

/// Whether a message stays in the history when it has been told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stay {
    /// It stays, within the bounds.
    #[default]
    Kept,
    /// It does not: the leaders of its room have switched the history off.
    Passing,
}

/// A message with its place in the order of all messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Its place in the order of all messages.
    pub id: MessageId,
    /// The room that it was said in.
    pub room: RoomName,
    /// The one who said it.
    pub author: Author,
    /// The text or the bytes.
    pub content: Content,
    /// Where it comes from, if its sender has a session and gave a `ref`.
    pub origin: Option<Box<Origin>>,
}

impl Content {
    /// Bytes of the payload, the file name and the media type. An act counts as it is kept.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary { name, media_type, bytes } => name.len() + media_type.len() + bytes.len(),
            Self::Act(act) => act.to_json().len(),
        }
    }
}

impl Origin {
    /// Bytes of the session's hash and of the `ref`.
    pub fn size(&self) -> usize {
        self.session.0.len() + self.reference.len()
    }
}

impl Message {
    /// Bytes of the content, of the author's name, and of the origin.
    pub fn size(&self) -> usize {
        let origin = self.origin.as_ref().map_or(0, |origin| origin.size());
        self.content.size() + self.author.name.len() + origin
    }

    /// The `ref` of the message, for a client that has this session.
    pub fn reference_for(&self, session: SessionId) -> Option<&str> {
        let origin = self.origin.as_ref().filter(|origin| origin.session == session);
        origin.map(|origin| origin.reference.as_str())
    }
}

/// The time now, in microseconds since 1970.
pub fn now() -> MessageId {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    MessageId::try_from(since.as_micros()).unwrap_or(MessageId::MAX)
}

/// The time at which a message was said (RFC 3339, with milliseconds). Its id is that time in
/// microseconds.
pub fn time(id: MessageId) -> String {
    let since = Duration::from_micros(u64::try_from(id).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
