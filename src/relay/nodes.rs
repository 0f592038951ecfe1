//! Several nodes: what this one appends to the log that all share, and what that log tells it.
//!
//! With a shared log nothing is sent to a room when it is said. It is appended, and comes back from
//! the log, in the same order on every node. Members on other nodes are members without a connection
//! here. So clients see no difference. Not here: the log (`store`). Runs on the broadcaster's
//! thread, which never waits for the log.

use std::collections::HashMap;
use std::sync::Arc;

use tungstenite::protocol::frame::coding::CloseCode;

use super::broadcaster::{Broadcaster, Client, EVENT_OVERHEAD};
use super::encoding::Speaker;
use super::events::Parting;
use super::history::Kept;
use super::joining::Place;
use super::presence::member_info;
use super::room::Outcome;
use super::sessions::Seat;
use super::turn::{Waiting, unheard};
use crate::identity::session::Session;
use crate::net::byte_budget::Share;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Draft, Message, MessageId, SessionId, UserId};
use crate::protocol::v1::{MemberId, MemberInfo};
use crate::store::User;
use crate::store::shared::{Entry, Node, Present, Shard, SharedLog, Told};

/// The other nodes, as this one knows them.
pub struct Nodes {
    log: Arc<dyn SharedLog>,
    /// The number under which this node has appended its last entry.
    appended: u64,
    /// The messages of this node that the log has not decided about.
    waiting: HashMap<u64, (RoomName, Waiting)>,
    /// The members on other nodes.
    members: HashMap<MemberId, Present>,
    /// Their sessions.
    sessions: HashMap<SessionId, MemberId>,
    /// The last message of each shard that this node was told.
    told: HashMap<Shard, MessageId>,
    /// Why nothing can be kept now.
    trouble: Option<String>,
}

impl Nodes {
    /// The nodes of this log; this one knows nobody yet.
    pub fn new(log: Arc<dyn SharedLog>) -> Self {
        Self {
            log,
            appended: 0,
            waiting: HashMap::new(),
            members: HashMap::new(),
            sessions: HashMap::new(),
            told: HashMap::new(),
            trouble: None,
        }
    }

    /// Appends a message.
    ///
    /// # Errors
    /// The log takes no more: the room, the reason, and who waits.
    pub fn submit(
        &mut self,
        draft: Draft,
        waiting: Waiting,
    ) -> Result<(), (RoomName, Arc<str>, Waiting)> {
        let (room, member) = (draft.room.clone(), waiting.speaker.map(|speaker| speaker.member));
        match self.append(Entry::Message(draft, member)) {
            Ok(own) => {
                self.waiting.insert(own, (room, waiting));
                Ok(())
            }
            Err(why) => Err((room, unheard(&why), waiting)),
        }
    }

    /// Appends news of a member of this node.
    pub fn tell(&mut self, entry: Entry) {
        // The log always takes news of members; what it writes anew after a fault has them too.
        let _ = self.append(entry);
    }

    fn append(&mut self, entry: Entry) -> Result<u64, String> {
        self.appended += 1;
        self.log.append(self.appended, entry)?;
        Ok(self.appended)
    }

    /// How far this node was told of the messages of a room.
    pub fn told(&self, room: &RoomName) -> MessageId {
        let shard = self.log.shard_of(room);
        self.told.get(&shard).copied().unwrap_or_else(|| self.log.began_behind(shard))
    }

    /// The number for the member of this node that has this number here.
    pub fn member(&self, number: u64) -> MemberId {
        (u64::from(self.log.node()) << 32) + number
    }

    /// A member of this node, as the others are told of it.
    pub fn present(&self, seat: &Seat) -> Present {
        Present {
            room: seat.room.clone(),
            member: seat.id,
            node: self.log.node(),
            guest: seat.guest,
            user: seat.user.as_deref().cloned(),
            session: seat.session.map(|session| session.id),
        }
    }

    /// The seat that a session has on another node. It is now this node's.
    pub fn take(&mut self, session: &Session) -> Option<Box<Seat>> {
        let member = session.ids().find_map(|id| self.sessions.get(&id).copied())?;
        self.remove(member).map(|present| Box::new(seat_of(present)))
    }

