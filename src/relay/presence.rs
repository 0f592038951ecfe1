//! Presence: the news that the members of a room get of each other (who came, who went, who has a
//! new name).
//!
//! News of a quarter of a second are sent together. Else a class that enters would cost the square
//! of its size. A crowd is sent the number of its members only. Runs on the broadcaster's thread.
//! Not here: when news are due (`broadcaster`), and to whom they are sent (`room`).

use std::time::Duration;

use crate::net::connection::ClientId;
use crate::protocol::message::Author;
use crate::protocol::v1::{MemberInfo, ServerEvent};
use crate::store::User;

/// The time for which the first piece of news waits for more.
pub const NEWS_DELAY: Duration = Duration::from_millis(250);

/// A room with more members than this is a crowd: they are sent only how many they are.
pub const CROWD: usize = 200;

/// The news that the members of a room have not been sent yet.
#[derive(Default)]
pub struct Presence {
    came: Vec<MemberInfo>,
    /// The numbers of the connections that went.
    went: Vec<u64>,
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
    For(ClientId, Vec<u8>),
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
        self.came.push(member);
        first
    }

    /// Notes that a member went; `true` as for [`Presence::came`].
    pub fn went(&mut self, id: u64) -> bool {
        let first = self.is_empty();
        self.came.retain(|member| member.id != id);
        self.renamed.retain(|member| member.id != id);
        // This is sent even if the coming was not: a newcomer in between has this member in its list.
        self.went.push(id);
        first
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
            News::For(ClientId::new(member.id), ServerEvent::Renamed { members }.frame())
        }));
        news
    }
}

fn for_all(event: &ServerEvent) -> News {
    News::ForAll(event.frame())
}

/// The author of a message that is said now, with the name that they have now.
pub fn author(client: Option<ClientId>, user: Option<&User>) -> Author {
    let name = match (user, client) {
        (Some(user), _) => user.name.clone(),
        (None, Some(client)) => guest(client),
        (None, None) => "guest".to_owned(),
    };
    Author { user: user.map(|user| user.id), name }
}

/// A member as the other members see it.
pub fn member_info(id: ClientId, user: Option<&User>) -> MemberInfo {
    let Author { user, name } = author(Some(id), user);
    MemberInfo { id: id.number(), user, name }
}

fn guest(client: ClientId) -> String {
    format!("guest-{}", client.number())
}
