//! A data file made of the records of another one.
//!
//! What is computed from the records is computed anew. Not here: the records (`dump`), and what a program
//! means by them. On the main thread of the command.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::protocol::message::{MessageId, UserId};
use crate::protocol::rules::unhex;
use crate::store::dump::{Content, FORMAT, REMOVED, Record, Said, Secrets};
use crate::store::schema::{self, Fold};
use crate::store::sqlite_acts::ACT;
use crate::store::{KeyHash, retention};

/// Fills the new data file `file` with records. All of them are kept, or none.
///
/// # Errors
/// A sentence: the file has something already, or cannot be used; or the records are not those that
/// [`export`](crate::store::dump::export) has made.
pub fn import(
    file: &Path,
    fold: Fold,
    records: &mut dyn Iterator<Item = Result<Record, String>>,
) -> Result<(), String> {
    let named = |error: &dyn std::fmt::Display| format!("--data {}: {error}", file.display());
    // The lock is held until the end.
    let mut database = schema::open(Some(file), 0, fold)?;
    let change = database.writer.transaction().map_err(|error| named(&error))?;
    let sql = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM rooms)
                   + (SELECT count(*) FROM room_rules)";
    let count: i64 = change.query_one(sql, [], |row| row.get(0)).map_err(|error| named(&error))?;
    if count > 0 {
        return Err(named(&"something is in it; name a new file"));
    }
    let mut keeper = Keeper { change: &change, fold, room: None };
    let first = records.next().transpose()?;
    keeper.begin(first.as_ref())?;
    for (number, record) in records.enumerate() {
        // The first line was `wsroom`.
        keeper.keep(&record?).map_err(|why| format!("line {}: {why}", number + 2))?;
    }
    keeper.finish().map_err(|error| named(&error))?;
    change.commit().map_err(|error| named(&error))
}

/// What the records become.
struct Keeper<'a> {
    change: &'a Connection,
    fold: Fold,
    /// The room of the last message.
    room: Option<Place>,
}

/// Behind the last message of a room.
struct Place {
    name: String,
    row: i64,
    id: MessageId,
    number: i64,
    total: i64,
}

