//! Who somebody is: what they may be called, and whose key this is.
//!
//! Called on the page's threads, and for a handshake on the connection's own. Nothing here knows of
//! HTTP: where a key stands in a request is the API's matter, and where users are kept the store's.
//!
//! The walk: [`name`] is the grammar of a name, and which names are one; [`auth`] makes keys and
//! knows whose they are.
//!
//! It imports `store`, for the directory.

pub(crate) mod auth;
pub mod name;
