//! Joining and leaving: how a client becomes a member of a room, comes back, and goes.
//!
//! This is the part of the broadcaster that gives seats to members. A client that brings its session
//! has the seat that the session had before, so the others are told nothing. Not here: turns and
//! messages (`broadcaster`), and what is remembered of a session (`sessions`). Runs on the
//! broadcaster's thread.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::CloseCode;

use super::broadcaster::{Broadcaster, Client, EVENT_OVERHEAD, going_away};
use super::deeds::{obey, stay_in};
use super::events::{Frames, Joining, Newcomer, Parting};
use super::nodes::Nodes;
use super::outbox::{Outbox, Slow};
use super::presence::{CROWD, member_info};
use super::replay::{Replay, Welcome};
use super::room::{Arrival, Member, Upto};
use super::sessions::{Earlier, Seat};
use crate::identity::rules::{Refusal, Visitor, mark_of};
use crate::identity::session::Session;
use crate::net::connection::ClientId;
use crate::protocol::address::RoomName;
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::message::{Stay, UserId};
use crate::protocol::rules::Mark;
use crate::protocol::v1::{MemberId, ServerEvent};
use crate::store::User;
use crate::store::shared::Entry;

/// The time for which a change of a user is remembered. A client of theirs may be looked up in the
/// directory before the change, and join after it. No handshake takes longer than this.
const CHANGES_REMEMBERED: Duration = Duration::from_secs(60);

/// The code of the Close for a connection whose session has a new one (RFC 6455 §7.4.2: 4000 to 4999
/// are for private use).
const TAKEN_OVER: u16 = 4001;

/// Where a member is connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// To this node.
    Here,
    /// To another node.
    Elsewhere,
}

impl Broadcaster {
    pub(super) fn add(&mut self, newcomer: Newcomer) {
        let Newcomer { connection, room, joining } = newcomer;
        // While this server, or its log, stood still, the client may have given up. Then its session is
        // connected elsewhere by now, and that connection must not be ended for this one.
        if joining.session.is_some() && connection.has_ended() {
            return;
        }
        let (id, dialect) = (connection.id(), joining.dialect);
        let ip = connection.peer().ip();
        let address = mark_of(ip);
        let slow = joining.slow.map(|rate| Slow { bytes_per_second: rate, dialect });
        let outbox = Outbox::new(connection, slow);
        if self.stopping.is_some() {
            // It is in no room, but it is waited for like all others.
            self.clients.insert(id, Client::Member(Box::new(Seat::new(room, id.number()))));
            return outbox.end(&[joining.response_101, going_away()].concat(), &self.writers);
        }
        if let Err(refusal) = self.check_again(&room, &joining, ip) {
            let close = frame::close_in_words(CloseCode::Policy, refusal.sentence());
            return outbox.end(&[joining.response_101, close].concat(), &self.writers);
        }
        self.tell_departures(&room);
        let number = self.seat(id, &room, &joining, address);
        let members = self.rooms.entry(room.clone()).or_default();
        self.turn.begin(members, &room);
        members.add(Member { id, number, dialect, outbox, arrival: None });
        let arrival = self.arrival(id, room, *joining);
        self.find(id).expect("it was added just now").arrival = Some(Box::new(arrival));
    }

    /// Checks that a newcomer may enter still: somebody may have been put out since the door looked.
    fn check_again(&self, room: &RoomName, joining: &Joining, ip: IpAddr) -> Result<(), Refusal> {
        let user = joining.user.as_ref().map(|user| user.id);
        let visitor = Visitor { user, session: joining.session, address: ip, key: None };
        self.rulebook.check_again(room, &visitor)
    }

