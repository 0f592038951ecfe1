//! Files that only this user may read: keys, and the messages of users.
//!
//! On systems without Unix permissions, the directory decides who may read them. Not here: the
//! contents. Called on any thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens the file at `path` for writing and keeps its contents, or makes a new one.
///
/// # Errors
/// Those of [`OpenOptions::open`].
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
