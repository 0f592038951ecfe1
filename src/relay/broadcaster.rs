//! The broadcaster: it knows who is in which room, and relays each message to all of them.
//!
//! One thread, `broadcaster`, owns all of this, so there is no lock on the client list. It never
//! waits for a client: it sends without blocking, and frames that a client does not take wait in
//! that client's own queue (`outbox`). It does wait for the disk. Not here: reading from clients
//! (`client`), the grammar of frames (`protocol`), and the items of one room's turn (`room`).
//!
//! It works in *turns*: it handles every event that is waiting, keeps the messages among them, joins
//! the frames of each room into one buffer, and then does one send per member for the whole turn.
//! The busier it is, the more a single send carries, and the more a single transaction keeps.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tungstenite::protocol::frame::coding::CloseCode;

use super::encoding::Encoded;
use super::events::{
    Counts, Event, Events, Frames, Goodbye, Joining, Newcomer, Post, PostOutcome, Receipt,
    Submission,
};
use super::history::History;
use super::members::{self, MembersPage, MembersQuery};
use super::outbox::{Outbox, Slow};
use super::presence::{self, CROWD, NEWS_DELAY, Presence, author};
use super::replay::{Replay, Welcome};
use super::room::{Arrival, Item, Member, Outcome, Room, Sending};
use crate::logging::Limited;
use crate::net::byte_budget::Share;
use crate::net::connection::ClientId;
use crate::options::Options;
use crate::protocol::address::RoomName;
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::message::{Author, Draft, Message, MessageId, UserId};
use crate::protocol::v1::{self, ServerEvent};
use crate::store::User;

/// A turn ends after this many bytes, so that its first message does not wait too long. One message
/// may exceed it.
const TURN_BYTES: usize = 256 << 10;

/// A turn ends after this many events.
const TURN_EVENTS: usize = 4096;

/// A turn waits this long for more events, if the turn before it had several. Clients that talk at
/// the same moment (a game's tick, a chorus) wake their threads one after the other, and one send
/// can carry all of their messages. A lone message never waits.
const GATHERING_TIME: Duration = Duration::from_micros(200);

/// With this many events in the inbox, a turn does not wait for more.
const ENOUGH_EVENTS: usize = 64;

/// The time that clients have to answer the last Close, when the server stops.
pub const GOODBYE: Duration = Duration::from_secs(5);

/// The time for which a change of a user is remembered. A client of theirs may be looked up in the
/// directory before the change, and join after it. No handshake takes longer than this.
const CHANGES_REMEMBERED: Duration = Duration::from_secs(60);

/// The bytes that an event counts in a turn besides its frames, about the memory that it takes.
const EVENT_OVERHEAD: usize = 64;

/// The state of the broadcaster.
pub struct Broadcaster {
    /// For the writer threads, which report that they have caught up.
    events: Events,
    /// `--max-backlog`, in bytes.
    max_backlog: usize,
    /// `--max-message-size`, in bytes. Clients are told it here; their own threads enforce it.
    max_message_size: usize,
    /// The rooms that have members. Only this thread adds and removes rooms, so joining and leaving
    /// cannot race.
    rooms: HashMap<RoomName, Room>,
    /// All clients that have completed the handshake and have not left.
    clients: HashMap<ClientId, Client>,
    /// Numbers messages, and keeps them before they are sent.
    history: History,
    turn: Turn,
    /// The buffers for a room's frames, used for one room after the other.
    encoded: Encoded,
    /// Rooms with news of their members, and the times at which the news are due, in that order.
    news: VecDeque<(Instant, RoomName)>,
    /// Users that were renamed or removed (`None`) lately, and when.
    changed: HashMap<UserId, (Instant, Option<User>)>,
    /// The log lines about turns that could not be kept, limited in number.
    unkept: Limited,
    /// Set when the server stops: the time until which clients may answer the Close.
    stopping: Option<Instant>,
}

enum Client {
    /// The client's room, its dialect, and its user (`None`: a guest).
    Member(RoomName, Dialect, Option<Box<User>>),
    Echo(Goodbye),
}

/// The turn that is being gathered, apart from the items, which the rooms record.
#[derive(Default)]
struct Turn {
    /// Rooms that have recorded items.
    rooms: Vec<RoomName>,
    /// The messages, in order. They are kept first, then sent.
    drafts: Vec<Draft>,
    /// Bytes gathered so far.
    bytes: usize,
    /// The indices of posted messages, whose senders wait for a receipt.
    posts: Vec<(usize, Sender<PostOutcome>)>,
    /// The messages' shares of the inbox, which are freed when the messages are sent.
    shares: Vec<Share>,
}

