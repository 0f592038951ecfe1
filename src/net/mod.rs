//! One connection: its socket, plain or TLS, and its slot among `--max-clients`.
//!
//! This folder does not know what the bytes mean. A connection's own thread reads it. The
//! broadcaster writes to it without waiting; a writer thread writes to a client that is behind, and
//! waits for it. Such threads come from a [`pool`].
//!
//! The walk: a new socket takes one of the [`slots`], and a place among those of its network
//! ([`networks`]), and becomes a [`connection`]. If the server
//! has a [`certificate`], the connection speaks [`tls`]. A [`watcher`] looks for new files.
//! With `--tls-self-signed` the program makes a [`self_signed`] certificate, and keeps its
//! key in a [`private_file`]. A [`byte_budget`] limits the bytes that several connections have
//! under way.
//!
//! It imports nothing but the options.

pub(crate) mod byte_budget;
pub mod certificate;
pub(crate) mod connection;
pub(crate) mod networks;
pub(crate) mod pool;
pub(crate) mod private_file;
pub(crate) mod self_signed;
pub(crate) mod slots;
pub(crate) mod tls;
pub(crate) mod watcher;
