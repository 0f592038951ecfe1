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
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tungstenite::protocol::frame::coding::CloseCode;

use super::deeds::stay_in;
use super::encoding::{Encoded, Speaker};
use super::events::{Counts, Event, Events, Frames, Goodbye, Post, Submission};
use super::history::History;
use super::members::{self, MembersPage, MembersQuery};
use super::nodes::Nodes;
use super::outbox::Writers;
use super::permits::Permits;
use super::presence::{NEWS_DELAY, Presence, author, member_info};
use super::room::{Member, Room};
use super::sessions::{Seat, Sessions};
use super::turn::{Turn, Waiting};
use crate::identity::rulebook::Rulebook;
use crate::logging::Limited;
use crate::metrics::meters::{Metrics, Relaying};
use crate::net::connection::ClientId;
use crate::options::Options;
use crate::protocol::address::RoomName;
use crate::protocol::frame;
use crate::protocol::message::{Draft, Origin, UserId};
use crate::protocol::v1::{self, Complaint};
use crate::store::shared::{Entry, SharedLog};
use crate::store::{KeptMessages, User};

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

/// The bytes that an event counts in a turn besides its frames, about the memory that it takes.
pub(super) const EVENT_OVERHEAD: usize = 64;

/// The state of the broadcaster.
pub struct Broadcaster {
    /// For members that fall behind.
    pub(super) writers: Writers,
    pub(super) metrics: Arc<Metrics>,
    /// `--max-backlog`, in bytes.
    pub(super) max_backlog: usize,
    /// `--max-message-size`, in bytes. Clients are told it here; their own threads enforce it.
    pub(super) max_message_size: usize,
    /// The rooms that have members. Only this thread adds and removes rooms, so joining and leaving
    /// cannot race.
    pub(super) rooms: HashMap<RoomName, Room>,
    /// All clients that have completed the handshake and have not left.
    pub(super) clients: HashMap<ClientId, Client>,
    pub(super) sessions: Sessions,
    /// The rules of all rooms. This thread alone changes them.
    pub(super) rulebook: Rulebook,
    /// The other nodes, and the log that all share; `None`: this server is alone.
    pub(super) nodes: Option<Nodes>,
    /// Numbers messages, and keeps them before they are sent; `None`: the log that all nodes share does.
    pub(super) history: Option<History>,
    /// The messages that are kept, for replays.
    pub(super) past: Arc<dyn KeptMessages>,
    /// How many replays work at a time.
    pub(super) permits: Permits,
    /// `--history`, in messages.
    pub(super) max_messages: usize,
    pub(super) turn: Turn,
    /// The buffers for a room's frames, used for one room after the other.
    pub(super) encoded: Encoded,
    /// Rooms with news of their members, and the times at which the news are due, in that order.
    news: VecDeque<(Instant, RoomName)>,
    /// Users that were renamed or removed (`None`) lately, and when.
    pub(super) changed: HashMap<UserId, (Instant, Option<User>)>,
    /// The log lines about turns that could not be kept, limited in number.
    pub(super) unkept: Limited,
    /// The log lines about messages that were removed, limited in number.
    pub(super) removed: Limited,
    /// Set when the server stops: the time until which clients may answer the Close.
    pub(super) stopping: Option<Instant>,
}

/// Who keeps the messages before they are sent.
pub enum Keeper {
    /// This server alone.
    Own(History),
    /// The log that several nodes share; and what it has kept.
    Shared(Arc<dyn SharedLog>, Arc<dyn KeptMessages>),
}

/// A client, as the broadcaster knows it.
pub(super) enum Client {
    /// A member of a room.
    Member(Box<Seat>),
    /// A client of the echo, or the owner who watches.
    Echo(Goodbye),
}

/// The reason why the broadcaster woke up.
enum Woken {
    Event(Event),
    /// News are due, or an absence is over.
    Due,
    /// The server has stopped: all clients have left, or the time for that is over.
    End,
}

