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
use super::deeds::obey;
use super::encoding::Speaker;
use super::events::{Mark, Newcomer, Parting};
use super::history::Kept;
use super::joining::{Place, left};
use super::presence::member_info;
use super::room::Outcome;
use super::sessions::Seat;
use super::turn::{Waiting, unheard};
use crate::identity::session::Session;
use crate::net::byte_budget::Share;
use crate::protocol::address::{Past, RoomName};
use crate::protocol::message::{Draft, Message, MessageId, SessionId, UserId};
use crate::protocol::v1::{MemberId, MemberInfo};
use crate::store::User;
use crate::store::shared::{Entry, Node, Present, Shard, SharedLog, Told};

/// The other nodes, as this one knows them.
pub struct Nodes {
    log: Arc<dyn SharedLog>,
    /// The number under which this node has appended its last entry.
    appended: u64,
    /// The number of the last message among them.
    last_message: u64,
    /// The messages of this node that the log has not decided about.
    waiting: HashMap<u64, (RoomName, Waiting)>,
    /// The members on other nodes.
    members: HashMap<MemberId, Present>,
    /// Their sessions.
    sessions: HashMap<SessionId, MemberId>,
    /// The last message of each shard that this node was told.
    told: HashMap<Shard, MessageId>,
    /// Newcomers who have heard on another node what this one was not told yet, or could have.
    pub(super) early: Vec<Newcomer>,
    /// Why nothing can be kept now.
    trouble: Option<String>,
}

impl Nodes {
    /// The nodes of this log; this one knows nobody yet.
    pub fn new(log: Arc<dyn SharedLog>) -> Self {
        Self {
            log,
            appended: 0,
            last_message: 0,
            waiting: HashMap::new(),
            members: HashMap::new(),
            sessions: HashMap::new(),
            told: HashMap::new(),
            early: Vec::new(),
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
    ) -> Result<(), (RoomName, Arc<str>, Box<Waiting>)> {
        let (room, member) = (draft.room.clone(), waiting.speaker.map(|speaker| speaker.member));
        match self.append(Entry::Message(draft, member)) {
            Ok(own) => {
                self.last_message = own;
                self.waiting.insert(own, (room, waiting));
                Ok(())
            }
            Err(why) => Err((room, unheard(&why), Box::new(waiting))),
        }
    }

    /// Lets a client wait until the log has decided about the last message of this node. The mark comes
    /// back if it has already.
    pub fn hold(&mut self, mark: Mark) -> Option<Mark> {
        match self.waiting.get_mut(&self.last_message) {
            Some((_, waiting)) => {
                waiting.marks.push(mark);
                None
            }
            None => Some(mark),
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

    /// Whether this node is behind the place in the log at which a newcomer begins.
    fn is_early(&self, Newcomer { room, joining, .. }: &Newcomer) -> bool {
        let begin = match joining.past {
            // It may name a message that never was.
            Some(Past::Since(id)) => id.min(joining.last),
            _ => joining.last,
        };
        begin > self.told(room)
    }

    /// The time, as all nodes have it.
    pub fn now(&self) -> i64 {
        self.log.now()
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
            since: seat.since,
            guest: seat.guest,
            user: seat.user.as_deref().cloned(),
            session: seat.session.map(|session| session.id),
            address: seat.address,
            hand: seat.hand,
        }
    }

    /// The seat that a session has on another node. It is now this node's.
    pub fn take(&mut self, session: &Session) -> Option<Box<Seat>> {
        let member = session.ids().find_map(|id| self.sessions.get(&id).copied())?;
        self.remove(member).map(|present| Box::new(seat_of(present)))
    }

    /// Whether a member is known to have connected later than this.
    fn knows_better(&self, present: &Present) -> bool {
        self.members.get(&present.member).is_some_and(|known| known.since > present.since)
    }

    /// The seat of a member on another node.
    pub fn seat(&self, member: MemberId) -> Option<Seat> {
        self.members.get(&member).cloned().map(seat_of)
    }

    /// The seats of all members of a room on other nodes.
    pub fn seats_in(&self, room: &RoomName) -> impl Iterator<Item = Seat> {
        self.members.values().filter(move |one| one.room == *room).cloned().map(seat_of)
    }

    /// Takes down the hands of the members on other nodes that are meant, and returns these.
    pub fn lower(&mut self, is_meant: impl Fn(&Seat) -> bool) -> Vec<MemberInfo> {
        let with_hand = self.members.values_mut().filter(|one| one.hand.is_some());
        let meant = with_hand.filter(|one| is_meant(&seat_of((*one).clone())));
        meant
            .map(|one| {
                one.hand = None;
                member_info(&seat_of(one.clone()))
            })
            .collect()
    }

    /// The shard that a room belongs to.
    pub fn shard_of(&self, room: &RoomName) -> Shard {
        self.log.shard_of(room)
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
    let Present { room, member, since, guest, user, session, address, hand, .. } = present;
    let session = session.map(|id| Session { id, as_guest: None });
    let user = user.map(Box::new);
    Seat { guest, user, session, since, address, hand, ..Seat::new(room, member) }
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
                Told::Gap { shard, upto } => {
                    // Whoever comes back is told the past up to there.
                    self.others().told.insert(shard, upto);
                    self.send_back(shard);
                }
                Told::Rules { shard, rules } => self.know_rules(shard, rules),
                Told::State(state) => self.others().trouble = state.err(),
            }
        }
        for newcomer in std::mem::take(&mut self.others().early) {
            self.admit(newcomer);
        }
    }

