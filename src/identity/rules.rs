//! The rules of one room: who may enter it, who may speak in it, and who leads it.
//!
//! The store keeps rules as fields of text, and knows nothing of what they mean; this file reads the
//! fields, and makes the changes of them that an act brings. Not here: the rules of all rooms, and
//! who changes them (`rulebook`); what an act is (`protocol`). Pure functions, on any thread.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::name::is_hidden;
use super::session::Session;
use crate::protocol::address::RoomName;
use crate::protocol::message::{MessageId, UserId};
use crate::protocol::rules::{Change, LeaderInfo, Mark, Mode, RulesInfo, Settings, hex, unhex};

/// The longest topic, in characters.
const MAX_TOPIC: usize = 200;

/// The most fields that the rules of a room have: leaders, and those who are muted or put out.
pub const MAX_FIELDS: usize = 512;

/// The rules of a room.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// What the room is about.
    pub topic: String,
    /// The hash of the room's key: see [`hash_of_key`].
    pub key: Option<[u8; 32]>,
    /// Who may speak, and who may enter.
    pub mode: Mode,
    /// `history` is "off": what is said is not kept.
    pub forgets: bool,
    /// The message that is shown above all others.
    pub pinned: Option<MessageId>,
    /// Who leads the room, and the name they had when they were made a leader.
    leaders: BTreeMap<UserId, String>,
    /// Who may not speak, and their name then.
    muted: BTreeMap<Mark, String>,
    /// Who may not enter, and until when, in milliseconds since 1970.
    out: BTreeMap<Mark, i64>,
    /// Users and sessions that were in the room when it was closed, or when somebody at an address was
    /// put out: they may come back. In memory alone, and shared, because a large room has many.
    known: Arc<HashSet<Mark>>,
}

/// Somebody who wants to enter a room.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// The user whose key they bring.
    pub user: Option<UserId>,
    /// The session that they bring.
    pub session: Option<Session>,
    /// Where they come from.
    pub address: IpAddr,
    /// The room key that they bring.
    pub key: Option<&'a str>,
}

/// Why a visitor may not enter a room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The room has a key, and the visitor brings none.
    NoKey,
    /// The room has another key.
    WrongKey,
    /// The room takes nobody new.
    Closed,
    /// A leader has put the visitor out, for so many minutes from now.
    PutOut {
        /// At least one.
        minutes: i64,
    },
}

impl Refusal {
    /// Why, in a word for programs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoKey | Self::WrongKey => "room-key",
            Self::Closed => "closed",
            Self::PutOut { .. } => "put-out",
        }
    }

    /// Why, in a sentence for people.
    pub fn sentence(self) -> String {
        match self {
            Self::NoKey => "This room has a key: send it as ?key=KEY.".to_owned(),
            Self::WrongKey => "This is not the key of this room.".to_owned(),
            Self::Closed => "This room is closed: nobody new may enter.".to_owned(),
            Self::PutOut { minutes: 1 } => {
                "You were put out of this room: come back in a minute.".to_owned()
            }
            Self::PutOut { minutes } => {
                format!("You were put out of this room: come back in {minutes} minutes.")
            }
        }
    }
}

/// The hash of a room's key, which is what the store keeps. The same key of two rooms has two hashes.
pub fn hash_of_key(room: &RoomName, key: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(room.as_str().as_bytes());
    context.update(&[0]);
    context.update(key.as_bytes());
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The mark of an address. A household has a whole /64 of IPv6, so that counts as one address.
pub fn mark_of(address: IpAddr) -> Mark {
    let bytes = match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).octets().to_vec(),
    };
    let mut context = Context::new(&SHA256);
    context.update(&bytes);
    let digest = context.finish();
    Mark::Address(*digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
}

/// The marks by which somebody is muted, and by which they are known when they speak: the user and
/// their sessions; for a guest the session; for a guest without one the address, because nothing
/// else is known of them.
pub fn marks(
    user: Option<UserId>,
    session: Option<Session>,
    address: Mark,
) -> impl Iterator<Item = Mark> {
    let is_unknown = user.is_none() && session.is_none();
    own_marks(user, session).chain(is_unknown.then_some(address))
}

fn own_marks(user: Option<UserId>, session: Option<Session>) -> impl Iterator<Item = Mark> {
    let ids = session.into_iter().flat_map(|session| [Some(session.id), session.as_guest]);
    user.map(Mark::User).into_iter().chain(ids.flatten().map(Mark::Session))
}

impl Rules {
    /// Reads the fields that the store keeps.
    pub fn from_fields(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut rules = Self::default();
        let changes: Vec<_> =
            fields.into_iter().map(|(field, value)| Change::set(field, value)).collect();
        rules.change(&changes);
        rules
    }

