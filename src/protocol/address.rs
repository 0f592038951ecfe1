//! The address of a WebSocket: a room's name, the echo or the owner, and the options in its query.
//!
//! Not here: who is in a room (`relay`).

use std::borrow::Borrow;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::protocol::message::MessageId;

/// The rates that `slow=` accepts, in bytes a second. A lower rate would never finish a message.
const SLOW: RangeInclusive<u32> = 100..=1_000_000;

/// The valid name of a room: 1–64 of the characters `A–Z a–z 0–9 . _ ~ -`.
///
/// These characters need no escape in any part of an address (RFC 3986 §2.3), so each room has one
/// spelling only. `.` and `..` are refused: browsers resolve them as folders before they connect
/// (§5.2.4).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// The room for a client that names none.
    pub fn lobby() -> Self {
        Self("lobby".into())
    }

    /// Reads a name; `None` if `text` is not a valid one.
    ///
    /// ```
    /// use wsroom::protocol::address::RoomName;
    ///
    /// let physics = RoomName::parse("physics-101").expect("a valid name");
    /// assert_eq!(physics.as_str(), "physics-101");
    /// assert_eq!(RoomName::parse("two words"), None);
    /// assert_eq!(RoomName::parse(".."), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._~-".contains(&c);
        let is_valid = (1..=64).contains(&text.len()) && text.bytes().all(is_allowed);
        let is_valid = is_valid && !matches!(text, "." | "..");
        is_valid.then(|| Self(text.into()))
    }

    /// The name as an address spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A map ordered by room names can be searched from any text, even one that is not a valid name.
impl Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place that a WebSocket address names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Every message comes back to its sender alone.
    Echo,
    /// Every message goes to everyone in the room.
    Room(RoomName),
    /// The owner of the server is sent what is so in it.
    Owner,
}

/// The part of the past that a client first wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Past {
    /// `since=ID`: the messages after this one.
    Since(MessageId),
    /// `last=N`: the newest N messages.
    Newest(usize),
}

/// How a client wants the files of the past.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Files {
    /// With their bytes.
    #[default]
    Whole,
    /// `files=later`: a large one without its bytes. The client fetches them when it needs them.
    Later,
}

impl Files {
    /// Reads the value of `files`.
    ///
    /// # Errors
    /// It is not `later`; the error is a sentence for the client.
    pub fn parse(value: &str) -> Result<Self, &'static str> {
        let later = (value == "later").then_some(Self::Later);
        later.ok_or("files is later: leave it out to get all bytes at once.")
    }
}

/// The options that a client of a room gives in the query of its address.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct JoinOptions {
    /// The part of the past that the client first wants.
    pub past: Option<Past>,
    /// `files=later`: whether it wants the bytes of large files then.
    pub files: Files,
    /// `session=S`: the client's own name for its visits, and its secret. So this type has no
    /// `Debug`: nobody can log it by mistake.
    pub session: Option<String>,
    /// `key=K`: what the client takes for the room's key, a secret too.
    pub key: Option<String>,
    /// `slow=N`: the client is sent at most this many bytes a second, as over a bad network.
    pub slow: Option<u32>,
}

