//! Those who are in one room, what they are sent in this turn, and how they hear of each other.
//!
//! Plain clients hear bare payloads, those of `wsroom.v1` JSON about the same messages: each is
//! encoded once for all who speak alike. Comings and goings travel together, a quarter of a second
//! at a time, or a class that enters would cost its square. Not here: who is in which room, and
//! when a turn ends (`broadcaster`, whose thread runs all of this).

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use crate::inbox::{Events, Said};
use crate::outbox::{Outbox, Run};
use crate::store::{Author, Kept, User};
use crate::v1::{self, Heard, Speaks};
use crate::wire::ClientId;

/// Bytes of buffer that a room keeps from turn to turn.
const KEPT_BYTES: usize = 16 << 10;

/// How long news of members waits for more.
pub const NEWS: Duration = Duration::from_millis(250);

/// In larger rooms only the number of members is told.
pub const CROWD: usize = 200;

/// Somebody in the room.
pub struct Member {
    /// Their connection.
    pub id: ClientId,
    /// What they speak.
    pub speaks: Speaks,
    /// The way to them.
    pub outbox: Outbox,
}

/// Everyone in one room.
#[derive(Default)]
pub struct Members {
    all: Vec<Member>,
    /// How many of them speak `wsroom.v1`.
    v1: usize,
    turn: Turn,
    news: News,
}

/// Frames of this turn, in the one order in which everyone gets them.
#[derive(Default)]
struct Turn {
    plain: Vec<u8>,
    v1: Vec<u8>,
    /// Where some of `v1` are different for one client: its own messages bring back its `ref`.
    own: HashMap<ClientId, Vec<Own>>,
}

/// Frames that stand in the place of others.
struct Own {
    place: Range<usize>,
    frames: Vec<u8>,
}

/// Who came and went and is called otherwise, since this was last told.
#[derive(Default)]
struct News {
    came: Vec<v1::Member>,
    went: Vec<u64>,
    renamed: Vec<v1::Member>,
}

impl Members {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Their connections.
    pub fn ids(&self) -> impl Iterator<Item = ClientId> {
        self.all.iter().map(|member| member.id)
    }