    /// Gives a newcomer a seat, the one that its session had in this room if there is one. Returns the
    /// member's number.
    fn seat(
        &mut self,
        id: ClientId,
        room: &RoomName,
        joining: &Joining,
        address: Mark,
    ) -> MemberId {
        let session = joining.session;
        let number = self.nodes.as_ref().map_or(id.number(), |nodes| nodes.member(id.number()));
        let earlier = session.and_then(|session| self.earlier_seat(&session));
        let user = self.as_of_now(joining.user.clone()).map(Box::new);
        let guest = match (&earlier, session) {
            (Some((earlier, _)), _) => earlier.guest,
            (None, Some(session)) => self.sessions.guest_number(&session, number),
            (None, None) => number,
        };
        let since = self.since(earlier.as_ref().map(|(seat, _)| &**seat));
        let address = Some(address);
        let seat = Seat::new(room.clone(), number);
        let mut seat = Seat { guest, user, session, since, address, ..seat };
        obey(&self.rulebook, &mut seat);
        match earlier {
            Some((earlier, _)) if earlier.room == *room => {
                (seat.id, seat.hand) = (earlier.id, earlier.hand);
                self.sit_again(&seat, &earlier);
            }
            elsewhere => {
                if let Some((earlier, place)) = elsewhere {
                    self.leave_room(&earlier, place);
                }
                self.rooms.entry(room.clone()).or_default();
                let info = member_info(&seat);
                self.note_news(room, |presence| presence.came(info));
                self.tell_nodes(|nodes| Entry::Joined(nodes.present(&seat)));
            }
        }
        if let Some(session) = session {
            self.sessions.connect(&session, id);
        }
        let number = seat.id;
        self.clients.insert(id, Client::Member(Box::new(seat)));
        number
    }

    /// The time at which a connection begins: later than the one before.
    fn since(&self, earlier: Option<&Seat>) -> i64 {
        let after = earlier.map_or(0, |seat| seat.since + 1);
        self.nodes.as_ref().map_or(0, |nodes| nodes.now().max(after))
    }

    /// Tells of a member that is back in its seat: its room of a new name, and the other nodes of its new
    /// connection. They are told even if it was here before: it may have been on another node meanwhile,
    /// of which this one will hear later.
    fn sit_again(&mut self, seat: &Seat, earlier: &Seat) {
        let info = member_info(seat);
        if info != member_info(earlier) {
            self.note_news(&seat.room, |presence| presence.renamed(info));
        }
        self.tell_nodes(|nodes| Entry::Joined(nodes.present(seat)));
    }

    /// Tells everyone that a member has left its room. A member on another node is told of by that
    /// node.
    pub(super) fn leave_room(&mut self, seat: &Seat, place: Place) {
        self.note_news(&seat.room, |presence| presence.went(seat.id));
        if place == Place::Here {
            self.tell_nodes(|_| left(seat));
        }
        self.remove_if_empty(&seat.room);
    }

    /// Appends news for the other nodes, if there are any.
    pub(super) fn tell_nodes(&mut self, entry: impl FnOnce(&Nodes) -> Entry) {
        if let Some(nodes) = &mut self.nodes {
            let entry = entry(nodes);
            nodes.tell(entry);
        }
    }

    /// The seat that a session had until now, and where. If it still has a connection here, that one is
    /// ended; another node ends its own when it is told.
    fn earlier_seat(&mut self, session: &Session) -> Option<(Box<Seat>, Place)> {
        if let Some(seat) = self.earlier_seat_here(session) {
            return Some((seat, Place::Here));
        }
        let seat = self.nodes.as_mut()?.take(session)?;
        if let Some(members) = self.rooms.get_mut(&seat.room) {
            members.give_up_seat(seat.id);
        }
        Some((seat, Place::Elsewhere))
    }

    /// As [`Broadcaster::earlier_seat`], but on this node alone.
    pub(super) fn earlier_seat_here(&mut self, session: &Session) -> Option<Box<Seat>> {
        match self.sessions.take(session)? {
            Earlier::Connected(client) => self.end_client(
                client,
                CloseCode::Library(TAKEN_OVER),
                "this session is connected elsewhere",
            ),
            Earlier::Away(seat) => {
                if let Some(members) = self.rooms.get_mut(&seat.room) {
                    members.give_up_seat(seat.id);
                }
                Some(seat)
            }
        }
    }

    /// The first frames of a newcomer. If it wants the past, its own writer sends that behind them.
    fn arrival(&self, id: ClientId, room: RoomName, joining: Joining) -> Arrival {
        let Joining { response_101, dialect, past, files, session, key, last, .. } = joining;
        let upto = self.here(&room);
        let last = last.max(self.rooms[&room].last());
        let welcome = (dialect == Dialect::V1).then(|| {
            let welcome = self.welcome(id, &room);
            Box::new(Welcome { key, ..welcome })
        });
        let mut first = response_101;
        let Some(past) = past else {
            if let Some(welcome) = welcome {
                welcome.write(last, true, &mut first).expect("writing to a vector cannot fail");
                first.extend(ServerEvent::Live { last, complete: true }.frame());
            }
            return Arrival { first, replay: None, upto };
        };
        let log = Arc::clone(&self.past);
        // The last message of the replay is known when it is numbered.
        let rules = self.rulebook.get(&room);
        let permits = self.permits.clone();
        let replay = Replay { permits, log, room, past, files, session, upto: 0, rules, welcome };
        Arrival { first, replay: Some(Box::new(replay)), upto }
    }

