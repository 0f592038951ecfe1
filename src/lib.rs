//! A small WebSocket broadcast server, and a map of it.
//!
//! ```text
//!                                              (written, then sent)
//!                                                    store
//!                                                       ▲
//! socket ─▶ door ──┬─ upgrade ─▶ client ──Event──▶ broadcaster ──one non-blocking send──▶ every member's socket
//!                  └─ anything else ─▶ tiny_http        │
//!                                                       └─ only for a member whose socket is full ─▶ its queue ─▶ its writer
//! ```
//!
//! # Threads
//! - `accept` takes connections; one.
//! - `client-7` reads one connection: first the door, then, once it is a WebSocket, the client.
//! - `broadcaster` knows who is in which room, and sends; one.
//! - `writer-7` sends to one client that is behind, for as long as it is: the past first, if it has
//!   asked for that.
//! - `page-0` … `page-3` answer what is no WebSocket.
//! - `line-0` … `line-3` ask them for the connections' threads, one over each line to tiny_http.
//! - `log` writes the log, so that nobody else waits for it; one.
//! - `certificate` looks for a new certificate; none without `--tls-cert`.
//!
//! # Invariants
//! 1. Only the broadcaster knows who is in which room. So there is no lock on the client list.
//! 2. Only the broadcaster, or the one writer thread that it started, writes to a member's
//!    socket. So frames never interleave.
//! 3. The broadcaster never waits for a client, only for the disk. So one bad network hurts one
//!    client.
//! 4. Every queue is bounded, in messages and in bytes. So memory has a formula.
//! 5. A panic or an error in a client's thread ends that client only. Nothing in the program
//!    ends on bad input.
//! 6. Dependencies point one way: main → server → accept → door → client, page → inbox →
//!    outbox → connection → tls; what keeps things (store) knows of nobody. Nothing points back.
//!
//! # Reading order
//! The modules below are declared in the order in which they are best read.

// The documentation is for readers of the source: it is made with its private parts.
#![allow(rustdoc::private_intra_doc_links)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod options;
pub mod logging;
pub mod capacity;
pub mod server;
pub mod api;
pub mod http;
pub mod identity;
pub mod net;
pub mod protocol;
pub mod relay;
pub mod store;
pub mod client;
