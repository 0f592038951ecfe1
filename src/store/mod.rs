//! What is kept: users in a [`Directory`], what was said in a [`MessageLog`].
//!
//! No thread lives here: the broadcaster appends, everyone else reads, each on its own thread, and
//! every call may wait for a disk. Not here: what a name or a key may be (`identity`), and when a
//! message is kept (`relay`: it is kept first, then sent).
//!
//! The walk: the two traits, in [`directory`] and [`message_log`], and what can go wrong ([`error`]);
//! [`memory`] keeps a history while the program runs; [`sqlite`] keeps users, and with `--data FILE` the history too: [`schema`] opens the file, [`sqlite_log`]
//! appends and reads, [`retention`] lets go of what is too much or too old.
//!
//! It imports `protocol`, and from `net` how a file is opened that nobody else may read.

mod directory;
mod error;
mod message_log;

pub mod memory;
pub(crate) mod retention;
pub(crate) mod schema;
pub mod sqlite;
pub(crate) mod sqlite_log;

pub use directory::{Directory, KeyHash, User};
pub use error::{Result, StoreError};
pub use message_log::{Bounds, HistoryPage, MessageLog, ROOM_BYTES, Range};