impl Broadcaster {
    /// A broadcaster with no clients.
    pub fn new(
        events: Events,
        options: &Options,
        keeper: Keeper,
        rulebook: Rulebook,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (history, past, nodes) = match keeper {
            Keeper::Own(history) => {
                let past = history.past();
                (Some(history), past, None)
            }
            Keeper::Shared(log, past) => (None, past, Some(Nodes::new(log, Arc::clone(&metrics)))),
        };
        Self {
            writers: Writers::new(events, Arc::clone(&metrics)),
            metrics,
            max_backlog: options.max_backlog,
            max_message_size: options.max_message_size,
            rooms: HashMap::new(),
            clients: HashMap::new(),
            sessions: Sessions::default(),
            rulebook,
            nodes,
            history,
            past,
            permits: Permits::new(),
            max_messages: options.history,
            turn: Turn::default(),
            encoded: Encoded::default(),
            news: VecDeque::new(),
            changed: HashMap::new(),
            unkept: Limited::default(),
            removed: Limited::default(),
            stopping: None,
        }
    }

    /// Runs the broadcaster's thread, until the server has stopped.
    pub fn run(mut self, inbox: &Receiver<Event>) {
        let mut in_chorus = false;
        loop {
            match self.next(inbox) {
                Woken::Event(event) => self.handle(event),
                Woken::Due => {}
                Woken::End => return,
            }
            let (began, mut count) = (Instant::now(), 1);
            if in_chorus && inbox.len() < ENOUGH_EVENTS {
                thread::sleep(GATHERING_TIME);
            }
            in_chorus = false;
            for event in inbox.try_iter().take(TURN_EVENTS) {
                in_chorus = true;
                count += 1;
                self.handle(event);
                if self.turn.bytes >= TURN_BYTES.min(self.max_backlog) {
                    break;
                }
            }
            self.end_absences();
            self.tell_news();
            self.end_turn();
            self.metrics.turned(count, began.elapsed());
        }
    }

    /// Waits for the first event of a turn.
    fn next(&self, inbox: &Receiver<Event>) -> Woken {
        let news = self.news.front().map(|(due, _)| *due);
        let due = news.into_iter().chain(self.sessions.next_end()).min();
        let until = match self.stopping {
            // This is checked first: while clients still talk, there is always an event to receive.
            Some(deadline) if self.clients.is_empty() || Instant::now() >= deadline => {
                return Woken::End;
            }
            Some(deadline) => Some(deadline),
            None => due,
        };
        let event = match until {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => inbox.recv_deadline(until),
        };
        match event {
            Ok(event) => Woken::Event(event),
            Err(RecvTimeoutError::Timeout) if self.stopping.is_none() => Woken::Due,
            Err(_) => Woken::End,
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Said(id, submission) => self.say(id, *submission),
            Event::Posted(post) => self.post(*post),
            Event::Acted(request) => self.act(*request),
            Event::Hand(id, hand) => self.raise(id, hand),
            Event::Typing(id) => self.tell_typing(id),
            Event::Answered(id, frames) => self.answer(id, frames),
            Event::Joined(newcomer) => self.admit(*newcomer),
            Event::EchoJoined(id, goodbye) => self.add_echo(id, goodbye),
            Event::Left(id, last_frames, parting) => self.remove(id, last_frames, parting),
            Event::Marked(mark) => self.hold(mark),
            Event::CaughtUp(id) => {
                if let Some(member) = self.find(id) {
                    member.outbox.caught_up();
                }
            }
            Event::Told(told, share) => self.hear(told, share),
            Event::Renamed(user) => self.rename(user.id, Some(user)),
            Event::Removed(user) => self.rename(user, None),
            // The asking thread may have given up. Then the answer is dropped.
            Event::Asked(reply) => drop(reply.try_send(self.counts())),
            Event::Measured(reply) => drop(reply.try_send(self.measure())),
            Event::Watched(reply) => drop(reply.try_send(self.snapshot())),
            Event::Listed(reply) => drop(reply.try_send(self.list())),
            Event::MembersListed(query) => {
                drop(query.reply.try_send(self.members(&query)));
            }
            Event::Stopped => self.stop(),
        }
    }

