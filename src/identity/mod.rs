//! Identity: the names and the keys of users, the sessions of clients, and the tokens that let them
//! in.
//!
//! Called by page threads, and for a handshake by the connection's own thread. Nothing here knows
//! HTTP. Not here: the place of a key in a request (`api`), and where users are kept (`store`).
//!
//! The walk: [`name`] is the grammar of a name, and decides which names count as equal. [`auth`]
//! makes keys, and finds the user that a key belongs to. [`session`] is how a client that comes back
//! is known. [`tokens`] are for whoever may come in at all.
//!
//! It imports `store`, for the directory, `net`, for the thread that looks at a file, and `protocol`.

pub(crate) mod auth;
pub mod name;
pub(crate) mod session;
pub(crate) mod tokens;
