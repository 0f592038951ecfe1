//! Who is in a room, as the others see it, and how they hear of each other's coming and going.
//!
//! News travel together, a quarter of a second at a time, or a class that enters would cost its
//! square. In a crowd only numbers are told. Not here: when news are due (`broadcaster`, whose
//! thread runs all of this), and to whom they are sent (`room`).

use std::time::Duration;

use crate::net::connection::ClientId;
use crate::protocol::message::Author;
use crate::protocol::v1::{MemberInfo, ServerEvent};
use crate::store::User;

/// How long news of members waits for more.
pub const NEWS: Duration = Duration::from_millis(250);

/// In larger rooms only the number of members is told.
pub const CROWD: usize = 200;

/// What the members of a room have not been told yet of each other.
#[derive(Default)]
pub struct Presence {
    came: Vec<MemberInfo>,
    /// The numbers of their connections.
    went: Vec<u64>,
    renamed: Vec<MemberInfo>,
    /// They were more than [`CROWD`], and do not know of each other any more.
    crowded: bool,
}

/// One piece of news, as frames of `wsroom.v1`.
pub enum News {
    /// For everyone.
    ForAll(Vec<u8>),
    /// For one member alone.
    For(ClientId, Vec<u8>),
}

impl Presence {
    /// Takes note of how many there are.
    pub fn count(&mut self, members: usize) {
        self.crowded |= members > CROWD;
    }

    /// Whether they do not know of each other.
    pub fn is_crowd(&self) -> bool {
        self.crowded
    }

    /// Takes note that somebody came; `true` if that is the first news, to be told in a while.
    pub fn came(&mut self, member: MemberInfo) -> bool {
        let first = self.is_told();
        self.came.push(member);
        first
    }

    /// As [`Presence::came`], of somebody who went.
    pub fn went(&mut self, id: u64) -> bool {
        let first = self.is_told();
        self.came.retain(|member| member.id != id);
        self.renamed.retain(|member| member.id != id);
        // Told even if their coming was not: whoever came in between was shown them.
        self.went.push(id);
        first
    }

    /// As [`Presence::came`], of a new name. Of many in a short time the last one is told.
    pub fn renamed(&mut self, member: MemberInfo) -> bool {
        let first = self.is_told();
        match self.renamed.iter_mut().find(|noted| noted.id == member.id) {
            Some(noted) => *noted = member,
            None => self.renamed.push(member),
        }
        first
    }

    fn is_told(&self) -> bool {
        self.came.is_empty() && self.went.is_empty() && self.renamed.is_empty()
    }

    /// All news, for a room of `count` members; `everyone` names them all.
    pub fn tell(&mut self, count: usize, everyone: impl FnOnce() -> Vec<MemberInfo>) -> Vec<News> {
        if count > CROWD {
            return self.tell_numbers(count);
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

    /// What a crowd is told; and everyone their own new name.
    fn tell_numbers(&mut self, count: usize) -> Vec<News> {
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

/// Whoever says something, by the name that they have now.
pub fn author(client: Option<ClientId>, user: Option<&User>) -> Author {
    let name = match (user, client) {
        (Some(user), _) => user.name.clone(),
        (None, Some(client)) => guest(client),
        (None, None) => "guest".to_owned(),
    };
    Author { user: user.map(|user| user.id), name }
}

/// A member as the others see it.
pub fn as_seen(id: ClientId, user: Option<&User>) -> MemberInfo {
    let Author { user, name } = author(Some(id), user);
    MemberInfo { id: id.number(), user, name }
}

fn guest(client: ClientId) -> String {
    format!("guest-{}", client.number())
}