    fn say(&mut self, sender: ClientId, submission: Submission) {
        // A client that was cut off or ended in this turn is in no room, so its message is dropped.
        let Some(Client::Member(seat)) = self.clients.get(&sender) else { return };
        let Submission { content, reference, share } = submission;
        if let Some(silence) = seat.silence {
            return self.refuse(sender, silence, reference);
        }
        let origin = seat.session.zip(reference.clone());
        let origin =
            origin.map(|(session, reference)| Box::new(Origin { session: session.id, reference }));
        let draft = Draft {
            room: seat.room.clone(),
            author: author(Some(seat.guest), seat.user.as_deref()),
            content,
            origin,
            as_guest: seat.session.and_then(|session| session.as_guest),
            stay: seat.stay,
        };
        let speaker = Some(Speaker { client: Some(sender), member: seat.id });
        self.submit(draft, Waiting { speaker, reference, share, ..Waiting::default() });
    }

    fn post(&mut self, post: Post) {
        let Post { mut draft, rank, share, waiter } = post;
        let Some(reply) = waiter.begin() else { return };
        if let Some(silence) = self.silence_of_post(&draft, rank) {
            let (code, detail) = silence.in_words();
            let complaint = Complaint { code, detail: detail.to_owned(), reference: None };
            return drop(reply.try_send(Err(complaint)));
        }
        draft.stay = stay_in(self.rulebook.get(&draft.room).as_deref());
        self.submit(draft, Waiting { share, reply: Some(reply), ..Waiting::default() });
    }

    fn tell_typing(&mut self, id: ClientId) {
        let Some(Client::Member(seat)) = self.clients.get(&id) else { return };
        if seat.silence.is_some() {
            return;
        }
        if let Some(members) = self.rooms.get_mut(&seat.room) {
            self.turn.begin(members, &seat.room);
            members.tell_typing(&member_info(seat), Some(id));
        }
        let (room, member) = (seat.room.clone(), seat.id);
        self.tell_nodes(|_| Entry::Typing { room, member });
    }

    pub(super) fn remove_if_empty(&mut self, room: &RoomName) {
        if self.rooms.get(room).is_some_and(Room::is_empty) {
            self.rooms.remove(room);
        }
    }

    pub(super) fn answer(&mut self, id: ClientId, frames: Frames) {
        let Some(Client::Member(seat)) = self.clients.get(&id) else { return };
        let Some(members) = self.rooms.get_mut(&seat.room) else { return };
        self.turn.bytes += EVENT_OVERHEAD + frames.bytes.len();
        self.turn.begin(members, &seat.room);
        members.record_alone(id, frames);
    }

    fn add_echo(&mut self, id: ClientId, goodbye: Goodbye) {
        if self.stopping.is_some() {
            goodbye(&going_away());
        }
        self.clients.insert(id, Client::Echo(goodbye));
    }

    /// Notes news in a room, and the time at which they are due.
    pub(super) fn note_news(&mut self, room: &RoomName, news: impl FnOnce(&mut Presence) -> bool) {
        let presence = self.rooms.get_mut(room).and_then(Room::presence);
        if presence.is_some_and(news) {
            self.news.push_back((Instant::now() + NEWS_DELAY, room.clone()));
        }
    }

