//! What the program does besides serving: one file for each word behind `wsroom`.
//!
//! [`command_line`] knows the words. Each command runs on the main thread, does its work and ends:
//! [`check`] says what this [`host`] can hold, and whether the server could start on it.
//!
//! [`backup`], [`export`] and [`import`] work on a [`data_file`].
//!
//! It stands above `server` and may import all that is below. Not here: serving, which is what `wsroom`
//! does without a word (`server`).

pub mod backup;
pub mod check;
pub mod command_line;
pub(crate) mod data_file;
pub mod export;
pub(crate) mod host;
pub mod import;
