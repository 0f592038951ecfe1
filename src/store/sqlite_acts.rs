//! Acts in SQLite: what they remove, and what they change in the rules of rooms.
//!
//! All of it runs inside the transaction that keeps the act. Not here: the act as a message of its room
//! (`sqlite_log`), and what the rules mean (`identity`). The broadcaster writes; the rules are read
//! once, at the start.

use std::collections::HashMap;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, Result, params};

use crate::protocol::act::{Act, Deed};
use crate::protocol::address::RoomName;
use crate::protocol::message::{Content, Message};
use crate::protocol::rules::Change;
use crate::store::Fields;

/// The `kind` of an act in the table of messages.
pub const ACT: i64 = 1;

/// Changes the rules of a room, if the message is an act that does.
///
/// # Errors
/// The database failed. The caller rolls back.
pub fn change_rules(connection: &Connection, message: &Message) -> Result<()> {
    let Content::Act(act) = &message.content else { return Ok(()) };
    let room = message.room.as_str();
    for Change { field, value } in &act.changes {
        match value {
            Some(value) => connection
                .prepare_cached("INSERT OR REPLACE INTO room_rules VALUES (?1, ?2, ?3)")?
                .execute(params![room, field, value])?,
            None => connection
                .prepare_cached("DELETE FROM room_rules WHERE room = ?1 AND field = ?2")?
                .execute(params![room, field])?,
        };
    }
    Ok(())
}

/// Removes messages of the room that has this row, if the message is an act that does. A place in the
/// room's order stays, because its totals are computed from such places, and the origin stays, so that
/// the message is not kept again if it is sent again.
///
/// # Errors
/// The database failed. The caller rolls back.
pub fn remove(connection: &Connection, room: i64, message: &Message) -> Result<()> {
    let Content::Act(act) = &message.content else { return Ok(()) };
    let (which, id) = match &act.deed {
        Deed::Remove { message } => ("id = ?2 AND kind IS NULL", *message),
        Deed::Clear => ("id < ?2 AND kind IS NOT 2", message.id),
        _ => return Ok(()),
    };
    let sql = format!(
        "UPDATE messages
         SET kind = 2, user = NULL, author = '', name = '', media_type = '', payload = ''
         WHERE room = ?1 AND {which}"
    );
    connection.prepare_cached(&sql)?.execute(params![room, id]).map(drop)
}

/// Reads an act from its payload.
///
/// # Errors
/// It is not one: another program has changed the file.
pub fn content(json: &[u8]) -> Result<Content> {
    let act = Act::from_json(json).ok_or_else(|| {
        Error::FromSqlConversionFailure(5, Type::Text, "an act that cannot be read".into())
    })?;
    Ok(Content::Act(Box::new(act)))
}

/// Reads the rules of all rooms.
///
/// # Errors
/// The database failed.
pub fn rules(connection: &Connection) -> Result<Vec<(RoomName, Fields)>> {
    let mut all = connection.prepare_cached("SELECT room, field, value FROM room_rules")?;
    let mut rows = all.query([])?;
    let mut rules: HashMap<_, Fields> = HashMap::new();
    while let Some(row) = rows.next()? {
        if let Some(room) = RoomName::parse(&row.get::<_, String>(0)?) {
            rules.entry(room).or_default().push((row.get(1)?, row.get(2)?));
        }
    }
    Ok(rules.into_iter().collect())
}
