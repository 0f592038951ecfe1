//! The protocol: messages, and how they look on the wire.
//!
//! This folder has values and pure functions only. No thread runs here, no socket is used, and
//! nothing is stored. All other folders use these types, so this one imports no other folder.
//!
//! The walk: a WebSocket connects to an [`address`]. Its client says a [`message`]. The message
//! arrives and leaves as a [`frame`], in one of two [`dialect`]s. [`v1`] is the dialect with events. An
//! [`act`] is what is done to a room by its leaders, and [`rules`] are the words in which its rules
//! are told and kept. An [`experiment`] is a client of the echo that is told the [`anatomy`] of each
//! frame.

pub mod act;
pub mod address;
pub(crate) mod anatomy;
pub(crate) mod dialect;
pub(crate) mod experiment;
pub(crate) mod frame;
pub mod message;
pub mod rules;
pub(crate) mod v1;
