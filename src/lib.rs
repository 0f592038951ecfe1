//! A small WebSocket broadcast server, and a map of it.
//!
//! ```text
//!                                                   store (kept first, then sent)
//!                                                    ▲
//! socket ─▶ door ──┬─ upgrade ─▶ client ──Event──▶ broadcaster ──one non-blocking send──▶ every member's socket
//!                  └─ anything else ─▶ tiny_http        │
//!                                                       └─ only for a member whose socket is full ─▶ its queue ─▶ its writer
//! ```
//!
//! # Threads
//! - `accept` takes connections; one. `accept-metrics` takes those to `--metrics-listen`.
//! - `door` reads and answers one request; a few for each moment's newcomers.
//! - `client` reads one WebSocket; one for each.
//! - `broadcaster` knows who is in which room, and sends; one.
//! - `writer` sends to one client that is behind, for as long as it is: the past first, if it has
//!   asked for that. Threads of these three names are used again (`net/pool.rs`).
//! - `upstream-0` … `upstream-3` carry what is no WebSocket to tiny_http, `page-0` … `page-3` answer it.
//! - `redis-append-0`, `redis-read-0` and `redis-node` carry messages to a Redis that several servers
//!   share, and back; none without `--data redis://…`.
//! - `log` writes the log, so that nobody else waits for it; one.
//! - `certificate` looks for a new certificate; none without `--tls-cert`.
//! - `tokens` looks for new tokens; none without `--token-file`.
//! - `watchdog` tells systemd that the broadcaster turns; none without `WatchdogSec=`.
//!
//! A command that is a client (`commands`) has `from-server`, `to-server`, `input` and `signals` instead.
//!
//! # Invariants
//! 1. Only the broadcaster knows who is in which room. So there is no lock on the client list.
//! 2. Only the broadcaster, or the one writer thread that it started, writes to a member's
//!    socket. So frames never interleave.
//! 3. The broadcaster never waits for a client, nor for a network, only for the disk, once a turn. So
//!    one bad network hurts one client.
//! 4. Every queue is bounded, in messages and in bytes. So memory has a formula.
//! 5. A panic or an error in a client's thread ends that client only. Nothing in the program
//!    ends on bad input. A panic of a thread that serves all ends the program (`ending`).
//! 6. Imports go one way, down this list: `commands` → `server` → `http` → `api` → `client` → `relay` →
//!    `identity` → `store` → `net` → `protocol`. `options`, `logging`, `metrics` and `capacity` know nobody
//!    and may be imported by all. `tests/house.rs` keeps this true.
//!
//! # Reading order
//! The folders below are declared in the order in which they are best read, from the socket to the
//! sockets. Each one's `mod.rs` is its map.

// The documentation is for readers of the source: it is made with its private parts.
#![allow(rustdoc::private_intra_doc_links)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod ending;
pub mod service;
pub mod commands;
pub mod server;
pub mod options;
pub mod logging;
pub mod metrics;
pub mod capacity;
pub mod protocol;
pub mod net;
pub mod http;
pub(crate) mod client;
pub mod relay;
pub mod store;
pub mod identity;
pub mod api;
