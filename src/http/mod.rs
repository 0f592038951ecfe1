//! HTTP at the door: one request per connection.
//!
//! The thread `accept` takes connections. Each connection gets a thread `door`, which runs the other
//! files here. If the connection becomes a WebSocket, its client gets a thread `client`. The threads
//! `upstream-0` to `upstream-3` carry requests to tiny_http.
//!
//! ```text
//! accept ─▶ door: Request ──┬─ upgrade ─▶ handshake: Joining ─▶ client
//!                           └─ anything else ─▶ proxy ─▶ tiny_http ─▶ api: tiny_http's Request
//!             client ◀─ door: Response ◀─ proxy ◀─ tiny_http ◀─ api: Reply
//! ```
//!
//! The walk: a [`listener`], [`accept`], then the [`door`], which reads and checks one [`request`]: seen from
//! [`outside`] of the proxies that tell of it in [`forwarded`] fields, is it for this [`host`]?
//! [`admission`] asks for this server's token. An upgrade needs a good [`handshake`]; any other
//! request goes through the [`proxy`]. An experiment is [`shown`] its own handshake. [`scrape`] answers
//! those who watch over the server. Each HTTP response is a [`response`].
//!
//! There are two types of requests and two types of responses, because tiny_http has its own. A
//! client's bytes never reach tiny_http: the proxy writes each request anew.
//!
//! It imports `api` and `client`, and the folders that these import.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod door;
pub(crate) mod forwarded;
pub(crate) mod handshake;
pub(crate) mod host;
pub(crate) mod listener;
pub(crate) mod outside;
pub mod proxy;
pub mod request;
pub mod response;
pub(crate) mod scrape;
pub(crate) mod shown;