    /// Changes fields. Unknown ones are ignored.
    pub fn change(&mut self, changes: &[Change]) {
        for Change { field, value } in changes {
            let value = value.as_deref();
            match field.split_once(':') {
                None => self.change_setting(field, value),
                Some(("leader", user)) => {
                    change_entry(&mut self.leaders, user, value.map(str::to_owned));
                }
                Some(("muted", mark)) => {
                    change_entry(&mut self.muted, mark, value.map(str::to_owned));
                }
                Some(("out", mark)) => {
                    let until = value.and_then(|until| until.parse().ok());
                    if until.is_some() {
                        self.forget(mark);
                    }
                    change_entry(&mut self.out, mark, until);
                }
                Some(_) => {}
            }
        }
        let asks_who_was_here = self.mode == Mode::Closed
            || self.out.keys().any(|mark| matches!(mark, Mark::Address(_)));
        if !asks_who_was_here {
            self.known = Arc::default();
        }
    }

    fn change_setting(&mut self, field: &str, value: Option<&str>) {
        match field {
            "topic" => self.topic = value.unwrap_or_default().to_owned(),
            // A hash that cannot be read is no key's hash: nobody but leaders gets in.
            "key" => self.key = value.map(|digits| unhex(digits).unwrap_or_default()),
            "mode" => self.mode = value.and_then(|mode| mode.parse().ok()).unwrap_or_default(),
            "history" => self.forgets = value == Some("off"),
            "pinned" => self.pinned = value.and_then(|id| id.parse().ok()),
            _ => {}
        }
    }

    /// Whoever is put out may not come back as somebody who was here.
    fn forget(&mut self, mark: &str) {
        if let Ok(mark) = mark.parse()
            && self.known.contains(&mark)
        {
            Arc::make_mut(&mut self.known).remove(&mark);
        }
    }

    /// Remembers users and sessions that are in the room, so that they may come back.
    pub fn admit(&mut self, members: impl IntoIterator<Item = Mark>) {
        let out = &self.out;
        Arc::make_mut(&mut self.known)
            .extend(members.into_iter().filter(|mark| !out.contains_key(mark)));
    }

    /// Whether this user leads the room.
    pub fn leads(&self, user: Option<UserId>) -> bool {
        user.is_some_and(|user| self.leaders.contains_key(&user))
    }

    /// Whether somebody with these [`marks`] is muted.
    pub fn is_muted(&self, marks: impl IntoIterator<Item = Mark>) -> bool {
        !self.muted.is_empty() && marks.into_iter().any(|mark| self.muted.contains_key(&mark))
    }

    /// Checks that a visitor may enter.
    ///
    /// # Errors
    /// Why not. A visitor without the right key learns nothing else.
    pub fn check(&self, room: &RoomName, visitor: &Visitor, now: i64) -> Result<(), Refusal> {
        if self.leads(visitor.user) {
            return Ok(());
        }
        if let Some(hash) = self.key {
            let key = visitor.key.ok_or(Refusal::NoKey)?;
            // Hashes are compared, so that the time that this takes says nothing about the key.
            if hash_of_key(room, key) != hash {
                return Err(Refusal::WrongKey);
            }
        }
        let is_known =
            own_marks(visitor.user, visitor.session).any(|mark| self.known.contains(&mark));
        let address = (!is_known && !self.out.is_empty()).then(|| mark_of(visitor.address));
        let marks = own_marks(visitor.user, visitor.session).chain(address);
        let until = marks.filter_map(|mark| self.out.get(&mark)).max().copied().unwrap_or_default();
        if until > now {
            return Err(Refusal::PutOut { minutes: (until - now + 59_999) / 60_000 });
        }
        if self.mode == Mode::Closed && !is_known {
            return Err(Refusal::Closed);
        }
        Ok(())
    }

    /// The rules as everyone in the room is told them.
    pub fn info(&self) -> RulesInfo {
        let leader =
            |(user, name): (&UserId, &String)| LeaderInfo { user: *user, name: name.clone() };
        RulesInfo {
            topic: self.topic.clone(),
            mode: self.mode,
            has_key: self.key.is_some(),
            history: !self.forgets,
            pinned: self.pinned,
            leaders: self.leaders.iter().map(leader).collect(),
        }
    }

    /// The number of fields.
    pub fn fields(&self) -> usize {
        let settings = [
            !self.topic.is_empty(),
            self.key.is_some(),
            self.mode != Mode::Open,
            self.forgets,
            self.pinned.is_some(),
        ];
        let settings = settings.into_iter().filter(|is_set| *is_set).count();
        settings + self.leaders.len() + self.muted.len() + self.out.len()
    }
}

