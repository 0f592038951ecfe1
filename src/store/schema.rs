//! The database's file: opened for this program alone, checked, and brought up to date.
//!
//! Not here: reading and writing (`sqlite`). Called once, at the start, by the main thread.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::net::private_file;

/// Marks the files of this program (`PRAGMA application_id`): "wsrm".
const APPLICATION: i32 = 0x7773_726d;

/// Each migration makes the next version of the schema (`PRAGMA user_version`). New ones are added at
/// the end. Old ones never change, because files of every version exist.
const MIGRATIONS: [&str; 4] = [
    "
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
    ",
    // A room's totals are computed from its first and its last message, without counting.
    "
    -- born: what was said before this id is not known. last: no message is older than it says, so
    -- the first room by it is the one to look at when rooms are let go.
    ALTER TABLE rooms ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
    UPDATE rooms SET (born, last) =
        (SELECT coalesce(min(id) - 1, 0), coalesce(max(id), 0) FROM messages WHERE room = rooms.id);
    CREATE INDEX rooms_by_last ON rooms (last);
    -- number: its place in its room. total: bytes of all messages of the room up to this one. Both
    -- stand before the payload, which may go on over many pages.
    ALTER TABLE messages RENAME TO messages_1;
    CREATE TABLE messages (
        room INTEGER NOT NULL REFERENCES rooms ON DELETE CASCADE,
        id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        total INTEGER NOT NULL,
        user INTEGER,
        author TEXT NOT NULL,
        name TEXT NOT NULL,
        media_type TEXT NOT NULL,
        payload ANY NOT NULL,
        PRIMARY KEY (room, id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO messages
        SELECT room, id, row_number() OVER until_here,
            sum(octet_length(payload) + octet_length(author) + octet_length(name)
                + octet_length(media_type) + 64) OVER until_here,
            user, author, name, media_type, payload
        FROM messages_1 WINDOW until_here AS (PARTITION BY room ORDER BY id);
    DROP TABLE messages_1;
    ",
    // Only messages that a session has sent with a `ref` are in the index.
    "
    ALTER TABLE messages ADD COLUMN session BLOB;
    ALTER TABLE messages ADD COLUMN ref TEXT;
    CREATE INDEX messages_by_origin ON messages (room, session, ref) WHERE session IS NOT NULL;
    ",
    "
    -- kind: NULL is something that was said, 1 an act (its payload is JSON), and 2 a message that was
    -- removed: of that only its place and its origin are left.
    ALTER TABLE messages ADD COLUMN kind INTEGER;
    -- By name, because a room's rules stay when its history is forgotten.
    CREATE TABLE room_rules (
        room TEXT NOT NULL,
        field TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (room, field)
    ) STRICT, WITHOUT ROWID;
    ",
];

/// The version of the schema that this program uses.
pub const NEWEST: usize = MIGRATIONS.len();

/// Makes the form by which names are compared. This form has changed between versions of the schema.
pub type Fold = fn(&str) -> String;

/// The first version of the schema in which names have the form that they have now.
const FOLDED: usize = 2;

/// An open database, which no other program may use.
pub struct Database {
    /// The connection for writing. In memory it also reads.
    pub writer: Connection,
    /// The connections for reading while another thread writes; none in memory, which has one
    /// connection only.
    pub readers: Vec<Connection>,
    /// The file is locked while this is open. The lock belongs to the system, so it ends with the
    /// process, however that ends.
    pub lock: Option<File>,
}

/// Opens `file`, with so many connections for reading, or memory if there is no file.
///
/// # Errors
/// The file cannot be used; the error is a sentence with the file and the remedy.
pub fn open(file: Option<&Path>, readers: usize, fold: Fold) -> Result<Database, String> {
    match file {
        None => in_memory(fold).map_err(|error| format!("memory for users: {error}")),
        Some(file) => on_disk(file, readers, fold)
            .map_err(|trouble| format!("--data {}: {trouble}", file.display())),
    }
}

fn in_memory(fold: Fold) -> rusqlite::Result<Database> {
    let mut writer = Connection::open_in_memory()?;
    migrate(&mut writer, fold)?;
    Ok(Database { writer, readers: Vec::new(), lock: None })
}

fn on_disk(file: &Path, readers: usize, fold: Fold) -> Result<Database, Trouble> {
    // SQLite gives the files that it makes beside this one the same permissions.
    private_file::open(file)?;
    let lock = lock(file)?;
    let mut writer = Connection::open(file)?;
    writer.busy_timeout(Duration::from_secs(1))?;
    // Check before any change: the file may belong to another program. SQLite would bring its
    // write-ahead log into it when this connection closes.
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    check(&writer)?;
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    writer.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    writer.pragma_update(None, "synchronous", "NORMAL")?;
    migrate(&mut writer, fold)?;
    let reader = || Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let readers = (0..readers).map(|_| reader()).collect::<rusqlite::Result<_>>()?;
    Ok(Database { writer, readers, lock: Some(lock) })
}

/// Opens a file to read it alone, while a server may write to it.
///
/// # Errors
/// As [`open`], and if there is no such file.
pub fn open_to_read(file: &Path) -> Result<Connection, String> {
    let open = || -> Result<Connection, Trouble> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        check(&connection)?;
        Ok(connection)
    };
    open().map_err(|trouble| format!("--data {}: {trouble}", file.display()))
}

/// Checks that the schema is the one that this program writes.
///
/// # Errors
/// A sentence: it is an older one.
pub fn is_newest(connection: &Connection) -> Result<(), String> {
    let version: usize = connection
        .query_one("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if version < NEWEST {
        return Err("an older wsroom has made it; start the server with it once".to_owned());
    }
    Ok(())
}

/// Locks the file for this program: two programs would give out the same ids. SQLite's own lock is
/// not used, because it would keep out our readers too.
fn lock(file: &Path) -> Result<File, Trouble> {
    let mut name = file.as_os_str().to_owned();
    name.push("-lock");
    let lock = private_file::open(Path::new(&name))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Trouble::Foreign(format!("it is in use; {IN_USE}")),
        TryLockError::Error(error) => Trouble::File(error),
    })?;
    Ok(lock)
}

