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
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::frame;
use crate::history::History;
use crate::inbox::{Census, Event, Events, Newcomer, Post, Receipt, Said};
use crate::logging::Limited;
use crate::members::{CROWD, Member, Members, NEWS, as_seen, author};
use crate::options::Options;
use crate::outbox::{EchoOutbox, Outbox, Run};
use crate::past::{Past, Pasts};
use crate::room::RoomName;
use crate::store::{Author, Kept, MessageId, StoreError, Stretch, User, UserId};
use crate::v1::{self, Complaint, Heard, Speaks};
use crate::wire::ClientId;

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
    rooms: HashMap<RoomName, Members>,
    /// Everyone past the handshake and not yet gone.
    clients: HashMap<ClientId, Home>,
    /// What was said, and is kept before it is sent.
    history: History,
    /// What newcomers are being told of it.
    pasts: Pasts,
    turn: Turn,
    /// Rooms with news of their members, and when these are to be told; in that order.
    news: VecDeque<(Instant, RoomName)>,
    /// Turns that could not be kept.
    unkept: Limited,
    /// Set when the server stops: until then clients may answer the Close.
    stopping: Option<Instant>,
}

enum Home {
    /// With whoever they are in the directory.
    Room(RoomName, Option<Box<User>>),
    Echo(Arc<EchoOutbox>),
}

