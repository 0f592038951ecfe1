//! The store that several nodes share, on Redis (7 or newer) or Valkey. [`open`](mod@open) makes a first
//! connection ([`check`], [`connect`]) and starts for each shard `redis-append-N` ([`append`]: each
//! [`batch`] of what is [`outgoing`]) and `redis-read-N` ([`read`]: it tells what is [`told`]), and one
//! `redis-node` ([`node`]). [`directory`] and [`history`] use a [`pool`]. [`keys`], [`records`],
//! [`scripts`]: what stands in Redis, and its [`clock`]. [`presence`], [`rules`]: who is there, and may
//! do what. [`health`]: whether it works. It imports `protocol` and `store`. Keys:
//!
//! | key, behind `wsroom:{SHARD}:` | type | what |
//! | --- | --- | --- |
//! | `layout` (shard 0) | hash | `version`, `shards`; the last numbers of a `node` and a `user` |
//! | `log`, `marks`, `head` | stream, list, hash | what nodes follow; each MiB's first id; its end |
//! | `beats`, `runs`, `members:NODE` | hashes | nodes' heartbeats; their last batches; members |
//! | `rooms`, `names` | sorted sets | rooms by last id; by name |
//! | `room:ROOM` | hash | `last`, `gone`, `born`, `count`, `bytes` |
//! | `kept:ROOM`, `order:ROOM` | stream, list | header and payload; id, size, guest and origin |
//! | `refs:ROOM` | hash | of each origin (session and `ref`): the id of its message; for a guest: and seat |
//! | `ruled`, `rules:ROOM` | set, hash | rooms that have rules; the fields of these |
//! | `users`, `ids`, `folded`, `keys` (shard 0) | 3 hashes, `ids` sorted | users; by name; by key |

mod append;
mod batch;
pub(crate) mod check;
mod clock;
mod connect;
mod directory;
mod health;
mod history;
mod keys;
mod node;
mod open;
mod outgoing;
mod pool;
mod presence;
mod read;
mod records;
mod rules;
mod scripts;
mod told;

pub use open::{Redis, Settings, open};