/// What to do about a file that is in use.
pub const IN_USE: &str = "another program uses it: stop that one, or name another file";

const UNUSABLE: &str = "name a file in a directory that is there and can be written";

/// The reason why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It is not this program's, or not now.
    #[error("{0}")]
    Foreign(String),
    /// The system refuses.
    #[error("{0}; {UNUSABLE}")]
    File(#[from] std::io::Error),
    /// SQLite refuses.
    #[error("{0}; {remedy}", remedy = remedy(.0))]
    Sqlite(#[from] rusqlite::Error),
}

fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => IN_USE,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "name a file that wsroom has made, or a new one"
        }
        Some(ErrorCode::DiskFull) => "make room on the disk",
        _ => UNUSABLE,
    }
}

/// Checks that the database is new, or made by this program. Returns the version of its schema.
///
/// # Errors
/// The database belongs to another program, or to a newer version of this one.
pub fn check(connection: &Connection) -> Result<usize, Trouble> {
    let number =
        |sql: &str| -> rusqlite::Result<i64> { connection.query_one(sql, [], |row| row.get(0)) };
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    if tables > 0 && application != i64::from(APPLICATION) {
        let foreign =
            "a database of another program; name a file that wsroom has made, or a new one";
        return Err(Trouble::Foreign(foreign.to_owned()));
    }
    let known = usize::try_from(version).ok().filter(|version| *version <= NEWEST);
    known.ok_or_else(|| {
        Trouble::Foreign(format!(
            "its schema has version {version}, and this program knows {NEWEST}; use a newer wsroom"
        ))
    })
}

fn migrate(connection: &mut Connection, fold: Fold) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    let version: usize = connection.query_one("PRAGMA user_version", [], |row| row.get(0))?;
    let change = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(version) {
        change.execute_batch(migration)?;
    }
    if version < FOLDED {
        fold_names(&change, fold)?;
    }
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", MIGRATIONS.len())?;
    change.commit()
}

/// Writes the version of the schema once more. It is one page of the file, which SQLite writes even if
/// nothing in it is new.
///
/// # Errors
/// The database cannot be written to.
pub fn rewrite_version(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.query_one("PRAGMA user_version", [], |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}

/// Makes the compared form of all names anew. Where two names have become equal, the older user gets
/// the new form, so that nobody else can take the name. The other user keeps the shown name.
fn fold_names(change: &Connection, fold: Fold) -> rusqlite::Result<()> {
    let users: Vec<(i64, String)> = change
        .prepare("SELECT id, name FROM users ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    // First give all users a temporary value that no name has: a new value may be another user's old
    // one, and values are unique.
    change.execute("UPDATE users SET folded = char(0) || id", [])?;
    let mut update = change.prepare("UPDATE OR IGNORE users SET folded = ?2 WHERE id = ?1")?;
    for (id, name) in users {
        update.execute((id, fold(&name)))?;
    }
    Ok(())
}
