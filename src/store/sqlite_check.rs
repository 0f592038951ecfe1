//! A look at a data file: whether it is whole, and whether this program can use it. Nothing is changed.
//!
//! Not here: opening it for use (`schema`). Runs on the main thread, for `wsroom check`.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::schema;

/// What was found.
pub struct Found {
    file: PathBuf,
    bytes: u64,
    version: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kib) = (self.file.display(), self.bytes.div_ceil(1024));
        write!(f, "{name} is whole, {kib} KiB, schema {}", self.version)?;
        match schema::NEWEST {
            newest if newest > self.version => write!(f, " (the next start makes it {newest})"),
            _ => Ok(()),
        }
    }
}

/// Looks at the file.
///
/// # Errors
/// It cannot be used; the error is a sentence with the file and the remedy.
pub fn look(file: &Path) -> Result<Found, String> {
    let named = |why: String| format!("--data {}: {why}", file.display());
    if is_in_use(file) {
        return Err(named(format!("it is in use; {}", schema::IN_USE)));
    }
    let log = beside(file, "-wal");
    if is_filled(&log) && !beside(file, "-shm").exists() {
        let why =
            "its write-ahead log lies beside it, and only a start takes that in: start wsroom";
        return Err(named(why.to_owned()));
    }
    let mut found = read(file, is_filled(&log)).map_err(|error| named(error.to_string()))?;
    found.bytes += fs::metadata(&log).map_or(0, |about| about.len());
    Ok(found)
}

fn read(file: &Path, has_log: bool) -> Result<Found, schema::Trouble> {
    let name = file.to_string_lossy();
    // SQLite makes two files beside one that has a write-ahead log, unless it may trust that nobody
    // writes: so where there is none, it is told that nothing changes.
    let trust = if has_log { "" } else { "&immutable=1" };
    let url = format!("file:{}?mode=ro{trust}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(url, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version = schema::check(&connection)?;
    let outcome: String = connection.query_one("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if outcome != "ok" {
        let why = format!("it is damaged ({outcome}); put a backup in its place");
        return Err(schema::Trouble::Foreign(why));
    }
    let bytes = fs::metadata(file)?.len();
    Ok(Found { file: file.to_owned(), bytes, version })
}

/// Whether a server holds the lock beside the file. The lock is given back at once.
fn is_in_use(file: &Path) -> bool {
    let lock = File::open(beside(file, "-lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn is_filled(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|about| about.len() > 0)
}