/// The changes that acts bring. Each also deletes the put-outs that are over: at every act, so that
/// they do not gather. `now` is in milliseconds since 1970.
impl Rules {
    /// Checks settings that somebody asks for, and makes the changes of them.
    ///
    /// # Errors
    /// A setting is not valid; the error is a sentence for whoever asked.
    pub fn set(
        &self,
        room: &RoomName,
        settings: &Settings,
        now: i64,
    ) -> Result<Vec<Change>, &'static str> {
        let mut changes = self.expired(now);
        if let Some(topic) = &settings.topic {
            changes.push(optional("topic", topic_in(topic)?));
        }
        if let Some(key) = &settings.key {
            check_key(key)?;
            let hash = (!key.is_empty()).then(|| hex(&hash_of_key(room, key)));
            changes.push(optional("key", hash));
        }
        if let Some(mode) = settings.mode {
            changes.push(mode_is(mode));
        }
        if let Some(history) = settings.history {
            changes.push(optional("history", (!history).then(|| "off".to_owned())));
        }
        Ok(changes)
    }

    /// Closes the room, at the end of class.
    pub fn end(&self, now: i64) -> Vec<Change> {
        with(self.expired(now), mode_is(Mode::Closed))
    }

    /// Pins a message; `None`: no message is pinned.
    pub fn pin(&self, message: Option<MessageId>, now: i64) -> Vec<Change> {
        with(self.expired(now), optional("pinned", message.map(|id| id.to_string())))
    }

    /// Messages are removed: that one, or all (`None`). A pinned message that is removed is not pinned
    /// any more.
    pub fn remove(&self, message: Option<MessageId>, now: i64) -> Vec<Change> {
        let is_pinned = self.pinned.is_some() && (message.is_none() || message == self.pinned);
        let mut changes = self.expired(now);
        changes.extend(is_pinned.then(|| Change::delete("pinned")));
        changes
    }

    /// Somebody with these [`marks`] may not speak.
    pub fn mute(&self, marks: impl IntoIterator<Item = Mark>, name: &str, now: i64) -> Vec<Change> {
        let mut changes = self.expired(now);
        let mute = |mark| Change::set(format!("muted:{mark}"), name);
        changes.extend(marks.into_iter().map(mute));
        changes
    }

    /// Somebody with these [`marks`] may speak again.
    pub fn unmute(&self, marks: impl IntoIterator<Item = Mark>, now: i64) -> Vec<Change> {
        let mut changes = self.expired(now);
        let muted = marks.into_iter().filter(|mark| self.muted.contains_key(mark));
        changes.extend(muted.map(|mark| Change::delete(format!("muted:{mark}"))));
        changes
    }

    /// Somebody with these marks may not enter before `until`, in milliseconds since 1970.
    pub fn put_out(
        &self,
        marks: impl IntoIterator<Item = Mark>,
        until: i64,
        now: i64,
    ) -> Vec<Change> {
        let mut changes = self.expired(now);
        let put_out = |mark| Change::set(format!("out:{mark}"), until.to_string());
        changes.extend(marks.into_iter().map(put_out));
        changes
    }

    /// This user leads the room from now on, or (`None`) does not any more.
    pub fn lead(&self, user: UserId, name: Option<&str>, now: i64) -> Vec<Change> {
        let change = optional(&format!("leader:{user}"), name.map(str::to_owned));
        with(self.expired(now), change)
    }

    fn expired(&self, now: i64) -> Vec<Change> {
        let over = self.out.iter().filter(|(_, until)| **until <= now);
        over.map(|(mark, _)| Change::delete(format!("out:{mark}"))).collect()
    }
}

fn change_entry<K: Ord + std::str::FromStr, V>(
    entries: &mut BTreeMap<K, V>,
    key: &str,
    value: Option<V>,
) {
    let Ok(key) = key.parse() else { return };
    match value {
        Some(value) => drop(entries.insert(key, value)),
        None => drop(entries.remove(&key)),
    }
}

fn optional(field: &str, value: Option<String>) -> Change {
    Change { field: field.to_owned(), value }
}

fn mode_is(mode: Mode) -> Change {
    optional("mode", (mode != Mode::Open).then(|| mode.as_str().to_owned()))
}

fn with(mut changes: Vec<Change>, last: Change) -> Vec<Change> {
    changes.push(last);
    changes
}

fn topic_in(text: &str) -> Result<Option<String>, &'static str> {
    let topic = text.trim();
    if topic.chars().count() > MAX_TOPIC {
        return Err("A topic has 200 characters at most.");
    }
    if topic.chars().any(is_hidden) {
        return Err("A topic has no control characters, and none that hide or turn text round.");
    }
    Ok((!topic.is_empty()).then(|| topic.to_owned()))
}

/// These characters need no escape in an address or in a header field, as those of a room's name.
fn check_key(key: &str) -> Result<(), &'static str> {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._~-".contains(&c);
    let is_valid = (4..=64).contains(&key.len()) && key.bytes().all(is_allowed);
    let grammar = "The key of a room is 4 to 64 of A-Z a-z 0-9 . _ ~ -, or empty for none.";
    if is_valid || key.is_empty() { Ok(()) } else { Err(grammar) }
}