impl Keeper<'_> {
    /// The first record says what the others are.
    fn begin(&self, first: Option<&Record>) -> Result<(), String> {
        match first {
            Some(Record::Wsroom { format: FORMAT, secrets: Secrets::Shown, last_user }) => {
                let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('users', ?1)";
                self.change.execute(sql, [last_user]).map(drop).map_err(|error| error.to_string())
            }
            Some(Record::Wsroom { format: FORMAT, .. }) => {
                Err("these records have no keys in them: make them with --for-import".to_owned())
            }
            Some(Record::Wsroom { format, .. }) => Err(format!(
                "the records have format {format}, and this program knows {FORMAT}: use another wsroom"
            )),
            _ => Err("the first line is not what wsroom export has written".to_owned()),
        }
    }

    fn keep(&mut self, record: &Record) -> Result<(), String> {
        let failed = |error: rusqlite::Error| error.to_string();
        match record {
            Record::Wsroom { .. } => Err("these are the records of another file".to_owned()),
            Record::User { id, name, created_at, key } => {
                let key: KeyHash = key.as_deref().and_then(unhex).ok_or("the key is no hash")?;
                self.keep_user(*id, name, *created_at, key).map_err(failed)
            }
            Record::Room { name, gone, born } => {
                let sql = "INSERT INTO rooms (name, gone, born, last) VALUES (?1, ?2, ?3, ?3)";
                self.change.execute(sql, params![name, gone, born]).map(drop).map_err(failed)
            }
            Record::Message(said) => self.keep_message(said),
            Record::Rule { room, field, value } => {
                let sql = "INSERT INTO room_rules VALUES (?1, ?2, ?3)";
                self.change.execute(sql, [room, field, value]).map(drop).map_err(failed)
            }
        }
    }

    /// Two names may count as one by today's rule, though not by that of their time: then the older
    /// user has the compared form, as in [`schema`].
    fn keep_user(
        &self,
        id: UserId,
        name: &str,
        created_at: i64,
        key: KeyHash,
    ) -> rusqlite::Result<()> {
        let sql = "INSERT INTO users (id, name, folded, created_at, key)
                   SELECT ?1, ?2, iif(EXISTS (SELECT 1 FROM users WHERE folded = ?3),
                                      char(0) || ?1, ?3), ?4, ?5";
        let mut insert = self.change.prepare_cached(sql)?;
        insert.execute(params![id, name, (self.fold)(name), created_at, key]).map(drop)
    }

    fn keep_message(&mut self, said: &Said) -> Result<(), String> {
        let failed = |error: rusqlite::Error| error.to_string();
        if self.room.as_ref().is_none_or(|place| place.name != said.room) {
            self.room = Some(self.find(&said.room)?);
        }
        let place = self.room.as_mut().expect("it was found just now");
        if said.id <= place.id {
            return Err("the messages of a room come in order of their ids".to_owned());
        }
        let (kind, name, media_type, payload) = columns(&said.content)?;
        let session = said.session.as_deref().map(|digits| unhex::<16>(digits).ok_or("no session"));
        let session = session.transpose()?;
        (place.id, place.number) = (said.id, place.number + 1);
        let sql = "INSERT INTO messages (room, id, number, total, user, author, name, media_type, payload,
                                         session, ref, kind)
                   VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let mut insert = self.change.prepare_cached(sql).map_err(failed)?;
        let Said { id, user, author, reference, .. } = said;
        let Place { row, number, .. } = *place;
        insert
            .execute(params![
                row, id, number, user, author, name, media_type, payload, session, reference, kind
            ])
            .map_err(failed)?;
        place.total = self
            .change
            .query_one(&total(), params![row, id, place.total], |row| row.get(0))
            .map_err(failed)?;
        Ok(())
    }

    /// The end of a room's messages so far.
    fn find(&self, room: &str) -> Result<Place, String> {
        let sql = "SELECT r.id, coalesce(m.id, 0), coalesce(m.number, 0), coalesce(m.total, 0)
                   FROM rooms r LEFT JOIN messages m ON m.room = r.id WHERE r.name = ?1
                   ORDER BY m.id DESC LIMIT 1";
        let read = |row: &Row| {
            let (id, number, total) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Place { name: room.to_owned(), row: row.get(0)?, id, number, total })
        };
        let place = self.change.query_one(sql, [room], read).optional();
        let place = place.map_err(|error| error.to_string())?;
        place.ok_or_else(|| format!("the room {room} comes before its messages"))
    }

    /// What is computed from all of it.
    fn finish(&self) -> rusqlite::Result<()> {
        let sql = "UPDATE rooms SET last =
                       coalesce((SELECT max(id) FROM messages WHERE room = rooms.id), born)";
        self.change.execute(sql, []).map(drop)
    }
}

/// Sets the total of the message ?2 in the room ?1, behind a total of ?3, and returns it.
fn total() -> String {
    let size = retention::SIZE;
    format!("UPDATE messages SET total = ?3 + {size} WHERE room = ?1 AND id = ?2 RETURNING total")
}

/// The columns `kind`, `name`, `media_type` and `payload`.
fn columns(content: &Content) -> Result<(Option<i64>, &str, &str, Value), String> {
    Ok(match content {
        Content::Text { text } => (None, "", "", Value::Text(text.clone())),
        Content::Binary { name, media_type, base64 } => {
            let bytes = STANDARD.decode(base64).map_err(|error| format!("base64: {error}"))?;
            (None, name, media_type, Value::Blob(bytes))
        }
        Content::Act { act } => (Some(ACT), "", "", Value::Text(act.to_string())),
        Content::Removed { .. } => (Some(REMOVED), "", "", Value::Text(String::new())),
    })
}
