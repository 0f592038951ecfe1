//! A message: what is said, by whom, where and when.
//!
//! Not here: how it looks on the wire (`dialect`), and where it is kept (`store`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::address::RoomName;

/// Microseconds since 1970, made strictly increasing: never handed out twice, and an exact number
/// in JavaScript until the year 2255. 0 is before the first.
pub type MessageId = i64;

/// The number of a user; never given to another one.
pub type UserId = i64;

/// Who said something. The name stays as it was then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Author {
    /// `None`: a guest.
    pub user: Option<UserId>,
    /// Shown beside the message.
    pub name: String,
}

/// What was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// UTF-8.
    Text(Bytes),
    /// Anything else, with what the sender told of it.
    Binary {
        /// A file's name, or empty.
        name: String,
        /// Such as `image/png`, or empty.
        media_type: String,
        /// The bytes themselves.
        bytes: Bytes,
    },
}

/// A message that is about to be kept: it gets its place in the order of all messages with that.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it is said.
    pub room: RoomName,
    /// By whom.
    pub author: Author,
    /// What.
    pub content: Content,
}

/// A message that was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Where it stands among all messages.
    pub id: MessageId,
    /// Where it was said.
    pub room: RoomName,
    /// By whom.
    pub author: Author,
    /// What.
    pub content: Content,
}

impl Content {
    /// Bytes of it, with its names.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary { name, media_type, bytes } => name.len() + media_type.len() + bytes.len(),
        }
    }
}

impl Message {
    /// Bytes that it has from its author: its content and all names.
    pub fn size(&self) -> usize {
        self.content.size() + self.author.name.len()
    }
}

/// Microseconds since 1970.
pub fn now() -> MessageId {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    MessageId::try_from(since.as_micros()).unwrap_or(MessageId::MAX)
}

/// When a message was said: its id counts the microseconds.
pub fn time(id: MessageId) -> String {
    let since = Duration::from_micros(u64::try_from(id).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