    /// One of them.
    pub fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        self.all.iter_mut().find(|member| member.id == id)
    }

    /// One more.
    pub fn add(&mut self, member: Member) {
        self.v1 += usize::from(member.speaks == Speaks::V1);
        self.all.push(member);
    }

    /// One less.
    pub fn remove(&mut self, id: ClientId) -> Option<Member> {
        let place = self.all.iter().position(|member| member.id == id)?;
        let member = self.all.swap_remove(place);
        self.v1 -= usize::from(member.speaks == Speaks::V1);
        Some(member)
    }

    /// All of them, to be told goodbye.
    pub fn into_all(self) -> Vec<Member> {
        self.all
    }

    /// Whether something was said in this turn.
    pub fn has_turn(&self) -> bool {
        !(self.turn.plain.is_empty() && self.turn.v1.is_empty())
    }

    /// Adds a message to this turn; `sender` is the client that said it, if one did.
    pub fn say(&mut self, kept: &Kept, said: &Said, sender: Option<ClientId>) {
        if self.v1 < self.all.len() {
            self.turn.plain.extend_from_slice(&said.frame);
        }
        if self.v1 == 0 {
            return;
        }
        let start = self.turn.v1.len();
        v1::push_message(&mut self.turn.v1, kept, None);
        if let (Some(sender), Some(reference)) = (sender, &said.reference) {
            let mut own = Vec::new();
            v1::push_message(&mut own, kept, Some(reference));
            self.turn.differ(sender, start, own);
        }
    }

    /// Tells the others, those who understand it, that somebody is writing.
    pub fn tell_typing(&mut self, from: &v1::Member, client: ClientId) {
        let start = self.turn.v1.len();
        self.tell(&Heard::Typing { from });
        self.turn.differ(client, start, Vec::new());
    }

    /// Takes note that somebody came; `true` if that is the first news, to be told in a while.
    pub fn note_coming(&mut self, member: v1::Member) -> bool {
        self.note(|news| news.came.push(member))
    }

    /// As [`Members::note_coming`], of somebody who went.
    pub fn note_going(&mut self, id: u64) -> bool {
        self.note(|news| {
            news.came.retain(|member| member.id != id);
            news.renamed.retain(|member| member.id != id);
            // Told even if their coming was not: who came in between has seen them.
            news.went.push(id);
        })
    }

    /// As [`Members::note_coming`], of a new name.
    pub fn note_name(&mut self, member: v1::Member) -> bool {
        self.note(|news| news.renamed.push(member))
    }

    fn note(&mut self, what: impl FnOnce(&mut News)) -> bool {
        if self.v1 == 0 {
            return false;
        }
        let first = self.news.is_empty();
        what(&mut self.news);
        first
    }

    /// Adds all news to this turn.
    pub fn tell_news(&mut self) {
        let News { came, went, renamed } = std::mem::take(&mut self.news);
        let (count, crowd) = (self.count(), self.count() > CROWD);
        if !came.is_empty() {
            let members = (!crowd).then_some(came.as_slice());
            self.tell(&Heard::Joined { members, count });
        }
        if !went.is_empty() {
            let members = (!crowd).then_some(went.as_slice());
            self.tell(&Heard::Left { members, count });
        }
        if !renamed.is_empty() && !crowd {
            self.tell(&Heard::Renamed { members: &renamed });
        }
    }

    fn tell(&mut self, heard: &Heard) {
        if self.v1 > 0 {
            heard.push(&mut self.turn.v1);
        }
    }

    /// Sends this turn: one non-blocking send per member. Answers with those that take no more.
    pub fn send(&mut self, max_backlog: usize, events: &Events) -> Vec<Member> {
        let Turn { plain, v1, own } = &self.turn;
        log::trace!("{} and {} bytes to {} members", plain.len(), v1.len(), self.all.len());
        let (to_plain, to_v1) = (Run::new(plain), Run::new(v1));
        let gone = self.all.extract_if(.., |member| {
            let sent = match (member.speaks, own.get(&member.id)) {
                (Speaks::Plain, _) => member.outbox.send(&to_plain, max_backlog, events),
                (Speaks::V1, None) => member.outbox.send(&to_v1, max_backlog, events),
                (Speaks::V1, Some(own)) => {
                    member.outbox.send(&Run::new(&with_own(v1, own)), max_backlog, events)
                }
            };
            sent.is_err()
        });
        let gone: Vec<_> = gone.collect();
        self.v1 -= gone.iter().filter(|member| member.speaks == Speaks::V1).count();
        self.turn.clear();
        gone
    }

    /// What was said in this turn is not sent to anyone.
    pub fn forget_turn(&mut self) {
        self.turn.clear();
    }
}

impl Turn {
    /// What stands in `v1` from `start` on is `own` for this client.
    fn differ(&mut self, client: ClientId, start: usize, own: Vec<u8>) {
        if start < self.v1.len() {
            self.own
                .entry(client)
                .or_default()
                .push(Own { place: start..self.v1.len(), frames: own });
        }
    }

    /// The buffers are kept for the next turn, but no large ones: there may be many rooms.
    fn clear(&mut self) {
        self.own.clear();
        for frames in [&mut self.plain, &mut self.v1] {
            frames.clear();
            frames.shrink_to(KEPT_BYTES);
        }
    }
}

impl News {
    fn is_empty(&self) -> bool {
        self.came.is_empty() && self.went.is_empty() && self.renamed.is_empty()
    }
}

/// The frames of all, with those of one client in their places.
fn with_own(all: &[u8], own: &[Own]) -> Vec<u8> {
    let (mut bytes, mut taken) = (Vec::with_capacity(all.len()), 0);
    for Own { place, frames } in own {
        bytes.extend_from_slice(&all[taken..place.start]);
        bytes.extend_from_slice(frames);
        taken = place.end;
    }
    bytes.extend_from_slice(&all[taken..]);
    bytes
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
pub fn as_seen(id: ClientId, user: Option<&User>) -> v1::Member {
    let Author { user, name } = author(Some(id), user);
    v1::Member { id: id.number(), user, name }
}

fn guest(client: ClientId) -> String {
    format!("guest-{}", client.number())
}
