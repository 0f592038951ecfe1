//! The store: users in a [`Directory`], messages in a [`MessageLog`].
//!
//! A store on this host has no thread of its own: the broadcaster appends, other threads read, and
//! every call may wait for a disk. A shared store has threads, and appending never waits. Not here: which names and keys are valid (`identity`), and when a
//! message is kept (`relay`: it is kept first, then sent).
//!
//! The walk: [`directory`] and [`message_log`] are the traits, and [`error`] is what their
//! functions fail with. [`memory`] is a history that ends with the program. [`sqlite`] has the users,
//! and with `--data FILE` the history too: [`schema`] opens the file, [`sqlite_log`] appends and
//! reads, [`sqlite_acts`] does what acts say, [`retention`] deletes messages beyond the bounds,
//! [`sqlite_check`] looks at a file and changes nothing, [`backup`] copies one, [`dump`] makes records of
//! it, and [`restore`] a file of those.
//! [`shared`] is the trait of a log that several programs append to, and [`redis`] has that, users and
//! history for all of them.
//!
//! It imports `protocol`, and from `net` the function that opens a private file.

mod directory;
mod error;
mod message_log;

pub mod backup;
pub mod dump;
pub mod memory;
pub mod redis;
pub mod restore;
pub mod shared;
pub(crate) mod retention;
pub(crate) mod schema;
pub mod sqlite;
pub(crate) mod sqlite_acts;
pub mod sqlite_check;
pub(crate) mod sqlite_log;

pub use directory::{Directory, KeyHash, User};
pub use error::{Result, StoreError};
pub use message_log::{Bounds, Fields, HistoryPage, KeptMessages, MessageLog, ROOM_BYTES, Range};
