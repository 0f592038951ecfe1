//! What is done: each [`scenario`] as it is described, all [`scenarios`] that there are, and the
//! [`effort`]: how long they are driven, and how large they are.

pub mod scenario;
pub mod scenarios;
pub mod effort;
