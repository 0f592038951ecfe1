//! The store in SQLite: a file that outlives the program, or memory that does not.
//!
//! Both are the same code. A file has one program at a time; what was committed is there after a
//! `kill -9` (WAL), and all but the last moments after a power cut (`synchronous=NORMAL`). Not
//! here: who may do what. Called from many threads; the lock is held for one call.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};

use crate::room::RoomName;
use crate::store::{
    Author, Content, Kept, KeptRoom, KeyHash, MessageId, Result, Store, StoreError, Stretch, User,
    UserId,
};

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
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        messages INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        last INTEGER NOT NULL,
        gone INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX rooms_by_last ON rooms (last);
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        room INTEGER NOT NULL REFERENCES rooms ON DELETE CASCADE,
        user INTEGER,
        author TEXT NOT NULL,
        name TEXT NOT NULL,
        media_type TEXT NOT NULL,
        payload ANY NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_room ON messages (room, id);
"];

/// Bytes that a room may keep.
const ROOM_BYTES: i64 = 16 << 20;

/// What a room and a message take beside their contents, in bytes, or so.
const ROOM_ITSELF: i64 = 256;
const MESSAGE_ITSELF: i64 = 64;

/// Users that there may be.
const USERS: i64 = 100_000;

/// How often rooms are looked for in which nothing was said for long.
const SWEEP: Duration = Duration::from_secs(3600);

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// `--history`: messages in each room.
    pub messages: usize,
    /// Bytes in all rooms; beyond that the rooms go in which nothing was said for the longest.
    pub bytes: i64,
    /// How long a room is kept in which nothing is said.
    pub idle: Option<Duration>,
}

/// An open database.
pub struct Sqlite {
    shelf: Mutex<Shelf>,
}

struct Shelf {
    connection: Connection,
    bounds: Bounds,
    /// What is kept of all rooms, in bytes.
    bytes: i64,
    swept: Option<Instant>,
}

impl Sqlite {
    /// Opens `file`, or memory. Brings an older schema up to date.
    ///
    /// # Errors
    /// A sentence with the file and the remedy.
    pub fn open(file: Option<&Path>, bounds: Bounds) -> std::result::Result<Self, String> {
        let shelf = match file {
            None => Connection::open_in_memory()
                .and_then(|connection| Shelf::new(connection, bounds))
                .map_err(|error| format!("memory for users and history: {error}"))?,
            Some(file) => open_file(file)
                .and_then(|connection| {
                    check(&connection).map_err(Trouble::Foreign)?;
                    Ok(Shelf::new(connection, bounds)?)
                })
                .map_err(|trouble| format!("--data {}: {trouble}", file.display()))?,
        };
        Ok(Self { shelf: Mutex::new(shelf) })
    }

    /// A panic elsewhere has left no half-done work: its transaction is rolled back.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Foreign(String),
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
        _ => "name a file in a directory that is there and can be written",
    }
}

fn open_file(file: &Path) -> std::result::Result<Connection, Trouble> {
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
fn check(connection: &Connection) -> std::result::Result<(), String> {
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

impl Shelf {
    fn new(mut connection: Connection, bounds: Bounds) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "foreign_keys", true)?;
        let version: usize = connection.query_one("PRAGMA user_version", [], |row| row.get(0))?;
        let change = connection.transaction()?;
        for migration in MIGRATIONS.iter().skip(version) {
            change.execute_batch(migration)?;
        }
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", MIGRATIONS.len())?;
        change.commit()?;
        connection.set_prepared_statement_cache_capacity(32);
        let bytes =
            connection
                .query_one("SELECT coalesce(sum(bytes), 0) FROM rooms", [], |row| row.get(0))?;
        Ok(Self { connection, bounds, bytes, swept: None })
    }

    fn keep(&mut self, messages: &[Kept]) -> rusqlite::Result<()> {
        let change = self.connection.transaction()?;
        let mut grown = 0;
        for (room, said) in by_room(messages) {
            grown += keep_in(&change, room, &said, self.bounds.messages)?;
        }
        let sweep = self.swept.is_none_or(|swept| swept.elapsed() > SWEEP);
        if sweep && let Some(idle) = self.bounds.idle {
            let before = now() - i64::try_from(idle.as_micros()).unwrap_or(i64::MAX);
            grown -= forget_rooms(&change, before)?;
        }
        while self.bytes + grown > self.bounds.bytes {
            // At least the room goes in which nothing was said for the longest.
            let oldest = change.query_one("SELECT min(last) FROM rooms", [], |row| row.get(0))?;
            grown -= forget_rooms(&change, oldest)?;
        }
        change.commit()?;
        // Only what was committed counts.
        self.bytes += grown;
        if sweep {
            self.swept = Some(Instant::now());
        }
        Ok(())
    }
}

fn by_room(messages: &[Kept]) -> HashMap<&RoomName, Vec<&Kept>> {
    let mut rooms: HashMap<_, Vec<_>> = HashMap::new();
    for message in messages {
        rooms.entry(&message.room).or_default().push(message);
    }
    rooms
}

