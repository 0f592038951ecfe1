//! The database's file: opened for this program alone, checked, and brought up to date.
//!
//! Not here: what is read and written (`sqlite`). Called once, at the start.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::private_file;

/// Marks the files of this program (`PRAGMA application_id`): "wsrm".
const APPLICATION: i32 = 0x7773_726d;

/// Each makes the next version of the schema (`PRAGMA user_version`) of the one before. Only added
/// to, never changed: there are files of every version.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        folded TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL,
        key BLOB NOT NULL UNIQUE
    ) STRICT;
    -- gone: the newest message that was let go.
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        gone INTEGER NOT NULL
    ) STRICT;
    -- In one tree, ordered as it is read: so a message costs one page to write, and no index.
    CREATE TABLE messages (
        room INTEGER NOT NULL REFERENCES rooms ON DELETE CASCADE,
        id INTEGER NOT NULL,
        user INTEGER,
        author TEXT NOT NULL,
        name TEXT NOT NULL,
        media_type TEXT NOT NULL,
        payload ANY NOT NULL,
        PRIMARY KEY (room, id)
    ) STRICT, WITHOUT ROWID;
"];

/// Opens `file`, or memory.
///
/// # Errors
/// A sentence with the file and the remedy.
pub fn open(file: Option<&Path>) -> Result<Connection, String> {
    match file {
        None => memory().map_err(|error| format!("memory for users and history: {error}")),
        Some(file) => own(file).map_err(|trouble| format!("--data {}: {trouble}", file.display())),
    }
}

fn memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn own(file: &Path) -> Result<Connection, Trouble> {
    let mut connection = open_file(file)?;
    check(&connection).map_err(Trouble::Foreign)?;
    migrate(&mut connection)?;
    Ok(connection)
}

const UNUSABLE: &str = "name a file in a directory that is there and can be written";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Foreign(String),
    #[error("{0}; {UNUSABLE}")]
    File(#[from] std::io::Error),
    #[error("{0}; {remedy}", remedy = remedy(.0))]
    Sqlite(#[from] rusqlite::Error),
}

fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program uses it: stop that one, or name another file"
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "name a file that wsroom has made, or a new one"
        }
        Some(ErrorCode::DiskFull) => "make room on the disk",
        _ => UNUSABLE,
    }
}

fn open_file(file: &Path) -> Result<Connection, Trouble> {
    // SQLite's own files beside it get the same permissions.
    private_file::open(file)?;
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    // One program per file: two would give out the same ids. The lock is the system's, so it goes
    // with the process, however that ends.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
    Ok(connection)
}

/// # Errors
/// It is another program's, or a newer version's.
fn check(connection: &Connection) -> Result<(), String> {
    let number =
        |sql: &str| -> rusqlite::Result<i64> { connection.query_one(sql, [], |row| row.get(0)) };
    let read = || -> rusqlite::Result<_> {
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((tables, number("PRAGMA application_id")?, number("PRAGMA user_version")?))
    };
    let (tables, application, version) = read().map_err(|error| error.to_string())?;
    if tables > 0 && application != i64::from(APPLICATION) {
        return Err(
            "a database of another program; name a file that wsroom has made, or a new one".into(),
        );
    }
    let newest = MIGRATIONS.len();
    if version > newest as i64 {
        return Err(format!(
            "its schema has version {version}, and this program knows {newest}; use a newer wsroom"
        ));
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    let version: usize = connection.query_one("PRAGMA user_version", [], |row| row.get(0))?;
    let change = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(version) {
        change.execute_batch(migration)?;
    }
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", MIGRATIONS.len())?;
    change.commit()
}
