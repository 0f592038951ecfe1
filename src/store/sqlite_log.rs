//! The history in SQLite: it appends in one transaction, and reads a page at a time.
//!
//! The broadcaster appends. Page threads and writer threads read, on other connections, so that the
//! broadcaster does not wait for them. Not here: connections and users (`sqlite`), and deletion
//! (`retention`).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::protocol::address::RoomName;
use crate::protocol::message::{Author, Content, Message, MessageId, Origin, SessionId};
use crate::store::retention::{Budget, Mark, Retention, SIZE, delete_oldest};
use crate::store::sqlite_acts;
use crate::store::{Bounds, HistoryPage, ROOM_BYTES, Range};

/// The bytes that a message counts besides its content, names and origin, as in [`SIZE`].
const MESSAGE_OVERHEAD: i64 = 64;

/// The messages beyond `--history` that a room may hold, so that not every turn has to delete some.
/// No reader sees them.
const SLACK: i64 = 256;

/// The most rooms whose totals are held in memory. Beyond that, all are dropped and read again.
const MAX_KNOWN: usize = 1000;

/// The state of the connection that writes.
pub struct Appender {
    /// `--history`, in messages.
    max_messages: i64,
    /// The totals of rooms that have had messages lately.
    known: HashMap<RoomName, Totals>,
    /// The number of rooms in the database; `None`: not counted yet.
    rooms: Option<usize>,
    retention: Retention,
}

/// The totals of a room.
#[derive(Clone, Copy)]
struct Totals {
    /// The room's `id`.
    row: i64,
    /// The mark before its first message.
    before: Mark,
    /// The mark behind its last message.
    behind: Mark,
}

impl Appender {
    /// An appender that keeps to these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let max_messages = i64::try_from(bounds.messages).unwrap_or(i64::MAX);
        Self { max_messages, known: HashMap::new(), rooms: None, retention: Retention::new(bounds) }
    }

    /// Appends messages in one transaction, and returns the bytes that were written. rusqlite's own
    /// transaction is not used: it parses `BEGIN` and `COMMIT` each time, which a lone message feels.
    ///
    /// # Errors
    /// The database failed, and none of the messages is kept.
    pub fn append(
        &mut self,
        connection: &Connection,
        messages: &[Arc<Message>],
    ) -> rusqlite::Result<i64> {
        run(connection, "BEGIN")?;
        let written = self.write(connection, messages);
        let written = written.and_then(|written| run(connection, "COMMIT").map(|()| written));
        if written.is_err() {
            // These include what is rolled back now.
            self.known.clear();
            self.rooms = None;
            // After some failures SQLite itself has rolled back already.
            if !connection.is_autocommit() {
                run(connection, "ROLLBACK")?;
            }
        }
        written
    }

    fn write(
        &mut self,
        connection: &Connection,
        messages: &[Arc<Message>],
    ) -> rusqlite::Result<i64> {
        let rooms = match self.rooms {
            Some(rooms) => rooms,
            None => connection.query_one("SELECT count(*) FROM rooms", [], |row| row.get(0))?,
        };
        if self.known.len() > MAX_KNOWN {
            self.known.clear();
        }
        let (mut written, mut made) = (0, 0);
        let mut talking = Vec::new();
        for message in messages {
            sqlite_acts::change_rules(connection, message)?;
        }
        if self.max_messages == 0 {
            return Ok(0);
        }
        for (room, messages) in by_room(messages) {
            let mut totals = match self.known.get(room) {
                Some(totals) => *totals,
                None => {
                    made += Totals::make(connection, room, messages[0].id)?;
                    Totals::find(connection, room)?
                }
            };
            written += totals.keep(connection, &messages, self.max_messages)?;
            talking.push((room, totals));
        }
        let mut budget = Budget::for_turn(messages.len(), written);
        for (room, mut totals) in talking {
            totals.delete_excess(connection, self.max_messages, &mut budget)?;
            self.known.insert(room.clone(), totals);
        }
        let known = &mut self.known;
        let rooms = rooms + made;
        let forgotten =
            self.retention.forget_rooms(connection, rooms, written, &mut budget, |name| {
                known.remove(name);
            })?;
        self.rooms = Some(rooms - forgotten);
        Ok(written)
    }
}

/// Sorts the messages by room; in each room they stay in order.
fn by_room(messages: &[Arc<Message>]) -> HashMap<&RoomName, Vec<&Message>> {
    let mut rooms: HashMap<_, Vec<_>> = HashMap::new();
    for message in messages {
        rooms.entry(&message.room).or_default().push(&**message);
    }
    rooms
}