impl JoinOptions {
    /// Reads a query. Unknown options are ignored.
    ///
    /// # Errors
    /// A value is not valid; the error is a sentence for the client.
    pub fn parse(query: &str) -> Result<Self, &'static str> {
        let mut options = Self::default();
        for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
            match name {
                "since" | "last" if options.past.is_some() => {
                    return Err("since and last are two ways to ask for the past: give one.");
                }
                "since" => {
                    let id = value.parse().ok().filter(|&id: &MessageId| id >= 0);
                    let id = id.ok_or("since is the id of a message, or 0.")?;
                    options.past = Some(Past::Since(id));
                }
                "last" => {
                    let count = value.parse().ok().ok_or("last is a number of messages.")?;
                    options.past = Some(Past::Newest(count));
                }
                "session" => {
                    let session = Some(value.to_owned()).filter(|value| is_session(value));
                    let grammar = "session is 16 to 64 of A-Z a-z 0-9 - _ of your own making.";
                    options.session = Some(session.ok_or(grammar)?);
                }
                "files" => options.files = Files::parse(value)?,
                // Not checked: a wrong one does not open the room, whatever its form.
                "key" => options.key = Some(value.to_owned()),
                "slow" => {
                    let pace = value.parse().ok().filter(|pace| SLOW.contains(pace));
                    options.slow = Some(pace.ok_or("slow is 100 to 1000000, in bytes a second.")?);
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

fn is_session(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
    (16..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The address is `/ws/…`, but the rest is not a valid room name.
#[derive(Debug, Eq, PartialEq)]
pub struct BadRoomName;

impl Target {
    /// The target that `path` names; `None` if it is not a WebSocket address.
    ///
    /// # Errors
    /// It is a WebSocket address, but its room name is not valid.
    pub fn of(path: &str) -> Option<Result<Self, BadRoomName>> {
        match path {
            "/echo" => Some(Ok(Self::Echo)),
            "/owner" => Some(Ok(Self::Owner)),
            "/ws" => Some(Ok(Self::Room(RoomName::lobby()))),
            _ => {
                let name = path.strip_prefix("/ws/")?;
                Some(RoomName::parse(name).map(Self::Room).ok_or(BadRoomName))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("the echo"),
            Self::Room(name) => write!(f, "room {name}"),
            Self::Owner => f.write_str("the owner's place"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_name_is_made_of_characters_that_need_no_escape() {
        for good in ["a", "physics", "A.b_c~d-9", &"x".repeat(64)] {
            assert!(RoomName::parse(good).is_some(), "{good:?} was refused");
        }
        for bad in ["", ".", "..", "a b", "a/b", "a%20b", "ä", "a?b", "a\n", &"x".repeat(65)] {
            assert!(RoomName::parse(bad).is_none(), "{bad:?} passed");
        }
    }

    #[test]
    fn join_options_have_their_grammar() {
        let parse = |query| JoinOptions::parse(query);
        let none = JoinOptions::default;
        let session = "0123456789abc-_Z";
        let of_session = format!("session={session}");
        for (query, options) in [
            ("", none()),
            ("x=y&&since", none()),
            ("since=7&slow=1000", JoinOptions { slow: Some(1000), ..past(Past::Since(7)) }),
            ("key=pi~3.14", JoinOptions { key: Some("pi~3.14".to_owned()), ..none() }),
            ("last=0", past(Past::Newest(0))),
            ("last=100", past(Past::Newest(100))),
            ("files=later", JoinOptions { files: Files::Later, ..none() }),
            (&of_session, JoinOptions { session: Some(session.to_owned()), ..none() }),
        ] {
            assert!(parse(query) == Ok(options), "{query:?}");
        }
        let (short, long) = (format!("session={}", "a".repeat(15)), "a".repeat(65));
        for bad in [
            "since=",
            "since=-1",
            "since=a",
            "last=",
            "last=-1",
            "last=1.5",
            "last=1&since=1",
            "since=1&since=1",
            "files=",
            "files=whole",
            "slow=",
            "slow=99",
            "slow=1000001",
            "slow=1.5",
            "session=",
            &short,
            &format!("session={long}"),
            "session=0123456789abcde%20",
            "session=0123456789abcde~",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} passed");
        }
    }

    fn past(past: Past) -> JoinOptions {
        JoinOptions { past: Some(past), ..JoinOptions::default() }
    }

    #[test]
    fn an_address_leads_to_a_room_the_echo_or_the_owner() {
        assert_eq!(Target::of("/echo"), Some(Ok(Target::Echo)));
        assert_eq!(Target::of("/owner"), Some(Ok(Target::Owner)));
        assert_eq!(Target::of("/ws"), Some(Ok(Target::Room(RoomName::lobby()))));
        assert_eq!(Target::of("/ws/lobby"), Target::of("/ws"));
        assert_eq!(Target::of("/ws/"), Some(Err(BadRoomName)));
        assert_eq!(Target::of("/ws/a/b"), Some(Err(BadRoomName)));
        assert_eq!(Target::of("/"), None);
        assert_eq!(Target::of("/wsx"), None);
    }
}
