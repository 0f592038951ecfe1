//! One room: its members, the items of its turn, and their delivery.
//!
//! During a turn the room records in order what happens in it: messages, arrivals and departures,
//! frames for one member alone. When the messages are kept, [`Room::deliver`] encodes these items
//! once for each dialect, and does one send per member. So a member's own frames have their place
//! among the messages, and cost no other member a send. Runs on the broadcaster's thread. Not here:
//! who is in which room, and when a turn ends (`broadcaster`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::encoding::{Encoded, Speaker};
use super::events::Frames;
use super::history::Kept;
use super::outbox::{Batch, Gone, Outbox, Writers};
use super::presence::{News, Presence};
use super::replay::Replay;
use crate::net::connection::ClientId;
use crate::protocol::dialect::Dialect;
use crate::protocol::message::MessageId;
use crate::protocol::v1::{Code, Complaint, HandOf, MemberId, MemberInfo, ServerEvent};

/// A member of a room.
pub struct Member {
    /// Its connection.
    pub id: ClientId,
    /// Its number, which stays the same when its session comes back.
    pub number: MemberId,
    /// The dialect that it speaks.
    pub dialect: Dialect,
    /// Its outbox.
    pub outbox: Outbox,
    /// Its first frames, until the item [`Item::Arrives`] is delivered; then `None`.
    pub arrival: Option<Box<Arrival>>,
}

/// The first frames of a newcomer.
pub struct Arrival {
    /// The 101 answer. Without a replay, and for `wsroom.v1`, the welcome follows it here.
    pub first: Vec<u8>,
    /// The past, if the client has asked for it.
    pub replay: Option<Box<Replay>>,
    /// The last message before the newcomer.
    pub upto: Upto,
}

/// The last message before a newcomer: the replay ends with it, and what comes behind it is live.
#[derive(Clone, Copy, Debug)]
pub enum Upto {
    /// The message with this id.
    Id(MessageId),
    /// The last of the first so many messages of this turn. They have no ids yet.
    Turn(usize),
}

/// A room with its members and its turn.
#[derive(Default)]
pub struct Room {
    members: Vec<Member>,
    /// Members that have no connection here: their session was lost a moment ago, or they are on
    /// another node.
    away: Vec<MemberInfo>,
    /// Members that have left in this turn. They are still sent the items before their departure.
    leaving: Vec<Leaving>,
    /// The number of members that speak each [`Dialect`], with those that are leaving.
    speaking: [usize; Dialect::COUNT],
    /// The items of this turn, in order.
    turn: Vec<Item>,
    presence: Presence,
    /// The newest message since the room has members.
    last: MessageId,
}

struct Leaving {
    member: Member,
    last_frames: Frames,
    /// The place in the encoded frames at which it left; `None`: its departure is not encoded yet.
    end: Option<usize>,
}

/// One thing that happens in a room during a turn.
pub enum Item {
    /// The turn's message with this index, the member who says it, and that member's `ref`.
    Message(usize, Option<Speaker>, Option<String>),
    /// Frames for all members that speak `wsroom.v1`, except one.
    Event(Vec<u8>, Option<ClientId>),
    /// Frames for one member alone.
    Alone(ClientId, Dialect, Frames),
    /// A member has joined: here its stream begins.
    Arrives(ClientId, Dialect),
    /// A member has left: here its stream ends.
    Leaves(ClientId),
}

/// What has become of a message of the turn, or the reason why it is not kept.
pub type Outcome = Result<Kept, Arc<str>>;

impl Room {
    /// The number of members, with those that are away.
    pub fn count(&self) -> usize {
        self.members.len() + self.away.len()
    }

    /// The number of members that are sent to.
    pub fn connected(&self) -> usize {
        self.members.len()
    }

    /// The numbers of all members, in no order.
    pub fn numbers(&self) -> impl Iterator<Item = MemberId> {
        let connected = self.members.iter().map(|member| member.number);
        connected.chain(self.away.iter().map(|member| member.id))
    }

    /// Describes the members with these numbers, which are in order; `info` describes one that is
    /// connected.
    pub fn describe(
        &self,
        numbers: &[MemberId],
        info: impl Fn(ClientId) -> MemberInfo,
    ) -> Vec<MemberInfo> {
        let is_meant = |number| numbers.binary_search(&number).is_ok();
        let connected = self.members.iter().filter(|member| is_meant(member.number));
        let away = self.away.iter().filter(|member| is_meant(member.id)).cloned();
        let mut members: Vec<_> = connected.map(|member| info(member.id)).chain(away).collect();
        members.sort_unstable_by_key(|member| member.id);
        members
    }

