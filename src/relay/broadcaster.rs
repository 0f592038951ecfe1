//! The broadcaster: who is in which room, and the relay of each message to all of them.
//!
//! One thread, `broadcaster`, owns all of this, so there is no lock on the client list. It never
//! waits for a client: it sends without blocking, and a client that takes nothing waits for itself
//! (see `outbox`). It does wait for the disk. Not here: reading from clients, frames' insides (they
//! come ready to send, or from `v1`), and what a room is sent in a turn (`members`).
//!
//! It works in *turns*: it takes every event that is waiting, joins the frames of each room into
//! one buffer, keeps all that was said, and then does one send per member for the whole turn. The
//! busier it is, the more a single send carries, and the more one transaction.

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
use super::outbox::{Outbox, Slow};
use super::presence::{CROWD, NEWS, Presence, as_seen, author};
use super::replay::{Replay, Welcome};
use super::room::{Arrival, Item, Member, Out, Outcome, Room};
use crate::logging::Limited;
use crate::net::byte_budget::Share;
use crate::net::connection::ClientId;
use crate::options::Options;
use crate::protocol::address::RoomName;
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::message::{Author, Draft, Message, MessageId, UserId};
use crate::protocol::v1;
use crate::protocol::v1::ServerEvent;
use crate::store::User;

/// Bytes of messages after which a turn ends, so that those of the first reader do not wait for
/// ever. One message may exceed it.
const TURN_BYTES: usize = 256 << 10;

/// Events after which a turn ends.
const TURN_EVENTS: usize = 4096;

/// How long a turn waits for more, if the last one had more than one message: those who talk at
/// once (a game's tick, a chorus) wake one thread after the other, and one send can carry them
/// all. A lone message never waits.
const GATHER: Duration = Duration::from_micros(200);

/// Events with which a turn is worth its sends without waiting.
const ENOUGH: usize = 64;

/// How long clients may take to answer the last Close.
pub const GOODBYE: Duration = Duration::from_secs(5);

/// How long a change of a user is remembered, for clients of theirs that were looked up before it
/// and join after it. A handshake does not take longer.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What an event takes in a turn beside its bytes, about.
const EVENT_ITSELF: usize = 64;

/// All that the broadcaster knows.
pub struct Broadcaster {
    /// For the writer threads, which tell when they have caught up.
    events: Events,
    /// `--max-backlog`, in bytes.
    max_backlog: usize,
    /// `--max-message-size`, in bytes, for clients to know; it is not this thread that sees to it.
    max_message_size: usize,
    /// A room is here while it has members, and only this thread adds or removes: joining and
    /// leaving cannot race.
    rooms: HashMap<RoomName, Room>,
    /// Everyone past the handshake and not yet gone.
    clients: HashMap<ClientId, Client>,
    /// What was said, and is kept before it is sent.
    history: History,
    turn: Turn,
    /// What a room is sent; the buffers are used for one room after the other.
    encoded: Encoded,
    /// Rooms with news of their members, and when these are to be told; in that order.
    news: VecDeque<(Instant, RoomName)>,
    /// Users that were renamed, or removed (`None`), lately.
    changed: HashMap<UserId, (Instant, Option<User>)>,
    /// Turns that could not be kept.
    unkept: Limited,
    /// Set when the server stops: until then clients may answer the Close.
    stopping: Option<Instant>,
}

enum Client {
    /// What they speak there, and whoever they are in the directory.
    Member(RoomName, Dialect, Option<Box<User>>),
    Echo(Goodbye),
}

/// What a turn has gathered, beside what has happened in its rooms.
#[derive(Default)]
struct Turn {
    /// Rooms in which something has happened.
    rooms: Vec<RoomName>,
    /// What was said, in order. It is kept first, then sent.
    drafts: Vec<Draft>,
    /// Bytes gathered so far.
    bytes: usize,
    /// Which of these come from no client: somebody waits for a receipt.
    posts: Vec<(usize, Sender<PostOutcome>)>,
    /// What the messages take of the way to the broadcaster, until they are sent.
    shares: Vec<Share>,
}

