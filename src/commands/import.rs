//! `wsroom import`: a new data file from what `wsroom export --for-import` has written.
//!
//! Not here: the records (`store::dump`), and the file that they make (`store::restore`). Runs on the main thread.

use std::io::{self, BufRead};

use clap::Args;

use super::data_file::DataFile;
use crate::identity::name::Name;
use crate::store::dump::Record;
use crate::store::restore;

/// The options of `import`.
#[derive(Args, Debug)]
pub struct Import {
    #[command(flatten)]
    data: DataFile,
}

/// Reads records from standard input. All of them are kept, or none.
///
/// # Errors
/// A sentence with the line that cannot be read, or the file that is not new.
pub fn run(options: &Import) -> Result<(), String> {
    let lines = io::stdin().lock().lines().enumerate();
    let mut records = lines.map(|(number, line)| {
        let told = |error: &dyn std::fmt::Display| format!("line {}: {error}", number + 1);
        serde_json::from_str::<Record>(&line.map_err(|error| told(&error))?)
            .map_err(|error| told(&error))
    });
    restore::import(options.data.path()?, Name::folded, &mut records)
}
