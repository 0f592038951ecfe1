//! One connection: its socket, plain or TLS, and its slot among all that there may be.
//!
//! Bytes come and go here and mean nothing. A connection is read by its own thread, and written to
//! by the broadcaster, without waiting, or by whoever has been told to wait for it.
//!
//! The walk: a new socket takes one of the [`slots`] and becomes a [`connection`]; where a
//! [`certificate`] is shown it speaks [`tls`]. The thread `certificate` looks for a new one. A host
//! without a certificate makes one, [`self_signed`], and keeps its key in a [`private_file`].
//! A [`byte_budget`] bounds what is under way.
//!
//! It imports nothing but the options.

pub(crate) mod byte_budget;
pub mod certificate;
pub mod connection;
pub(crate) mod private_file;
pub(crate) mod self_signed;
pub(crate) mod slots;
pub(crate) mod tls;
