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
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use crate::room::RoomName;
use crate::schema;
use crate::store::{
    Author, Content, Kept, KeyHash, MessageId, Result, Store, StoreError, Stretch, User, UserId,
};

/// Bytes that a room may keep.
const ROOM_BYTES: i64 = 16 << 20;

/// What a message takes beside its contents, in bytes, or so.
const MESSAGE_ITSELF: i64 = 64;

/// Users that there may be.
const USERS: i64 = 100_000;

/// How often rooms are looked for in which nothing was said for long.
const SWEEP: Duration = Duration::from_secs(3600);

/// The share of all bytes after which is looked whether they are too many, and the share that is
/// then made free.
const SHARE: i64 = 16;

/// Rooms whose tallies are known at a time; beyond that it begins anew.
const TALLIES: usize = 1000;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// `--history`: messages in each room.
    pub messages: usize,
    /// Bytes that the database takes; beyond that the rooms go in which nothing was said for the
    /// longest.
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
    /// Rooms in which something was said lately. They are counted here, not in the database: there
    /// each message would change a second page.
    tallies: HashMap<RoomName, Tally>,
    /// Bytes written since it was looked whether they are too many.
    written: i64,
    swept: Option<Instant>,
}

/// What a room keeps.
#[derive(Clone, Copy)]
struct Tally {
    /// The room's `id`.
    row: i64,
    messages: usize,
    bytes: i64,
}

impl Sqlite {
    /// Opens `file`, or memory. Brings an older schema up to date.
    ///
    /// # Errors
    /// A sentence with the file and the remedy.
    pub fn open(file: Option<&Path>, bounds: Bounds) -> std::result::Result<Self, String> {
        let connection = schema::open(file)?;
        connection.set_prepared_statement_cache_capacity(32);
        let tallies = HashMap::new();
        let shelf = Shelf { connection, bounds, tallies, written: 0, swept: None };
        Ok(Self { shelf: Mutex::new(shelf) })
    }

