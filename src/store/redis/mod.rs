//! The store that several nodes share, on Redis (7 or newer) or Valkey. [`open`](mod@open) makes a first
//! connection ([`check`], [`connect`]) and starts for each shard `redis-append-N` ([`append`]: each
//! [`batch`] of what is [`outgoing`]) and `redis-read-N` ([`read`]: it tells what is [`told`]), and one
//! `redis-node` ([`node`]). [`directory`] and [`history`] use a [`pool`]. [`keys`], [`records`],
//! [`scripts`]: what stands in Redis, and its [`clock`]. [`presence`]: who is there. [`health`]: whether
//! it works. It imports `protocol` and `store`. Keys, behind `wsroom:{SHARD}:`:
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `layout` (shard 0) | hash | `version`, `shards`; the last numbers of a `node` and a `user` |
//! | `head` | hash | the `last` id; `bytes` since the last mark |
//! | `log`, `marks` | stream, list | what nodes follow; the first id of each MiB of it |
//! | `beats`, `runs` | hashes | of each node: its heartbeats; its last batch and what became of it |
//! | `members:NODE` | hash | of each member: who it is |
//! | `rooms`, `names` | sorted sets | rooms by last id; by name |
//! | `room:ROOM` | hash | `last`, `gone`, `born`, `count`, `bytes` |
//! | `kept:ROOM`, `order:ROOM` | stream, list | header and payload; id, size, guest and origin |
//! | `refs:ROOM` | hash | of each origin (session and `ref`): the id of its message; for a guest: and seat |
//! | `users`, `ids`, `folded`, `keys` (shard 0) | 3 hashes, `ids` sorted | users; by name; by key |

mod append;
mod batch;
mod check;
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
mod scripts;
mod told;

pub use open::{Redis, Settings, open};
