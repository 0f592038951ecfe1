//! `wsroom check`: what this host can hold, and whether a server with these options could start on it.
//!
//! It looks, and changes nothing: no file is created, and no data file is brought to a newer form. Not
//! here: starting (`server`). Runs on the main thread.

use crate::options::Options;

/// Prints a line for each thing that it looks at.
///
/// # Errors
/// Something would keep the server from starting.
pub fn run(_options: &Options) -> Result<(), String> {
    Err("check is not written yet".to_owned())
}
