//! The rules of one room: who may enter it, who may speak in it, and who leads it.
//!
//! The store keeps rules as fields of text, and knows nothing of what they mean; this file reads the
//! fields. Not here: the changes that acts bring (`changes`), and the rules of all rooms (`rulebook`).
//! Pure functions, on any thread.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ring::digest::{Context, SHA256, digest};

use super::session::Session;
use crate::net::networks::network;
use crate::protocol::address::RoomName;
use crate::protocol::message::{MessageId, UserId};
use crate::protocol::rules::{Change, LeaderInfo, Mark, Mode, RulesInfo, unhex};

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
    /// What was said before this id may not have been kept; 0: all of it was.
    kept_since: MessageId,
    /// The message that is shown above all others.
    pub pinned: Option<MessageId>,
    /// Who leads the room, and the name they had when they were made a leader.
    pub(super) leaders: BTreeMap<UserId, String>,
    /// Who may not speak, and their name then.
    pub(super) muted: BTreeMap<Mark, String>,
    /// Who may not enter, and until when, in milliseconds since 1970.
    pub(super) out: BTreeMap<Mark, i64>,
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

/// The mark of an address, or of the network that counts as one: see [`network`].
pub fn mark_of(address: IpAddr) -> Mark {
    let digest = match network(address) {
        IpAddr::V4(address) => digest(&SHA256, &address.octets()),
        IpAddr::V6(address) => digest(&SHA256, &address.octets()),
    };
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
            "kept-since" => {
                self.kept_since = value.and_then(|id| id.parse().ok()).unwrap_or_default();
            }
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

    /// Takes over who may come back, from the rules of the room that were known before.
    pub fn take_known(&mut self, before: Option<&Self>) {
        self.known = before.map_or_else(Arc::default, |before| Arc::clone(&before.known));
    }

    /// Whether all that was said after this message (0: from the first one on) was meant to be kept.
    pub fn keeps_all_since(&self, since: MessageId) -> bool {
        !self.forgets && since >= self.kept_since
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
        if let Some(hash) = self.key
            && !self.leads(visitor.user)
        {
            let key = visitor.key.ok_or(Refusal::NoKey)?;
            // Hashes are compared, so that the time that this takes says nothing about the key.
            if hash_of_key(room, key) != hash {
                return Err(Refusal::WrongKey);
            }
        }
        self.check_person(visitor, now)
    }

    /// As [`Rules::check`], for a visitor who has shown the key already.
    ///
    /// # Errors
    /// Why not.
    pub fn check_person(&self, visitor: &Visitor, now: i64) -> Result<(), Refusal> {
        if self.leads(visitor.user) {
            return Ok(());
        }
        let own = || own_marks(visitor.user, visitor.session);
        let is_known = own().any(|mark| self.known.contains(&mark));
        let address = (!is_known && !self.out.is_empty()).then(|| mark_of(visitor.address));
        let until = own().chain(address).filter_map(|mark| self.out.get(&mark)).max();
        let left = until.map_or(0, |until| until - now);
        if left > 0 {
            return Err(Refusal::PutOut { minutes: (left + 59_999) / 60_000 });
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
            self.kept_since > 0,
            self.pinned.is_some(),
        ];
        let settings = settings.into_iter().filter(|is_set| *is_set).count();
        settings + self.leaders.len() + self.muted.len() + self.out.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn room() -> RoomName {
        RoomName::parse("physics").unwrap()
    }

    fn rules(fields: &[(&str, &str)]) -> Rules {
        Rules::from_fields(fields.iter().map(|(f, v)| ((*f).to_owned(), (*v).to_owned())))
    }

    fn visitor(user: Option<UserId>, session: &str, address: &str) -> Visitor<'static> {
        let session = (!session.is_empty()).then(|| Session::new(session, user));
        Visitor { user, session, address: address.parse().unwrap(), key: None }
    }

    fn check(rules: &Rules, visitor: &Visitor) -> Result<(), Refusal> {
        rules.check(&room(), visitor, 0)
    }

    #[test]
    fn who_knows_the_key_may_enter_and_leaders_need_none() {
        let key = crate::protocol::rules::hex(&hash_of_key(&room(), "two-bodies"));
        let rules = rules(&[("key", &key), ("leader:7", "Ada")]);
        let guest = visitor(None, "", "192.0.2.1");
        assert_eq!(check(&rules, &guest), Err(Refusal::NoKey));
        assert_eq!(check(&rules, &Visitor { key: Some("x"), ..guest }), Err(Refusal::WrongKey));
        assert_eq!(check(&rules, &Visitor { key: Some("two-bodies"), ..guest }), Ok(()));
        assert_eq!(check(&rules, &Visitor { user: Some(7), ..guest }), Ok(()));
        assert_eq!(check(&rules, &Visitor { user: Some(8), ..guest }), Err(Refusal::NoKey));
        // The same key of another room is another one.
        let other = RoomName::parse("chemistry").unwrap();
        let knows = Visitor { key: Some("two-bodies"), ..guest };
        assert_eq!(rules.check(&other, &knows, 0), Err(Refusal::WrongKey));
    }

    #[test]
    fn a_key_that_cannot_be_read_opens_nothing() {
        let rules = rules(&[("key", "nonsense")]);
        let guest = visitor(None, "", "192.0.2.1");
        let outcome = check(&rules, &Visitor { key: Some("nonsense"), ..guest });
        assert_eq!(outcome, Err(Refusal::WrongKey));
    }

    #[test]
    fn a_closed_room_takes_back_those_who_were_in_it() {
        let mut rules = rules(&[("mode", "closed")]);
        let (old, new) = (visitor(None, "old", "192.0.2.1"), visitor(None, "new", "192.0.2.1"));
        rules.admit(marks(None, old.session, mark_of(old.address)));
        assert_eq!(check(&rules, &old), Ok(()));
        assert_eq!(check(&rules, &new), Err(Refusal::Closed));
        // A guest who took a name meanwhile goes on with the session.
        assert_eq!(check(&rules, &visitor(Some(7), "old", "192.0.2.9")), Ok(()));
        rules.change(&[Change::delete("mode")]);
        rules.change(&[Change::set("mode", "closed")]);
        assert_eq!(check(&rules, &old), Err(Refusal::Closed), "it is another class");
    }

    #[test]
    fn an_address_is_out_for_newcomers_alone_and_for_a_time() {
        let here = "2001:db8::1".parse().unwrap();
        let field = format!("out:{}", mark_of(here));
        let mut rules = rules(&[(&field, &(10 * MINUTE).to_string())]);
        let (in_it, gone) = (visitor(None, "in", "2001:db8::2"), visitor(None, "gone", "::1"));
        rules.admit(marks(None, in_it.session, mark_of(here)));
        rules.admit(marks(None, gone.session, mark_of(here)));
        let put_out = format!("out:s:{}", crate::protocol::rules::hex(&gone.session.unwrap().id.0));
        rules.change(&[Change::set(put_out, (10 * MINUTE).to_string())]);
        assert_eq!(check(&rules, &in_it), Ok(()));
        assert_eq!(check(&rules, &gone), Err(Refusal::PutOut { minutes: 10 }));
        let neighbour = visitor(None, "", "2001:db8::ffff");
        assert_eq!(check(&rules, &neighbour), Err(Refusal::PutOut { minutes: 10 }));
        assert_eq!(check(&rules, &visitor(None, "", "2001:db8:0:1::1")), Ok(()));
        let at = |now| rules.check(&room(), &neighbour, now);
        assert_eq!(at(9 * MINUTE + 1), Err(Refusal::PutOut { minutes: 1 }));
        assert_eq!(at(10 * MINUTE), Ok(()));
    }

    #[test]
    fn somebody_is_muted_by_what_is_known_of_them() {
        let address = mark_of("192.0.2.1".parse().unwrap());
        let session = Some(Session::new("0123456789abcdef", None));
        for (user, session) in [(Some(7), session), (None, session), (None, None)] {
            let mut rules = Rules::default();
            rules.change(&rules.mute(marks(user, session, address), "Eve", 0));
            assert!(rules.is_muted(marks(user, session, address)));
            assert!(!rules.is_muted(marks(Some(8), None, address)), "a neighbour may speak");
            rules.change(&rules.unmute(marks(user, session, address), 0));
            assert_eq!(rules, Rules::default());
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let odd = [("colour", "red"), ("leader:x", "Ada"), ("muted:x", "a"), ("out:u:1", "soon")];
        assert_eq!(rules(&odd), Rules::default());
    }
}
