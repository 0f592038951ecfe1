//! Files that are for nobody else to read: keys, and what people say to each other.
//!
//! On systems without Unix permissions they are as the directory has it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens `path` to write, as it is, or makes it.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
