//! Presence: the news that the members of a room get of each other (who came, who went, who has a
//! new name).
//!
//! News of a quarter of a second are sent together. Else a class that enters would cost the square
//! of its size. A crowd is sent the number of its members only. Runs on the broadcaster's thread.
//! Not here: when news are due (`broadcaster`), and to whom they are sent (`room`).

use std::time::Duration;

use super::sessions::{Seat, Silence};
use crate::protocol::message::Author;
use crate::protocol::v1::{MemberId, MemberInfo, ServerEvent};
use crate::store::User;

/// The time for which the first piece of news waits for more.
pub const NEWS_DELAY: Duration = Duration::from_millis(250);

/// A room with more members than this is a crowd: they are sent only how many they are.
pub const CROWD: usize = 200;

/// The news that the members of a room have not been sent yet.
#[derive(Default)]
pub struct Presence {
    came: Vec<MemberInfo>,
    went: Vec<MemberId>,
    renamed: Vec<MemberInfo>,
    /// The room was a crowd since its members were last sent the complete list, so their lists are
    /// out of date.
    crowded: bool,
}

/// One piece of news, as frames of `wsroom.v1`.
#[derive(Debug, Eq, PartialEq)]
pub enum News {
    /// For all members.
    ForAll(Vec<u8>),
    /// For one member alone.
    For(MemberId, Vec<u8>),
}

impl Presence {
    /// Notes how many members there are.
    pub fn count(&mut self, members: usize) {
        self.crowded |= members > CROWD;
    }

    /// Whether the members' lists are out of date, because the room is or was a crowd.
    pub fn is_crowd(&self) -> bool {
        self.crowded
    }

    /// Notes that a member came. `true`: this is the first piece of news since the last were sent, and
    /// [`NEWS_DELAY`] begins.
    pub fn came(&mut self, member: MemberInfo) -> bool {
        let first = self.is_empty();
        // On another node it may come back a moment after it went.
        self.went.retain(|&id| id != member.id);
        if self.has_room() {
            self.came.push(member);
        }
        first
    }

    /// Notes that a member went; `true` as for [`Presence::came`].
    pub fn went(&mut self, id: MemberId) -> bool {
        let first = self.is_empty();
        self.renamed.retain(|member| member.id != id);
        // Both are sent, even if the member came a moment ago: a newcomer in between has it in its
        // list, and the others must not be told that somebody went whom they never knew.
        if self.has_room() {
            self.went.push(id);
        }
        first
    }

    /// Whether one more piece of news is noted by itself. With too many, as in a crowd, the members are
    /// sent the complete list instead.
    fn has_room(&mut self) -> bool {
        self.crowded |= self.came.len() + self.went.len() >= CROWD;
        !self.crowded || self.is_empty()
    }

    /// Whether somebody has left since the last news were sent.
    pub fn has_departures(&self) -> bool {
        !self.went.is_empty()
    }

    /// Notes a member's new name; `true` as for [`Presence::came`]. A later name replaces an earlier
    /// one that was not sent yet.
    pub fn renamed(&mut self, member: MemberInfo) -> bool {
        let first = self.is_empty();
        match self.renamed.iter_mut().find(|noted| noted.id == member.id) {
            Some(noted) => *noted = member,
            None => self.renamed.push(member),
        }
        first
    }

    /// Brings what is noted of a member up to date, if there is something.
    pub fn update(&mut self, member: &MemberInfo) {
        let noted = self.came.iter_mut().chain(&mut self.renamed);
        noted.filter(|noted| noted.id == member.id).for_each(|noted| *noted = member.clone());
    }

    fn is_empty(&self) -> bool {
        self.came.is_empty() && self.went.is_empty() && self.renamed.is_empty()
    }

