//! The least that relaying can cost: a [`server`] that does nothing else, with a [`peer`] for each
//! connection, and [`encryption`] or a [`handshake`] alone.
//!
//! The first two run in a process of their own, on its only thread; the others on the main thread.

pub mod server;
pub mod peer;
pub mod encryption;
pub mod handshake;
