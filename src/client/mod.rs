//! One WebSocket client, read by a thread of its own.
//!
//! The thread `client-7` runs all of this, in blocking reads, from the end of the handshake until
//! the client leaves.
//!
//! The walk: [`reading`] joins, reads and leaves. tungstenite reads from a [`stream`] that only
//! collects what it writes; each message goes through [`dispatch`], a little later if the client is
//! faster than its [`pace`]. The echo has a way out of its own ([`echo`]); a member of a room is
//! written to by the broadcaster alone. Why it ended is said in [`closing`].
//!
//! It imports `relay` for the events that it sends, `net`, `protocol`, and the log's.

pub(crate) mod closing;
pub(crate) mod dispatch;
pub(crate) mod echo;
pub(crate) mod pace;
pub(crate) mod reading;
pub(crate) mod stream;
