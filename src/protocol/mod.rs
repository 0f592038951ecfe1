//! What is said, and how it looks on the wire.
//!
//! Values and pure functions: no thread runs here, no socket is touched, and nothing is kept. All
//! others speak in these words, so this folder imports none of them.
//!
//! The walk: a WebSocket goes to an [`address`]; what its client says is a [`message`]; it arrives
//! and leaves as a [`frame`], in one of two [`dialect`]s, of which [`v1`] is the one with events.

pub mod address;
pub(crate) mod dialect;
pub(crate) mod frame;
pub mod message;
pub(crate) mod v1;
