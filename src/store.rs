//! What is kept, and by whom: users, and what was said in rooms.
//!
//! One small trait, filled by each place that `--data` can name. Not here: what a name or a key
//! may be (`users`), and when a message is kept (`broadcaster`: written, then sent). Called by the
//! broadcaster, the page's threads and the connections' own; every call may wait for a disk.

use std::fmt;

use bytes::Bytes;

use crate::room::RoomName;

/// Microseconds since 1970, made strictly increasing: never handed out twice, and an exact number
/// in JavaScript until the year 2255. 0 is before the first.
pub type MessageId = i64;

/// The number of a user; never given to another one.
pub type UserId = i64;

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

/// A message as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Where it stands among all messages.
    pub id: MessageId,
    /// Where it was said.
    pub room: RoomName,
    /// By whom.
    pub author: Author,
    /// What.
    pub content: Content,
}

/// A part of a room's history.
#[derive(Debug, Default)]
pub struct Stretch {
    /// In order of their ids.
    pub messages: Vec<Kept>,
    /// Nothing is missing between the id that was asked for and the first of them.
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

/// A place that keeps things. All or nothing, each call; when it has returned, it is kept.
pub trait Store: Send + Sync {
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

    /// The newest id ever given out, as far as this store knows.
    fn last_id(&self) -> Result<MessageId>;
    /// Keeps messages, in order of their ids.
    fn keep(&self, messages: &[Kept]) -> Result<()>;
    /// The first `limit` messages of a room behind `since`.
    fn messages(&self, room: &RoomName, since: MessageId, limit: usize) -> Result<Stretch>;
    /// One message.
    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Kept>>;
    /// Rooms behind `after`, by name, each with its newest message.
    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>>;
}

impl fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store")
    }
}
