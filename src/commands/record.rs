//! `wsroom record`: what is said in a room, kept in a file of JSON Lines.
//!
//! Not here: how nothing is missed (`member`), and saying it again (`play`). Runs on the main thread.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use crossbeam_channel::never;

use super::event::{Event, complain};
use super::member::{End, Member, Part};
use super::visit::{Past, Visit};
use crate::net::private_file;

/// The options of `record`.
#[derive(Args, Debug)]
pub struct Record {
    #[command(flatten)]
    visit: Visit,

    /// The recording: a file that is not there yet. Only you may read it.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    past: Past,
}

/// Listens until Ctrl-C.
///
/// # Errors
/// A sentence: the server does not let it in, or the file cannot be written.
pub fn run(options: &Record) -> Result<(), String> {
    let mut member = Member::new(&options.visit, options.past, End::BySignal)?;
    let named = |error: std::io::Error| format!("{}: {error}", options.file.display());
    let mut file = private_file::create(&options.file).map_err(named)?;
    let mut count = 0;
    let mut listener = |event: &Event| {
        if !event.has_place() {
            return Ok(());
        }
        count += 1;
        // At once, and whole: whatever ends this program, the file ends with a line.
        file.write_all((event.to_json() + "\n").as_bytes())
    };
    let heard = member.takes_part(Part { input: &mut |_| never(), listener: &mut listener });
    complain(&format!("{count} messages are in {}", options.file.display()));
    heard
}
