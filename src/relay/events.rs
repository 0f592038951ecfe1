//! What the broadcaster receives, and how it is sent there.
//!
//! Everyone else holds an [`Events`], the sending end; the broadcaster holds the other one, its
//! inbox. The channel is the backpressure: when the broadcaster is behind, `send` blocks, the
//! client's thread stops reading, and TCP tells the sender. Bounded in messages and in bytes.
//! Sending here is safe on every thread but the broadcaster's own, which must never wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::net::byte_budget::{ByteBudget, Share};
use crate::net::connection::{ClientId, Connection};
use crate::protocol::address::{JoinOptions, RoomName};
use crate::protocol::dialect::Dialect;
use crate::protocol::message::{Content, MessageId, UserId};
use crate::store::User;

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
    EchoJoined(ClientId, Goodbye),
    /// A message for everyone in the sender's room.
    Said(ClientId, Box<Submission>),
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
    Asked(Sender<Counts>),
    /// Somebody wants to know which rooms there are, and how many are in each.
    Listed(Sender<Vec<(RoomName, usize)>>),
    /// The server stops: Close 1001 to everyone.
    Stopped,
}

/// Sends a Close frame to a client of the echo, without waiting.
pub type Goodbye = Box<dyn Fn(&[u8]) + Send>;

/// What a handshake has settled about a client, on its way to the broadcaster.
pub struct Joining {
    /// The bytes of the 101 answer, which the broadcaster sends as the client's first bytes:
    /// whoever has read it misses nothing from then on.
    pub response_101: Vec<u8>,
    /// What it speaks.
    pub dialect: Dialect,
    /// What it asks for in its address.
    pub options: JoinOptions,
    /// Who it is; `None`: a guest.
    pub user: Option<User>,
    /// The newest message of the room when the client came to the door.
    pub last: MessageId,
}

/// A client that joins a room.
pub struct Newcomer {
    /// What the broadcaster sends to.
    pub connection: Arc<Connection>,
    /// The room it is in until it leaves.
    pub room: RoomName,
    /// What its handshake has settled.
    pub joining: Joining,
}

/// A message on its way to the broadcaster.
pub struct Submission {
    /// What is said.
    pub content: Content,
    /// The sender's own mark, to be given back to it.
    pub reference: Option<String>,
    /// Given back when the broadcaster has sent the message.
    pub share: Option<Share>,
}

/// A message from somebody who is no client.
pub struct Post {
    /// Where it is said.
    pub room: RoomName,
    /// By whom; `None`: a guest.
    pub user: Option<User>,
    /// What.
    pub submission: Submission,
    /// Set by whoever comes first: the broadcaster, which then says it, or the one who waits for
    /// the receipt and has lost patience; then it is not said, and may be said again.
    pub decided: Arc<AtomicBool>,
    /// Told when it was kept and sent, or why not.
    pub reply: Sender<PostOutcome>,
}

/// What became of a message from no client; an error says why it was not kept.
pub type PostOutcome = Result<Receipt, String>;

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
pub struct Counts {
    /// WebSockets past their handshake.
    pub clients: usize,
    /// Rooms with someone in them.
    pub rooms: usize,
}

/// The sending end: where events go.
#[derive(Clone)]
pub struct Events {
    sender: Sender<Event>,
    budget: Arc<ByteBudget>,
}

/// Both ends of a new inbox.
pub fn open() -> (Events, Receiver<Event>) {
    let (sender, inbox) = bounded(EVENTS);
    (Events { sender, budget: Arc::new(ByteBudget::new(BYTES)) }, inbox)
}

impl Events {
    /// Hands over an event; blocks while the inbox is full. When the broadcaster has ended, so
    /// has the server, and what is said then is said to nobody.
    pub fn send(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    /// Asks how many there are; `None` if the broadcaster does not answer within `patience`.
    pub fn ask(&self, patience: Duration) -> Option<Counts> {
        let (reply, counts) = bounded(1);
        self.sender.send_timeout(Event::Asked(reply), patience).ok()?;
        counts.recv_timeout(patience).ok()
    }

    /// Hands over a message; blocks while too much waits.
    pub fn say(&self, client: ClientId, content: Content, reference: Option<String>) {
        let share = self.share(content.size());
        self.send(Event::Said(client, Box::new(Submission { content, reference, share })));
    }

    /// Hands over a message from no client, and waits until it is kept and sent; `None` if the
    /// broadcaster has not begun to do so within `patience`, and then it never will. Once it has
    /// begun, nobody can say that it was not said, and this waits for as long as the disk does.
    pub fn post(
        &self,
        room: RoomName,
        user: Option<User>,
        content: Content,
        patience: Duration,
    ) -> Option<PostOutcome> {
        let (reply, receipt) = bounded(1);
        let share = self.share(content.size());
        let (submission, decided) =
            (Submission { content, reference: None, share }, Arc::default());
        let post = Post { room, user, submission, decided: Arc::clone(&decided), reply };
        self.sender.send_timeout(Event::Posted(Box::new(post)), patience).ok()?;
        if let Ok(outcome) = receipt.recv_timeout(patience) {
            return Some(outcome);
        }
        let withdrawn = !decided.swap(true, Ordering::AcqRel);
        if withdrawn { None } else { receipt.recv().ok() }
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

    fn share(&self, bytes: usize) -> Option<Share> {
        (bytes > SMALL).then(|| self.budget.take(bytes))
    }
}

/// Whole frames on their way to the broadcaster.
pub struct Frames {
    /// Headers and payloads.
    pub bytes: Vec<u8>,
    /// Given back when the broadcaster has sent the bytes.
    _share: Option<Share>,
}

impl From<Vec<u8>> for Frames {
    /// Of the broadcaster's own making: these count nowhere.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, _share: None }
    }
}