    /// Adds news that are due to this turn.
    fn tell_news(&mut self) {
        while self.news.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, room) = self.news.pop_front().expect("the queue is not empty");
            self.tell_news_of(&room);
        }
    }

    /// Adds the news of a room to this turn before they are due, if somebody has left: a newcomer behind
    /// them must not be told that somebody went whom it never knew.
    pub(super) fn tell_departures(&mut self, room: &RoomName) {
        if self
            .rooms
            .get_mut(room)
            .and_then(Room::presence)
            .is_some_and(|news| news.has_departures())
        {
            self.tell_news_of(room);
        }
    }

    pub(super) fn tell_news_of(&mut self, room: &RoomName) {
        let Some(members) = self.rooms.get_mut(room) else { return };
        self.turn.begin(members, room);
        let clients = &self.clients;
        members.tell_news(|id| info_of(clients, id));
    }

    /// Ends the turn, and then sends a Close to every client, behind all messages.
    fn stop(&mut self) {
        self.end_turn();
        self.stopping = Some(Instant::now() + GOODBYE);
        let early = self.nodes.as_mut().map(|nodes| std::mem::take(&mut nodes.early));
        early.into_iter().flatten().for_each(|newcomer| self.admit(newcomer));
        let close = going_away();
        let code = CloseCode::Away.into();
        self.clients.iter().for_each(|_| self.metrics.closes(code));
        for member in self.rooms.drain().flat_map(|(_, members)| members.into_members()) {
            member.outbox.end(&close, &self.writers);
        }
        for client in self.clients.values() {
            if let Client::Echo(goodbye) = client {
                goodbye(&close);
            }
        }
    }

    fn counts(&mut self) -> Counts {
        let (here, rooms) = (self.clients.len(), self.occupied().count());
        let stops = self.stopping.is_some();
        match &self.nodes {
            None => {
                let unkept = self.history.as_mut().and_then(History::trouble);
                Counts { clients: here, here: None, rooms, unkept, stops }
            }
            Some(nodes) => {
                let (clients, unkept) = (here + nodes.elsewhere(), nodes.trouble());
                Counts { clients, here: Some(here), rooms, unkept, stops }
            }
        }
    }

    /// What a scrape tells. Nobody counts it meanwhile: it costs something only when it is asked for.
    fn measure(&mut self) -> Relaying {
        let keeps = self.counts().unkept.is_none();
        let members = self.rooms.values().flat_map(Room::members);
        let waiting = members.filter_map(|member| member.outbox.waiting());
        let (behind, behind_bytes) =
            waiting.fold((0, 0), |(behind, all), bytes| (behind + 1, all + bytes));
        Relaying {
            clients: self.clients.len(),
            rooms: self.occupied().count(),
            behind,
            behind_bytes,
            keeps,
            nodes: self.nodes.as_ref().map(Nodes::measure),
        }
    }

    fn list(&self) -> Vec<(RoomName, usize)> {
        self.occupied().map(|(room, members)| (room.clone(), members.count())).collect()
    }

    fn members(&self, query: &MembersQuery) -> MembersPage {
        let Some(room) = self.rooms.get(&query.room) else { return MembersPage::default() };
        let (ids, more) = members::choose(room.numbers(), query.after, query.limit);
        let members = room.describe(&ids, |id| self.member_info(id));
        MembersPage { count: room.count(), members, more }
    }

    /// The rooms that have members. (A room whose last members leave in this turn is still in the map.)
    pub(super) fn occupied(&self) -> impl Iterator<Item = (&RoomName, &Room)> {
        self.rooms.iter().filter(|(_, members)| members.count() > 0)
    }

    pub(super) fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        let Some(Client::Member(seat)) = self.clients.get(&id) else { return None };
        self.rooms.get_mut(&seat.room)?.find(id)
    }

    pub(super) fn member_info(&self, id: ClientId) -> v1::MemberInfo {
        info_of(&self.clients, id)
    }
}

/// Describes a client as the others see it. A separate function, so that it can be called while a
/// room is borrowed.
fn info_of(clients: &HashMap<ClientId, Client>, id: ClientId) -> v1::MemberInfo {
    match clients.get(&id) {
        Some(Client::Member(seat)) => member_info(seat),
        _ => unreachable!("every member of a room is a client with a seat"),
    }
}

/// "An endpoint is going away, such as a server going down" (RFC 6455 §7.4.1).
pub(super) fn going_away() -> Vec<u8> {
    frame::close(CloseCode::Away, "the server is stopping")
}
