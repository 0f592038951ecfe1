//! The words in which a room's rules are told and kept: modes, marks, and changes of fields.
//!
//! Not here: what the rules mean (`identity`), and where they are kept (`store`). Values and pure
//! functions, on any thread.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::message::{MessageId, SessionId, UserId};

/// Who may speak in a room, and who may enter it. Leaders always may.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Everyone may enter and speak.
    #[default]
    Open,
    /// Everyone may enter; leaders alone speak.
    ReadOnly,
    /// Nobody new may enter.
    Closed,
}

/// Whom a mute or a put-out means. A person has several marks: a user and sessions, or an address.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mark {
    /// This user, `u:7`.
    User(UserId),
    /// The client with this session, `s:` and its hash.
    Session(SessionId),
    /// Everyone at this address, `a:` and its hash. The address itself is kept nowhere.
    Address([u8; 16]),
}

/// A change of one field of a room's rules.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The name of the field, such as `topic` or `leader:7`.
    pub field: String,
    /// Its new value; `None`: the field is deleted.
    pub value: Option<String>,
}

/// The settings of a room that a leader asks for; those that are `None` stay as they are.
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the room is about; empty for nothing.
    pub topic: Option<String>,
    /// Who knows it may enter; empty for no key.
    pub key: Option<String>,
    /// Who may speak, and who may enter.
    pub mode: Option<Mode>,
    /// Whether what is said is kept.
    pub history: Option<bool>,
}

/// The rules of a room as everyone in it is told them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RulesInfo {
    /// What the room is about.
    pub topic: String,
    /// Who may speak, and who may enter.
    pub mode: Mode,
    /// Whether one needs a key to enter.
    pub has_key: bool,
    /// Whether what is said is kept.
    pub history: bool,
    /// The message that is shown above all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<MessageId>,
    /// The users who lead the room, in order of their numbers.
    pub leaders: Vec<LeaderInfo>,
}

/// A user who leads a room.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LeaderInfo {
    /// The user's number.
    pub user: UserId,
    /// The user's name when they were made a leader.
    pub name: String,
}

/// The key is a secret: nobody can log it by mistake.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, key: _, mode, history } = self;
        write!(f, "Settings {{ topic: {topic:?}, mode: {mode:?}, history: {history:?} }}")
    }
}

impl Mode {
    /// The mode in JSON, in a form and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ReadOnly => "read-only",
            Self::Closed => "closed",
        }
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = [Self::Open, Self::ReadOnly, Self::Closed].into_iter();
        all.find(|mode| mode.as_str() == text).ok_or("mode is open, read-only or closed.")
    }
}

impl Change {
    /// Sets a field.
    pub fn set(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self { field: field.into(), value: Some(value.into()) }
    }

    /// Deletes a field.
    pub fn delete(field: impl Into<String>) -> Self {
        Self { field: field.into(), value: None }
    }
}

/// The form in which a mark is kept.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "u:{user}"),
            Self::Session(session) => write!(f, "s:{}", hex(&session.0)),
            Self::Address(hash) => write!(f, "a:{}", hex(hash)),
        }
    }
}

impl FromStr for Mark {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mark = text.split_once(':').and_then(|(kind, rest)| match kind {
            "u" => rest.parse().ok().map(Self::User),
            "s" => unhex(rest).map(SessionId).map(Self::Session),
            "a" => unhex(rest).map(Self::Address),
            _ => None,
        });
        mark.ok_or("a mark is u:USER, s:HEX or a:HEX")
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// The bytes that [`hex`] has written; `None` if they are no hexadecimal digits, or not as many.
pub fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for mark in [Mark::User(7), Mark::Session(SessionId([0xa5; 16])), Mark::Address([0; 16])] {
            assert_eq!(mark.to_string().parse(), Ok(mark));
        }
        for bad in ["", "u:", "u:x", "s:00", "x:7", "7", &format!("a:{}", "zz".repeat(16))] {
            assert!(bad.parse::<Mark>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn a_mode_has_one_spelling() {
        for mode in [Mode::Open, Mode::ReadOnly, Mode::Closed] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        assert!("Open".parse::<Mode>().is_err());
    }
}