/// What the broadcaster woke up for.
enum Woken {
    Event(Event),
    /// News are due.
    News,
    /// The server stops: everyone has gone, or had the time to.
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

    /// The broadcaster's thread, until the server has stopped.
    pub fn run(mut self, inbox: &Receiver<Event>) {
        let mut in_chorus = false;
        loop {
            match self.next(inbox) {
                Woken::Event(event) => self.take(event),
                Woken::News => {}
                Woken::End => return,
            }
            if in_chorus && inbox.len() < ENOUGH {
                thread::sleep(GATHER);
            }
            in_chorus = false;
            for event in inbox.try_iter().take(TURN_EVENTS) {
                in_chorus = true;
                self.take(event);
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
            // Looked at first: while clients talk on, there is always an event to receive.
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

    fn take(&mut self, event: Event) {
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
            // Nobody may be waiting for these any more, and that is fine.
            Event::Asked(reply) => drop(reply.try_send(self.counts())),
            Event::Listed(reply) => drop(reply.try_send(self.list())),
            Event::Stopped => self.stop(),
        }
    }

    fn say(&mut self, sender: ClientId, submission: Submission) {
        // A sender that was cut off in this turn is nowhere, and what it said goes nowhere.
        let Some(Client::Member(room, _, user)) = self.clients.get(&sender) else { return };
        let (room, author) = (room.clone(), author(Some(sender), user.as_deref()));
        self.relay(room, author, submission, Some(sender));
    }

    fn post(&mut self, post: Post) {
        let Post { room, user, submission, decided, reply } = post;
        // Whoever sent it has lost patience, and was told that it is not said.
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
        self.turn.bytes += content.size() + EVENT_ITSELF;
        self.turn.shares.extend(share);
        self.take_down(&room, Item::Message(self.turn.drafts.len(), sender, reference));
        self.turn.drafts.push(Draft { room, author, content });
    }

    /// Takes down what happens in a room, if there is anyone to hear of it.
    fn take_down(&mut self, room: &RoomName, item: Item) {
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.take_down(item);
        }
    }

    fn tell_typing(&mut self, id: ClientId) {
        let Some(Client::Member(room, _, user)) = self.clients.get(&id) else { return };
        let from = as_seen(id, user.as_deref());
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.tell_typing(&from, id);
        }
    }

    /// Keeps what was said in this turn; then sends it, and lets go of those who take no more.
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

    /// Sends a room what has happened in it; `before` is the last id before this turn.
    fn deliver(&mut self, room: &RoomName, outcome: Outcome, before: MessageId) {
        let out = Out { max_backlog: self.max_backlog, events: &self.events, before };
        let Some(members) = self.rooms.get_mut(room) else { return };
        for member in members.deliver(outcome, &mut self.encoded, out) {
            self.clients.remove(&member.id);
            self.note(room, |presence| presence.went(member.id.number()));
        }
        if self.rooms.get(room).is_some_and(Room::is_empty) {
            self.rooms.remove(room);
        }
    }

    fn answer(&mut self, id: ClientId, frames: Frames) {
        let Some(Client::Member(room, dialect, _)) = self.clients.get(&id) else { return };
        let (room, item) = (room.clone(), Item::Alone(id, *dialect, frames));
        self.turn.bytes += EVENT_ITSELF + item.bytes();
        self.take_down(&room, item);
    }

