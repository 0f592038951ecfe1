//! What the broadcaster receives, and how it is sent there.
//!
//! Everyone else holds an [`Events`], the sending end; the broadcaster holds the other one, its
//! inbox. The channel is the backpressure: when the broadcaster is behind, `send` blocks, the
//! client's thread stops reading, and TCP tells the sender. Bounded in messages and in bytes.
//! Sending here is safe on every thread but the broadcaster's own, which must never wait.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::outbox::EchoOutbox;
use crate::room::RoomName;
use crate::wire::{ClientId, Wire};

/// Events that may wait.
const EVENTS: usize = 1024;

/// Bytes of large frames that may wait. A frame larger than that waits alone.
const BYTES: usize = 8 << 20;

/// Frames up to this size are bounded well enough by [`EVENTS`]: 4 MiB in all. They need not
/// touch a lock.
const SMALL: usize = 4096;

/// Everything that can happen, as the broadcaster sees it.
pub enum Event {
    /// A client's handshake is good. `hello` is the 101 answer, which the broadcaster sends as
    /// the client's first bytes: whoever has read it misses nothing from then on.
    Joined {
        /// What the broadcaster sends to.
        wire: Arc<Wire>,
        /// The room it is in until it leaves.
        room: RoomName,
        /// The bytes of the 101 answer.
        hello: Vec<u8>,
    },
    /// A client of the echo. It writes its own answers; the broadcaster only counts it and says
    /// goodbye to it.
    EchoJoined(Arc<EchoOutbox>),
    /// A message for everyone in the sender's room.
    Said(ClientId, Frames),
    /// Bytes for this client alone, in their place in its stream: pongs and pings.
    Answered(ClientId, Frames),
    /// The client's thread has stopped reading. `last` goes out behind all that waits: a Close
    /// frame, or nothing if the client is gone.
    Left(ClientId, Frames),
    /// All that waited for a client that was behind is with the kernel.
    CaughtUp(ClientId),
    /// Somebody wants to know how many there are.
    Asked(Sender<Census>),
    /// The server stops: Close 1001 to everyone.
    Stopped,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Census {
    /// WebSockets past their handshake.
    pub clients: usize,
    /// Rooms with someone in them.
    pub rooms: usize,
}

/// The sending end: where events go.
#[derive(Clone)]
pub struct Events {
    sender: Sender<Event>,
    budget: Arc<Budget>,
}

/// Both ends of a new inbox.
pub fn open() -> (Events, Receiver<Event>) {
    let (sender, inbox) = bounded(EVENTS);
    (Events { sender, budget: Arc::default() }, inbox)
}

impl Events {
    /// Hands over an event; blocks while the inbox is full. When the broadcaster has ended, so
    /// has the server, and what is said then is said to nobody.
    pub fn send(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    /// Asks how many there are; `None` if the broadcaster does not answer within `patience`.
    pub fn ask(&self, patience: Duration) -> Option<Census> {
        let (reply, census) = bounded(1);
        self.sender.send_timeout(Event::Asked(reply), patience).ok()?;
        census.recv_timeout(patience).ok()
    }

    /// Hands over a message; blocks while too much waits.
    pub fn say(&self, client: ClientId, frame: Vec<u8>) {
        self.send(Event::Said(client, self.counted(frame)));
    }

    /// Hands over frames for the client alone; blocks while too much waits.
    pub fn answer(&self, client: ClientId, frames: Vec<u8>) {
        self.send(Event::Answered(client, self.counted(frames)));
    }

    /// Hands over the client's last frames; blocks while too much waits.
    pub fn leave(&self, client: ClientId, last: Vec<u8>) {
        self.send(Event::Left(client, self.counted(last)));
    }

    fn counted(&self, bytes: Vec<u8>) -> Frames {
        let share = (bytes.len() > SMALL).then(|| self.budget.take(bytes.len()));
        Frames { bytes, _share: share }
    }
}

/// Whole frames on their way to the broadcaster.
pub struct Frames {
    /// Headers and payloads.
    pub bytes: Vec<u8>,
    /// Given back when the broadcaster has copied or sent the bytes.
    _share: Option<Share>,
}

/// The bytes of large frames under way.
#[derive(Default)]
struct Budget {
    used: Mutex<usize>,
    given_back: Condvar,
}

/// A part of the budget, given back when dropped.
struct Share {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Budget {
    /// Blocks until `bytes` fit, or until they are the only ones.
    fn take(self: &Arc<Self>, bytes: usize) -> Share {
        let used = self.used.lock().expect("nothing panics while holding it");
        let too_much = |used: &mut usize| *used > 0 && *used + bytes > BYTES;
        let wait = self.given_back.wait_while(used, too_much);
        *wait.expect("nothing panics while holding it") += bytes;
        Share { bytes, budget: Arc::clone(self) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.budget.used.lock().expect("nothing panics while holding it") -= self.bytes;
        self.budget.given_back.notify_all();
    }
}
