//! One room: its members, what happens in it during a turn, and the delivery of that.
//!
//! During a turn the room takes down in order what happens in it: messages, comings and goings,
//! frames for one member alone. When the messages are kept, [`Room::deliver`] encodes all of it
//! once for all who speak alike, and does one send per member. So a member's own frames have their
//! place among the messages and cost nobody else a send. Not here: who is in which room, and when
//! a turn ends (`broadcaster`, whose thread runs all of this).

use std::sync::Arc;

use super::encoding::Encoded;
use super::events::{Events, Frames};
use super::outbox::{Batch, Gone, Outbox};
use super::presence::{News, Presence};
use super::replay::Replay;
use crate::net::connection::ClientId;
use crate::protocol::dialect::Dialect;
use crate::protocol::message::{Message, MessageId};
use crate::protocol::v1::{Complaint, MemberInfo, ServerEvent};

/// Somebody in the room.
pub struct Member {
    /// Their connection.
    pub id: ClientId,
    /// What they speak.
    pub dialect: Dialect,
    /// The way to them.
    pub outbox: Outbox,
    /// What they are sent first; `None` once their coming has had its place in a turn.
    pub arrival: Option<Box<Arrival>>,
}

/// What a newcomer is sent before anything else.
pub struct Arrival {
    /// The 101 answer, and for `wsroom.v1` the welcome, unless that comes with the past.
    pub first: Vec<u8>,
    /// The past, if they have asked for it.
    pub replay: Option<Box<Replay>>,
}

/// Everyone in one room.
#[derive(Default)]
pub struct Room {
    all: Vec<Member>,
    /// Those who have left in this turn: they are sent what was said until then.
    leaving: Vec<Leaving>,
    /// How many there are of each [`Dialect`], with those who are leaving.
    speaking: [usize; Dialect::COUNT],
    /// What has happened in this turn.
    turn: Vec<Item>,
    presence: Presence,
    /// The newest message since there were members.
    last: MessageId,
}

struct Leaving {
    member: Member,
    last_frames: Frames,
    /// Where in the turn's frames they have left; `None`: that has not come yet.
    end: Option<usize>,
}

/// What happens in a room.
pub enum Item {
    /// The turn's message with this index; who said it, and with which `ref`.
    Message(usize, Option<ClientId>, Option<String>),
    /// Frames for all who speak `wsroom.v1` but one.
    Event(Vec<u8>, Option<ClientId>),
    /// Frames for one member alone.
    Alone(ClientId, Dialect, Frames),
    /// A member came.
    Arrives(ClientId, Dialect),
    /// A member went.
    Leaves(ClientId),
}

impl Item {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(frames, _) => frames.len(),
            Self::Alone(_, _, frames) => frames.bytes.len(),
            Self::Message(..) | Self::Arrives(..) | Self::Leaves(_) => 0,
        }
    }
}

/// What became of a turn's messages: they are kept, or why not.
pub type Outcome<'a> = Result<&'a [Arc<Message>], &'a str>;

impl Room {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Their connections.
    pub fn ids(&self) -> impl Iterator<Item = ClientId> {
        self.all.iter().map(|member| member.id)
    }

    /// The newest message since there were members; 0 if there was none.
    pub fn last(&self) -> MessageId {
        self.last
    }

