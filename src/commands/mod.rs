//! What the program does besides serving: one file for each word behind `wsroom`.
//!
//! [`command_line`] knows the words. Each command runs on the main thread, does its work and ends:
//! [`check`] says what this [`host`] can hold, and whether the server could start on it.
//!
//! [`pipe`], [`record`] and [`play`] are clients of a server: [`visit`] says where they go, [`member`]
//! is somebody in a room who loses nothing, over any number of connections, each of which is
//! [`connected`] over a [`wire`]. [`event`] is what is said and heard, [`lines`] reads it, and
//! [`stop`] is the user's Ctrl-C.
//!
//! [`backup`], [`export`] and [`import`] work on a [`data_file`].
//!
//! It stands above `server` and may import all that is below. Not here: serving, which is what `wsroom`
//! does without a word (`server`).

pub mod backup;
pub mod check;
pub mod command_line;
pub(crate) mod connected;
pub(crate) mod data_file;
pub(crate) mod event;
pub mod export;
pub(crate) mod host;
pub mod import;
pub(crate) mod lines;
pub(crate) mod member;
pub mod pipe;
pub mod play;
pub mod record;
pub(crate) mod stop;
pub(crate) mod visit;
pub(crate) mod wire;