/// Keeps what was said in one room, and lets go of what that pushes out. Answers with how many
/// bytes the room has grown.
fn keep_in(
    change: &Transaction,
    room: &RoomName,
    said: &[&Kept],
    most: usize,
) -> rusqlite::Result<i64> {
    // Of a turn that fills the whole history alone, what would go at once is not even written.
    let (passing, staying) = said.split_at(said.len().saturating_sub(most));
    let bytes: i64 = staying.iter().map(|message| size(message)).sum();
    let last = said.last().map_or(0, |message| message.id);
    let gone = passing.last().map_or(0, |message| message.id);
    let (row, count, held, before) = change
        .prepare_cached(
            "INSERT INTO rooms (name, messages, bytes, last, gone) VALUES (?1, ?2, ?3 + ?6, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET messages = messages + ?2, bytes = bytes + ?3,
                last = ?4, gone = max(gone, ?5)
             RETURNING id, messages, bytes, bytes - ?3",
        )?
        .query_one(
            params![room.as_str(), staying.len(), bytes, last, gone, ROOM_ITSELF],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?, row.get(2)?, row.get(3)?)),
        )?;
    let mut insert = change.prepare_cached(
        "INSERT INTO messages (id, room, user, author, name, media_type, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for message in staying {
        let (id, author) = (message.id, &message.author);
        match &message.content {
            Content::Text(text) => {
                let text = String::from_utf8_lossy(text);
                insert.execute(params![id, row, author.user, author.name, "", "", text])?
            }
            Content::Binary { name, media_type, bytes } => {
                let payload = bytes.as_ref();
                insert.execute(params![
                    id,
                    row,
                    author.user,
                    author.name,
                    name,
                    media_type,
                    payload
                ])?
            }
        };
    }
    // A little more than promised is let stand, so that not every turn has to tidy up.
    let held: i64 =
        if count > most + most / 4 || held > ROOM_BYTES { tidy(change, row, most)? } else { held };
    let new = passing.is_empty() && count == staying.len();
    Ok(held - if new { 0 } else { before })
}

/// Lets go of the oldest messages of a room. Answers with the bytes that stay.
fn tidy(change: &Transaction, room: i64, most: usize) -> rusqlite::Result<i64> {
    let mut newest_first = change.prepare_cached(
        "SELECT id, octet_length(payload) + octet_length(author) + octet_length(name) + octet_length(media_type)
         FROM messages WHERE room = ?1 ORDER BY id DESC",
    )?;
    let mut rows = newest_first.query([room])?;
    let (mut count, mut bytes, mut cut) = (0, ROOM_ITSELF, 0);
    while let Some(row) = rows.next()? {
        let more = row.get::<_, i64>(1)? + MESSAGE_ITSELF;
        if count == most || (count > 0 && bytes + more > ROOM_BYTES) {
            cut = row.get(0)?;
            break;
        }
        count += 1;
        bytes += more;
    }
    drop(rows);
    change.execute("DELETE FROM messages WHERE room = ?1 AND id <= ?2", [room, cut])?;
    change.execute(
        "UPDATE rooms SET messages = ?2, bytes = ?3, gone = max(gone, ?4) WHERE id = ?1",
        params![room, count, bytes, cut],
    )?;
    Ok(bytes)
}

/// Forgets rooms in which nothing was said after `last`. Answers with the bytes that are free now.
fn forget_rooms(change: &Transaction, last: MessageId) -> rusqlite::Result<i64> {
    let mut forget = change.prepare_cached("DELETE FROM rooms WHERE last <= ?1 RETURNING bytes")?;
    forget.query_map([last], |row| row.get::<_, i64>(0))?.sum()
}

fn size(message: &Kept) -> i64 {
    let content = match &message.content {
        Content::Text(text) => text.len(),
        Content::Binary { name, media_type, bytes } => name.len() + media_type.len() + bytes.len(),
    };
    (message.author.name.len() + content) as i64 + MESSAGE_ITSELF
}

impl Store for Sqlite {
    fn add_user(&self, name: &str, folded: &str, key: &KeyHash) -> Result<User> {
        let shelf = self.shelf();
        let count: i64 = shelf.connection.query_one("SELECT count(*) FROM users", [], first)?;
        if count >= USERS {
            return Err(StoreError::Full);
        }
        let created_at = now() / 1_000_000;
        let id = shelf.connection.prepare_cached(
            "INSERT INTO users (name, folded, created_at, key) VALUES (?1, ?2, ?3, ?4) RETURNING id",
        )?.query_one(params![name, folded, created_at, key], first)?;
        Ok(User { id, name: name.to_owned(), created_at })
    }

    fn user(&self, id: UserId) -> Result<Option<User>> {
        let sql = "SELECT id, name, created_at FROM users WHERE id = ?1";
        Ok(self.shelf().connection.prepare_cached(sql)?.query_one([id], user).optional()?)
    }

