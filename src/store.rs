//! What is kept, as traits: users in a [`Directory`], what was said in a [`MessageLog`].
//!
//! Each place that `--data` can name fills them. Not here: what a name or a key may be (`users`),
//! and when a message is kept (`broadcaster`: written, then sent). Every call may wait for a disk.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::address::RoomName;
use crate::protocol::message::{Message, MessageId, UserId};

/// A person in the directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Given by the store.
    pub id: UserId,
    /// As they wrote it.
    pub name: String,
    /// Seconds since 1970.
    pub created_at: i64,
}

/// SHA-256 of a user's key; the key itself is kept by nobody but the user.
pub type KeyHash = [u8; 32];

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

/// Why something is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody has that name, but for upper and lower case.
    #[error("this name is taken")]
    Taken,
    /// The directory holds as many as it may.
    #[error("the directory is full")]
    Full,
    /// The disk, or whatever is behind it.
    #[error("{0}")]
    Failed(String),
}

/// What a store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The directory of people. Called by the page's threads and the connections' own.
pub trait Directory: Send + Sync {
    /// A new user; `folded` is the name without regard to case.
    fn add_user(&self, name: &str, folded: &str, key: &KeyHash) -> Result<User>;
    /// The user with this number.
    fn user(&self, id: UserId) -> Result<Option<User>>;
    /// The user whose key this is.
    fn user_with_key(&self, key: &KeyHash) -> Result<Option<User>>;
    /// Users behind `after`, in order of their numbers.
    fn users(&self, after: UserId, limit: usize) -> Result<Vec<User>>;
    /// Gives a user another name; `None` if there is no such user.
    fn rename_user(&self, id: UserId, name: &str, folded: &str) -> Result<Option<User>>;
    /// Forgets a user; `false` if there is none.
    fn remove_user(&self, id: UserId) -> Result<bool>;
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
