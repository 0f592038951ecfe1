//! `wsroom backup`: a copy of a data file, which a server may be writing to.
//!
//! Not here: the copying (`store::backup`). Runs on the main thread.

use std::path::PathBuf;

use clap::Args;

use super::data_file::DataFile;
use crate::store::backup;

/// The options of `backup`.
#[derive(Args, Debug)]
pub struct Backup {
    #[command(flatten)]
    data: DataFile,

    /// The copy: a file that is not there yet.
    #[arg(value_name = "TO")]
    to: PathBuf,
}

/// Copies the file, checks the copy, and says what is in it.
///
/// # Errors
/// A sentence: there is no copy.
pub fn run(options: &Backup) -> Result<(), String> {
    let counts = backup::copy(options.data.path()?, &options.to)?;
    let backup::Counts { users, rooms, messages } = counts;
    println!(
        "{}: {users} users, {messages} messages in {rooms} rooms; every page was checked.",
        options.to.display()
    );
    Ok(())
}
