//! The history of all rooms, as a trait, and how much of it is kept and read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::address::RoomName;
use crate::protocol::message::{Message, MessageId};

use super::Result;

/// Which part of a room's history is read.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Only messages behind this id.
    pub after: MessageId,
    /// Only messages up to this id.
    pub upto: MessageId,
    /// So many messages at most.
    pub messages: usize,
    /// So many bytes of content at most, but always one message if there is one: whoever reads
    /// a long history holds a page of it and not the whole.
    pub bytes: usize,
}

/// A part of a room's history.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// In order of their ids. Shared with a log that is itself in memory.
    pub messages: Vec<Arc<Message>>,
    /// There are more messages behind the last of them, up to the id that was asked for.
    pub more: bool,
    /// Nothing that was ever said is missing between the id that was asked for and the first of
    /// them. Of a room that the log does not know, or only since later, nobody can say so.
    pub complete: bool,
    /// The newest message of the room, whether it is among them or not; 0 if there is none.
    pub last: MessageId,
}

/// The history of all rooms. The broadcaster alone appends; everyone else reads, on their own
/// threads, and does not make the broadcaster wait for longer than it takes to read one page.
pub trait MessageLog: Send + Sync {
    /// The newest id ever given out, as far as this log knows.
    fn last_id(&self) -> Result<MessageId>;
    /// Keeps messages, in order of their ids: all of them, or none. Lets go of what is too much or
    /// too old, a little at a time, so that no call takes long.
    fn append(&self, messages: &[Arc<Message>]) -> Result<()>;
    /// A part of a room's history, oldest first.
    fn page(&self, room: &RoomName, range: Range) -> Result<HistoryPage>;
    /// The newest message of a room; 0 if there is none.
    fn last_in(&self, room: &RoomName) -> Result<MessageId>;
    /// One message.
    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Arc<Message>>>;
    /// Rooms behind `after`, by name, each with its newest message.
    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>>;
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// `--history`: messages in each room.
    pub messages: usize,
    /// Bytes that all rooms take together; beyond that the rooms go in which nothing was said for
    /// the longest.
    pub bytes: usize,
    /// How long a room is kept in which nothing is said.
    pub idle: Option<Duration>,
}

/// Bytes of content that one room may keep.
pub const ROOM_BYTES: usize = 16 << 20;

impl Range {
    /// Everything behind `after`.
    pub fn behind(after: MessageId) -> Self {
        Self { after, upto: MessageId::MAX, messages: usize::MAX, bytes: usize::MAX }
    }
}

impl fmt::Debug for dyn MessageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log of messages")
    }
}
