//! What the broadcaster receives, and how it is sent there.
//!
//! Everyone else holds an [`Events`], the sending end; the broadcaster holds the other one, its
//! inbox. The channel is the backpressure: when the broadcaster is behind, `send` blocks, the
//! client's thread stops reading, and TCP tells the sender. Bounded in messages and in bytes.
//! Sending here is safe on every thread but the broadcaster's own, which must never wait.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use tungstenite::protocol::frame::coding::Data;

use crate::frame;
use crate::outbox::EchoOutbox;
use crate::room::{RoomName, Wishes};
use crate::store::{Content, MessageId, User, UserId};
use crate::v1::Speaks;
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
    /// A client's handshake is good.
    Joined(Box<Newcomer>),
    /// A client of the echo. It writes its own answers; the broadcaster only counts it and says
    /// goodbye to it.
    EchoJoined(Arc<EchoOutbox>),
    /// A message for everyone in the sender's room.
    Said(ClientId, Box<Said>),
    /// A message for a room, from somebody who is in none.
    Posted(Box<Post>),
    /// The client's user is writing.
    Typing(ClientId),
    /// Bytes for this client alone, in their place in its stream: pongs, pings, complaints.
    Answered(ClientId, Frames),
    /// The client's thread has stopped reading. `last` goes out behind all that waits: a Close
    /// frame, or nothing if the client is gone.
    Left(ClientId, Frames),
    /// All that waited for a client that was behind is with the kernel.
    CaughtUp(ClientId),
    /// A user is called otherwise from now on.
    Renamed(User),
    /// A user is in the directory no more: their clients are guests.
    Removed(UserId),
    /// Somebody wants to know how many there are.
    Asked(Sender<Census>),
    /// Somebody wants to know which rooms there are, and how many are in each.
    Listed(Sender<Vec<(RoomName, usize)>>),
    /// The server stops: Close 1001 to everyone.
    Stopped,
}

/// A client that joins a room.
pub struct Newcomer {
    /// What the broadcaster sends to.
    pub wire: Arc<Wire>,
    /// The room it is in until it leaves.
    pub room: RoomName,
    /// The bytes of the 101 answer, which the broadcaster sends as the client's first bytes:
    /// whoever has read it misses nothing from then on.
    pub hello: Vec<u8>,
    /// What it speaks.
    pub speaks: Speaks,
    /// Who it is; `None`: a guest.
    pub user: Option<User>,
    /// What it asks for in its address.
    pub wishes: Wishes,
}

/// A message on its way to the broadcaster.
pub struct Said {
    /// As plain clients hear it: one frame.
    pub frame: Bytes,
    /// As it is kept; its bytes are those in the frame.
    pub content: Content,
    /// The sender's own mark, to be given back to it.
    pub reference: Option<String>,
    /// Given back when the broadcaster has copied the bytes.
    _share: Option<Share>,
}

/// A message from somebody who is no client.
pub struct Post {
    /// Where it is said.
    pub room: RoomName,
    /// By whom; `None`: a guest.
    pub user: Option<User>,
    /// What.
    pub said: Said,
    /// Told when it was kept and sent, or why not.
    pub reply: Sender<Result<Receipt, String>>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// Its number.
    pub id: MessageId,
    /// To how many clients it was sent.
    pub heard: usize,
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
    pub fn say(&self, client: ClientId, content: Content, reference: Option<String>) {
        let said = Said { reference, ..self.said(content) };
        self.send(Event::Said(client, Box::new(said)));
    }

    /// Hands over a message from no client, and waits until it is kept and sent; `None` if the
    /// broadcaster does not answer within `patience`.
    pub fn post(
        &self,
        room: RoomName,
        user: Option<User>,
        content: Content,
        patience: Duration,
    ) -> Option<Result<Receipt, String>> {
        let (reply, receipt) = bounded(1);
        let post = Post { room, user, said: self.said(content), reply };
        self.sender.send_timeout(Event::Posted(Box::new(post)), patience).ok()?;
        receipt.recv_timeout(patience).ok()
    }

    /// Asks which rooms have somebody in them, and how many.
    pub fn list(&self, patience: Duration) -> Option<Vec<(RoomName, usize)>> {
        let (reply, rooms) = bounded(1);
        self.sender.send_timeout(Event::Listed(reply), patience).ok()?;
        rooms.recv_timeout(patience).ok()
    }

    /// Tells that a user is called otherwise.
    pub fn renamed(&self, user: User) {
        self.send(Event::Renamed(user));
    }

    /// Tells that a user is in the directory no more.
    pub fn removed(&self, user: UserId) {
        self.send(Event::Removed(user));
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
        let share = self.share(bytes.len());
        Frames { bytes, _share: share }
    }

    /// The payload may share a larger buffer, and keeping it would keep that: this is the one
    /// copy, and what is kept is a part of it.
    fn said(&self, content: Content) -> Said {
        let (kind, payload) = match &content {
            Content::Text(text) => (Data::Text, text),
            Content::Binary { bytes, .. } => (Data::Binary, bytes),
        };
        let mut frame = Vec::new();
        frame::push(&mut frame, kind, payload);
        let (length, frame) = (payload.len(), Bytes::from(frame));
        let own = frame.slice(frame.len() - length..);
        let content = match content {
            Content::Text(_) => Content::Text(own),
            Content::Binary { name, media_type, .. } => {
                Content::Binary { name, media_type, bytes: own }
            }
        };
        let share = self.share(frame.len());
        Said { frame, content, reference: None, _share: share }
    }

    fn share(&self, bytes: usize) -> Option<Share> {
        (bytes > SMALL).then(|| self.budget.take(bytes))
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
