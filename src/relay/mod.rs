//! The relay: one thread that knows who is in which room, and an outbox for each member.
//!
//! The thread `broadcaster` runs nearly all of this, so there is no lock on the client list. A
//! member that is behind has a thread `writer` until it has caught up.
//!
//! The walk: other threads send [`events`] to the broadcaster. The [`broadcaster`] gathers
//! them, keeps the messages of a [`turn`] ([`history`]; [`trouble`] if it cannot), and lets each
//! [`room`] deliver: [`encoding`] makes frames once for each dialect, and each member's [`outbox`]
//! sends them, or queues them, [`shared`] with other queues. A newcomer who asks for the past is sent a
//! [`replay`] first, few of them at a time ([`permits`]). [`presence`] is the news that members get of
//! each other, [`members`] the list that others ask for, and [`watching`] what the owner sees.
//! [`joining`] is how a client comes and goes, and [`sessions`] tells who is back after a break. [`acts`]
//! is what leaders ask for, [`deeds`] what that does when it is kept, and [`hands`] is who has raised
//! one. With a log that several servers share, [`nodes`] is the way to the others.
//!
//! It imports `identity`, `store`, `net`, `protocol`, `options` and `logging`.

pub(crate) mod acts;
pub mod broadcaster;
pub(crate) mod deeds;
pub(crate) mod encoding;
pub mod events;
pub(crate) mod hands;
pub mod history;
pub(crate) mod joining;
pub(crate) mod members;
pub(crate) mod nodes;
pub(crate) mod outbox;
pub(crate) mod permits;
pub(crate) mod presence;
pub(crate) mod replay;
pub(crate) mod room;
pub(crate) mod sessions;
pub(crate) mod shared;
pub(crate) mod trouble;
pub(crate) mod turn;
pub(crate) mod watching;
