//! The clients: a [`crowd`] of them on one thread, each with its [`connection`]. Over TLS each has a
//! [`session`] too, or counts [`records`] without opening them.

pub mod crowd;
pub mod connection;
pub mod session;
pub mod records;