    fn user_with_key(&self, key: &KeyHash) -> Result<Option<User>> {
        let sql = "SELECT id, name, created_at FROM users WHERE key = ?1";
        Ok(self.shelf().connection.prepare_cached(sql)?.query_one([key], user).optional()?)
    }

    fn users(&self, after: UserId, limit: usize) -> Result<Vec<User>> {
        let sql = "SELECT id, name, created_at FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";
        let shelf = self.shelf();
        let mut users = shelf.connection.prepare_cached(sql)?;
        Ok(users.query_map(params![after, limit], user)?.collect::<rusqlite::Result<_>>()?)
    }

    fn rename_user(&self, id: UserId, name: &str, folded: &str) -> Result<Option<User>> {
        let sql = "UPDATE users SET name = ?2, folded = ?3 WHERE id = ?1
                   RETURNING id, name, created_at";
        let shelf = self.shelf();
        Ok(shelf
            .connection
            .prepare_cached(sql)?
            .query_one(params![id, name, folded], user)
            .optional()?)
    }

    fn remove_user(&self, id: UserId) -> Result<bool> {
        Ok(self.shelf().connection.execute("DELETE FROM users WHERE id = ?1", [id])? > 0)
    }

    fn last_id(&self) -> Result<MessageId> {
        let sql = "SELECT coalesce(max(last), 0) FROM rooms";
        Ok(self.shelf().connection.query_one(sql, [], first)?)
    }

    fn keep(&self, messages: &[Kept]) -> Result<()> {
        Ok(self.shelf().keep(messages)?)
    }

    fn messages(&self, room: &RoomName, since: MessageId, limit: usize) -> Result<Stretch> {
        Ok(self.shelf().messages(room, since, limit)?)
    }

    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Kept>> {
        let sql = "SELECT m.id, m.user, m.author, m.name, m.media_type, m.payload
                   FROM messages m JOIN rooms r ON m.room = r.id WHERE m.id = ?1 AND r.name = ?2";
        let shelf = self.shelf();
        let mut found = shelf.connection.prepare_cached(sql)?;
        Ok(found.query_one(params![id, room.as_str()], |row| kept(room, row)).optional()?)
    }

    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<KeptRoom>> {
        let shelf = self.shelf();
        let most = shelf.bounds.messages as u64;
        let sql = "SELECT name, last, messages FROM rooms WHERE name > ?1 ORDER BY name LIMIT ?2";
        let mut rooms = shelf.connection.prepare_cached(sql)?;
        let rooms = rooms.query_map(params![after, limit], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, u64>(2)?))
        })?;
        let rooms: Vec<_> = rooms.collect::<rusqlite::Result<_>>()?;
        let known = |(name, last, messages): (String, _, u64)| {
            Some(KeptRoom { name: RoomName::parse(&name)?, last, messages: messages.min(most) })
        };
        Ok(rooms.into_iter().filter_map(known).collect())
    }
}

impl Shelf {
    fn messages(
        &self,
        room: &RoomName,
        since: MessageId,
        limit: usize,
    ) -> rusqlite::Result<Stretch> {
        let sql = "SELECT id, last, gone FROM rooms WHERE name = ?1";
        let found = self.connection.prepare_cached(sql)?.query_one([room.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, MessageId>(2)?))
        });
        // Of a room that is not here any more nobody knows what it held.
        let Some((row, last, gone)) = found.optional()? else {
            return Ok(Stretch { complete: since <= 0, ..Stretch::default() });
        };
        // What stands behind the promised number is not there for anyone, tidied up or not.
        let sql = "SELECT id FROM messages WHERE room = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";
        let beyond = self
            .connection
            .prepare_cached(sql)?
            .query_one(params![row, self.bounds.messages], first);
        let gone = gone.max(beyond.optional()?.unwrap_or(0));
        let sql = "SELECT id, user, author, name, media_type, payload FROM messages
                   WHERE room = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let mut messages = self.connection.prepare_cached(sql)?;
        let messages =
            messages.query_map(params![row, since.max(gone), limit], |row| kept(room, row))?;
        let messages = messages.collect::<rusqlite::Result<_>>()?;
        Ok(Stretch { messages, complete: since >= gone, last })
    }
}

fn first<T: rusqlite::types::FromSql>(row: &Row) -> rusqlite::Result<T> {
    row.get(0)
}

fn user(row: &Row) -> rusqlite::Result<User> {
    Ok(User { id: row.get(0)?, name: row.get(1)?, created_at: row.get(2)? })
}

fn kept(room: &RoomName, row: &Row) -> rusqlite::Result<Kept> {
    let content = match row.get_ref(5)? {
        ValueRef::Text(text) => Content::Text(Bytes::copy_from_slice(text)),
        other => Content::Binary {
            name: row.get(3)?,
            media_type: row.get(4)?,
            bytes: Bytes::copy_from_slice(other.as_blob()?),
        },
    };
    let author = Author { user: row.get(1)?, name: row.get(2)? };
    Ok(Kept { id: row.get(0)?, room: room.clone(), author, content })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Self::Taken,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