    /// A panic in a thread of the page has left nothing half done: its calls are one statement each.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// One transaction. Not rusqlite's own: that has its `BEGIN` and `COMMIT` parsed each time, and
    /// a lone message feels it.
    fn keep(&mut self, messages: &[Kept]) -> rusqlite::Result<()> {
        self.run("BEGIN")?;
        let kept = self.write(messages).and_then(|()| self.run("COMMIT"));
        if kept.is_err() {
            // They counted what is rolled back. Some failures have done so already.
            self.tallies.clear();
            if !self.connection.is_autocommit() {
                self.run("ROLLBACK")?;
            }
        }
        kept
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn write(&mut self, messages: &[Kept]) -> rusqlite::Result<()> {
        for (room, said) in by_room(messages) {
            let mut tally = match self.tallies.get(room) {
                Some(tally) => *tally,
                None => Tally::find(&self.connection, room)?,
            };
            self.written += tally.keep(&self.connection, &said, self.bounds.messages)?;
            self.tallies.insert(room.clone(), tally);
        }
        let due = self.swept.is_none_or(|swept| swept.elapsed() > SWEEP);
        if due || self.written > self.bounds.bytes / SHARE {
            forget_rooms(&self.connection, self.bounds)?;
            self.tallies.clear();
            (self.written, self.swept) = (0, Some(Instant::now()));
        }
        if self.tallies.len() > TALLIES {
            self.tallies.clear();
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

impl Tally {
    /// Counts what a room keeps; a new one begins here.
    fn find(connection: &Connection, room: &RoomName) -> rusqlite::Result<Self> {
        let room = room.as_str();
        connection
            .prepare_cached("INSERT OR IGNORE INTO rooms (name, gone) VALUES (?1, 0)")?
            .execute([room])?;
        let sql = format!(
            "SELECT rooms.id, count(messages.id), coalesce(sum({SIZE} + {MESSAGE_ITSELF}), 0)
             FROM rooms LEFT JOIN messages ON room = rooms.id WHERE rooms.name = ?1"
        );
        connection.prepare_cached(&sql)?.query_one([room], |row| {
            Ok(Self { row: row.get(0)?, messages: row.get(1)?, bytes: row.get(2)? })
        })
    }

    /// Keeps what was said in this room, and lets go of what that pushes out. Answers with the
    /// bytes that were written.
    fn keep(
        &mut self,
        connection: &Connection,
        said: &[&Kept],
        most: usize,
    ) -> rusqlite::Result<i64> {
        // Of a turn that fills the whole history alone, what would go at once is not even written.
        let (passing, staying) = said.split_at(said.len().saturating_sub(most));
        for message in staying {
            self.insert(connection, message)?;
        }
        let written = staying.iter().map(|message| size(message)).sum();
        self.messages += staying.len();
        self.bytes += written;
        // A little more than promised is let stand, so that not every turn has to tidy up.
        if !passing.is_empty() || self.messages > most + most / 4 || self.bytes > ROOM_BYTES {
            self.tidy(connection, most, passing.last().map_or(0, |message| message.id))?;
        }
        Ok(written)
    }

    fn insert(&self, connection: &Connection, message: &Kept) -> rusqlite::Result<usize> {
        let Kept { id, author, .. } = message;
        let (name, media_type, payload) = match &message.content {
            // SQLite tells the two kinds apart, so there is no column for that.
            Content::Text(text) => {
                let text = str::from_utf8(text).expect("no other text is taken in");
                ("", "", ToSqlOutput::from(text))
            }
            Content::Binary { name, media_type, bytes } => {
                (name.as_str(), media_type.as_str(), ToSqlOutput::from(bytes.as_ref()))
            }
        };
        connection
            .prepare_cached(
                "INSERT INTO messages (room, id, user, author, name, media_type, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![self.row, id, author.user, author.name, name, media_type, payload])
    }

    /// Lets go of the oldest messages, and takes note that everything up to `gone` is not there.
    fn tidy(
        &mut self,
        connection: &Connection,
        most: usize,
        mut gone: MessageId,
    ) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT id, {SIZE} + {MESSAGE_ITSELF} FROM messages WHERE room = ?1 ORDER BY id DESC"
        );
        let mut newest_first = connection.prepare_cached(&sql)?;
        let mut rows = newest_first.query([self.row])?;
        (self.messages, self.bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            let more: i64 = row.get(1)?;
            if self.messages == most || (self.messages > 0 && self.bytes + more > ROOM_BYTES) {
                gone = gone.max(row.get(0)?);
                break;
            }
            self.messages += 1;
            self.bytes += more;
        }
        drop(rows);
        connection
            .prepare_cached("DELETE FROM messages WHERE room = ?1 AND id <= ?2")?
            .execute([self.row, gone])?;
        connection
            .prepare_cached("UPDATE rooms SET gone = max(gone, ?2) WHERE id = ?1")?
            .execute([self.row, gone])?;
        Ok(())
    }
}

/// Forgets rooms: those in which nothing was said for long, and then, until there is room again,
/// those in which nothing was said for the longest.
fn forget_rooms(connection: &Connection, bounds: Bounds) -> rusqlite::Result<()> {
    let sql = "SELECT id, (SELECT coalesce(max(id), 0) FROM messages WHERE room = rooms.id) AS last
               FROM rooms ORDER BY last";
    let mut oldest_first = connection.prepare_cached(sql)?;
    let rooms: Vec<(i64, MessageId)> = oldest_first
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let share = bounds.bytes / SHARE;
    let too_many = taken(connection)? > bounds.bytes - share;
    let idle = bounds.idle.map_or(0, |idle| i64::try_from(idle.as_micros()).unwrap_or(i64::MAX));
    let long_ago = if idle > 0 { now() - idle } else { 0 };
    let mut forget = connection.prepare_cached("DELETE FROM rooms WHERE id = ?1")?;
    for (room, last) in rooms {
        if last >= long_ago && !(too_many && taken(connection)? > bounds.bytes - 2 * share) {
            break;
        }
        forget.execute([room])?;
    }
    Ok(())
}

/// Bytes that the database takes, in its file or in memory.
fn taken(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    connection.prepare_cached(sql)?.query_one([], first)
}

/// Bytes of a message, as [`size`] counts them.
const SIZE: &str = "octet_length(payload) + octet_length(author) + octet_length(messages.name)
                    + octet_length(media_type)";

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
        let sql = "SELECT coalesce(max((SELECT max(id) FROM messages WHERE room = rooms.id)), 0)
                   FROM rooms";
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

    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>> {
        let sql = "SELECT name, (SELECT coalesce(max(id), 0) FROM messages WHERE room = rooms.id)
                   FROM rooms WHERE name > ?1 ORDER BY name LIMIT ?2";
        let shelf = self.shelf();
        let mut rooms = shelf.connection.prepare_cached(sql)?;
        let rooms = rooms.query_map(params![after, limit], |row| {
            Ok((RoomName::parse(&row.get::<_, String>(0)?), row.get(1)?))
        })?;
        let rooms: Vec<_> = rooms.collect::<rusqlite::Result<_>>()?;
        Ok(rooms.into_iter().filter_map(|(name, last)| Some((name?, last))).collect())
    }
}

impl Shelf {
    fn messages(
        &self,
        room: &RoomName,
        since: MessageId,
        limit: usize,
    ) -> rusqlite::Result<Stretch> {
        let sql =
            "SELECT id, (SELECT coalesce(max(id), 0) FROM messages WHERE room = rooms.id), gone
                   FROM rooms WHERE name = ?1";
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
        // A file may have been changed by anyone, and everybody else relies on UTF-8.
        ValueRef::Text(text) => Content::Text(String::from_utf8_lossy(text).into_owned().into()),
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
