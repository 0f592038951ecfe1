//! The entries of the log, and what nodes are told of them. Pure functions, on the `redis-read-N`
//! threads. Not here: who appends them (`lua`).
//!
//! | field | in | meaning |
//! | --- | --- | --- |
//! | `v` | all | the version, 1; entries of another version are skipped |
//! | `k` | all | the kind; unknown ones are skipped |
//! | `p` | all | the id of the entry before this one: if the reader does not have it, there is a gap |
//! | `n` | message, left | the node that has appended it |
//! | `o` | message | the number that this node gave it |
//! | `r` | message, left, typing | the room |
//! | `m` | message, left, typing, user-removed | the member (a message may have none) or the user |
//! | `h` | message | the header, as JSON: author and origin |
//! | `t`, `b`, `a` | message | the payload: a text, bytes, or an act as JSON |
//! | `j` | joined, renamed, user-renamed | the member or the user, as JSON |
//!
//! The kinds `probe` and `began` have no more fields.

use std::collections::HashMap;
use std::sync::Arc;

use super::records;
use crate::protocol::address::RoomName;
use crate::protocol::message::MessageId;
use crate::store::shared::{Node, Told};

/// An entry of the log.
pub struct LogEntry {
    /// Its id.
    pub id: MessageId,
    /// The id of the entry before it.
    pub previous: MessageId,
    /// The node that has appended it, and the number that this node gave it; for messages only.
    pub from: Option<(Node, u64)>,
    /// What it says.
    pub says: Says,
}

/// What an entry says.
pub enum Says {
    /// Something for the rest of the program.
    Told(Told),
    /// The log was begun anew.
    Began,
    /// Nothing, or something that a later version understands.
    Nothing,
}

/// The fields of an entry. Each payload is in memory once: it is taken out of here.
struct Fields(HashMap<Vec<u8>, Vec<u8>>);

impl Fields {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name.as_bytes()).map(Vec::as_slice)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    fn room(&self) -> Option<RoomName> {
        RoomName::parse(self.text("r")?)
    }
}

/// Reads an entry as Redis gives it: its id, then names and values of its fields. `node` is this node.
pub fn read(id: &str, fields: Vec<Vec<u8>>, node: Node) -> LogEntry {
    let mut names_and_values = fields.into_iter();
    let mut map = HashMap::new();
    while let (Some(name), Some(value)) = (names_and_values.next(), names_and_values.next()) {
        map.insert(name, value);
    }
    let id = message_id(id);
    let mut fields = Fields(map);
    let previous = fields.number("p").unwrap_or(id);
    let from = fields.number("n").zip(fields.number("o"));
    LogEntry { id, previous, from, says: says(id, &mut fields, node).unwrap_or(Says::Nothing) }
}

/// The id of a stream's entry, `ID-0`.
pub fn message_id(id: &str) -> MessageId {
    id.split('-').next().and_then(|id| id.parse().ok()).unwrap_or_default()
}

fn says(id: MessageId, fields: &mut Fields, node: Node) -> Option<Says> {
    if fields.text("v") != Some("1") {
        return None;
    }
    let kind = fields.text("k")?.to_owned();
    let json = fields.get("j").unwrap_or_default();
    Some(Says::Told(match kind.as_str() {
        "message" => message(id, fields, node)?,
        "joined" => Told::Joined(records::present(json)?),
        "renamed" => Told::Renamed(records::present(json)?),
        "left" => Told::Left {
            room: fields.room()?,
            member: fields.number("m")?,
            node: fields.number("n")?,
        },
        "typing" => Told::Typing { room: fields.room()?, member: fields.number("m")? },
        "user-renamed" => Told::UserRenamed(records::user(None, json)?),
        "user-removed" => Told::UserRemoved(fields.number("m")?),
        "began" => return Some(Says::Began),
        _ => return None,
    }))
}

fn message(id: MessageId, fields: &mut Fields, node: Node) -> Option<Told> {
    let field = ["t", "b", "a"].into_iter().find(|field| fields.get(field).is_some())?;
    let payload = fields.0.remove(field.as_bytes())?;
    let message = records::message(id, fields.room()?, fields.get("h")?, field, payload)?;
    let is_own = fields.number::<Node>("n") == Some(node);
    Some(Told::Message {
        message: Arc::new(message),
        member: fields.number("m"),
        own: fields.number("o").filter(|_| is_own),
    })
}