    fn add(&mut self, newcomer: Newcomer) {
        let Newcomer { connection, room, joining } = newcomer;
        let Joining { response_101, dialect, options, user, last } = joining;
        let id = connection.id();
        let outbox = Outbox::new(connection, options.slow.map(|pace| Slow { pace, dialect }));
        let user = self.as_of_now(user).map(Box::new);
        self.clients.insert(id, Client::Member(room.clone(), dialect, user));
        if self.stopping.is_some() {
            return outbox.end(&[response_101, going_away()].concat(), &self.events);
        }
        self.rooms.entry(room.clone()).or_default();
        let seen = self.seen(id);
        self.note(&room, |presence| presence.came(seen));
        let members = self.rooms.get_mut(&room).expect("it is there for this client at least");
        self.turn.begin(members, &room);
        members.add(Member { id, dialect, outbox, arrival: None });
        let last = last.max(members.last());
        let arrival = self.arrival(id, &room, dialect, response_101, options.since, last);
        self.find(id).expect("it was added just now").arrival = Some(Box::new(arrival));
    }

    /// What a newcomer is sent first: all of it now, or the past later, by its own writer.
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
                welcome.write(last, true, &mut first).expect("a vector takes everything");
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
        let list = (count <= CROWD).then(|| members.ids().map(|id| self.seen(id)).collect());
        let (you, limit) = (self.seen(id), self.max_message_size);
        Welcome { you, room: room.clone(), members: list, count, limit }
    }

    /// A user that was looked up a moment ago, as they are called now.
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
        // No room: it was told to go when the server stopped.
        let Some(members) = self.rooms.get_mut(&room) else { return };
        self.turn.begin(members, &room);
        self.turn.bytes += EVENT_ITSELF + last_frames.bytes.len();
        if members.remove(id, last_frames) {
            self.note(&room, |presence| presence.went(id.number()));
        }
    }

    /// Calls the clients of a user as they are called now; `None`: as guests.
    fn rename(&mut self, id: UserId, user: Option<User>) {
        let mut renamed = Vec::new();
        for (id_of_client, client) in &mut self.clients {
            if let Client::Member(room, _, who) = client
                && who.as_ref().is_some_and(|who| who.id == id)
            {
                *who = user.clone().map(Box::new);
                renamed.push((room.clone(), as_seen(*id_of_client, who.as_deref())));
            }
        }
        for (room, seen) in renamed {
            self.note(&room, |presence| presence.renamed(seen));
        }
        self.changed.retain(|_, (changed, _)| changed.elapsed() < REMEMBERED);
        self.changed.insert(id, (Instant::now(), user));
    }

    /// Takes note of news in a room, and of when they are to be told.
    fn note(&mut self, room: &RoomName, news: impl FnOnce(&mut Presence) -> bool) {
        let presence = self.rooms.get_mut(room).and_then(Room::presence);
        if presence.is_some_and(news) {
            self.news.push_back((Instant::now() + NEWS, room.clone()));
        }
    }

    /// Adds news that are due to this turn.
    fn tell_news(&mut self) {
        while self.news.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, room) = self.news.pop_front().expect("it has a front");
            let Some(members) = self.rooms.get_mut(&room) else { continue };
            self.turn.begin(members, &room);
            let clients = &self.clients;
            members.tell_news(|id| seen(clients, id));
        }
    }

    /// Tells everyone that the server goes away, behind all that was said before.
    fn stop(&mut self) {
        self.end_turn();
        self.stopping = Some(Instant::now() + GOODBYE);
        let close = going_away();
        for member in self.rooms.drain().flat_map(|(_, members)| members.into_all()) {
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

    /// Without those whose last members leave in this turn.
    fn occupied(&self) -> impl Iterator<Item = (&RoomName, &Room)> {
        self.rooms.iter().filter(|(_, members)| members.count() > 0)
    }

    fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        let Some(Client::Member(room, ..)) = self.clients.get(&id) else { return None };
        self.rooms.get_mut(room)?.find(id)
    }

    fn seen(&self, id: ClientId) -> v1::MemberInfo {
        seen(&self.clients, id)
    }
}

fn seen(clients: &HashMap<ClientId, Client>, id: ClientId) -> v1::MemberInfo {
    match clients.get(&id) {
        Some(Client::Member(_, _, user)) => as_seen(id, user.as_deref()),
        _ => as_seen(id, None),
    }
}

impl Turn {
    /// Takes note that something is about to happen in a room.
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
