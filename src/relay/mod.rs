//! The relay: one thread that knows who is in which room, and the way out to each member.
//!
//! The thread `broadcaster` runs nearly all of this, so there is no lock on the client list. A
//! member that is behind has a thread `writer-7` for as long as it is.
//!
//! The walk: [`events`] is what the broadcaster receives, and how it is sent there. The
//! [`broadcaster`] gathers a turn of them, keeps what was said ([`history`]), and lets each
//! [`room`] deliver: [`encoding`] makes frames, once for all who speak alike, and each member's
//! [`outbox`] sends them, or lets them wait. Whoever asks for the past is sent a [`replay`] first;
//! [`presence`] is what members hear of each other.
//!
//! It imports `store`, `net`, `protocol`, and the log's.

pub mod broadcaster;
pub(crate) mod encoding;
pub mod events;
pub mod history;
pub(crate) mod outbox;
pub(crate) mod presence;
pub(crate) mod replay;
pub(crate) mod room;