impl Totals {
    /// Makes the room for its first message, if there is no such room. Returns the number of rooms
    /// made: 0 or 1. `born` is set because the room may have existed before, and been forgotten.
    fn make(connection: &Connection, room: &RoomName, first: MessageId) -> rusqlite::Result<usize> {
        let sql = "INSERT OR IGNORE INTO rooms (name, gone, born, last) VALUES (?1, 0, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![room.as_str(), first - 1, first])
    }

    /// Reads the totals of a room.
    fn find(connection: &Connection, room: &RoomName) -> rusqlite::Result<Self> {
        let sql = "SELECT id FROM rooms WHERE name = ?1";
        let row = connection.prepare_cached(sql)?.query_one([room.as_str()], first)?;
        let sql = "SELECT number, total FROM messages WHERE room = ?1 ORDER BY id DESC LIMIT 1";
        let behind = connection.prepare_cached(sql)?.query_one([row], mark).optional()?;
        let sql = format!(
            "SELECT number - 1, total - {SIZE} FROM messages WHERE room = ?1 ORDER BY id LIMIT 1"
        );
        let before = connection.prepare_cached(&sql)?.query_one([row], mark).optional()?;
        Ok(Self { row, before: before.unwrap_or_default(), behind: behind.unwrap_or_default() })
    }

    /// Inserts the messages of this room, and returns the bytes that were written.
    fn keep(
        &mut self,
        connection: &Connection,
        messages: &[&Message],
        max_messages: i64,
    ) -> rusqlite::Result<i64> {
        let max_messages = usize::try_from(max_messages).unwrap_or(usize::MAX);
        // If one turn has more messages than the history holds, the first ones would be deleted at
        // once, so they are not written.
        let (passing, staying) = messages.split_at(messages.len().saturating_sub(max_messages));
        if let Some(gone) = passing.last() {
            self.behind.number += passing.len() as i64;
            let sql = "UPDATE rooms SET gone = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([self.row, gone.id])?;
        }
        let before = self.behind.total;
        for message in staying {
            self.behind.number += 1;
            self.behind.total += size(message);
            self.insert(connection, message)?;
        }
        for message in messages {
            sqlite_acts::remove(connection, self.row, message)?;
        }
        Ok(self.behind.total - before)
    }

    fn insert(&self, connection: &Connection, message: &Message) -> rusqlite::Result<usize> {
        let Message { id, author, .. } = message;
        let mut kind = None;
        let (name, media_type, payload) = match &message.content {
            // SQLite tells text from bytes, so there is no column for that.
            Content::Text(text) => {
                let text = str::from_utf8(text).expect("the content of a text is UTF-8");
                ("", "", ToSqlOutput::from(text))
            }
            Content::Binary { name, media_type, bytes } => {
                (name.as_str(), media_type.as_str(), ToSqlOutput::from(bytes.as_ref()))
            }
            Content::Act(act) => {
                kind = Some(sqlite_acts::ACT);
                ("", "", ToSqlOutput::from(act.to_json()))
            }
        };
        let Mark { number, total } = self.behind;
        let origin = message.origin.as_deref();
        connection
            .prepare_cached(
                "INSERT INTO messages
                     (room, id, number, total, user, author, name, media_type, payload,
                      session, ref, kind)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                self.row,
                id,
                number,
                total,
                author.user,
                author.name,
                name,
                media_type,
                payload,
                origin.map(|origin| origin.session.0),
                origin.map(|origin| origin.reference.as_str()),
                kind,
            ])
    }

    /// Deletes the oldest messages if the room holds too much.
    fn delete_excess(
        &mut self,
        connection: &Connection,
        max_messages: i64,
        budget: &mut Budget,
    ) -> rusqlite::Result<()> {
        let Self { row, before, behind } = *self;
        let slack = SLACK.min(max_messages / 4);
        let is_over = |before: Mark, max_messages| {
            let (messages, bytes) = (behind.number - before.number, behind.total - before.total);
            // The last message stays, whatever its size.
            messages > max_messages || (messages > 1 && bytes > ROOM_BYTES as i64)
        };
        if is_over(before, max_messages.saturating_add(slack)) {
            let gone =
                delete_oldest(connection, row, budget, |before| is_over(before, max_messages))?;
            self.before = gone.unwrap_or(before);
        }
        Ok(())
    }
}

/// Finds the message of a room that has this origin.
///
/// # Errors
/// The database failed.
pub fn known(
    connection: &Connection,
    room: &RoomName,
    origin: &Origin,
) -> rusqlite::Result<Option<MessageId>> {
    let sql = "SELECT m.id FROM messages m JOIN rooms r ON m.room = r.id
               WHERE r.name = ?1 AND m.session = ?2 AND m.ref = ?3";
    let mut find = connection.prepare_cached(sql)?;
    find.query_one(params![room.as_str(), origin.session.0, origin.reference], first).optional()
}

