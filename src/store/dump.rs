//! A data file as records: users, rooms, messages with acts, and rules, one after the other.
//!
//! Everything is there that the file has, but for what is computed from it (the totals of a room, and
//! the form by which names are compared). Secrets are hashes; without [`Secrets::Shown`] they are left
//! out. Not here: a file made of records (`restore`), the lines in which they are written (`commands`), and
//! rooms in Redis. On the main thread of the command.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::message::{MessageId, UserId};
use crate::protocol::rules::hex;
use crate::store::schema;
use crate::store::sqlite_acts::ACT;

/// The version of the records.
pub const FORMAT: u32 = 1;

/// The `kind` of a message that was removed, in the table of messages.
pub const REMOVED: i64 = 2;

/// Whether hashes of keys and sessions, and of addresses, are in the records. Without them nothing can be
/// made of the records but reading.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Secrets {
    /// They are there.
    Shown,
    /// They are not.
    Hidden,
}

/// One record. The first one is `wsroom`; rooms come before their messages.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Record {
    /// What the records are.
    Wsroom {
        /// See [`FORMAT`].
        format: u32,
        /// See [`Secrets`].
        secrets: Secrets,
        /// The largest number that a user ever had: none is given twice.
        last_user: UserId,
    },
    /// Somebody in the directory.
    User {
        /// The user's number.
        id: UserId,
        /// The name that is shown.
        name: String,
        /// In seconds since 1970.
        created_at: i64,
        /// The hash of the key, in hexadecimal digits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A room that has a history.
    Room {
        /// Its name.
        name: String,
        /// The newest message that was let go.
        gone: MessageId,
        /// What was said before this id is not known.
        born: MessageId,
    },
    /// Something that was said or done.
    Message(Said),
    /// A field of a room's rules.
    Rule {
        /// The room's name.
        room: String,
        /// The field's name.
        field: String,
        /// Its value.
        value: String,
    },
}

/// A message, or the place of one that was removed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Said {
    /// The room's name.
    pub room: String,
    /// Its place in the order.
    pub id: MessageId,
    /// Its author's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Its author's name at that time.
    pub author: String,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
    /// The hash of the session that has said it, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The `ref` that the session gave it.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The content of a message.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// Bytes.
    Binary {
        /// The name of a file, or empty.
        name: String,
        /// The media type, or empty.
        media_type: String,
        /// The bytes.
        base64: String,
    },
    /// Something that was done.
    Act {
        /// As it is kept.
        act: Value,
    },
    /// Nothing is left of it but its place.
    Removed {
        /// Always `true`.
        removed: bool,
    },
}

/// Hands all records of a data file to `take`, as they are at one moment. A server may go on writing.
///
/// # Errors
/// A sentence: the file cannot be read, or it is what `take` has answered.
pub fn export(
    file: &Path,
    secrets: Secrets,
    take: &mut dyn FnMut(&Record) -> Result<(), String>,
) -> Result<(), String> {
    let connection = schema::open_to_read(file)?;
    schema::is_newest(&connection).map_err(|why| format!("--data {}: {why}", file.display()))?;
    let mut failed = Ok(());
    let mut hand_over = |record: Record| {
        failed = take(&record);
        failed.is_ok()
    };
    let read = read_all(&connection, secrets, &mut hand_over);
    failed?;
    read.map_err(|error| format!("--data {}: {error}", file.display()))
}

/// Goes through all tables, as long as `take` wants more.
fn read_all(
    connection: &Connection,
    secrets: Secrets,
    take: &mut dyn FnMut(Record) -> bool,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'users'";
    let last_user = connection.query_one(sql, [], |row| row.get(0))?;
    let first = Record::Wsroom { format: FORMAT, secrets, last_user };
    let users = "SELECT id, name, created_at, key FROM users ORDER BY id";
    let rooms = "SELECT name, gone, born FROM rooms ORDER BY name";
    let messages =
        "SELECT r.name, m.id, m.user, m.author, m.name, m.media_type, m.payload, m.kind, m.session, m.ref
         FROM rooms r JOIN messages m ON m.room = r.id ORDER BY r.name, m.id";
    let rules = "SELECT room, field, value FROM room_rules ORDER BY room, field";
    let _all = take(first)
        && each(connection, users, user, secrets, take)?
        && each(connection, rooms, room, secrets, take)?
        && each(connection, messages, message, secrets, take)?
        && each(connection, rules, rule, secrets, take)?;
    Ok(())
}

type Read = fn(&Row, Secrets) -> rusqlite::Result<Option<Record>>;

fn each(
    connection: &Connection,
    sql: &str,
    read: Read,
    secrets: Secrets,
    take: &mut dyn FnMut(Record) -> bool,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if read(row, secrets)?.is_some_and(|record| !take(record)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn user(row: &Row, secrets: Secrets) -> rusqlite::Result<Option<Record>> {
    let key = row.get::<_, Vec<u8>>(3)?;
    let key = (secrets == Secrets::Shown).then(|| hex(&key));
    let (id, name, created_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Some(Record::User { id, name, created_at, key }))
}

fn room(row: &Row, _: Secrets) -> rusqlite::Result<Option<Record>> {
    Ok(Some(Record::Room { name: row.get(0)?, gone: row.get(1)?, born: row.get(2)? }))
}

fn message(row: &Row, secrets: Secrets) -> rusqlite::Result<Option<Record>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let content = match (row.get::<_, Option<i64>>(7)?, row.get_ref(6)?) {
        (Some(REMOVED), _) => Content::Removed { removed: true },
        (Some(ACT), ValueRef::Text(json)) => Content::Act { act: act(json, secrets) },
        (_, ValueRef::Text(bytes)) => Content::Text { text: text(bytes) },
        (_, other) => Content::Binary {
            name: row.get(4)?,
            media_type: row.get(5)?,
            base64: STANDARD.encode(other.as_blob()?),
        },
    };
    let session: Option<Vec<u8>> = row.get(8)?;
    let reference: Option<String> = row.get(9)?;
    let is_shown = secrets == Secrets::Shown;
    Ok(Some(Record::Message(Said {
        room: row.get(0)?,
        id: row.get(1)?,
        user: row.get(2)?,
        author: row.get(3)?,
        content,
        session: session.filter(|_| is_shown).map(|session| hex(&session)),
        reference: reference.filter(|_| is_shown),
    })))
}

/// An act as it is kept. Its changes of the rules have hashes in them.
fn act(json: &[u8], secrets: Secrets) -> Value {
    let mut act: Value = serde_json::from_slice(json).unwrap_or_default();
    if let (Secrets::Hidden, Some(fields)) = (secrets, act.as_object_mut()) {
        fields.remove("changes");
    }
    act
}

/// A field of the rules, unless it has a hash in it: the room's key, and the marks of sessions and
/// addresses.
fn rule(row: &Row, secrets: Secrets) -> rusqlite::Result<Option<Record>> {
    let field: String = row.get(1)?;
    let mark = field.split_once(':').map_or("", |(_, mark)| mark);
    let is_secret = field == "key" || mark.starts_with("s:") || mark.starts_with("a:");
    if is_secret && secrets == Secrets::Hidden {
        return Ok(None);
    }
    Ok(Some(Record::Rule { room: row.get(0)?, field, value: row.get(2)? }))
}
