//! Those who are in one room, what they are sent in a turn, and how they hear of each other.
//!
//! During a turn the room takes down in order what happens in it: messages, comings and goings,
//! frames for one member alone. When the messages are kept, [`Members::deliver`] encodes all of it
//! once for all who speak alike, and does one send per member. So a member's own frames have their
//! place among the messages and cost nobody else a send. Comings and goings are told together, a
//! quarter of a second at a time, or a class that enters would cost its square. Not here: who is
//! in which room, and when a turn ends (`broadcaster`, whose thread runs all of this).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::inbox::{Events, Frames};
use crate::net::connection::ClientId;
use crate::outbox::{Outbox, Run};
use crate::protocol::dialect::Dialect;
use crate::protocol::message::{Author, Message, MessageId};
use crate::protocol::v1;
use crate::protocol::v1::{Complaint, ServerEvent};
use crate::replay::Replay;
use crate::store::User;

/// Bytes of encoded frames after which they are sent, whatever is still to come in the turn. One
/// message may exceed it.
const SEND_BYTES: usize = 1 << 20;

/// Bytes of buffer that are kept from turn to turn.
const KEPT_BYTES: usize = 256 << 10;

/// How long news of members waits for more.
pub const NEWS: Duration = Duration::from_millis(250);

/// In larger rooms only the number of members is told.
pub const CROWD: usize = 200;

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
pub struct Members {
    all: Vec<Member>,
    /// Those who have left in this turn: they are sent what was said until then.
    leaving: Vec<Leaving>,
    /// How many there are of each [`Dialect`], with those who are leaving.
    speaking: [usize; Dialect::COUNT],
    /// What has happened in this turn.
    turn: Vec<Item>,
    news: News,
    /// They were more than [`CROWD`], and do not know of each other any more.
    crowded: bool,
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

/// Who came and went and is called otherwise, since this was last told.
#[derive(Default)]
struct News {
    came: Vec<v1::MemberInfo>,
    went: Vec<u64>,
    renamed: Vec<v1::MemberInfo>,
}

/// What the members of one room are sent: encoded once for all who speak alike. One for all rooms,
/// used for one after the other.
#[derive(Default)]
pub struct Encoded {
    frames: [Vec<u8>; Dialect::COUNT],
    /// Where they are different for one member.
    own: HashMap<ClientId, Vec<Own>>,
}

/// Frames that stand in the place of others, which may be none.
struct Own {
    place: Range<usize>,
    frames: Vec<u8>,
}

/// What became of a turn's messages: they are kept, or why not.
pub type Outcome<'a> = Result<&'a [Arc<Message>], &'a str>;

impl Members {
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
        self.crowded |= self.all.len() > CROWD;
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
    pub fn tell_typing(&mut self, from: &v1::MemberInfo, client: ClientId) {
        if self.hears_events() && !self.crowded {
            self.turn.push(Item::Event(ServerEvent::Typing { from }.frame(), Some(client)));
        }
    }

    fn hears_events(&self) -> bool {
        self.speaking[Dialect::V1 as usize] > 0
    }