    fn add(&mut self, present: Present) {
        if let Some(session) = present.session {
            self.sessions.insert(session, present.member);
        }
        self.members.insert(present.member, present);
    }

    fn remove(&mut self, member: MemberId) -> Option<Present> {
        let present = self.members.remove(&member)?;
        if let Some(session) = present.session
            && self.sessions.get(&session) == Some(&member)
        {
            self.sessions.remove(&session);
        }
        Some(present)
    }

    /// Gives the members of a user on other nodes the new name; `None`: they are guests from now on.
    /// Returns them and their rooms.
    pub fn rename(&mut self, id: UserId, user: Option<&User>) -> Vec<(RoomName, MemberInfo)> {
        let is_theirs = |one: &&mut Present| one.user.as_ref().is_some_and(|who| who.id == id);
        let theirs = self.members.values_mut().filter(is_theirs);
        let is_new = |one: &&mut Present| one.user.as_ref() != user;
        theirs
            .filter(is_new)
            .map(|one| {
                one.user = user.cloned();
                (one.room.clone(), member_info(&seat_of(one.clone())))
            })
            .collect()
    }

    /// The number of members on other nodes.
    pub fn elsewhere(&self) -> usize {
        self.members.len()
    }

    /// Why nothing can be kept now; `None`: messages can be kept.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }
}

/// The seat of a member on another node.
fn seat_of(present: Present) -> Seat {
    let Present { room, member, guest, user, session, .. } = present;
    let session = session.map(|id| Session { id, as_guest: None });
    Seat { guest, user: user.map(Box::new), session, ..Seat::new(room, member) }
}

impl Broadcaster {
    /// Takes what the shared log tells.
    pub(super) fn hear(&mut self, told: Vec<Told>, share: Option<Share>) {
        self.turn.shares.extend(share);
        for told in told {
            match told {
                Told::Message { message, member, own } => self.hear_message(message, member, own),
                Told::Before { own, id } => self.decide_own(own, Ok(Kept::Before(id))),
                Told::NotKept { own, why } => self.decide_own(own, Err(unheard(&why))),
                Told::Joined(present) => self.joined_elsewhere(present),
                Told::Left { room, member, node } => self.left_elsewhere(&room, member, node),
                Told::Renamed(present) => self.renamed_elsewhere(present),
                Told::Typing { room, member } => self.typing_elsewhere(&room, member),
                Told::Everyone { shard, members } => self.know_everyone(shard, members),
                Told::UserRenamed(user) => self.rename(user.id, Some(user)),
                Told::UserRemoved(user) => self.rename(user, None),
                Told::Gap { shard } => self.send_back(shard),
                Told::State(state) => self.others().trouble = state.err(),
            }
        }
    }

    /// Adds a message of the log to the turn. If another node appended it, its speaker may be here by
    /// now: then its copy has its `ref`.
    fn hear_message(&mut self, message: Arc<Message>, member: Option<MemberId>, own: Option<u64>) {
        let (room, id) = (message.room.clone(), message.id);
        let nodes = self.others();
        nodes.told.insert(nodes.log.shard_of(&room), id);
        let waiting = own.and_then(|own| nodes.waiting.remove(&own));
        let waiting = waiting.map(|(_, waiting)| waiting).unwrap_or_else(|| {
            let origin = message.origin.as_deref();
            let client = origin.and_then(|origin| self.sessions.connection_of(origin.session));
            let speaker = member.map(|member| Speaker { client, member });
            let reference = origin.map(|origin| origin.reference.clone());
            Waiting { speaker, reference, ..Waiting::default() }
        });
        self.turn.bytes += message.size() + EVENT_OVERHEAD;
        self.decide(&room, Ok(Kept::Now(message)), waiting);
    }

    fn others(&mut self) -> &mut Nodes {
        self.nodes.as_mut().expect("only a shared log tells anything")
    }

    /// Ends the wait for a message of this node that is not told as a message.
    fn decide_own(&mut self, own: u64, outcome: Outcome) {
        if let Some((room, waiting)) = self.others().waiting.remove(&own) {
            self.decide(&room, outcome, waiting);
        }
    }

