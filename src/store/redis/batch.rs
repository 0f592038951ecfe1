//! A batch: entries that one script appends, all or none. Used by the `redis-append-N` threads. Not
//! here: when batches are made and sent (`append`).

use std::collections::VecDeque;
use std::time::Instant;

use redis::Cmd;

use super::records::{Packed, present_to_json};
use crate::protocol::act::{Act, Deed};
use crate::protocol::message::{Content, Draft, Stay};
use crate::protocol::rules::Change;
use crate::store::shared::{Entry, Told};

/// The most entries of a batch. Redis is busy with it for about a millisecond.
const MAX_ENTRIES: usize = 64;

/// The most bytes of a batch, but always one entry.
const MAX_BYTES: usize = 1 << 20;

/// An entry that waits to be appended.
pub struct Waiting {
    /// The number that the node gave it.
    pub own: u64,
    /// The entry.
    pub entry: Entry,
    /// When it was handed over.
    pub since: Instant,
    /// Bytes, as they count against the bound of all that waits.
    pub bytes: usize,
}

/// A batch on its way.
pub struct Batch {
    /// Its number: one more for each batch of this node and shard.
    pub number: u64,
    /// Its entries, in order. A batch that is sent again has the same ones.
    pub entries: Vec<Waiting>,
    /// It was sent, and the answer was lost: Redis may have appended it.
    pub is_in_doubt: bool,
}

impl Waiting {
    /// Whether it is a message. The others are news of members.
    pub fn is_message(&self) -> bool {
        matches!(self.entry, Entry::Message(..))
    }

    /// Adds what the script takes for this entry. A message that arrives after `deadline` (in Redis's
    /// own time, in microseconds) is not kept.
    fn add_to(&self, command: &mut Cmd, deadline: i64) {
        match &self.entry {
            Entry::Message(draft, member) => {
                let packed = Packed::new(draft);
                let act = act_in(draft);
                let kind = match draft.stay {
                    _ if act.is_some() => "act",
                    Stay::Kept => "message",
                    Stay::Passing => "passing",
                };
                command.arg(kind).arg(self.own).arg(deadline).arg(draft.room.as_str());
                command.arg(member.map_or_else(String::new, |member| member.to_string()));
                command.arg(packed.size).arg(packed.origin).arg(packed.as_guest);
                command.arg(packed.header).arg(packed.field).arg(&*packed.payload);
                if let Some(act) = act {
                    add_act_to(command, act);
                }
            }
            Entry::Joined(present) => {
                command.arg("joined").arg(present.member).arg(present_to_json(present));
            }
            Entry::Renamed(present) => {
                command.arg("renamed").arg(present.member).arg(present_to_json(present));
            }
            Entry::Left { room, member } => {
                command.arg("left").arg(member).arg(room.as_str());
            }
            Entry::Typing { room, member } => {
                command.arg("typing").arg(member).arg(room.as_str());
            }
        }
    }
}

impl Batch {
    /// Takes what fits from the front of what waits.
    pub fn take(number: u64, waiting: &mut VecDeque<Waiting>) -> Self {
        let mut bytes = 0;
        let fits = |entry: &&Waiting| {
            bytes += entry.bytes;
            bytes <= MAX_BYTES
        };
        let count = waiting.iter().take(MAX_ENTRIES).take_while(fits).count();
        let count = count.max(1).min(waiting.len());
        Self { number, entries: waiting.drain(..count).collect(), is_in_doubt: false }
    }

    /// Adds what the script takes; `deadline` is asked for each entry.
    pub fn add_to(&self, command: &mut Cmd, deadline: impl Fn(&Waiting) -> i64) {
        for entry in &self.entries {
            entry.add_to(command, deadline(entry));
        }
    }

    /// Reads what the script answers, one word for each entry. What is kept is not told here, because
    /// the log tells it.
    pub fn outcome(&self, answers: &str) -> Vec<Told> {
        let answered = self.entries.iter().zip(answers.split(' '));
        let told = |(entry, answer): (&Waiting, &str)| match answer.split_at_checked(1) {
            Some(("=", id)) => Some(Told::Before { own: entry.own, id: id.parse().ok()? }),
            Some(("-", _)) => Some(too_late(entry.own)),
            _ => None,
        };
        answered.filter_map(told).collect()
    }
}

fn act_in(draft: &Draft) -> Option<&Act> {
    match &draft.content {
        Content::Act(act) => Some(act),
        _ => None,
    }
}

/// Adds what the script does for an act: what is removed, and which fields change.
fn add_act_to(command: &mut Cmd, act: &Act) {
    match &act.deed {
        Deed::Remove { message } => command.arg(message),
        Deed::Clear => command.arg("*"),
        _ => command.arg("-"),
    };
    command.arg(act.changes.len());
    for Change { field, value } in &act.changes {
        let has_value = if value.is_some() { "+" } else { "-" };
        command.arg(field).arg(has_value).arg(value.as_deref().unwrap_or_default());
    }
}

/// Whether the script answers that a message is kept.
pub fn is_kept(answer: &str) -> bool {
    answer.starts_with('+')
}

/// What is told of a message that has waited for too long.
pub fn too_late(own: u64) -> Told {
    Told::NotKept { own, why: "the store of messages did not answer in time".to_owned() }
}
