//! The data file that a command works on: `--data FILE`, as the server takes it.
//!
//! Not here: what is in it (`store`). Values, on the main thread.

use std::path::Path;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::options::Data;

/// Which file.
#[derive(Args, Debug)]
pub struct DataFile {
    /// The file that the server keeps its users and history in.
    #[arg(long, value_name = "FILE", env = "WSROOM_DATA", hide_env_values = true)]
    #[arg(value_parser = OsStringValueParser::new().map(Data::from))]
    data: Data,
}

impl DataFile {
    /// Its path.
    ///
    /// # Errors
    /// A sentence: it is no file, but a Redis.
    pub fn path(&self) -> Result<&Path, String> {
        match &self.data {
            Data::File(path) => Ok(path),
            Data::Redis(url) => {
                Err(format!("--data {url}: name a file; a Redis has tools of its own for this"))
            }
        }
    }
}
