//! The page and the small REST API: the response of each address.
//!
//! The threads `page-0` to `page-3` run all of this. Their requests come from the proxy alone. They
//! may wait for the disk and for the broadcaster, never for a client.
//!
//! The walk: a request comes to the table in [`routes`]. It is answered by [`files`], [`health`],
//! [`users`], [`rooms`] (whose messages become a [`transcript`]), [`leading`] or the [`invitation`]. All
//! read requests with [`asked`] and answer with a [`reply`]. [`credentials`] find the key and the token
//! that a request carries, often in its [`cookies`], [`rights`] say what somebody may do in a room, and
//! [`disposition`] is the name of a file. [`per_address`] limits how often an address may create users,
//! post messages, and guess tokens and keys.
//!
//! It imports `relay` for the events that it sends, `identity`, `store`, `net` and `protocol`.

pub mod asked;
pub mod cookies;
pub(crate) mod credentials;
pub(crate) mod disposition;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod invitation;
pub(crate) mod leading;
pub(crate) mod per_address;
pub(crate) mod reply;
pub(crate) mod rights;
pub(crate) mod rooms;
pub mod routes;
pub(crate) mod transcript;
pub(crate) mod users;
