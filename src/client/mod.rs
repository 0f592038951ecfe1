//! One WebSocket client, read by a thread of its own.
//!
//! A thread `client` runs all of this, in blocking reads, from the end of the handshake until the
//! client leaves.
//!
//! The walk: [`reading`] joins, reads and leaves. tungstenite reads from a [`stream`], which
//! collects the bytes that tungstenite writes. Each message goes through [`dispatch`]. A client that
//! is faster than its [`pace`] is then read more slowly. A client of the echo has an outbox of its
//! own ([`echo`]), and may be told its [`frames`]; only the broadcaster writes to a member of a room.
//! The [`owner`] of the server has a WebSocket too, and is sent what is so in it.
//! [`closing`] explains why a client left. [`authorship`] finds out which messages a client has written.
//!
//! It imports `relay` (for the events that it sends), `identity`, `store`, `net`, `protocol` and
//! `logging`.

pub(crate) mod authorship;
pub(crate) mod closing;
pub(crate) mod dispatch;
pub(crate) mod echo;
pub(crate) mod frames;
pub(crate) mod owner;
pub(crate) mod pace;
pub(crate) mod reading;
pub(crate) mod stream;
