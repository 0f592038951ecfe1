//! `wsroom export`: a data file as JSON Lines, for people and other programs, or for `wsroom import`.
//!
//! Not here: the records (`store::dump`). Runs on the main thread.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;

use super::data_file::DataFile;
use crate::net::private_file;
use crate::store::dump::{self, Record, Secrets};

/// The options of `export`.
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    data: DataFile,

    /// Write all that `wsroom import` needs into this new file, which only you may read: the hashes of
    /// keys and sessions too. Without this option they are left out, and standard output gets the rest.
    #[arg(long, value_name = "TO")]
    for_import: Option<PathBuf>,
}

/// Writes a line for each user, room, message and rule.
///
/// # Errors
/// A sentence: the data file cannot be read, or the lines cannot be written.
pub fn run(options: &Export) -> Result<(), String> {
    let file = options.data.path()?;
    let Some(to) = &options.for_import else {
        let mut out = BufWriter::new(io::stdout().lock());
        let written = dump::export(file, Secrets::Hidden, &mut |record| write(&mut out, record));
        let written = written.and_then(|()| out.flush().map_err(|error| told(&error)));
        // Whoever reads has enough.
        return if written == Err(told(&ErrorKind::BrokenPipe.into())) { Ok(()) } else { written };
    };
    let named = |why: String| format!("--for-import {}: {why}", to.display());
    let new = private_file::create(to)
        .map_err(|error| named(format!("{error}; name a file that is not there yet")))?;
    let mut out = BufWriter::new(&new);
    dump::export(file, Secrets::Shown, &mut |record| write(&mut out, record).map_err(named))?;
    out.flush().and_then(|()| new.sync_all()).map_err(|error| named(told(&error)))
}

fn write(out: &mut impl Write, record: &Record) -> Result<(), String> {
    let line = serde_json::to_string(record).expect("a record has only texts and numbers");
    writeln!(out, "{line}").map_err(|error| told(&error))
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::BrokenPipe => "nobody reads this any more".to_owned(),
        _ => error.to_string(),
    }
}