    /// The place of a newcomer who joins now, among the messages of its room.
    fn here(&self, room: &RoomName) -> Upto {
        match &self.nodes {
            None => Upto::Turn(self.turn.count()),
            Some(nodes) => Upto::Id(nodes.told(room)),
        }
    }

    fn welcome(&self, id: ClientId, room: &RoomName) -> Welcome {
        let (members, rules) = (&self.rooms[room], self.rulebook.get(room));
        let count = members.count();
        Welcome {
            you: self.member_info(id),
            room: room.clone(),
            members: (count <= CROWD).then(|| members.everyone(|id| self.member_info(id))),
            count,
            limit: self.max_message_size,
            history: match stay_in(rules.as_deref()) {
                Stay::Kept => self.max_messages,
                Stay::Passing => 0,
            },
            key: None,
            rules: rules.map(|rules| rules.info()),
        }
    }

    /// Brings a user that was looked up a moment ago up to date; `None`: a guest.
    fn as_of_now(&self, user: Option<User>) -> Option<User> {
        let user = user?;
        match self.changed.get(&user.id) {
            Some((_, changed)) => changed.clone(),
            None => Some(user),
        }
    }

    /// Ends a client with a Close behind all that it was sent, and returns its seat. What it still
    /// says is dropped.
    pub(super) fn end_client(
        &mut self,
        id: ClientId,
        code: CloseCode,
        reason: &'static str,
    ) -> Option<Box<Seat>> {
        self.end_client_with(id, frame::close(code, reason), reason)
    }

    /// As [`Broadcaster::end_client`], with a Close of any reason; `why` is for the log.
    pub(super) fn end_client_with(
        &mut self,
        id: ClientId,
        close: Vec<u8>,
        why: &'static str,
    ) -> Option<Box<Seat>> {
        let Some(Client::Member(seat)) = self.clients.remove(&id) else { return None };
        if let Some(members) = self.rooms.get_mut(&seat.room) {
            self.turn.begin(members, &seat.room);
            if let Some(member) = members.find(id) {
                member.outbox.will_end(why);
            }
            members.remove(id, close.into());
        }
        Some(seat)
    }

    pub(super) fn remove(&mut self, id: ClientId, last_frames: Frames, parting: Parting) {
        if let Some(nodes) = &mut self.nodes {
            nodes.early.retain(|newcomer| newcomer.connection.id() != id);
        }
        let Some(Client::Member(seat)) = self.clients.remove(&id) else { return };
        // The rooms are gone if the server is stopping: the client was already sent a Close.
        let Some(members) = self.rooms.get_mut(&seat.room) else { return };
        self.turn.begin(members, &seat.room);
        self.turn.bytes += EVENT_OVERHEAD + last_frames.bytes.len();
        if members.remove(id, last_frames) {
            self.depart(seat, id, parting);
        }
    }

    /// Notes that a member has no connection any more. The others are told, unless its session may
    /// come back.
    pub(super) fn depart(&mut self, seat: Box<Seat>, id: ClientId, parting: Parting) {
        if let Some(session) = &seat.session {
            self.sessions.disconnect(session, id);
        }
        let (room, info) = (seat.room.clone(), member_info(&seat));
        let kept = match parting {
            Parting::Closed => Err(seat),
            Parting::Lost => self.sessions.keep_seat(seat, Instant::now()),
        };
        match kept {
            Err(seat) => self.leave_room(&seat, Place::Here),
            Ok(()) => self.rooms.entry(room).or_default().keep_seat(info),
        }
    }

    /// Gives up the seats of sessions that did not come back in time.
    pub(super) fn end_absences(&mut self) {
        while let Some(seat) = self.sessions.give_up_seat(Instant::now()) {
            if let Some(members) = self.rooms.get_mut(&seat.room) {
                members.give_up_seat(seat.id);
            }
            self.leave_room(&seat, Place::Here);
        }
    }

