//! HTTP at the door: one request per connection.
//!
//! The thread `accept` takes connections. Each has a thread of its own, `client-7`, which runs the
//! rest of this; if it becomes a WebSocket, its client has a new thread of the same name. The
//! threads `upstream-0` to `upstream-3` carry requests to tiny_http.
//!
//! ```text
//! accept ─▶ door: Request ──┬─ upgrade ─▶ handshake: Joining ─▶ client
//!                           └─ anything else ─▶ proxy ─▶ tiny_http ─▶ api: tiny_http's Request
//!             client ◀─ door: Response ◀─ proxy ◀─ tiny_http ◀─ api: Reply
//! ```
//!
//! The walk: [`accept`], then the [`door`], which reads one [`request`], whole and checked. An
//! upgrade needs a good [`handshake`]; anything else goes through the [`proxy`]. Whatever is
//! answered leaves as a [`response`].
//!
//! There are two types of a request and of an answer because tiny_http has its own: what a client
//! sent never reaches it, only what the proxy has written anew.
//!
//! It imports `api` and `client`, and what these import.

pub(crate) mod accept;
pub(crate) mod door;
pub(crate) mod handshake;
pub mod proxy;
pub mod request;
pub mod response;
