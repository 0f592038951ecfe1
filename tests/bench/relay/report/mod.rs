//! What is printed: the [`table`] with its [`note`]s and [`cell`]s for people, and [`json`] for
//! programs.

pub mod table;
mod note;
mod cell;
pub mod json;