/// The reason why the broadcaster woke up.
enum Woken {
    Event(Event),
    /// News are due.
    News,
    /// The server has stopped: all clients have left, or the time for that is over.
    End,
}

impl Broadcaster {
    /// A broadcaster with no clients.
    pub fn new(events: Events, options: &Options, history: History) -> Self {
        Self {
            events,
            max_backlog: options.max_backlog,
            max_message_size: options.max_message_size,
            rooms: HashMap::new(),
            clients: HashMap::new(),
            history,
            turn: Turn::default(),
            encoded: Encoded::default(),
            news: VecDeque::new(),
            changed: HashMap::new(),
            unkept: Limited::default(),
            stopping: None,
        }
    }

    /// Runs the broadcaster's thread, until the server has stopped.
    pub fn run(mut self, inbox: &Receiver<Event>) {
        let mut in_chorus = false;
        loop {
            match self.next(inbox) {
                Woken::Event(event) => self.handle(event),
                Woken::News => {}
                Woken::End => return,
            }
            if in_chorus && inbox.len() < ENOUGH_EVENTS {
                thread::sleep(GATHERING_TIME);
            }
            in_chorus = false;
            for event in inbox.try_iter().take(TURN_EVENTS) {
                in_chorus = true;
                self.handle(event);
                if self.turn.bytes >= TURN_BYTES.min(self.max_backlog) {
                    break;
                }
            }
            self.tell_news();
            self.end_turn();
        }
    }

    /// Waits for the first event of a turn.
    fn next(&self, inbox: &Receiver<Event>) -> Woken {
        let news = self.news.front().map(|(due, _)| *due);
        let until = match self.stopping {
            // This is checked first: while clients still talk, there is always an event to receive.
            Some(deadline) if self.clients.is_empty() || Instant::now() >= deadline => {
                return Woken::End;
            }
            Some(deadline) => Some(deadline),
            None => news,
        };
        let event = match until {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => inbox.recv_deadline(until),
        };
        match event {
            Ok(event) => Woken::Event(event),
            Err(RecvTimeoutError::Timeout) if self.stopping.is_none() => Woken::News,
            Err(_) => Woken::End,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Said(id, submission) => self.say(id, *submission),
            Event::Posted(post) => self.post(*post),
            Event::Typing(id) => self.tell_typing(id),
            Event::Answered(id, frames) => self.answer(id, frames),
            Event::Joined(newcomer) => self.add(*newcomer),
            Event::EchoJoined(id, goodbye) => self.add_echo(id, goodbye),
            Event::Left(id, last_frames) => self.remove(id, last_frames),
            Event::CaughtUp(id) => {
                if let Some(member) = self.find(id) {
                    member.outbox.caught_up();
                }
            }
            Event::Renamed(user) => self.rename(user.id, Some(user)),
            Event::Removed(user) => self.rename(user, None),
            // The asking thread may have given up. Then the answer is dropped.
            Event::Asked(reply) => drop(reply.try_send(self.counts())),
            Event::Listed(reply) => drop(reply.try_send(self.list())),
            Event::MembersListed(query) => {
                drop(query.reply.try_send(self.members(&query)));
            }
            Event::Stopped => self.stop(),
        }
    }

    fn say(&mut self, sender: ClientId, submission: Submission) {
        // A sender that was cut off in this turn is in no room, so its message is dropped.
        let Some(Client::Member(room, _, user)) = self.clients.get(&sender) else { return };
        let (room, author) = (room.clone(), author(Some(sender), user.as_deref()));
        self.relay(room, author, submission, Some(sender));
    }

    fn post(&mut self, post: Post) {
        let Post { room, user, submission, decided, reply } = post;
        // The sender has given up waiting, and was told that the message is not relayed.
        if decided.swap(true, Ordering::AcqRel) {
            return;
        }
        self.turn.posts.push((self.turn.drafts.len(), reply));
        self.relay(room, author(None, user.as_ref()), submission, None);
    }

    /// Adds a message to the turn.
    fn relay(
        &mut self,
        room: RoomName,
        author: Author,
        submission: Submission,
        sender: Option<ClientId>,
    ) {
        let Submission { content, reference, share } = submission;
        self.turn.bytes += content.size() + EVENT_OVERHEAD;
        self.turn.shares.extend(share);
        self.record(&room, Item::Message(self.turn.drafts.len(), sender, reference));
        self.turn.drafts.push(Draft { room, author, content });
    }