    /// Adds a newcomer. If this node is behind the place in the log at which it begins, it waits: else
    /// what it has heard on another node would be live for it once more.
    pub(super) fn admit(&mut self, newcomer: Newcomer) {
        match &mut self.nodes {
            Some(nodes) if nodes.is_early(&newcomer) && self.stopping.is_none() => {
                nodes.early.push(newcomer);
            }
            _ => self.add(newcomer),
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
        self.turn.note_act(&message.content);
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

    /// A member joined on another node, or moved there. If it was here, its connection here ends; unless
    /// that is the later one: then the other node ends its own, when it is told.
    fn joined_elsewhere(&mut self, present: Present) {
        let nodes = self.others();
        if present.node == nodes.log.node() || nodes.knows_better(&present) {
            return;
        }
        let seat = self.seat_here_of(&present);
        if seat.is_some_and(|seat| seat.since > present.since) {
            return;
        }
        let session = seat.and_then(|seat| seat.session);
        let before = session.and_then(|session| self.gives_up_seat(&session, &present));
        let before = self.forget_elsewhere(present.member).or(before);
        let info = self.info_elsewhere(&present);
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

    /// The seat here that a member on another node had, or that its session had. A guest who has taken a
    /// name there has the same number, but another session.
    fn seat_here_of(&self, present: &Present) -> Option<&Seat> {
        let session = present.session?;
        let by_number = || self.rooms.get(&present.room)?.client_of(present.member);
        let client = self.sessions.connection_of(session).or_else(by_number);
        match client.and_then(|client| self.clients.get(&client)) {
            Some(Client::Member(seat)) => Some(seat),
            _ => self.sessions.away().find(|seat| {
                seat.id == present.member || seat.session.is_some_and(|its| its.id == session)
            }),
        }
    }

    /// Ends the connection that a session has here, which has moved to another node. Returns how the
    /// member was known, if it is the same one.
    fn gives_up_seat(&mut self, session: &Session, moved: &Present) -> Option<MemberInfo> {
        let seat = self.earlier_seat_here(session)?;
        if seat.id != moved.member {
            self.leave_room(&seat, Place::Here);
            return None;
        }
        self.tell_nodes(|_| left(&seat));
        Some(member_info(&seat))
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
        let known = self.others().members.get(&present.member).cloned();
        let is_news = |known: &Present| known.since <= present.since && *known != present;
        let Some(known) = known.filter(is_news) else { return };
        let info = self.info_elsewhere(&present);
        if let Some(members) = self.rooms.get_mut(&present.room) {
            members.rename_away(&info);
        }
        if known.hand != present.hand {
            self.tell_hand(&present.room, &info);
        }
        if (Present { hand: present.hand, ..known }) != present {
            self.note_news(&present.room, |presence| presence.renamed(info));
        }
        self.others().add(present);
    }

    /// A member on another node, as the others in its room see it.
    fn info_elsewhere(&self, present: &Present) -> MemberInfo {
        let mut seat = seat_of(present.clone());
        obey(&self.rulebook, &mut seat);
        member_info(&seat)
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
        let mut now: HashMap<MemberId, (i64, Node)> = HashMap::new();
        for one in &present {
            // A member that has moved just now may be on two nodes.
            let known = now.entry(one.member).or_default();
            *known = (one.since, one.node).max(*known);
        }
        let log = Arc::clone(&self.others().log);
        let is_gone = |one: &&Present| {
            log.shard_of(&one.room) == shard
                && now.get(&one.member).is_none_or(|(_, node)| *node != one.node)
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use bytes::Bytes;
    use clap::Parser;

    use super::*;
    use crate::identity::rulebook::Rulebook;
    use crate::net::connection::{ClientId, Connection};
    use crate::options::Options;
    use crate::protocol::address::Files;
    use crate::protocol::dialect::Dialect;
    use crate::protocol::message::{Author, Content};
    use crate::relay::broadcaster::Keeper;
    use crate::relay::events::{self, Event, Joining, Submission};
    use crate::store::Bounds;
    use crate::store::memory::Memory;

    /// A log that keeps silent: what it tells is told by the test.
    struct Silent;

    impl SharedLog for Silent {
        fn node(&self) -> Node {
            7
        }
        fn began_behind(&self, _: Shard) -> MessageId {
            50
        }
        fn now(&self) -> i64 {
            100
        }
        fn shard_of(&self, _: &RoomName) -> Shard {
            0
        }
        fn append(&self, _: u64, _: Entry) -> Result<(), String> {
            Ok(())
        }
        fn leave(&self) {}
    }

    fn broadcaster() -> Broadcaster {
        let log = Arc::new(Memory::new(Bounds { messages: 10, bytes: 1 << 20, idle: None }));
        let keeper = Keeper::Shared(Arc::new(Silent), log);
        let options = Options::parse_from(["wsroom"]);
        Broadcaster::new(events::open().0, &options, keeper, Rulebook::default())
    }

    /// A client of `wsroom.v1` that goes on behind this message, and the other end of its line.
    fn newcomer(number: u64, last: MessageId) -> (Event, TcpStream) {
        newcomer_of(&format!("session-{number:010}"), number, last)
    }

    fn newcomer_of(session: &str, number: u64, last: MessageId) -> (Event, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let connection = Connection::new(ClientId::new(number), socket, peer, ()).unwrap();
        let joining = Joining {
            response_101: b"101 ".to_vec(),
            dialect: Dialect::V1,
            past: None,
            files: Files::Whole,
            slow: None,
            user: None,
            session: Some(Session::new(session, None)),
            key: None,
            last,
            experiment: None,
        };
        let newcomer = Newcomer { connection, room: RoomName::lobby(), joining: Box::new(joining) };
        (Event::Joined(Box::new(newcomer)), line)
    }

    fn told(id: MessageId, text: &'static str, own: Option<u64>) -> Event {
        let author = Author { user: None, name: "guest".to_owned() };
        let content = Content::Text(Bytes::from_static(text.as_bytes()));
        let message = Message { id, room: RoomName::lobby(), author, content, origin: None };
        let told = Told::Message { message: Arc::new(message), member: None, own };
        Event::Told(vec![told], None)
    }

    /// All that came over a line.
    fn read(broadcaster: Broadcaster, mut line: TcpStream) -> String {
        drop(broadcaster);
        let mut bytes = Vec::new();
        line.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its stream has ended when the log tells of what it has said.
    #[test]
    fn a_client_may_leave_before_its_message_is_told() {
        let mut broadcaster = broadcaster();
        let (joined, ada) = newcomer(1, 0);
        broadcaster.handle(joined);
        broadcaster.end_turn();
        let content = Content::Text(Bytes::from_static(b"goodbye"));
        let submission = Submission { content, reference: Some("1".to_owned()), share: None };
        let id = ClientId::new(1);
        broadcaster.handle(Event::Said(id, Box::new(submission)));
        broadcaster.handle(Event::Left(id, Vec::new().into(), Parting::Closed));
        broadcaster.handle(told(60, "goodbye", Some(2)));
        broadcaster.end_turn();
        assert!(!read(broadcaster, ada).contains("goodbye"));
    }

    #[test]
    fn a_lost_guest_who_takes_a_name_on_another_node_is_there_once() {
        let mut broadcaster = broadcaster();
        let (joined, ada) = newcomer(1, 0);
        broadcaster.handle(joined);
        let lost = Event::Left(ClientId::new(1), Vec::new().into(), Parting::Lost);
        broadcaster.handle(lost);
        let (room, member, session) = (RoomName::lobby(), (7 << 32) + 1, Some(SessionId([9; 16])));
        let user = Some(User { id: 1, name: "Ada".to_owned(), created_at: 1 });
        let (guest, address, hand) = (member, None, None);
        let (node, since) = (2, 200);
        let moved = Present { room, member, node, since, guest, user, session, address, hand };
        broadcaster.hear(vec![Told::Joined(moved)], None);
        assert_eq!(broadcaster.rooms[&RoomName::lobby()].count(), 1);
        assert_eq!(broadcaster.sessions.away().count(), 0, "it is given up here");
        drop(ada);
    }

    /// It may be long until the next message.
    #[test]
    fn behind_a_gap_nobody_waits_for_what_is_missing() {
        let mut broadcaster = broadcaster();
        let (joined, ada) = newcomer(1, 70);
        broadcaster.handle(joined);
        broadcaster.hear(vec![Told::Gap { shard: 0, upto: 75 }], None);
        broadcaster.end_turn();
        let heard = read(broadcaster, ada);
        assert!(heard.contains(r#"{"type":"live","last":70,"#), "{heard}");
    }

    #[test]
    fn a_client_that_has_given_up_ends_no_other_connection() {
        let mut broadcaster = broadcaster();
        let (joined, ada) = newcomer_of("ada-0123456789abcdef", 1, 0);
        let (late, given_up) = newcomer_of("ada-0123456789abcdef", 2, 0);
        drop(given_up);
        for event in [joined, late, told(60, "hello", None)] {
            broadcaster.handle(event);
        }
        broadcaster.end_turn();
        assert!(read(broadcaster, ada).contains("hello"));
    }

    /// News that nobody was there to hear are not told to who comes later.
    #[test]
    fn who_went_and_came_before_a_newcomer_is_there_for_it() {
        let mut broadcaster = broadcaster();
        let (joined, ada) = newcomer(1, 0);
        broadcaster.handle(joined);
        let (user, session, address, hand) = (None, None, None, None);
        let (member, node, since, guest) = (1 << 33, 2, 1, 1);
        let room = RoomName::lobby();
        let bob = Present { room, member, node, since, guest, user, session, address, hand };
        let room = RoomName::lobby();
        broadcaster.hear(vec![Told::Joined(bob.clone())], None);
        broadcaster.tell_news_of(&room);
        broadcaster.end_turn();
        broadcaster.hear(vec![Told::Left { room: room.clone(), member, node }], None);
        let left = Event::Left(ClientId::new(1), Vec::new().into(), Parting::Closed);
        broadcaster.hear(vec![Told::Joined(Present { member: 2 << 33, ..bob.clone() })], None);
        broadcaster.handle(left);
        broadcaster.end_turn();
        broadcaster.hear(vec![Told::Joined(bob)], None);
        let (joined, eve) = newcomer(3, 0);
        broadcaster.handle(joined);
        broadcaster.tell_news_of(&room);
        broadcaster.end_turn();
        let heard = read(broadcaster, eve);
        assert!(!heard.contains(r#""left""#), "{heard}");
        drop(ada);
    }

    /// Somebody who has heard a message on another node would hear it once more.
    #[test]
    fn a_newcomer_waits_until_its_node_has_come_so_far() {
        let mut broadcaster = broadcaster();
        let (joined, ada) = newcomer(1, 70);
        broadcaster.handle(joined);
        for id in [60, 70, 80] {
            broadcaster.handle(told(id, "hello", None));
            broadcaster.end_turn();
        }
        let heard = read(broadcaster, ada);
        assert!(heard.contains(r#"{"type":"live","last":70,"#), "{heard}");
        assert!(heard.contains(r#""id":80"#) && !heard.contains(r#""id":70"#), "{heard}");
    }
}
