//! Retention: a database deletes a room's oldest messages, and the rooms that were silent for the
//! longest.
//!
//! All of it runs inside the broadcaster's transaction, so each turn deletes only a little: at most
//! a [`Budget`]. The budget is more than the turn has added, so in the end the history is back
//! within its bounds. Not here: appending and reading (`sqlite_log`), and a history in memory
//! (`memory`).

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::protocol::message::{MessageId, now};
use crate::store::Bounds;

/// 1/16 of the limit ([`Bounds::bytes`]). When less than this is free, rooms are deleted until twice
/// this is free. The size is checked each time a quarter of this was written.
const FREE_SHARE: usize = 16;

/// The most rooms in a database.
const MAX_ROOMS: usize = 100_000;

/// The most rooms that are checked in one turn.
const CHECKS: usize = 64;

/// The time between two searches for rooms that were silent for too long.
const SILENCE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The messages and bytes that may still be deleted in one turn.
pub struct Budget {
    messages: usize,
    bytes: i64,
}

impl Budget {
    /// The budget of a turn that has added so many messages and bytes: twice that, and a little more.
    pub fn for_turn(messages: usize, bytes: i64) -> Self {
        Self { messages: 256 + 2 * messages, bytes: (4 << 20) + 2 * bytes }
    }

    fn is_left(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }
}

/// A place in a room's history, with running totals. The difference of two marks is what the room
/// holds between them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    /// Messages up to here, counted since the room was made.
    pub number: i64,
    /// Bytes of these messages.
    pub total: i64,
}

/// The bytes of a message, in SQL: its content, names and origin, and 64 for its overhead.
pub const SIZE: &str = "(octet_length(payload) + octet_length(author) + octet_length(name)
                         + octet_length(media_type) + 64
                         + coalesce(octet_length(session) + octet_length(ref), 0))";

/// Deletes a room's oldest messages while the room holds `too_much` behind a mark. Returns the mark of
/// the last message that was deleted, if one was.
///
/// # Errors
/// The database failed. The caller rolls back.
pub fn delete_oldest(
    connection: &Connection,
    room: i64,
    budget: &mut Budget,
    too_much: impl Fn(Mark) -> bool,
) -> rusqlite::Result<Option<Mark>> {
    let sql = format!("SELECT id, number, total, {SIZE} FROM messages WHERE room = ?1 ORDER BY id");
    let mut oldest_first = connection.prepare_cached(&sql)?;
    let mut rows = oldest_first.query([room])?;
    let mut last: Option<(MessageId, Mark)> = None;
    while let Some(row) = rows.next()? {
        let (mark, size) =
            (Mark { number: row.get(1)?, total: row.get(2)? }, row.get::<_, i64>(3)?);
        let before = Mark { number: mark.number - 1, total: mark.total - size };
        if !too_much(before) || !budget.is_left() {
            break;
        }
        budget.messages -= 1;
        budget.bytes -= size;
        last = Some((row.get(0)?, mark));
    }
    drop(rows);
    let Some((gone, mark)) = last else { return Ok(None) };
    connection
        .prepare_cached("DELETE FROM messages WHERE room = ?1 AND id <= ?2")?
        .execute([room, gone])?;
    connection
        .prepare_cached("UPDATE rooms SET gone = max(gone, ?2) WHERE id = ?1")?
        .execute([room, gone])?;
    Ok(Some(mark))
}

/// Decides which rooms are forgotten, and when.
pub struct Retention {
    bounds: Bounds,
    /// The time of the last search for rooms that were silent for too long.
    searched: Option<Instant>,
    /// Bytes written since the size of the database was last checked.
    written: i64,
    /// The database is too large, and rooms are deleted until enough is free.
    is_full: bool,
}

impl Retention {
    /// A retention that has not checked anything yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, searched: None, written: 0, is_full: false }
    }

    /// Forgets rooms that were silent for too long, and while the database is too large, the rooms
    /// that were silent for the longest. `rooms` is the number of rooms, and `written` the bytes that
    /// this turn has added. `changed` is called with the name of each room that loses messages.
    /// Returns the number of rooms that were forgotten.
    ///
    /// # Errors
    /// The database failed. The caller rolls back.
    pub fn forget_rooms(
        &mut self,
        connection: &Connection,
        rooms: usize,
        written: i64,
        budget: &mut Budget,
        mut changed: impl FnMut(&str),
    ) -> rusqlite::Result<usize> {
        self.written += written;
        let (mut forgotten, search_is_due) = (0, self.is_search_due());
        for _ in 0..CHECKS {
            let is_full = rooms - forgotten > MAX_ROOMS || self.is_full(connection)?;
            if !(is_full || search_is_due) || !budget.is_left() {
                break;
            }
            let Some(room) = Silent::first(connection)? else { break };
            if !is_full && room.last >= self.long_ago() {
                break;
            }
            if room.has_spoken_since(connection)? {
                continue;
            }
            changed(&room.name);
            delete_oldest(connection, room.row, budget, |_| true)?;
            forgotten += usize::from(room.forget_if_empty(connection)?);
        }
        Ok(forgotten)
    }

    fn is_search_due(&mut self) -> bool {
        let due = self.searched.is_none_or(|searched| searched.elapsed() > SILENCE_CHECK_INTERVAL);
        if due {
            self.searched = Some(Instant::now());
        }
        due && self.bounds.idle.is_some()
    }

    /// Rooms with no message after this are forgotten.
    fn long_ago(&self) -> MessageId {
        let idle = self.bounds.idle.map_or(i64::MAX, |idle| {
            MessageId::try_from(idle.as_micros()).unwrap_or(MessageId::MAX)
        });
        now().saturating_sub(idle)
    }

    fn is_full(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let bytes = i64::try_from(self.bounds.bytes).unwrap_or(i64::MAX);
        let share = bytes / FREE_SHARE as i64;
        if self.is_full || self.written > share / 4 {
            self.written = 0;
            let free = if self.is_full { 2 * share } else { share };
            self.is_full = size(connection)? > bytes - free;
        }
        Ok(self.is_full)
    }
}

/// The room that was silent for the longest, according to its `last`.
struct Silent {
    row: i64,
    name: String,
    /// The newest message of the room, or an older one: see [`Silent::has_spoken_since`].
    last: MessageId,
}

impl Silent {
    fn first(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT id, name, last FROM rooms ORDER BY last LIMIT 1";
        let mut first = connection.prepare_cached(sql)?;
        let mut rows = first.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(Self { row: row.get(0)?, name: row.get(1)?, last: row.get(2)? }))
    }

    /// Brings `last` up to date; `true` if the room has a newer message. This is done only here: for
    /// each message it would be one more page to write.
    fn has_spoken_since(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let sql = "UPDATE rooms SET last = newest.id
                   FROM (SELECT max(id) AS id FROM messages WHERE room = ?1) AS newest
                   WHERE rooms.id = ?1 AND newest.id > last";
        Ok(connection.prepare_cached(sql)?.execute([self.row])? > 0)
    }

    /// Forgets the room itself if it has no messages left; `true` if so.
    fn forget_if_empty(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM rooms WHERE id = ?1
                   AND NOT EXISTS (SELECT 1 FROM messages WHERE room = ?1)";
        Ok(connection.prepare_cached(sql)?.execute([self.row])? > 0)
    }
}

/// The size of the database, in bytes, without its free pages.
fn size(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    connection.prepare_cached(sql)?.query_one([], |row| row.get(0))
}