    /// Records an item in a room, if the room has members.
    fn record(&mut self, room: &RoomName, item: Item) {
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.record(item);
        }
    }

    fn tell_typing(&mut self, id: ClientId) {
        let Some(Client::Member(room, _, user)) = self.clients.get(&id) else { return };
        let from = presence::member_info(id, user.as_deref());
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.tell_typing(&from, id);
        }
    }

    /// Keeps the messages of this turn, then delivers the turn to its rooms.
    fn end_turn(&mut self) {
        let Turn { rooms, drafts, posts, shares: _shares, .. } = std::mem::take(&mut self.turn);
        let before = self.history.last();
        let kept = self.history.append(drafts).map_err(|error| {
            self.unkept.line(|more| log::error!("messages could not be kept: {error}{more}"));
            format!("your message was not kept, and nobody has heard it: {error}")
        });
        let outcome = kept.as_deref().map_err(String::as_str);
        for room in &rooms {
            self.deliver(room, outcome, before);
        }
        for (index, reply) in posts {
            let receipt = outcome.map(|messages| self.receipt(&messages[index]));
            drop(reply.try_send(receipt.map_err(str::to_owned)));
        }
    }

    fn receipt(&self, message: &Message) -> Receipt {
        let heard = self.rooms.get(&message.room).map_or(0, Room::count);
        Receipt { id: message.id, heard }
    }

    /// Delivers the turn to one room, and removes the members that could not be sent to. `before` is
    /// the last id before this turn.
    fn deliver(&mut self, room: &RoomName, outcome: Outcome, before: MessageId) {
        let sending = Sending { max_backlog: self.max_backlog, events: &self.events, before };
        let Some(members) = self.rooms.get_mut(room) else { return };
        for member in members.deliver(outcome, &mut self.encoded, sending) {
            self.clients.remove(&member.id);
            self.note_news(room, |presence| presence.went(member.id.number()));
        }
        if self.rooms.get(room).is_some_and(Room::is_empty) {
            self.rooms.remove(room);
        }
    }

    fn answer(&mut self, id: ClientId, frames: Frames) {
        let Some(Client::Member(room, dialect, _)) = self.clients.get(&id) else { return };
        let (room, item) = (room.clone(), Item::Alone(id, *dialect, frames));
        self.turn.bytes += EVENT_OVERHEAD + item.bytes();
        self.record(&room, item);
    }

    fn add(&mut self, newcomer: Newcomer) {
        let Newcomer { connection, room, joining } = newcomer;
        let Joining { response_101, dialect, options, user, last } = joining;
        let id = connection.id();
        let outbox = Outbox::new(
            connection,
            options.slow.map(|rate| Slow { bytes_per_second: rate, dialect }),
        );
        let user = self.as_of_now(user).map(Box::new);
        self.clients.insert(id, Client::Member(room.clone(), dialect, user));
        if self.stopping.is_some() {
            return outbox.end(&[response_101, going_away()].concat(), &self.events);
        }
        self.rooms.entry(room.clone()).or_default();
        let info = self.member_info(id);
        self.note_news(&room, |presence| presence.came(info));
        let members = self.rooms.get_mut(&room).expect("the room was added above");
        self.turn.begin(members, &room);
        members.add(Member { id, dialect, outbox, arrival: None });
        let last = last.max(members.last());
        let arrival = self.arrival(id, &room, dialect, response_101, options.since, last);
        self.find(id).expect("it was added just now").arrival = Some(Box::new(arrival));
    }

    /// The first frames of a newcomer. With `since`, its own writer sends the past behind them.
    fn arrival(
        &self,
        id: ClientId,
        room: &RoomName,
        dialect: Dialect,
        response_101: Vec<u8>,
        since: Option<MessageId>,
        last: MessageId,
    ) -> Arrival {
        let welcome = (dialect == Dialect::V1).then(|| Box::new(self.welcome(id, room)));
        let mut first = response_101;
        let Some(since) = since else {
            if let Some(welcome) = welcome {
                welcome.write(last, true, &mut first).expect("writing to a vector cannot fail");
                first.extend(ServerEvent::Live { last, complete: true }.frame());
            }
            return Arrival { first, replay: None };
        };
        let log = Arc::clone(self.history.log());
        // How far it goes is known when the newcomer's place in the turn is.
        let replay = Replay { log, room: room.clone(), since, upto: since, welcome };
        Arrival { first, replay: Some(Box::new(replay)) }
    }

    fn welcome(&self, id: ClientId, room: &RoomName) -> Welcome {
        let members = &self.rooms[room];
        let count = members.count();
        let list = (count <= CROWD).then(|| members.ids().map(|id| self.member_info(id)).collect());
        let (you, limit) = (self.member_info(id), self.max_message_size);
        Welcome { you, room: room.clone(), members: list, count, limit }
    }

    /// Brings a user that was looked up a moment ago up to date; `None`: a guest.
    fn as_of_now(&self, user: Option<User>) -> Option<User> {
        let user = user?;
        match self.changed.get(&user.id) {
            Some((_, changed)) => changed.clone(),
            None => Some(user),
        }
    }

    fn add_echo(&mut self, id: ClientId, goodbye: Goodbye) {
        if self.stopping.is_some() {
            goodbye(&going_away());
        }
        self.clients.insert(id, Client::Echo(goodbye));
    }

    fn remove(&mut self, id: ClientId, last_frames: Frames) {
        let Some(Client::Member(room, ..)) = self.clients.remove(&id) else { return };
        // The rooms are gone if the server is stopping: the client was already sent a Close.
        let Some(members) = self.rooms.get_mut(&room) else { return };
        self.turn.begin(members, &room);
        self.turn.bytes += EVENT_OVERHEAD + last_frames.bytes.len();
        if members.remove(id, last_frames) {
            self.note_news(&room, |presence| presence.went(id.number()));
        }
    }

    /// Gives the clients of a user the new name; `None`: they are guests from now on.
    fn rename(&mut self, id: UserId, user: Option<User>) {
        let mut renamed = Vec::new();
        for (client_id, client) in &mut self.clients {
            if let Client::Member(room, _, who) = client
                && who.as_ref().is_some_and(|who| who.id == id)
            {
                *who = user.clone().map(Box::new);
                renamed.push((room.clone(), presence::member_info(*client_id, who.as_deref())));
            }
        }
        for (room, info) in renamed {
            self.note_news(&room, |presence| presence.renamed(info));
        }
        self.changed.retain(|_, (changed, _)| changed.elapsed() < CHANGES_REMEMBERED);
        self.changed.insert(id, (Instant::now(), user));
    }

    /// Notes news in a room, and the time at which they are due.
    fn note_news(&mut self, room: &RoomName, news: impl FnOnce(&mut Presence) -> bool) {
        let presence = self.rooms.get_mut(room).and_then(Room::presence);
        if presence.is_some_and(news) {
            self.news.push_back((Instant::now() + NEWS_DELAY, room.clone()));
        }
    }

    /// Adds news that are due to this turn.
    fn tell_news(&mut self) {
        while self.news.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, room) = self.news.pop_front().expect("the queue is not empty");
            let Some(members) = self.rooms.get_mut(&room) else { continue };
            self.turn.begin(members, &room);
            let clients = &self.clients;
            members.tell_news(|id| member_info(clients, id));
        }
    }

    /// Ends the turn, and then sends a Close to every client, behind all messages.
    fn stop(&mut self) {
        self.end_turn();
        self.stopping = Some(Instant::now() + GOODBYE);
        let close = going_away();
        for member in self.rooms.drain().flat_map(|(_, members)| members.into_members()) {
            member.outbox.end(&close, &self.events);
        }
        for client in self.clients.values() {
            if let Client::Echo(goodbye) = client {
                goodbye(&close);
            }
        }
    }

    fn counts(&self) -> Counts {
        Counts { clients: self.clients.len(), rooms: self.occupied().count() }
    }

    fn list(&self) -> Vec<(RoomName, usize)> {
        self.occupied().map(|(room, members)| (room.clone(), members.count())).collect()
    }

    fn members(&self, query: &MembersQuery) -> MembersPage {
        let Some(room) = self.rooms.get(&query.room) else { return MembersPage::default() };
        let (ids, more) = members::choose(room.ids(), query.after, query.limit);
        let members = ids.into_iter().map(|id| self.member_info(id)).collect();
        MembersPage { count: room.count(), members, more }
    }

    /// The rooms that have members. (A room whose last members leave in this turn is still in the map.)
    fn occupied(&self) -> impl Iterator<Item = (&RoomName, &Room)> {
        self.rooms.iter().filter(|(_, members)| members.count() > 0)
    }

    fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        let Some(Client::Member(room, ..)) = self.clients.get(&id) else { return None };
        self.rooms.get_mut(room)?.find(id)
    }

    fn member_info(&self, id: ClientId) -> v1::MemberInfo {
        member_info(&self.clients, id)
    }
}

/// Describes a client as the others see it. A separate function, so that it can be called while a
/// room is borrowed.
fn member_info(clients: &HashMap<ClientId, Client>, id: ClientId) -> v1::MemberInfo {
    match clients.get(&id) {
        Some(Client::Member(_, _, user)) => presence::member_info(id, user.as_deref()),
        _ => presence::member_info(id, None),
    }
}

impl Turn {
    /// Call this before a room records an item, so that the turn includes the room.
    fn begin(&mut self, members: &Room, room: &RoomName) {
        if !members.has_turn() {
            self.rooms.push(room.clone());
        }
    }
}

/// "An endpoint is going away, such as a server going down" (RFC 6455 §7.4.1).
fn going_away() -> Vec<u8> {
    frame::close(CloseCode::Away, "the server is stopping")
}