    /// Takes all news, for a room of `count` members; `everyone` lists all of them.
    pub fn take(&mut self, count: usize, everyone: impl FnOnce() -> Vec<MemberInfo>) -> Vec<News> {
        if count > CROWD {
            return self.take_numbers(count);
        }
        let Self { came, went, renamed, crowded } = std::mem::take(self);
        if crowded {
            let members = everyone();
            return vec![for_all(&ServerEvent::Members { members: &members, count })];
        }
        let mut news = Vec::new();
        if !came.is_empty() {
            news.push(for_all(&ServerEvent::Joined { members: Some(&came), count }));
        }
        if !went.is_empty() {
            news.push(for_all(&ServerEvent::Left { members: Some(&went), count }));
        }
        if !renamed.is_empty() {
            news.push(for_all(&ServerEvent::Renamed { members: &renamed }));
        }
        news
    }

    /// The news for a crowd: numbers for all, and for each member its own new name.
    fn take_numbers(&mut self, count: usize) -> Vec<News> {
        let Self { came, went, renamed, .. } =
            std::mem::replace(self, Self { crowded: true, ..Self::default() });
        let mut news = Vec::new();
        if !came.is_empty() {
            news.push(for_all(&ServerEvent::Joined { members: None, count }));
        }
        if !went.is_empty() {
            news.push(for_all(&ServerEvent::Left { members: None, count }));
        }
        news.extend(renamed.iter().map(|member| {
            let members = std::slice::from_ref(member);
            News::For(member.id, ServerEvent::Renamed { members }.frame())
        }));
        news
    }
}

fn for_all(event: &ServerEvent) -> News {
    News::ForAll(event.frame())
}

/// The author of a message that is said now, with the name that they have now. `guest` is the number
/// in the name of a guest; a guest who posts over HTTP has none.
pub fn author(guest: Option<u64>, user: Option<&User>) -> Author {
    let name = match (user, guest) {
        (Some(user), _) => user.name.clone(),
        (None, Some(number)) => guest_name(number),
        (None, None) => "guest".to_owned(),
    };
    Author { user: user.map(|user| user.id), name }
}

/// The name of a guest. The number may be one of another node: then it has two parts.
fn guest_name(number: u64) -> String {
    match number >> 32 {
        0 => format!("guest-{number}"),
        node => format!("guest-{node}-{}", number & u64::from(u32::MAX)),
    }
}

