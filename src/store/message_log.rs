//! The history of all rooms, as two traits (one to read, one to append), and the bounds of what is
//! kept and read. Not here: the logs behind them (`memory`, `sqlite_log`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::address::RoomName;
use crate::protocol::message::{Message, MessageId, Origin};

use super::Result;

/// The part of a room's history that is read.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Only messages after this id.
    pub after: MessageId,
    /// Only messages up to this id.
    pub upto: MessageId,
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes, but always one message if there is one. So the reader of a long history
    /// holds one page of it in memory, and not the whole.
    pub bytes: usize,
}

/// A part of a room's history.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// The messages, in order of their ids. A log that is itself in memory shares them.
    pub messages: Vec<Arc<Message>>,
    /// The range has more messages after these.
    pub more: bool,
    /// No message that was ever said is missing between [`Range::after`] and the first of these. For a
    /// room that the log does not know, or knows only since a later time, this is `false`, unless
    /// the whole history was asked for.
    pub complete: bool,
    /// The newest message of the room, whether it is on this page or not; 0 if there is none.
    pub last: MessageId,
}

/// The history of all rooms, for reading. Any thread may read.
///
/// # Errors
/// Every function fails if the database does.
pub trait KeptMessages: Send + Sync {
    /// Finds the message of a room that has this origin, while it is in the history.
    fn known(&self, room: &RoomName, origin: &Origin) -> Result<Option<MessageId>>;
    /// Reads a part of a room's history, oldest first.
    fn page(&self, room: &RoomName, range: Range) -> Result<HistoryPage>;
    /// The id behind which are the newest messages up to `upto`: at most so many messages and bytes,
    /// but one message whatever its size. If there are fewer, it is the id before the oldest one, so
    /// that a [`page`](Self::page) behind it is `complete`. If `messages` is 0, it is the newest
    /// message itself. 0 if there is no message up to `upto`. This reads no payloads.
    fn before_newest(
        &self,
        room: &RoomName,
        upto: MessageId,
        messages: usize,
        bytes: usize,
    ) -> Result<MessageId>;
    /// The newest message of a room; 0 if there is none.
    fn last_in(&self, room: &RoomName) -> Result<MessageId>;
    /// Reads one message.
    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Arc<Message>>>;
    /// Lists at most `limit` rooms whose names come after `after`, in order of their names, each with
    /// its newest message.
    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>>;
    /// Reads the rules of all rooms that have any. They stay when a room's history is forgotten.
    fn rules(&self) -> Result<Vec<(RoomName, Fields)>>;
}

/// The fields of a room's rules, by their names, in no order.
pub type Fields = Vec<(String, String)>;

/// The history of all rooms, of this program alone: what is appended is kept when the call returns.
/// The broadcaster alone appends. Readers never make it wait longer than it takes to read one page.
/// A log that several programs append to is a [`SharedLog`](super::shared::SharedLog).
///
/// # Errors
/// Every function fails if the database does.
pub trait MessageLog: KeptMessages {
    /// The newest id that this log knows; 0 if it knows none.
    fn last_id(&self) -> Result<MessageId>;
    /// Keeps messages, in order of their ids: all of them, or none. Also deletes messages beyond the
    /// [`Bounds`], a few in each call, so that no call takes long.
    ///
    /// Acts among them are done: the rules change, and what they remove is gone. (Of a removed message
    /// the origin stays [`known`](KeptMessages::known) as long as if it were there.) A log that may
    /// keep no messages at all does the acts, and keeps nothing else.
    ///
    /// # Errors
    /// None of the messages is kept.
    fn append(&self, messages: &[Arc<Message>]) -> Result<()>;
    /// Tries to write, and changes nothing: whether messages can be kept, although there are none.
    fn probe(&self) -> Result<()>;
}

/// The bounds of a history.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most messages of each room (`--history`).
    pub messages: usize,
    /// The most bytes of all rooms together. Beyond that, the room that was silent for the longest
    /// loses its messages first.
    pub bytes: usize,
    /// The time after which a silent room is forgotten; `None`: never.
    pub idle: Option<Duration>,
}

/// The most bytes of one room's messages.
pub const ROOM_BYTES: usize = 16 << 20;

impl Range {
    /// All messages after `after`.
    pub fn behind(after: MessageId) -> Self {
        Self { after, upto: MessageId::MAX, messages: usize::MAX, bytes: usize::MAX }
    }
}

impl fmt::Debug for dyn MessageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log of messages")
    }
}
