//! A message: its id, its room, its author and its content.
//!
//! Not here: how a message looks on the wire (`dialect`), and where it is kept (`store`). Values
//! and pure functions, on any thread.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

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
}

impl Content {
    /// Bytes of the payload, the file name and the media type.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary { name, media_type, bytes } => name.len() + media_type.len() + bytes.len(),
        }
    }
}

impl Message {
    /// Bytes of the content and of the author's name.
    pub fn size(&self) -> usize {
        self.content.size() + self.author.name.len()
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