/// Reads a part of a room's history in one transaction, so that all of it is of the same moment.
///
/// # Errors
/// The database failed.
pub fn page(
    connection: &Connection,
    room: &RoomName,
    range: Range,
    max_messages: i64,
) -> rusqlite::Result<HistoryPage> {
    run(connection, "BEGIN")?;
    let page = read(connection, room, range, max_messages);
    run(connection, "COMMIT")?;
    page
}

fn read(
    connection: &Connection,
    room: &RoomName,
    range: Range,
    max_messages: i64,
) -> rusqlite::Result<HistoryPage> {
    let sql = "SELECT id, gone, born FROM rooms WHERE name = ?1";
    let found = connection.prepare_cached(sql)?.query_one([room.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, MessageId>(1)?, row.get::<_, MessageId>(2)?))
    });
    // The log cannot know whether anything was said in a room that it does not have.
    let Some((row, gone, born)) = found.optional()? else {
        return Ok(HistoryPage { complete: range.after <= 0, ..HistoryPage::default() });
    };
    let sql = "SELECT number, id FROM messages WHERE room = ?1 ORDER BY id DESC LIMIT 1";
    let newest = connection
        .prepare_cached(sql)?
        .query_one([row], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, MessageId>(1)?)));
    let (number, last) = newest.optional()?.unwrap_or_default();
    let hidden = number.saturating_sub(max_messages);
    let gone = gone.max(last_hidden(connection, row, hidden)?);
    let (messages, more) =
        messages(connection, room, row, Range { after: range.after.max(gone), ..range })?;
    let complete = if range.after <= 0 { gone == 0 } else { range.after >= gone.max(born) };
    Ok(HistoryPage { messages, more, complete, last })
}

/// The newest message that no reader sees, because the room holds enough newer ones; 0 if there is
/// none. It may not be deleted yet. `hidden` is its number.
fn last_hidden(connection: &Connection, row: i64, hidden: i64) -> rusqlite::Result<MessageId> {
    let sql = "SELECT id, number FROM messages WHERE room = ?1 ORDER BY id";
    let mut oldest_first = connection.prepare_cached(sql)?;
    let mut rows = oldest_first.query([row])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? > hidden {
            break;
        }
        last = row.get(0)?;
    }
    Ok(last)
}

fn messages(
    connection: &Connection,
    room: &RoomName,
    row: i64,
    range: Range,
) -> rusqlite::Result<(Vec<Arc<Message>>, bool)> {
    let sql = "SELECT id, user, author, name, media_type, payload, session, ref, kind FROM messages
               WHERE room = ?1 AND id > ?2 AND id <= ?3 AND kind IS NOT 2 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([row, range.after, range.upto])?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        // Compare the size before the payload is copied: it may be large.
        let more = row.get_ref(5)?.as_bytes().map_or(0, <[u8]>::len);
        if messages.len() == range.messages || (!messages.is_empty() && bytes + more > range.bytes)
        {
            return Ok((messages, true));
        }
        let message = message_from(room, row)?;
        bytes += message.size() + MESSAGE_OVERHEAD as usize;
        messages.push(Arc::new(message));
    }
    Ok((messages, false))
}

/// Finds the id behind which are the newest messages of a range that begins at 0, in one transaction:
/// see [`MessageLog::before_newest`](crate::store::KeptMessages::before_newest).
///
/// # Errors
/// The database failed.
pub fn before_newest(
    connection: &Connection,
    room: &RoomName,
    range: Range,
    max_messages: i64,
) -> rusqlite::Result<MessageId> {
    run(connection, "BEGIN")?;
    let id = find_before_newest(connection, room, range, max_messages);
    run(connection, "COMMIT")?;
    id
}

/// Goes back from the newest message, by sizes and numbers alone. It stops at a message that no reader
/// sees: see [`last_hidden`].
fn find_before_newest(
    connection: &Connection,
    room: &RoomName,
    range: Range,
    max_messages: i64,
) -> rusqlite::Result<MessageId> {
    let sql = "SELECT id, max(gone, born),
                   (SELECT number FROM messages WHERE room = rooms.id ORDER BY id DESC LIMIT 1)
               FROM rooms WHERE name = ?1";
    let found = connection.prepare_cached(sql)?.query_one([room.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, MessageId>(1)?, row.get::<_, Option<i64>>(2)?))
    });
    let Some((row, unknown, newest)) = found.optional()? else { return Ok(0) };
    let hidden = newest.unwrap_or_default().saturating_sub(max_messages);
    let sql = format!(
        "SELECT id, number, {SIZE} FROM messages
         WHERE room = ?1 AND id <= ?2 AND kind IS NOT 2 ORDER BY id DESC"
    );
    let mut newest_first = connection.prepare_cached(&sql)?;
    let mut rows = newest_first.query([row, range.upto])?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let (id, is_hidden) = (row.get(0)?, row.get::<_, i64>(1)? <= hidden);
        bytes += row.get::<_, usize>(2)?;
        if is_hidden || count == range.messages || (count > 0 && bytes > range.bytes) {
            return Ok(if is_hidden && count == 0 { 0 } else { id });
        }
        count += 1;
    }
    Ok(if count == 0 { 0 } else { unknown })
}

