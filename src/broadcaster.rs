//! The broadcaster: who is in which room, and the relay of each message to all of them.
//!
//! One thread, `broadcaster`, owns all of this, so there is no lock on the client list. It never
//! waits for a client: it sends without blocking, and a client that takes nothing waits for itself
//! (see `outbox`). Not here: reading from clients, and frames' insides; bytes come ready to send.
//!
//! It works in *turns*: it takes every event that is waiting, joins the frames of each room into
//! one buffer, and then does one send per member for the whole turn. The busier it is, the more
//! a single send carries.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::frame;
use crate::inbox::{Census, Event, Events};
use crate::outbox::{EchoOutbox, Outbox, Run};
use crate::room::RoomName;
use crate::wire::{ClientId, Wire};

/// Bytes of messages after which a turn ends, so that those of the first reader do not wait for
/// ever. One message may exceed it.
const TURN_BYTES: usize = 256 << 10;

/// Bytes of buffer that a room keeps from turn to turn.
const KEPT_BYTES: usize = 16 << 10;

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
    /// A room is here while it has members, and only this thread adds or removes: joining and
    /// leaving cannot race.
    rooms: HashMap<RoomName, Room>,
    /// Everyone past the handshake and not yet gone.
    clients: HashMap<ClientId, Home>,
    /// Rooms that have frames to send at the end of this turn.
    talking: Vec<RoomName>,
    /// Bytes joined in this turn.
    turn_bytes: usize,
    /// Set when the server stops: until then clients may answer the Close.
    stopping: Option<Instant>,
}

enum Home {
    Room(RoomName),
    Echo(Arc<EchoOutbox>),
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    /// Frames of this turn, in the one order in which everyone gets them.
    frames: Vec<u8>,
}

struct Member {
    id: ClientId,
    outbox: Outbox,
}

impl Broadcaster {
    /// A broadcaster with no clients.
    pub fn new(events: Events, max_backlog: usize) -> Self {
        Self {
            events,
            max_backlog,
            rooms: HashMap::new(),
            clients: HashMap::new(),
            talking: Vec::new(),
            turn_bytes: 0,
            stopping: None,
        }
    }

    /// The broadcaster's thread, until the server has stopped.
    pub fn run(mut self, inbox: &Receiver<Event>) {
        let mut in_chorus = false;
        while let Some(event) = self.next(inbox) {
            self.take(event);
            if in_chorus && inbox.len() < ENOUGH {
                thread::sleep(GATHER);
            }
            in_chorus = false;
            for event in inbox.try_iter().take(TURN_EVENTS) {
                in_chorus = true;
                self.take(event);
                if self.turn_bytes >= TURN_BYTES.min(self.max_backlog) {
                    break;
                }
            }
            self.end_turn();
        }
    }

    /// Waits for the first event of a turn. `None`: the server stops, and everyone has gone or
    /// had the time to.
    fn next(&self, inbox: &Receiver<Event>) -> Option<Event> {
        match self.stopping {
            None => inbox.recv().ok(),
            // Looked at first: while clients talk on, there is always an event to receive.
            Some(deadline) if self.clients.is_empty() || Instant::now() >= deadline => None,
            Some(deadline) => inbox.recv_deadline(deadline).ok(),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Said(id, frame) => self.join_frame(id, &frame.bytes),
            Event::Answered(id, frames) => self.answer(id, &frames.bytes),
            Event::Joined { wire, room, hello } => self.add(wire, room, hello),
            Event::EchoJoined(outbox) => self.add_echo(outbox),
            Event::Left(id, last) => self.remove(id, &last.bytes),
            Event::CaughtUp(id) => {
                if let Some(member) = self.find(id) {
                    member.outbox.caught_up();
                }
            }
            // Nobody may be waiting for it any more, and that is fine.
            Event::Asked(reply) => drop(reply.try_send(self.census())),
            Event::Stopped => self.stop(),
        }
    }

    fn join_frame(&mut self, sender: ClientId, bytes: &[u8]) {
        // A sender that was cut off in this turn is nowhere, and what it said goes nowhere.
        let Some(Home::Room(name)) = self.clients.get(&sender) else { return };
        let Some(room) = self.rooms.get_mut(name) else { return };
        if room.frames.is_empty() {
            self.talking.push(name.clone());
        }
        room.frames.extend_from_slice(bytes);
        self.turn_bytes += bytes.len();
    }

