//! A copy of a data file, while a server writes to it.
//!
//! SQLite copies the pages as they are at one moment: so the copy ends behind some message, and has all
//! before that. The server goes on meanwhile. Not here: records that other programs can read (`dump`). On
//! the main thread of the command.

use std::fs;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Error, OpenFlags, ffi};

use crate::net::private_file;
use crate::store::schema;

/// What is in a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Rooms that have a history.
    pub rooms: u64,
    /// Messages, acts and places of removed ones.
    pub messages: u64,
}

/// Copies the data file `from` into the new file `to`, and checks every page of the copy.
///
/// # Errors
/// A sentence: `from` cannot be read, or `to` is there already or cannot be written. Then there is no
/// `to`, or the one that was there.
pub fn copy(from: &Path, to: &Path) -> Result<Counts, String> {
    let source = schema::open_to_read(from)?;
    // Made here, not by SQLite, so that nobody else can read it, and nothing is written over.
    private_file::create(to).map_err(|error| {
        format!(
            "{}: {error}; name a file that is not there yet, in a directory that is",
            to.display()
        )
    })?;
    let copied = copy_pages(&source, to).and_then(|()| check(to));
    copied.map_err(|error| {
        let _ = fs::remove_file(to);
        format!("{}: the copy has failed: {error}", to.display())
    })
}

fn copy_pages(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open(to)?;
    // All pages in one step. Between two steps the server may write, and then SQLite begins again.
    match Backup::new(source, &mut copy)?.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)),
    }
}

/// Reads every page of the copy, and counts what is in it.
fn check(file: &Path) -> rusqlite::Result<Counts> {
    // It may be written to: opening it makes a write-ahead log, which closing it removes.
    let copy = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let found: String = copy.query_one("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(found)));
    }
    let count = |table| {
        copy.query_one(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u64>(0))
    };
    Ok(Counts { users: count("users")?, rooms: count("rooms")?, messages: count("messages")? })
}
