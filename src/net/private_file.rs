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
    private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)
}

/// Makes a new file at `path`.
///
/// # Errors
/// Those of [`OpenOptions::open`]; a file is there already.
pub fn create(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create_new(true)).open(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