/// What a turn has gathered, beside the frames in its rooms.
#[derive(Default)]
struct Turn {
    /// Rooms that have frames to send at its end.
    talking: Vec<RoomName>,
    /// Bytes joined so far.
    bytes: usize,
    /// Who said something, and its `ref`, to be told if it cannot be kept.
    speakers: Vec<(ClientId, Option<String>)>,
    /// Messages of those who are no clients, and wait for a receipt.
    posts: Vec<(Box<Post>, MessageId)>,
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
            pasts: Pasts::default(),
            turn: Turn::default(),
            news: VecDeque::new(),
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
            Event::Said(id, said) => self.say(id, &said),
            Event::Posted(post) => self.post(post),
            Event::Typing(id) => self.tell_typing(id),
            Event::Answered(id, frames) => self.answer(id, &frames.bytes),
            Event::Joined(newcomer) => self.add(*newcomer),
            Event::EchoJoined(outbox) => self.add_echo(outbox),
            Event::Left(id, last) => self.remove(id, &last.bytes),
            Event::CaughtUp(id) => {
                if let Some(member) = self.find(id) {
                    member.outbox.caught_up();
                }
            }
            Event::Renamed(user) => self.rename(user.id, Some(&user)),
            Event::Removed(user) => self.rename(user, None),
            // Nobody may be waiting for these any more, and that is fine.
            Event::Asked(reply) => drop(reply.try_send(self.census())),
            Event::Listed(reply) => drop(reply.try_send(self.list())),
            Event::Stopped => self.stop(),
        }
    }

    fn say(&mut self, sender: ClientId, said: &Said) {
        // A sender that was cut off in this turn is nowhere, and what it said goes nowhere.
        let Some(Home::Room(room, user)) = self.clients.get(&sender) else { return };
        let (room, author) = (room.clone(), author(Some(sender), user.as_deref()));
        self.turn.speakers.push((sender, said.reference.clone()));
        self.relay(room, author, said, Some(sender));
    }

    fn post(&mut self, post: Box<Post>) {
        let author = author(None, post.user.as_ref());
        let id = self.relay(post.room.clone(), author, &post.said, None);
        self.turn.posts.push((post, id));
    }

    /// Numbers a message, and adds it to the turn of its room.
    fn relay(
        &mut self,
        room: RoomName,
        author: Author,
        said: &Said,
        sender: Option<ClientId>,
    ) -> MessageId {
        let id = self.history.number();
        let kept = Kept { id, room, author, content: said.content.clone() };
        if let Some(members) = self.rooms.get_mut(&kept.room) {
            self.turn.begin(members, &kept.room);
            members.say(&kept, said, sender);
        }
        self.turn.bytes += said.frame.len();
        self.history.add(kept);
        id
    }

    fn tell_typing(&mut self, id: ClientId) {
        let Some(Home::Room(room, user)) = self.clients.get(&id) else { return };
        let from = as_seen(id, user.as_deref());
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.tell_typing(&from, id);
        }
    }

    /// Keeps what was said in this turn; then sends it, and lets go of those who take no more.
    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if let Err(error) = self.history.keep() {
            return self.take_back(turn, &error);
        }
        for room in &turn.talking {
            self.send_frames(room);
        }
        for (post, id) in turn.posts {
            let heard = self.rooms.get(&post.room).map_or(0, Members::count);
            drop(post.reply.try_send(Ok(Receipt { id, heard })));
        }
    }

    /// Nobody is sent what is not kept; those who said it are told.
    fn take_back(&mut self, turn: Turn, error: &StoreError) {
        self.unkept.line(|more| log::error!("messages could not be kept: {error}{more}"));
        for room in &turn.talking {
            if let Some(members) = self.rooms.get_mut(room) {
                members.forget_turn();
            }
        }
        let detail = format!("your message was not kept, and nobody has heard it: {error}");
        for (post, _) in turn.posts {
            drop(post.reply.try_send(Err(detail.clone())));
        }
        for (speaker, reference) in turn.speakers {
            if self.find(speaker).is_some_and(|member| member.speaks == Speaks::V1) {
                let complaint = Complaint { code: "not-kept", detail: detail.clone(), reference };
                self.send_alone(speaker, &Heard::Error(&complaint).frame());
            }
        }
    }

    fn send_frames(&mut self, room: &RoomName) {
        let Some(members) = self.rooms.get_mut(room) else { return };
        for member in members.send(self.max_backlog, &self.events) {
            self.clients.remove(&member.id);
            self.note(room, |members| members.note_going(member.id.number()));
        }
        self.forget_if_empty(room);
    }

    fn answer(&mut self, id: ClientId, bytes: &[u8]) {
        // What was said before goes out before.
        self.end_turn_of(id);
        self.send_alone(id, bytes);
    }

    fn send_alone(&mut self, id: ClientId, bytes: &[u8]) {
        let (max_backlog, events) = (self.max_backlog, self.events.clone());
        let Some(member) = self.find(id) else { return };
        if member.outbox.send(&Run::new(bytes), max_backlog, &events).is_err() {
            self.remove(id, &[]);
        }
    }

    fn add(&mut self, newcomer: Newcomer) {
        let Newcomer { wire, room, hello: mut first, speaks, user, wishes } = newcomer;
        let id = wire.id();
        let mut outbox = Outbox::new(wire, wishes.slow);
        // What was said before the client came goes out before it is a member.
        self.end_turn();
        self.clients.insert(id, Home::Room(room.clone(), user.map(Box::new)));
        if self.stopping.is_some() {
            first.extend(goodbye());
            return outbox.end(&first, &self.events);
        }
        self.rooms.entry(room.clone()).or_default();
        let past = self.past(&room, wishes.since, speaks);
        let past = self.pasts.tell(past, speaks, self.max_backlog);
        if speaks == Speaks::V1 {
            self.welcome(id, &room, &past, &mut first);
        }
        let first = Bytes::from_owner(past.behind(first));
        if outbox.send(&Run::owned(&first), self.max_backlog, &self.events).is_err() {
            self.clients.remove(&id);
            return self.forget_if_empty(&room);
        }
        let seen = self.seen(id);
        self.note(&room, |members| members.note_coming(seen));
        self.rooms.entry(room).or_default().add(Member { id, speaks, outbox });
    }

    /// What a newcomer has missed, if it has asked for that.
    fn past(&self, room: &RoomName, since: Option<MessageId>, speaks: Speaks) -> Stretch {
        if (since, speaks) == (None, Speaks::Plain) {
            return Stretch::default();
        }
        // Others are told at least the newest id.
        let past = self.history.since(room, since.unwrap_or(MessageId::MAX));
        let past = past.unwrap_or_else(|error| {
            log::error!("the history of room {room} cannot be read: {error}");
            Stretch::default()
        });
        Stretch { complete: past.complete || since.is_none(), ..past }
    }

    fn welcome(&self, id: ClientId, room: &RoomName, past: &Past, first: &mut Vec<u8>) {
        let others = self.rooms.get(room);
        let count = 1 + others.map_or(0, Members::count);
        let ids = others.into_iter().flat_map(Members::ids).chain([id]);
        let members = (count <= CROWD).then(|| ids.map(|id| self.seen(id)).collect());
        Heard::Welcome {
            you: &self.seen(id),
            room: room.as_str(),
            members,
            count,
            last: past.last,
            replayed: past.replayed,
            complete: past.complete,
            limit: self.max_message_size,
        }
        .push(first);
    }

    fn add_echo(&mut self, outbox: Arc<EchoOutbox>) {
        if self.stopping.is_some() {
            outbox.close(&goodbye());
        }
        self.clients.insert(outbox.id(), Home::Echo(outbox));
    }

    fn remove(&mut self, id: ClientId, last: &[u8]) {
        self.end_turn_of(id);
        let Some(Home::Room(room, _)) = self.clients.remove(&id) else { return };
        // No room: it was told to go when the server stopped.
        let Some(members) = self.rooms.get_mut(&room) else { return };
        let Some(member) = members.remove(id) else { return };
        member.outbox.end(last, &self.events);
        self.note(&room, |members| members.note_going(id.number()));
        self.forget_if_empty(&room);
    }

    /// Calls the clients of a user as they are called now; `None`: as guests.
    fn rename(&mut self, id: UserId, user: Option<&User>) {
        let mut renamed = Vec::new();
        for (client, home) in &mut self.clients {
            if let Home::Room(room, who) = home
                && who.as_ref().is_some_and(|who| who.id == id)
            {
                *who = user.cloned().map(Box::new);
                renamed.push((room.clone(), as_seen(*client, who.as_deref())));
            }
        }
        for (room, seen) in renamed {
            self.note(&room, |members| members.note_name(seen));
        }
    }

    /// Takes note of news in a room, and of when they are to be told.
    fn note(&mut self, room: &RoomName, news: impl FnOnce(&mut Members) -> bool) {
        if self.rooms.get_mut(room).is_some_and(news) {
            self.news.push_back((Instant::now() + NEWS, room.clone()));
        }
    }

    /// Adds news that are due to this turn.
    fn tell_news(&mut self) {
        while self.news.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, room) = self.news.pop_front().expect("it has a front");
            if let Some(members) = self.rooms.get_mut(&room) {
                self.turn.begin(members, &room);
                members.tell_news();
            }
        }
    }

    /// Tells everyone that the server goes away, behind all that was said before.
    fn stop(&mut self) {
        self.end_turn();
        self.stopping = Some(Instant::now() + GOODBYE);
        let close = goodbye();
        for member in self.rooms.drain().flat_map(|(_, members)| members.into_all()) {
            member.outbox.end(&close, &self.events);
        }
        for home in self.clients.values() {
            if let Home::Echo(outbox) = home {
                outbox.close(&close);
            }
        }
    }

    fn census(&self) -> Census {
        Census { clients: self.clients.len(), rooms: self.rooms.len() }
    }

    fn list(&self) -> Vec<(RoomName, usize)> {
        self.rooms.iter().map(|(room, members)| (room.clone(), members.count())).collect()
    }

    /// Ends the turn if something was said in the room of `id`.
    fn end_turn_of(&mut self, id: ClientId) {
        if let Some(Home::Room(room, _)) = self.clients.get(&id)
            && self.rooms.get(room).is_some_and(Members::has_turn)
        {
            self.end_turn();
        }
    }

    fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        let Some(Home::Room(room, _)) = self.clients.get(&id) else { return None };
        self.rooms.get_mut(room)?.find(id)
    }

    fn seen(&self, id: ClientId) -> v1::Member {
        match self.clients.get(&id) {
            Some(Home::Room(_, user)) => as_seen(id, user.as_deref()),
            _ => as_seen(id, None),
        }
    }

    fn forget_if_empty(&mut self, room: &RoomName) {
        if self.rooms.get(room).is_some_and(|members| members.count() == 0) {
            self.rooms.remove(room);
        }
    }
}

impl Turn {
    /// Takes note that a room is about to have frames in this turn.
    fn begin(&mut self, members: &Members, room: &RoomName) {
        if !members.has_turn() {
            self.talking.push(room.clone());
        }
    }
}

/// "An endpoint is going away, such as a server going down" (RFC 6455 §7.4.1).
fn goodbye() -> Vec<u8> {
    frame::close(CloseCode::Away, "the server is stopping")
}