    /// Gives the members of a user the new name; `None`: they are guests from now on.
    pub(super) fn rename(&mut self, id: UserId, user: Option<User>) {
        let mut renamed = Vec::new();
        let clients = self.clients.values_mut().filter_map(|client| match client {
            Client::Member(seat) => Some(&mut **seat),
            Client::Echo(_) => None,
        });
        for seat in clients.chain(self.sessions.away_mut()) {
            let is_theirs = seat.user.as_ref().is_some_and(|who| who.id == id);
            if is_theirs && seat.user.as_deref() != user.as_ref() {
                seat.user = user.clone().map(Box::new);
                obey(&self.rulebook, seat);
                renamed.push((seat.room.clone(), member_info(seat)));
                if let Some(nodes) = &mut self.nodes {
                    nodes.tell(Entry::Renamed(nodes.present(seat)));
                }
            }
        }
        if let Some(nodes) = &mut self.nodes {
            renamed.extend(nodes.rename(id, user.as_ref()));
        }
        for (room, info) in renamed {
            if let Some(members) = self.rooms.get_mut(&room) {
                members.rename_away(&info);
            }
            self.note_news(&room, |presence| presence.renamed(info));
        }
        self.changed.retain(|_, (changed, _)| changed.elapsed() < CHANGES_REMEMBERED);
        self.changed.insert(id, (Instant::now(), user));
    }
}

/// A member is no longer on this node.
pub(super) fn left(seat: &Seat) -> Entry {
    Entry::Left { room: seat.room.clone(), member: seat.id }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use clap::Parser;

    use super::*;
    use crate::identity::rulebook::Rulebook;
    use crate::net::connection::Connection;
    use crate::options::Options;
    use crate::protocol::address::Files;
    use crate::protocol::rules::Change;
    use crate::relay::broadcaster::Keeper;
    use crate::relay::events;
    use crate::relay::history::History;
    use crate::store::Bounds;
    use crate::store::memory::Memory;

    fn user(id: UserId, name: &str) -> User {
        User { id, name: name.to_owned(), created_at: 0 }
    }

    fn broadcaster(rulebook: Rulebook) -> Broadcaster {
        let log = Memory::new(Bounds { messages: 1, bytes: 1 << 20, idle: None });
        let history = History::open(Arc::new(log), 1).unwrap();
        let options = Options::parse_from(["wsroom"]);
        Broadcaster::new(events::open().0, &options, Keeper::Own(history), rulebook)
    }

    /// The door is on another thread, and the act may overtake it.
    #[test]
    fn who_was_let_in_before_the_room_was_closed_and_joins_after_it_is_sent_away() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let connection = Connection::new(ClientId::new(1), socket, peer, ()).unwrap();
        let rulebook = Rulebook::default();
        let mut broadcaster = broadcaster(rulebook.clone());
        let room = RoomName::lobby();
        rulebook.change(&room, &[Change::set("mode", "closed")]);
        let joining = Joining {
            response_101: b"101".to_vec(),
            dialect: Dialect::Plain,
            past: None,
            files: Files::Whole,
            slow: None,
            user: None,
            session: None,
            key: None,
            last: 0,
            experiment: None,
        };
        broadcaster.add(Newcomer { connection, room, joining: Box::new(joining) });
        assert!(broadcaster.rooms.is_empty());
        let mut bytes = [0; 7];
        client.read_exact(&mut bytes).unwrap();
        let [.., close, _, high, low] = bytes;
        assert_eq!(
            (&bytes[..3], close, u16::from_be_bytes([high, low])),
            (&b"101"[..], 0x88, 1008)
        );
    }

    /// The look-up is on another thread, and the change may overtake it.
    #[test]
    fn who_was_changed_between_look_up_and_joining_joins_as_changed() {
        let mut broadcaster = broadcaster(Rulebook::default());
        broadcaster.rename(1, None);
        broadcaster.rename(2, Some(user(2, "Bob B.")));
        assert_eq!(broadcaster.as_of_now(Some(user(1, "Ada"))), None);
        assert_eq!(broadcaster.as_of_now(Some(user(2, "Bob"))), Some(user(2, "Bob B.")));
        assert_eq!(broadcaster.as_of_now(Some(user(3, "Eve"))), Some(user(3, "Eve")));
        assert_eq!(broadcaster.as_of_now(None), None);
    }
}