    /// One of them.
    pub fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        self.all.iter_mut().find(|member| member.id == id)
    }

    /// One more.
    pub fn add(&mut self, member: Member) {
        self.turn.push(Item::Arrives(member.id, member.dialect));
        self.speaking[member.dialect as usize] += 1;
        self.all.push(member);
        self.presence.count(self.all.len());
    }

    /// One less; `last_frames` are the last that they are sent. `false`: they are not here.
    pub fn remove(&mut self, id: ClientId, last_frames: Frames) -> bool {
        let Some(place) = self.all.iter().position(|member| member.id == id) else { return false };
        let member = self.all.swap_remove(place);
        self.leaving.push(Leaving { member, last_frames, end: None });
        self.turn.push(Item::Leaves(id));
        true
    }

    /// All of them, to be told goodbye.
    pub fn into_all(self) -> Vec<Member> {
        self.all
    }

    /// Whether something has happened in this turn.
    pub fn has_turn(&self) -> bool {
        !self.turn.is_empty()
    }

    /// Whether nobody is here, nor about to leave.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.leaving.is_empty()
    }

    /// Takes down what happens.
    pub fn take_down(&mut self, item: Item) {
        self.turn.push(item);
    }

    /// The others, those who understand it, are told that somebody is writing. A crowd is not: it
    /// does not know who that is.
    pub fn tell_typing(&mut self, from: &MemberInfo, client: ClientId) {
        if self.hears_events() && !self.presence.is_crowd() {
            self.turn.push(Item::Event(ServerEvent::Typing { from }.frame(), Some(client)));
        }
    }

    fn hears_events(&self) -> bool {
        self.speaking[Dialect::V1 as usize] > 0
    }

    /// What the members have not been told yet of each other; `None` if nobody here hears of it.
    pub fn presence(&mut self) -> Option<&mut Presence> {
        self.hears_events().then_some(&mut self.presence)
    }

    /// Tells all news in this turn; `seen` tells how a member looks to the others.
    pub fn tell_news(&mut self, seen: impl Fn(ClientId) -> MemberInfo) {
        let everyone = || self.all.iter().map(|member| seen(member.id)).collect();
        let news = self.presence.tell(self.all.len(), everyone);
        if self.hears_events() {
            self.turn.extend(news.into_iter().map(|news| match news {
                News::ForAll(frames) => Item::Event(frames, None),
                News::For(id, frames) => Item::Alone(id, Dialect::V1, frames.into()),
            }));
        }
    }

    /// Sends this turn: one non-blocking send per member. Answers with those that take no more.
    pub fn deliver(&mut self, outcome: Outcome, encoded: &mut Encoded, out: Out) -> Vec<Member> {
        let mut gone = Vec::new();
        for item in std::mem::take(&mut self.turn) {
            self.encode(item, outcome, encoded, out);
            if encoded.is_much() {
                gone.extend(self.send(encoded, out));
            }
        }
        gone.extend(self.send(encoded, out));
        gone
    }

    fn encode(&mut self, item: Item, outcome: Outcome, encoded: &mut Encoded, out: Out) {
        match (item, outcome) {
            (Item::Message(index, sender, reference), Ok(messages)) => {
                self.last = messages[index].id;
                let mark = sender.zip(reference.as_deref());
                encoded.message(&messages[index], mark, self.speaking);
            }
            (Item::Message(_, sender, reference), Err(why)) => {
                self.complain(sender, reference, why, encoded);
            }
            (Item::Event(frames, but_for), _) => encoded.event(&frames, but_for),
            (Item::Alone(id, dialect, frames), _) => encoded.alone(id, dialect, frames.bytes),
            (Item::Arrives(id, dialect), _) => self.arrive(id, dialect, encoded, out),
            (Item::Leaves(id), _) => {
                if let Some(leaving) = self.leaving.iter_mut().find(|one| one.member.id == id) {
                    leaving.end = Some(encoded.length(leaving.member.dialect));
                }
            }
        }
    }

    /// A message was not kept, and nobody is sent it; its sender is told, in its place.
    fn complain(
        &mut self,
        sender: Option<ClientId>,
        reference: Option<String>,
        why: &str,
        encoded: &mut Encoded,
    ) {
        let Some(sender) = sender.and_then(|id| self.find(id)) else { return };
        if sender.dialect == Dialect::V1 {
            let complaint = Complaint { code: "not-kept", detail: why.to_owned(), reference };
            encoded.alone(sender.id, Dialect::V1, ServerEvent::Error(&complaint).frame());
        }
    }

    /// A newcomer has no part in what was said before, and gets its own first frames instead.
    fn arrive(&mut self, id: ClientId, dialect: Dialect, encoded: &mut Encoded, out: Out) {
        let leaving = self.leaving.iter_mut().map(|leaving| &mut leaving.member);
        let member = self.all.iter_mut().chain(leaving).find(|member| member.id == id);
        let Some((member, arrival)) = member.and_then(|member| {
            let arrival = member.arrival.take()?;
            Some((member, *arrival))
        }) else {
            return;
        };
        let Arrival { first, replay } = arrival;
        let first = match replay {
            None => first,
            Some(mut replay) => {
                // What was said in this room before: in this turn, or else before it.
                replay.upto = self.last.max(out.before);
                // If it takes nothing, its own thread has been woken and reports that it is gone.
                let _ = member.outbox.begin(first, replay, out.events);
                Vec::new()
            }
        };
        encoded.instead_of_all(id, dialect, first);
    }

    /// Sends what is encoded so far. Answers with those that take no more.
    fn send(&mut self, encoded: &mut Encoded, out: Out) -> Vec<Member> {
        let batches = Dialect::ALL.map(|dialect| Batch::new(encoded.of_all(dialect)));
        let [plain, v1] = Dialect::ALL.map(|dialect| encoded.length(dialect));
        log::trace!("{plain} and {v1} bytes to {} members", self.all.len());
        let gone = self.all.extract_if(.., |member| {
            // Whoever has not arrived yet has no part in this.
            member.arrival.is_none() && {
                let sent = match encoded.of_one(member.id, member.dialect, None) {
                    None => member.send(&batches[member.dialect as usize], out),
                    Some(frames) => member.send(&Batch::new(&frames), out),
                };
                sent.is_err()
            }
        });
        let gone: Vec<_> = gone.collect();
        for member in &gone {
            self.speaking[member.dialect as usize] -= 1;
        }
        self.send_to_leaving(encoded, out);
        encoded.clear();
        gone
    }

    /// Those who leave get what was said until then, and their last frames; or all of this, if
    /// their place in the turn has not come yet.
    fn send_to_leaving(&mut self, encoded: &Encoded, out: Out) {
        for mut leaving in std::mem::take(&mut self.leaving) {
            let Leaving { member, last_frames, end } = &mut leaving;
            let end = end.take();
            let until = end.unwrap_or_else(|| encoded.length(member.dialect));
            let frames = encoded.of_one(member.id, member.dialect, Some(until));
            let frames = frames.unwrap_or_default();
            let takes = member.arrival.is_some() || member.send(&Batch::new(&frames), out).is_ok();
            if takes && end.is_none() {
                self.leaving.push(leaving);
                continue;
            }
            self.speaking[member.dialect as usize] -= 1;
            if takes {
                let last_frames = std::mem::take(&mut last_frames.bytes);
                leaving.member.outbox.end(&last_frames, out.events);
            }
        }
    }
}

impl Member {
    fn send(&mut self, batch: &Batch, out: Out) -> Result<(), Gone> {
        self.outbox.send(batch, out.max_backlog, out.events)
    }
}

/// What sending takes, beside the frames.
#[derive(Clone, Copy)]
pub struct Out<'a> {
    /// `--max-backlog`, in bytes.
    pub max_backlog: usize,
    /// For the writer threads, which tell when they have caught up.
    pub events: &'a Events,
    /// The last id before this turn.
    pub before: MessageId,
}