    fn end_turn(&mut self) {
        for name in std::mem::take(&mut self.talking) {
            self.send_frames(&name);
        }
        self.turn_bytes = 0;
    }

    /// Sends what was joined for a room to each of its members, and lets go of those that take
    /// no more.
    fn send_frames(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        for id in room.send_frames(self.max_backlog, &self.events) {
            self.clients.remove(&id);
        }
        if room.members.is_empty() {
            self.rooms.remove(name);
        }
    }

    fn answer(&mut self, id: ClientId, bytes: &[u8]) {
        // What was said before goes out before.
        self.send_frames_around(id);
        let (max_backlog, events) = (self.max_backlog, self.events.clone());
        let Some(member) = self.find(id) else { return };
        if member.outbox.send(&Run::new(bytes), max_backlog, &events).is_err() {
            self.remove(id, &[]);
        }
    }

    fn add(&mut self, wire: Arc<Wire>, name: RoomName, mut hello: Vec<u8>) {
        let id = wire.id();
        let mut outbox = Outbox::new(wire);
        self.clients.insert(id, Home::Room(name.clone()));
        if self.stopping.is_some() {
            hello.extend(goodbye());
            return outbox.end(&hello, &self.events);
        }
        // What was said before the client came goes out before it is a member.
        self.send_frames(&name);
        if outbox.send(&Run::new(&hello), self.max_backlog, &self.events).is_err() {
            self.clients.remove(&id);
            return;
        }
        self.rooms.entry(name).or_default().members.push(Member { id, outbox });
    }

    fn add_echo(&mut self, outbox: Arc<EchoOutbox>) {
        if self.stopping.is_some() {
            outbox.close(&goodbye());
        }
        self.clients.insert(outbox.id(), Home::Echo(outbox));
    }

    fn remove(&mut self, id: ClientId, last: &[u8]) {
        self.send_frames_around(id);
        let Some(Home::Room(name)) = self.clients.remove(&id) else { return };
        // No room: it was told to go when the server stopped.
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let Some(place) = room.members.iter().position(|member| member.id == id) else { return };
        room.members.swap_remove(place).outbox.end(last, &self.events);
        if room.members.is_empty() {
            self.rooms.remove(&name);
        }
    }

    /// Tells everyone that the server goes away, behind all that was said before.
    fn stop(&mut self) {
        self.end_turn();
        self.stopping = Some(Instant::now() + GOODBYE);
        let close = goodbye();
        for member in self.rooms.drain().flat_map(|(_, room)| room.members) {
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

    /// Sends what was joined so far in the room of `id`.
    fn send_frames_around(&mut self, id: ClientId) {
        if let Some(Home::Room(name)) = self.clients.get(&id) {
            let name = name.clone();
            self.send_frames(&name);
        }
    }

    fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        let Some(Home::Room(name)) = self.clients.get(&id) else { return None };
        let room = self.rooms.get_mut(name)?;
        room.members.iter_mut().find(|member| member.id == id)
    }
}

impl Room {
    /// One non-blocking send per member. Answers with those that take no more.
    fn send_frames(&mut self, max_backlog: usize, events: &Events) -> Vec<ClientId> {
        let mut gone = Vec::new();
        if self.frames.is_empty() {
            return gone;
        }
        log::trace!("{} bytes to {} members", self.frames.len(), self.members.len());
        let run = Run::new(&self.frames);
        self.members.retain_mut(|member| {
            let kept = member.outbox.send(&run, max_backlog, events).is_ok();
            if !kept {
                gone.push(member.id);
            }
            kept
        });
        // The buffer is kept for the next turn, but not a large one: there may be many rooms.
        self.frames.clear();
        self.frames.shrink_to(KEPT_BYTES);
        gone
    }
}

/// "An endpoint is going away, such as a server going down" (RFC 6455 §7.4.1).
fn goodbye() -> Vec<u8> {
    frame::close(CloseCode::Away, "the server is stopping")
}
