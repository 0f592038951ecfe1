//! The rulebook: the rules of all rooms that have any.
//!
//! The broadcaster alone changes it, when an act has been kept; doors and page threads read it. A
//! reader gets one state of a room's rules, and holds no lock while it uses them. Not here: what the
//! rules mean (`rules`), and where they are kept (`store`).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::rules::{MAX_FIELDS, Refusal, Rules, Visitor};
use crate::protocol::address::RoomName;
use crate::protocol::message;
use crate::protocol::rules::{Change, Mark};

/// The most rooms that have rules.
const MAX_ROOMS: usize = 10_000;

/// The rules of all rooms. Its clones are one rulebook.
#[derive(Clone, Default)]
pub struct Rulebook {
    rooms: Arc<RwLock<HashMap<RoomName, Arc<Rules>>>>,
}

impl Rulebook {
    /// Replaces all rules by those that the store has kept.
    pub fn load(&self, all: impl IntoIterator<Item = (RoomName, Vec<(String, String)>)>) {
        let rooms = all
            .into_iter()
            .map(|(room, fields)| (room, Arc::new(Rules::from_fields(fields))))
            .collect();
        *self.rooms.write().unwrap_or_else(PoisonError::into_inner) = rooms;
    }

    /// The rules of a room; `None` if it has none.
    pub fn get(&self, room: &RoomName) -> Option<Arc<Rules>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(room).cloned()
    }

    /// Whether this user leads the room.
    pub fn leads(&self, room: &RoomName, user: Option<message::UserId>) -> bool {
        user.is_some() && self.get(room).is_some_and(|rules| rules.leads(user))
    }

    /// Checks that a visitor may enter a room.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, room: &RoomName, visitor: &Visitor) -> Result<(), Refusal> {
        self.get(room).map_or(Ok(()), |rules| rules.check(room, visitor, message::now() / 1000))
    }

    /// Checks again that a visitor may enter whom the door has let in: the rules may have changed since
    /// then.
    ///
    /// # Errors
    /// Why not.
    pub fn check_again(&self, room: &RoomName, visitor: &Visitor) -> Result<(), Refusal> {
        self.get(room).map_or(Ok(()), |rules| rules.check_person(visitor, message::now() / 1000))
    }

    /// Checks that there is space for changes.
    ///
    /// # Errors
    /// There is not; the error is a sentence for whoever wants them.
    pub fn check_space(&self, room: &RoomName, changes: &[Change]) -> Result<(), &'static str> {
        if changes.iter().all(|change| change.value.is_none()) {
            return Ok(());
        }
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rules) = rooms.get(room) else {
            let is_full = rooms.len() >= MAX_ROOMS;
            return if is_full { Err("10,000 rooms have rules: no more may.") } else { Ok(()) };
        };
        let mut changed = (**rules).clone();
        changed.change(changes);
        let is_over = changed.fields() > MAX_FIELDS && changed.fields() > rules.fields();
        let full = "The rules of a room have 512 entries at most: unmute somebody first.";
        if is_over { Err(full) } else { Ok(()) }
    }

    /// Changes the rules of a room. The broadcaster calls this when the changes have been kept.
    pub fn change(&self, room: &RoomName, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let rules = Arc::make_mut(rooms.entry(room.clone()).or_default());
        rules.change(changes);
        if rules.fields() == 0 {
            rooms.remove(room);
        }
    }

    /// Replaces the rules of the rooms that are meant. Who may come back to a closed room stays known.
    pub fn replace(
        &self,
        is_meant: impl Fn(&RoomName) -> bool,
        all: impl IntoIterator<Item = (RoomName, Vec<(String, String)>)>,
    ) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let mut before: HashMap<_, _> = rooms.extract_if(|room, _| is_meant(room)).collect();
        for (room, fields) in all {
            let mut rules = Rules::from_fields(fields);
            rules.take_known(before.remove(&room).as_deref());
            rooms.insert(room, Arc::new(rules));
        }
    }

    /// Forgets who may come back to a closed room: nobody but the leaders may.
    pub fn dismiss(&self, room: &RoomName) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = rooms.get_mut(room) {
            Arc::make_mut(rules).take_known(None);
        }
    }

    /// Remembers users and sessions that are in a room which has just been closed, or from which
    /// somebody was put out: they may come back, but nobody who was put out. Call it behind
    /// [`change`](Self::change).
    pub fn admit(&self, room: &RoomName, members: impl IntoIterator<Item = Mark>) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = rooms.get_mut(room) {
            Arc::make_mut(rules).admit(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: usize) -> RoomName {
        RoomName::parse(&format!("room-{number}")).unwrap()
    }

    fn mute(number: usize) -> Change {
        Change::set(format!("muted:u:{number}"), "Eve")
    }

    #[test]
    fn the_rules_of_a_room_are_bounded() {
        let book = Rulebook::default();
        for number in 0..MAX_FIELDS {
            assert_eq!(book.check_space(&room(0), &[mute(number)]), Ok(()));
            book.change(&room(0), &[mute(number)]);
        }
        assert!(book.check_space(&room(0), &[mute(MAX_FIELDS)]).is_err());
        // Somebody for somebody else.
        assert_eq!(book.check_space(&room(0), &[Change::delete("muted:u:0"), mute(600)]), Ok(()));
        assert_eq!(book.check_space(&room(0), &[Change::delete("muted:u:0")]), Ok(()));
        assert_eq!(book.check_space(&room(1), &[mute(0)]), Ok(()));
    }

    #[test]
    fn the_rooms_that_have_rules_are_bounded() {
        let book = Rulebook::default();
        (0..MAX_ROOMS).for_each(|number| book.change(&room(number), &[mute(0)]));
        assert!(book.check_space(&room(MAX_ROOMS), &[mute(0)]).is_err());
        assert_eq!(book.check_space(&room(MAX_ROOMS), &[]), Ok(()), "a message may be removed");
        assert_eq!(book.check_space(&room(0), &[mute(1)]), Ok(()));
        // A room whose rules are gone makes space.
        book.change(&room(0), &[Change::delete("muted:u:0")]);
        assert!(book.get(&room(0)).is_none());
        assert_eq!(book.check_space(&room(MAX_ROOMS), &[mute(0)]), Ok(()));
    }
}