    /// Takes note that somebody came; `true` if that is the first news, to be told in a while.
    pub fn note_coming(&mut self, member: v1::MemberInfo) -> bool {
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

    /// As [`Members::note_coming`], of a new name. Of many in a short time the last one is told.
    pub fn note_name(&mut self, member: v1::MemberInfo) -> bool {
        self.note(|news| match news.renamed.iter_mut().find(|noted| noted.id == member.id) {
            Some(noted) => *noted = member,
            None => news.renamed.push(member),
        })
    }

    fn note(&mut self, what: impl FnOnce(&mut News)) -> bool {
        if !self.hears_events() {
            return false;
        }
        let first = self.news.is_empty();
        what(&mut self.news);
        first
    }

    /// Tells all news in this turn; `seen` tells how a member looks to the others.
    pub fn tell_news(&mut self, seen: impl Fn(ClientId) -> v1::MemberInfo) {
        let News { came, went, renamed } = std::mem::take(&mut self.news);
        let count = self.count();
        if count > CROWD {
            return self.tell_numbers(&came, &went, &renamed);
        }
        if std::mem::take(&mut self.crowded) {
            let members: Vec<_> = self.ids().map(seen).collect();
            return self.tell(&ServerEvent::Members { members: &members, count });
        }
        if !came.is_empty() {
            self.tell(&ServerEvent::Joined { members: Some(&came), count });
        }
        if !went.is_empty() {
            self.tell(&ServerEvent::Left { members: Some(&went), count });
        }
        if !renamed.is_empty() {
            self.tell(&ServerEvent::Renamed { members: &renamed });
        }
    }

    /// What a crowd is told; and everyone their own new name.
    fn tell_numbers(&mut self, came: &[v1::MemberInfo], went: &[u64], renamed: &[v1::MemberInfo]) {
        let count = self.count();
        if !came.is_empty() {
            self.tell(&ServerEvent::Joined { members: None, count });
        }
        if !went.is_empty() {
            self.tell(&ServerEvent::Left { members: None, count });
        }
        for member in renamed {
            let frames = ServerEvent::Renamed { members: std::slice::from_ref(member) }.frame();
            let id = ClientId::new(member.id);
            self.turn.push(Item::Alone(id, Dialect::V1, frames.into()));
        }
    }

    fn tell(&mut self, heard: &ServerEvent) {
        if self.hears_events() {
            self.turn.push(Item::Event(heard.frame(), None));
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
                let message = &messages[index];
                self.last = message.id;
                let place = encoded.message(message, self.speaking);
                if let (Some(sender), Some(reference)) = (sender, reference) {
                    let own = encode_message(message, Dialect::V1, Some(&reference));
                    encoded.instead(sender, place, own);
                }
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
            Some(replay) => {
                // If it takes nothing, its own thread has been woken and reports that it is gone.
                let _ = member.outbox.begin(first, replay, out.events);
                Vec::new()
            }
        };
        encoded.instead_of_all(id, dialect, first);
    }

    /// Sends what is encoded so far. Answers with those that take no more.
    fn send(&mut self, encoded: &mut Encoded, out: Out) -> Vec<Member> {
        let Encoded { frames, own } = &*encoded;
        let runs = frames.each_ref().map(|frames| Run::new(frames));
        log::trace!(
            "{} and {} bytes to {} members",
            frames[0].len(),
            frames[1].len(),
            self.all.len()
        );
        let gone = self.all.extract_if(.., |member| {
            // Whoever has not arrived yet has no part in this.
            member.arrival.is_none() && {
                let run = &runs[member.dialect as usize];
                let sent = match own.get(&member.id) {
                    None => member.outbox.send(run, out.max_backlog, out.events),
                    Some(own) => {
                        let run = with_own(&frames[member.dialect as usize], own);
                        member.outbox.send(&Run::new(&run), out.max_backlog, out.events)
                    }
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

    fn send_to_leaving(&mut self, encoded: &Encoded, out: Out) {
        for Leaving { mut member, last_frames, end } in std::mem::take(&mut self.leaving) {
            let all = &encoded.frames[member.dialect as usize];
            let own = encoded.own.get(&member.id).map_or(&[][..], Vec::as_slice);
            let frames = with_own(&all[..end.unwrap_or(all.len())], own);
            let sent = member.arrival.is_some()
                || member.outbox.send(&Run::new(&frames), out.max_backlog, out.events).is_ok();
            match end {
                None if sent => self.leaving.push(Leaving { member, last_frames, end }),
                None => self.speaking[member.dialect as usize] -= 1,
                Some(_) => {
                    self.speaking[member.dialect as usize] -= 1;
                    if sent {
                        member.outbox.end(&last_frames.bytes, out.events);
                    }
                }
            }
        }
    }
}

/// What sending takes, beside the frames.
#[derive(Clone, Copy)]
pub struct Out<'a> {
    /// `--max-backlog`, in bytes.
    pub max_backlog: usize,
    /// For the writer threads, which tell when they have caught up.
    pub events: &'a Events,
}

impl Encoded {
    fn length(&self, dialect: Dialect) -> usize {
        self.frames[dialect as usize].len()
    }

    fn is_much(&self) -> bool {
        self.frames.iter().any(|frames| frames.len() >= SEND_BYTES)
    }

    /// Answers with its place among the frames of `wsroom.v1`.
    fn message(&mut self, message: &Message, speaking: [usize; Dialect::COUNT]) -> Range<usize> {
        let begin = self.length(Dialect::V1);
        for dialect in Dialect::ALL {
            if speaking[dialect as usize] > 0 {
                let frames = &mut self.frames[dialect as usize];
                dialect.write_message(frames, message, None).expect(A_VECTOR);
            }
        }
        begin..self.length(Dialect::V1)
    }

    fn event(&mut self, frames: &[u8], but_for: Option<ClientId>) {
        let begin = self.length(Dialect::V1);
        self.frames[Dialect::V1 as usize].extend_from_slice(frames);
        if let Some(client) = but_for {
            self.instead(client, begin..self.length(Dialect::V1), Vec::new());
        }
    }

    fn alone(&mut self, id: ClientId, dialect: Dialect, frames: Vec<u8>) {
        let here = self.length(dialect);
        self.instead(id, here..here, frames);
    }

    fn instead_of_all(&mut self, id: ClientId, dialect: Dialect, frames: Vec<u8>) {
        self.instead(id, 0..self.length(dialect), frames);
    }

    fn instead(&mut self, id: ClientId, place: Range<usize>, frames: Vec<u8>) {
        self.own.entry(id).or_default().push(Own { place, frames });
    }

    /// The buffers are kept for the next turn, but no large ones.
    fn clear(&mut self) {
        self.own.clear();
        for frames in &mut self.frames {
            frames.clear();
            frames.shrink_to(KEPT_BYTES);
        }
    }
}

const A_VECTOR: &str = "a vector takes everything";

impl News {
    fn is_empty(&self) -> bool {
        self.came.is_empty() && self.went.is_empty() && self.renamed.is_empty()
    }
}

fn encode_message(message: &Message, dialect: Dialect, reference: Option<&str>) -> Vec<u8> {
    let mut frames = Vec::new();
    dialect.write_message(&mut frames, message, reference).expect(A_VECTOR);
    frames
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
pub fn as_seen(id: ClientId, user: Option<&User>) -> v1::MemberInfo {
    let Author { user, name } = author(Some(id), user);
    v1::MemberInfo { id: id.number(), user, name }
}

fn guest(client: ClientId) -> String {
    format!("guest-{}", client.number())
}