    /// A member joined on another node, or moved there. If it was here, its connection here ends.
    fn joined_elsewhere(&mut self, present: Present) {
        if present.node == self.others().log.node() {
            return;
        }
        let mut before = self.seat_that_moved(&present);
        if let Some(seat) = before.take_if(|seat| seat.id != present.member) {
            self.leave_room(&seat, Place::Here);
        }
        let before = before.map(|seat| member_info(&seat));
        let before = self.forget_elsewhere(present.member).or(before);
        let info = member_info(&seat_of(present.clone()));
        let room = present.room.clone();
        self.rooms.entry(room.clone()).or_default().keep_seat(info.clone());
        match before {
            None => self.note_news(&room, |presence| presence.came(info)),
            Some(before) if before != info => {
                self.note_news(&room, |presence| presence.renamed(info));
            }
            Some(_) => {}
        }
        self.others().add(present);
    }

    /// The seat here that a member on another node has now, or that its session had. Its connection is
    /// ended.
    fn seat_that_moved(&mut self, present: &Present) -> Option<Box<Seat>> {
        let its_session = Session { id: present.session?, as_guest: None };
        let has_its_number = |client: &Client| match client {
            Client::Member(seat) if seat.id == present.member => seat.session,
            _ => None,
        };
        // A guest who has taken a name there has the same number, but another session.
        let session = self.clients.values().find_map(has_its_number).unwrap_or(its_session);
        self.earlier_seat_here(&session)
    }

    /// Forgets a member of another node, and tells nobody. Returns how it was known.
    fn forget_elsewhere(&mut self, member: MemberId) -> Option<MemberInfo> {
        let present = self.others().remove(member)?;
        if let Some(members) = self.rooms.get_mut(&present.room) {
            members.give_up_seat(member);
        }
        Some(member_info(&seat_of(present)))
    }

    fn left_elsewhere(&mut self, room: &RoomName, member: MemberId, node: Node) {
        // It may have moved meanwhile.
        if self.others().members.get(&member).is_some_and(|present| present.node == node) {
            self.forget_elsewhere(member);
            self.note_news(room, |presence| presence.went(member));
            self.remove_if_empty(room);
        }
    }

    fn renamed_elsewhere(&mut self, present: Present) {
        if self.others().members.get(&present.member).is_none_or(|known| *known == present) {
            return;
        }
        let info = member_info(&seat_of(present.clone()));
        if let Some(members) = self.rooms.get_mut(&present.room) {
            members.rename_away(&info);
        }
        self.note_news(&present.room, |presence| presence.renamed(info));
        self.others().add(present);
    }

    fn typing_elsewhere(&mut self, room: &RoomName, member: MemberId) {
        let Some(present) = self.others().members.get(&member).cloned() else { return };
        let info = member_info(&seat_of(present));
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.tell_typing(&info, None);
        }
    }

    /// Replaces what is known of the members on other nodes, in the rooms of a shard.
    fn know_everyone(&mut self, shard: Shard, present: Vec<Present>) {
        let now: HashMap<_, _> = present.iter().map(|one| (one.member, one.node)).collect();
        let log = Arc::clone(&self.others().log);
        let is_gone = |one: &&Present| {
            log.shard_of(&one.room) == shard && now.get(&one.member) != Some(&one.node)
        };
        let gone: Vec<_> = self.others().members.values().filter(is_gone).cloned().collect();
        for one in gone {
            self.left_elsewhere(&one.room, one.member, one.node);
        }
        for one in present {
            if self.others().members.get(&one.member) != Some(&one) {
                self.joined_elsewhere(one);
            }
        }
    }

    /// Ends the connections of all members in the rooms of a shard, because messages may be missing
    /// there: who comes back with `since` gets them.
    fn send_back(&mut self, shard: Shard) {
        let log = Arc::clone(&self.others().log);
        let is_meant = |client: &Client| match client {
            Client::Member(seat) => log.shard_of(&seat.room) == shard,
            Client::Echo(_) => false,
        };
        let members = self.clients.iter().filter(|(_, client)| is_meant(client));
        let members: Vec<_> = members.map(|(id, _)| *id).collect();
        for id in members {
            let reason = "messages may be missing here: come back for them";
            if let Some(seat) = self.end_client(id, CloseCode::Away, reason) {
                self.depart(seat, id, Parting::Lost);
            }
        }
    }
}