/// A member as the other members see it.
pub fn member_info(seat: &Seat) -> MemberInfo {
    let Author { user, name } = author(Some(seat.guest), seat.user.as_deref());
    let muted = seat.silence == Some(Silence::Muted);
    MemberInfo { muted, hand: seat.hand, ..MemberInfo::new(seat.id, user, name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str) -> MemberInfo {
        MemberInfo::new(id, None, name)
    }

    /// Takes the news of a room that is no crowd and was none.
    fn take(presence: &mut Presence, count: usize) -> Vec<News> {
        presence.take(count, || panic!("nobody needs the list of everyone"))
    }

    fn joined(members: Option<&[MemberInfo]>, count: usize) -> News {
        for_all(&ServerEvent::Joined { members, count })
    }

    fn left(members: Option<&[u64]>, count: usize) -> News {
        for_all(&ServerEvent::Left { members, count })
    }

    #[test]
    fn comings_and_goings_are_one_event_each() {
        let mut presence = Presence::default();
        presence.came(member(1, "ada"));
        presence.went(7);
        presence.came(member(2, "bob"));
        presence.went(8);
        let came = [member(1, "ada"), member(2, "bob")];
        assert_eq!(take(&mut presence, 2), [joined(Some(&came), 2), left(Some(&[7, 8]), 2)]);
        assert_eq!(take(&mut presence, 2), [], "news are sent once");
    }

    /// Otherwise many short visits would make one event of any size.
    #[test]
    fn many_short_visits_are_told_as_the_list_of_those_who_are_there() {
        let mut presence = Presence::default();
        for id in 0..10_000 {
            presence.came(member(id, "guest"));
            presence.went(id);
        }
        assert!(presence.came.len() + presence.went.len() <= CROWD);
        let everyone = [member(1, "ada")];
        let list = for_all(&ServerEvent::Members { members: &everyone, count: 1 });
        assert_eq!(presence.take(1, || everyone.to_vec()), [list]);
        assert_eq!(take(&mut presence, 1), []);
    }

    #[test]
    fn only_the_first_news_begin_the_delay() {
        for first in [
            |presence: &mut Presence| presence.came(member(1, "ada")),
            |presence: &mut Presence| presence.went(1),
            |presence: &mut Presence| presence.renamed(member(1, "ada")),
        ] {
            let mut presence = Presence::default();
            assert!(first(&mut presence));
            assert!(!presence.came(member(2, "bob")));
            assert!(!presence.went(3));
            assert!(!presence.renamed(member(4, "eve")));
            take(&mut presence, 1);
            assert!(first(&mut presence), "the news before are sent");
        }
    }

    /// A newcomer in between has the member in its list, so the going is news. The others do not, so
    /// the coming is news too.
    #[test]
    fn a_short_visit_is_told_as_both() {
        let mut presence = Presence::default();
        presence.came(member(1, "ada"));
        presence.renamed(member(1, "ada l."));
        presence.went(1);
        let came = [member(1, "ada")];
        assert_eq!(take(&mut presence, 0), [joined(Some(&came), 0), left(Some(&[1]), 0)]);
    }

    #[test]
    fn of_many_new_names_the_last_one_is_sent() {
        let mut presence = Presence::default();
        for (id, name) in [(1, "a"), (2, "b"), (1, "ada"), (1, "ada l.")] {
            presence.renamed(member(id, name));
        }
        let members = &[member(1, "ada l."), member(2, "b")];
        assert_eq!(take(&mut presence, 2), [for_all(&ServerEvent::Renamed { members })]);
    }

    #[test]
    fn a_crowd_is_sent_numbers_and_each_member_its_own_name() {
        let news = |presence: &mut Presence| {
            presence.came(member(1, "ada"));
            presence.went(2);
            presence.renamed(member(3, "eve"));
        };
        let mut presence = Presence::default();
        news(&mut presence);
        let members = &[member(3, "eve")];
        let own = News::For(3, ServerEvent::Renamed { members }.frame());
        let count = CROWD + 1;
        assert_eq!(take(&mut presence, count), [joined(None, count), left(None, count), own]);
        assert_eq!(take(&mut presence, count), [], "news are sent once");
        let mut presence = Presence::default();
        news(&mut presence);
        assert_eq!(take(&mut presence, CROWD).len(), 3);
    }

    #[test]
    fn after_a_crowd_the_next_news_are_the_whole_list() {
        let everyone = [member(1, "ada"), member(2, "bob")];
        let mut presence = Presence::default();
        presence.count(CROWD);
        assert!(!presence.is_crowd());
        presence.count(CROWD + 1);
        presence.count(2);
        assert!(presence.is_crowd(), "their lists are still out of date");
        presence.went(3);
        let list = for_all(&ServerEvent::Members { members: &everyone, count: 2 });
        assert_eq!(presence.take(2, || everyone.to_vec()), [list]);
        assert!(!presence.is_crowd());
        presence.went(2);
        assert_eq!(take(&mut presence, 1), [left(Some(&[2]), 1)]);
    }

    #[test]
    fn a_room_stays_crowded_while_it_is_sent_numbers() {
        let mut presence = Presence::default();
        presence.came(member(1, "ada"));
        take(&mut presence, CROWD + 1);
        assert!(presence.is_crowd());
        assert_eq!(presence.take(1, Vec::new).len(), 1, "the list of everyone is due");
    }

    #[test]
    fn an_author_is_a_user_or_a_guest() {
        let user = User { id: 7, name: "Ada".to_owned(), created_at: 0 };
        for (guest, user, id, name) in [
            (Some(3), Some(&user), Some(7), "Ada"),
            (None, Some(&user), Some(7), "Ada"),
            (Some(3), None, None, "guest-3"),
            (None, None, None, "guest"),
        ] {
            assert_eq!(author(guest, user), Author { user: id, name: name.to_owned() });
        }
    }
}