    /// Describes all members as the others see them; `info` describes one that is connected.
    pub fn everyone(&self, info: impl Fn(ClientId) -> MemberInfo) -> Vec<MemberInfo> {
        let connected = self.members.iter().map(|member| info(member.id));
        connected.chain(self.away.iter().cloned()).collect()
    }

    /// The newest message since the room has members; 0 if there was none.
    pub fn last(&self) -> MessageId {
        self.last
    }

    /// The connection of the member with this number; `None`: it has none here.
    pub fn client_of(&self, number: MemberId) -> Option<ClientId> {
        self.members.iter().find(|member| member.number == number).map(|member| member.id)
    }

    /// The members that are sent to.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The connections of all members.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.members.iter().map(|member| member.id)
    }

    /// Finds a member.
    pub fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// Adds a member.
    pub fn add(&mut self, member: Member) {
        if !self.hears_events() {
            // Nobody has heard the news that wait, and the newcomer is welcomed with what is so now.
            self.presence = Presence::default();
        }
        self.turn.push(Item::Arrives(member.id, member.dialect));
        self.speaking[member.dialect as usize] += 1;
        self.members.push(member);
        self.presence.count(self.count());
    }

    /// Counts a member that has no connection here.
    pub fn keep_seat(&mut self, member: MemberInfo) {
        self.away.push(member);
        self.presence.count(self.count());
    }

    /// Counts it no longer: it is here now, or it has gone.
    pub fn give_up_seat(&mut self, member: MemberId) {
        self.away.retain(|away| away.id != member);
    }

    /// Gives a member that is away another name.
    pub fn rename_away(&mut self, member: &MemberInfo) {
        self.away.iter_mut().filter(|away| away.id == member.id).for_each(|away| {
            *away = member.clone();
        });
    }

    /// Brings the members that are away up to date.
    pub fn update_away(&mut self, infos: &HashMap<MemberId, MemberInfo>) {
        for away in &mut self.away {
            if let Some(info) = infos.get(&away.id) {
                away.clone_from(info);
            }
        }
    }

    /// Removes a member; `last_frames` end its stream. `false`: there is no such member.
    pub fn remove(&mut self, id: ClientId, last_frames: Frames) -> bool {
        let Some(place) = self.members.iter().position(|member| member.id == id) else {
            return false;
        };
        let member = self.members.swap_remove(place);
        self.leaving.push(Leaving { member, last_frames, end: None });
        self.turn.push(Item::Leaves(id));
        true
    }

    /// Gives up the members, when the server stops.
    pub fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// Whether this turn has items.
    pub fn has_turn(&self) -> bool {
        !self.turn.is_empty()
    }

    /// Whether there are no members, and none that are away or leaving.
    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.leaving.is_empty()
    }

    /// Adds frames for one member alone to this turn.
    pub fn record_alone(&mut self, id: ClientId, frames: Frames) {
        if let Some(member) = self.find(id) {
            let dialect = member.dialect;
            self.turn.push(Item::Alone(id, dialect, frames));
        }
    }

    /// The plain members who have said something in this turn that is not kept, each once.
    pub fn unheard(&self, outcomes: &[Outcome]) -> Vec<ClientId> {
        let speakers = self.turn.iter().filter_map(|item| match item {
            Item::Message(index, Some(speaker), _) if outcomes[*index].is_err() => speaker.client,
            _ => None,
        });
        let speakers: HashSet<_> = speakers.collect();
        let plain = self.members.iter().filter(|member| member.dialect == Dialect::Plain);
        plain.map(|member| member.id).filter(|id| speakers.contains(id)).collect()
    }

    /// Adds an item to this turn.
    pub fn record(&mut self, item: Item) {
        self.turn.push(item);
    }

    /// Tells the members that speak `wsroom.v1` whether a member's hand is up.
    pub fn tell_hand(&mut self, member: &MemberInfo) {
        self.presence.update(member);
        if self.hears_events() {
            let (of, up) = (HandOf { id: member.id, name: &member.name }, member.hand.unwrap_or(0));
            self.turn.push(Item::Event(ServerEvent::Hand { member: of, up }.frame(), None));
        }
    }

    /// Tells the other members, if they speak `wsroom.v1`, that a member is writing. A crowd is not
    /// told: it has no list in which to find that member.
    pub fn tell_typing(&mut self, from: &MemberInfo, client: Option<ClientId>) {
        if self.hears_events() && !self.presence.is_crowd() {
            self.turn.push(Item::Event(ServerEvent::Typing { from }.frame(), client));
        }
    }

    fn hears_events(&self) -> bool {
        self.speaking[Dialect::V1 as usize] > 0
    }

    /// The news for the members; `None` if no member speaks `wsroom.v1`.
    pub fn presence(&mut self) -> Option<&mut Presence> {
        self.hears_events().then_some(&mut self.presence)
    }

    /// Adds all news to this turn; `info` describes a member as the others see it.
    pub fn tell_news(&mut self, info: impl Fn(ClientId) -> MemberInfo) {
        let mut presence = std::mem::take(&mut self.presence);
        let news = presence.take(self.count(), || self.everyone(info));
        self.presence = presence;
        if self.hears_events() {
            for news in news {
                self.turn.extend(self.item_of(news));
            }
        }
    }

    /// A piece of news as an item; `None` if it is for a member that has no connection now.
    fn item_of(&self, news: News) -> Option<Item> {
        match news {
            News::ForAll(frames) => Some(Item::Event(frames, None)),
            News::For(number, frames) => {
                let member = self.members.iter().find(|member| member.number == number)?;
                let is_told = member.dialect == Dialect::V1;
                is_told.then(|| Item::Alone(member.id, Dialect::V1, frames.into()))
            }
        }
    }

    /// Delivers this turn with one non-blocking send per member (more only if the turn is large).
    /// Returns the members that were cut off, or whose connection failed.
    pub fn deliver(
        &mut self,
        outcomes: &[Outcome],
        encoded: &mut Encoded,
        sending: Sending,
    ) -> Vec<Member> {
        let mut gone = Vec::new();
        for item in std::mem::take(&mut self.turn) {
            self.encode(item, outcomes, encoded, sending);
            if encoded.is_full() {
                gone.extend(self.send(encoded, sending));
            }
        }
        gone.extend(self.send(encoded, sending));
        gone
    }

    fn encode(
        &mut self,
        item: Item,
        outcomes: &[Outcome],
        encoded: &mut Encoded,
        sending: Sending,
    ) {
        match item {
            Item::Message(index, speaker, reference) => {
                self.encode_message(&outcomes[index], speaker, reference, encoded);
            }
            Item::Event(frames, except) => encoded.event(&frames, except),
            Item::Alone(id, dialect, frames) => encoded.alone(id, dialect, frames.bytes),
            Item::Arrives(id, dialect) => {
                let last_of = |count| last_id(&outcomes[..count]).unwrap_or(sending.before);
                self.arrive(id, dialect, last_of, encoded, sending);
            }
            Item::Leaves(id) => {
                if let Some(leaving) = self.leaving.iter_mut().find(|one| one.member.id == id) {
                    leaving.end = Some(encoded.length(leaving.member.dialect));
                }
            }
        }
    }

    /// Encodes a message for all members. One that was kept before, or is not kept, is news for its
    /// speaker alone.
    fn encode_message(
        &mut self,
        outcome: &Outcome,
        speaker: Option<Speaker>,
        reference: Option<String>,
        encoded: &mut Encoded,
    ) {
        match outcome {
            Ok(Kept::Now(message)) => {
                self.last = message.id;
                // A shared log may tell of it when its speaker has left.
                let client = speaker.and_then(|speaker| speaker.client);
                let client = client.filter(|client| !self.has_left(*client));
                let speaker = speaker.map(|speaker| Speaker { client, ..speaker });
                encoded.message(message, speaker, reference.as_deref(), self.speaking);
            }
            Ok(Kept::Before(id)) => {
                let kept = |reference| ServerEvent::Kept { reference, id: *id }.frame();
                self.answer(speaker, reference.as_deref().map(kept), encoded);
            }
            Err(why) => {
                let detail = why.to_string();
                let complaint = Complaint { code: Code::NotKept, detail, reference };
                self.answer(speaker, Some(complaint.event().frame()), encoded);
            }
        }
    }

    /// A member that is here at this place of the turn, even if it leaves later in the turn.
    fn find_in_turn(&mut self, id: ClientId) -> Option<&mut Member> {
        let leaving = self.leaving.iter_mut().filter(|leaving| leaving.end.is_none());
        let leaving = leaving.map(|leaving| &mut leaving.member);
        self.members.iter_mut().chain(leaving).find(|member| member.id == id)
    }

    /// Whether a member has left at an earlier place of this turn: its stream has ended there.
    fn has_left(&self, id: ClientId) -> bool {
        self.leaving.iter().any(|leaving| leaving.member.id == id && leaving.end.is_some())
    }

    /// Tells a speaker alone, at the message's place, what has become of it. A plain client has no
    /// way to hear that.
    fn answer(&mut self, to: Option<Speaker>, event: Option<Vec<u8>>, encoded: &mut Encoded) {
        let client = to.and_then(|speaker| speaker.client);
        let member = client.and_then(|client| self.find_in_turn(client));
        let member = member.filter(|member| member.dialect == Dialect::V1);
        if let (Some(member), Some(event)) = (member, event) {
            encoded.alone(member.id, Dialect::V1, event);
        }
    }

    /// Begins a newcomer's stream: it gets its own first frames in the place of all frames before.
    /// `last_of` is the id of the last of so many messages of this turn.
    fn arrive(
        &mut self,
        id: ClientId,
        dialect: Dialect,
        last_of: impl Fn(usize) -> MessageId,
        encoded: &mut Encoded,
        sending: Sending,
    ) {
        let Some(member) = self.find_in_turn(id) else { return };
        let Some(arrival) = member.arrival.take() else { return };
        let Arrival { first, replay, upto } = *arrival;
        let first = match replay {
            None => first,
            Some(mut replay) => {
                replay.upto = match upto {
                    Upto::Id(id) => id,
                    Upto::Turn(count) => last_of(count),
                };
                // If this fails, the client's own thread was woken, and reports that it has left.
                let _ = member.outbox.begin(first, replay, sending.writers);
                Vec::new()
            }
        };
        encoded.replace_all(id, dialect, first);
    }

    /// Sends the frames that are encoded so far. Returns the members that were cut off, or whose
    /// connection failed.
    fn send(&mut self, encoded: &mut Encoded, sending: Sending) -> Vec<Member> {
        let batches = Dialect::ALL.map(|dialect| Batch::new(encoded.for_all(dialect)));
        let [plain, v1] = Dialect::ALL.map(|dialect| encoded.length(dialect));
        log::trace!("{plain} and {v1} bytes to {} members", self.members.len());
        // Counted here and told once: an atomic addition for each member would be felt.
        let (mut members, mut bytes) = (0, 0);
        let gone = self.members.extract_if(.., |member| {
            // The stream of a member that has not arrived yet begins later in the turn.
            member.arrival.is_none() && {
                members += 1;
                let sent = match encoded.for_one(member.id, member.dialect, None) {
                    None => {
                        let batch = &batches[member.dialect as usize];
                        bytes += batch.length();
                        member.send(batch, sending)
                    }
                    Some(frames) => {
                        let batch = Batch::new(&frames);
                        bytes += batch.length();
                        member.send(&batch, sending)
                    }
                };
                sent.is_err()
            }
        });
        let gone: Vec<_> = gone.collect();
        sending.writers.metrics().delivered((members * encoded.messages()) as u64, bytes as u64);
        for member in &gone {
            self.speaking[member.dialect as usize] -= 1;
        }
        self.send_to_leaving(encoded, sending);
        encoded.clear();
        gone
    }

    /// Sends to the members that are leaving: the frames before their departure, and their last
    /// frames. A member whose departure is not encoded yet gets all frames, and stays on the list.
    fn send_to_leaving(&mut self, encoded: &Encoded, sending: Sending) {
        for mut leaving in std::mem::take(&mut self.leaving) {
            let Leaving { member, last_frames, end } = &mut leaving;
            let end = end.take();
            let until = end.unwrap_or_else(|| encoded.length(member.dialect));
            let frames = encoded.for_one(member.id, member.dialect, Some(until));
            let frames = frames.unwrap_or_default();
            let takes =
                member.arrival.is_some() || member.send(&Batch::new(&frames), sending).is_ok();
            if takes && end.is_none() {
                self.leaving.push(leaving);
                continue;
            }
            self.speaking[member.dialect as usize] -= 1;
            if takes {
                let last_frames = std::mem::take(&mut last_frames.bytes);
                leaving.member.outbox.end(&last_frames, sending.writers);
            }
        }
    }
}

/// The id of the last message that is kept in this turn; `None`: none is.
fn last_id(outcomes: &[Outcome]) -> Option<MessageId> {
    outcomes.iter().rev().find_map(|outcome| match outcome {
        Ok(Kept::Now(message)) => Some(message.id),
        _ => None,
    })
}

impl Member {
    fn send(&mut self, batch: &Batch, sending: Sending) -> Result<(), Gone> {
        self.outbox.send(batch, sending.max_backlog, sending.writers)
    }
}

/// The values that every send needs, besides the frames.
#[derive(Clone, Copy)]
pub struct Sending<'a> {
    /// `--max-backlog`, in bytes.
    pub max_backlog: usize,
    /// For members that fall behind.
    pub writers: &'a Writers,
    /// The last id before this turn.
    pub before: MessageId,
}
