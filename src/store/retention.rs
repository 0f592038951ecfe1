//! What a database lets go of: a room's oldest messages, and the rooms that were silent for the
//! longest.
//!
//! All of it runs inside the broadcaster's transaction, so it is done a little at a time: at most
//! a [`Budget`] for each turn, which is more than the turn has added, so that in the end nothing
//! stands that should not. Not here: what is kept (`sqlite_log`), and a history in memory
//! (`memory`).

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::protocol::message::{MessageId, now};
use crate::store::Bounds;

/// The share of all bytes that must always be free, and the share below which letting go ends.
const SHARE: usize = 16;

/// Rooms that there may be, with somebody in them or not.
const ROOMS: usize = 100_000;

/// Rooms that are looked at in one turn.
const LOOKS: usize = 64;

/// How often it is looked whether a room has been silent for too long.
const PAUSE: Duration = Duration::from_secs(1);

/// How much may be let go in one turn.
pub struct Budget {
    messages: usize,
    bytes: i64,
}

impl Budget {
    /// For a turn that has added `messages` with so many `bytes`: twice that, and a little more.
    pub fn for_turn(messages: usize, bytes: i64) -> Self {
        Self { messages: 256 + 2 * messages, bytes: (4 << 20) + 2 * bytes }
    }

    fn is_left(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }
}

/// A place in a room's history.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    /// Messages of the room up to here, counted since it was made.
    pub number: i64,
    /// Bytes of all of these.
    pub total: i64,
}

/// Bytes of a message, with what it takes itself.
pub const SIZE: &str = "(octet_length(payload) + octet_length(author) + octet_length(name)
                         + octet_length(media_type) + 64)";

/// Lets go of a room's oldest messages as long as it holds `too_much` behind a mark. Answers with
/// the mark of the last one that went, if one did.
pub fn let_go(
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

/// When rooms are forgotten.
pub struct Retention {
    bounds: Bounds,
    /// When it was last looked for rooms that have been silent for too long.
    looked: Option<Instant>,
    /// Bytes written since it was looked how many the database takes.
    written: i64,
    /// The database takes too many, and rooms go until there is room again.
    is_full: bool,
}

impl Retention {
    /// Nothing was looked at yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, looked: None, written: 0, is_full: false }
    }

    /// Forgets rooms: those in which nothing was said for too long, and while there is too much,
    /// those in which nothing was said for the longest. `rooms` is how many there are; `forget` is
    /// told the name of each that has changed. Answers with how many are forgotten.
    pub fn forget_rooms(
        &mut self,
        connection: &Connection,
        rooms: usize,
        written: i64,
        budget: &mut Budget,
        mut forget: impl FnMut(&str),
    ) -> rusqlite::Result<usize> {
        self.written += written;
        let (mut forgotten, looks_for_silence) = (0, self.is_due());
        for _ in 0..LOOKS {
            let is_full = rooms - forgotten > ROOMS || self.is_full(connection)?;
            if !(is_full || looks_for_silence) || !budget.is_left() {
                break;
            }
            let Some(room) = Silent::first(connection)? else { break };
            if !is_full && room.last >= self.long_ago() {
                break;
            }
            if room.has_spoken_since(connection)? {
                continue;
            }
            forget(&room.name);
            let_go(connection, room.row, budget, |_| true)?;
            forgotten += usize::from(room.is_gone(connection)?);
        }
        Ok(forgotten)
    }

    fn is_due(&mut self) -> bool {
        let due = self.looked.is_none_or(|looked| looked.elapsed() > PAUSE);
        if due {
            self.looked = Some(Instant::now());
        }
        due && self.bounds.idle.is_some()
    }

    fn long_ago(&self) -> MessageId {
        let idle = self.bounds.idle.map_or(i64::MAX, |idle| {
            MessageId::try_from(idle.as_micros()).unwrap_or(MessageId::MAX)
        });
        now().saturating_sub(idle)
    }

    fn is_full(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let bytes = i64::try_from(self.bounds.bytes).unwrap_or(i64::MAX);
        let share = bytes / SHARE as i64;
        if self.is_full || self.written > share / 4 {
            self.written = 0;
            let free = if self.is_full { 2 * share } else { share };
            self.is_full = taken(connection)? > bytes - free;
        }
        Ok(self.is_full)
    }
}

/// The room that seems to have been silent for the longest.
struct Silent {
    row: i64,
    name: String,
    /// Something was said at this time, or later.
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

    /// `last` is brought up to date only here: at each message that would be one more page to write.
    fn has_spoken_since(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let sql = "UPDATE rooms SET last = newest.id
                   FROM (SELECT max(id) AS id FROM messages WHERE room = ?1) AS newest
                   WHERE rooms.id = ?1 AND newest.id > last";
        Ok(connection.prepare_cached(sql)?.execute([self.row])? > 0)
    }

    /// Forgets the room itself if nothing is left in it.
    fn is_gone(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM rooms WHERE id = ?1
                   AND NOT EXISTS (SELECT 1 FROM messages WHERE room = ?1)";
        Ok(connection.prepare_cached(sql)?.execute([self.row])? > 0)
    }
}

/// Bytes that the database takes.
fn taken(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    connection.prepare_cached(sql)?.query_one([], |row| row.get(0))
}