/// Finds the newest message of a room; 0 if there is none.
///
/// # Errors
/// The database failed.
pub fn last_in(connection: &Connection, room: &RoomName) -> rusqlite::Result<MessageId> {
    let sql = "SELECT coalesce((SELECT max(m.id) FROM messages m WHERE m.room = r.id), 0)
               FROM rooms r WHERE r.name = ?1";
    let last = connection.prepare_cached(sql)?.query_one([room.as_str()], first).optional()?;
    Ok(last.unwrap_or_default())
}

/// Reads one message.
///
/// # Errors
/// The database failed.
pub fn message(
    connection: &Connection,
    room: &RoomName,
    id: MessageId,
) -> rusqlite::Result<Option<Arc<Message>>> {
    let sql =
        "SELECT m.id, m.user, m.author, m.name, m.media_type, m.payload, m.session, m.ref, m.kind
               FROM messages m JOIN rooms r ON m.room = r.id
               WHERE m.id = ?1 AND r.name = ?2 AND m.kind IS NOT 2";
    let mut found = connection.prepare_cached(sql)?;
    found
        .query_one(params![id, room.as_str()], |row| message_from(room, row))
        .optional()
        .map(|message| message.map(Arc::new))
}

/// Lists at most `limit` rooms whose names come after `after`, in order of their names, each with its
/// newest message.
///
/// # Errors
/// The database failed.
pub fn rooms(
    connection: &Connection,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<(RoomName, MessageId)>> {
    let sql = "SELECT name, (SELECT coalesce(max(id), 0) FROM messages WHERE room = rooms.id)
               FROM rooms WHERE name > ?1 ORDER BY name LIMIT ?2";
    let mut rooms = connection.prepare_cached(sql)?;
    let rooms = rooms.query_map(params![after, limit], |row| {
        Ok((RoomName::parse(&row.get::<_, String>(0)?), row.get(1)?))
    })?;
    let rooms: Vec<_> = rooms.collect::<rusqlite::Result<_>>()?;
    Ok(rooms.into_iter().filter_map(|(name, last)| Some((name?, last))).collect())
}

/// Finds the newest message of all rooms; 0 if there is none.
///
/// # Errors
/// The database failed.
pub fn last_id(connection: &Connection) -> rusqlite::Result<MessageId> {
    let sql = "SELECT coalesce(max((SELECT max(id) FROM messages WHERE room = rooms.id)), 0)
               FROM rooms";
    connection.query_one(sql, [], first)
}

/// Makes a message of a row: id, user, author, name, media type, payload, session, `ref`, kind.
fn message_from(room: &RoomName, row: &Row) -> rusqlite::Result<Message> {
    let is_act = row.get::<_, Option<i64>>(8)? == Some(sqlite_acts::ACT);
    let content = match row.get_ref(5)? {
        ValueRef::Text(json) if is_act => sqlite_acts::content(json)?,
        // Another program may have changed the file, but the rest of wsroom relies on UTF-8.
        ValueRef::Text(text) => Content::Text(String::from_utf8_lossy(text).into_owned().into()),
        other => Content::Binary {
            name: row.get(3)?,
            media_type: row.get(4)?,
            bytes: Bytes::copy_from_slice(other.as_blob()?),
        },
    };
    let author = Author { user: row.get(1)?, name: row.get(2)? };
    let session: Option<[u8; 16]> = row.get(6)?;
    let origin = session
        .zip(row.get(7)?)
        .map(|(session, reference)| Box::new(Origin { session: SessionId(session), reference }));
    Ok(Message { id: row.get(0)?, room: room.clone(), author, content, origin })
}

/// Bytes of a message, as [`SIZE`] counts them.
fn size(message: &Message) -> i64 {
    message.size() as i64 + MESSAGE_OVERHEAD
}

fn mark(row: &Row) -> rusqlite::Result<Mark> {
    Ok(Mark { number: row.get(0)?, total: row.get(1)? })
}

fn first<T: rusqlite::types::FromSql>(row: &Row) -> rusqlite::Result<T> {
    row.get(0)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
