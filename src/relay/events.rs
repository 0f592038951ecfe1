//! The events that the broadcaster receives, and the channel that carries them.
//!
//! Other threads hold an [`Events`], the sending end; the broadcaster holds its inbox, the receiving
//! end. The channel is the backpressure: when the broadcaster cannot keep up, `send` blocks, the
//! client's thread stops reading, and TCP slows down the sender. The channel is bounded in events
//! and in bytes. Every thread may send, except the broadcaster: it must never wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::members::{MembersPage, MembersQuery};
use super::watching::Snapshot;
use crate::identity::session::Session;
use crate::metrics::meters::Relaying;
use crate::net::byte_budget::{ByteBudget, Share};
use crate::net::connection::{ClientId, Connection};
use crate::protocol::act::{Hand, Wish};
use crate::protocol::address::{Files, Past, RoomName};
use crate::protocol::dialect::Dialect;
use crate::protocol::experiment::Experiment;
use crate::protocol::message::{Author, Content, Draft, MessageId, UserId};
use crate::protocol::v1::{Complaint, Key};
use crate::store::User;
use crate::store::shared::Told;

/// The most events that wait.
const MAX_EVENTS: usize = 1024;

/// The most bytes of large frames that wait. A frame larger than that waits alone.
const MAX_BYTES: usize = 8 << 20;

/// Frames up to this size, in bytes, are bounded by [`MAX_EVENTS`] alone (4 MiB in all), and so need
/// no lock.
const SMALL_BYTES: usize = 4096;

/// With more bytes of messages than this, what the shared log tells is passed on in parts.
const MAX_TOLD_BYTES: usize = 64 << 10;

/// Everything that the broadcaster reacts to.
pub enum Event {
    /// A client has completed its handshake.
    Joined(Box<Newcomer>),
    /// A client of the echo has connected, or the owner who watches. It writes its own answers. The
    /// broadcaster only counts it, and sends it a Close when the server stops.
    EchoJoined(ClientId, Goodbye),
    /// A client has said something to its room.
    Said(ClientId, Box<Submission>),
    /// Somebody who is not a client has said something to a room, over HTTP.
    Posted(Box<Post>),
    /// Somebody asks for an act: see [`Wish`].
    Acted(Box<ActRequest>),
    /// The client's user raises a hand, or lowers it.
    Hand(ClientId, Hand),
    /// The client's user is writing a message.
    Typing(ClientId),
    /// Frames for this client alone, at this place in its stream: pongs, pings, complaints.
    Answered(ClientId, Frames),
    /// The client's thread has stopped reading. These last frames are sent behind all others: a Close,
    /// or nothing if the client is gone.
    Left(ClientId, Frames, Parting),
    /// A client has said much, and waits until it is sent.
    Marked(Mark),
    /// The writer of a client that was behind has sent everything.
    CaughtUp(ClientId),
    /// The log that several nodes share tells this.
    Told(Vec<Told>, Option<Share>),
    /// A user has a new name.
    Renamed(User),
    /// A user was removed from the directory: their clients are now guests.
    Removed(UserId),
    /// Somebody asks how many clients and rooms there are.
    Asked(Sender<Counts>),
    /// Somebody asks what a scrape of the metrics tells.
    Measured(Sender<Relaying>),
    /// Somebody asks which rooms have members, and how many.
    Listed(Sender<Vec<(RoomName, usize)>>),
    /// The owner watches, and asks what is so now.
    Watched(Sender<Snapshot>),
    /// Somebody asks who is in a room.
    MembersListed(Box<MembersQuery>),
    /// The server stops: every client gets Close 1001.
    Stopped,
}

/// A client waits for this to be dropped, which happens when all that it said before is sent.
pub type Mark = Sender<()>;

/// How a client left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parting {
    /// With a Close, from either side: it is gone for good.
    Closed,
    /// Without a Close: the line broke, and its session may come back soon.
    Lost,
}

/// Sends a Close frame to a client of the echo, without waiting.
pub type Goodbye = Box<dyn Fn(&[u8]) + Send>;

/// The result of a client's handshake, for the broadcaster.
pub struct Joining {
    /// The bytes of the 101 answer. The broadcaster sends them as the client's first bytes, so a
    /// client that has read them misses no later message.
    pub response_101: Vec<u8>,
    /// The dialect of the client.
    pub dialect: Dialect,
    /// The part of the past that it first wants.
    pub past: Option<Past>,
    /// How it wants the files of the past.
    pub files: Files,
    /// The rate at which it is sent to, in bytes a second, if it has asked to be slow.
    pub slow: Option<u32>,
    /// Its user; `None`: a guest.
    pub user: Option<User>,
    /// Its session, if it has brought one.
    pub session: Option<Session>,
    /// What the server thinks of its key, if the key is not good.
    pub key: Option<Key>,
    /// The newest message of the room during the handshake; 0 if nobody needs to know.
    pub last: MessageId,
    /// How it begins, if it is a client of the echo that is told its frames.
    pub experiment: Option<Box<Experiment>>,
}

/// A client that joins a room.
pub struct Newcomer {
    /// The connection that the broadcaster sends to.
    pub connection: Arc<Connection>,
    /// The room that the client is in until it leaves.
    pub room: RoomName,
    /// The result of its handshake.
    pub joining: Box<Joining>,
}

/// A client's message on its way to the broadcaster.
pub struct Submission {
    /// The text or the bytes.
    pub content: Content,
    /// The sender's `ref`, which goes back to the sender.
    pub reference: Option<String>,
    /// The share of the channel's bytes, freed when the broadcaster has sent the message.
    pub share: Option<Share>,
}

/// A message from somebody who is not a client.
pub struct Post {
    /// The message.
    pub draft: Draft,
    /// The rank of the one who says it.
    pub rank: Rank,
    /// The share of the channel's bytes, freed when the broadcaster has sent the message.
    pub share: Option<Share>,
    /// Waits for the outcome.
    pub waiter: Waiter,
}

/// The rank of somebody who comes over HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rank {
    /// What a user may do is in the rules of the room.
    Visitor,
    /// The owner of the server, who may do everything in every room.
    Owner,
}

/// A thread that waits until a message or an act was kept and sent, or was not.
pub struct Waiter {
    /// Set by the first of two threads. If that is the broadcaster, it relays the message. If that is
    /// the thread that waits for the receipt, because its time is over, the message is withdrawn: it
    /// is never relayed, and may be posted again.
    pub decided: Arc<AtomicBool>,
    /// Receives the outcome when the message was kept and sent, or was not.
    pub reply: Sender<PostOutcome>,
}

impl Waiter {
    /// Begins to relay the message. Receives the outcome; `None`: the thread has given up waiting, and
    /// has said that the message is not relayed.
    pub fn begin(self) -> Option<Sender<PostOutcome>> {
        let withdrawn = self.decided.swap(true, Ordering::AcqRel);
        (!withdrawn).then_some(self.reply)
    }
}

/// The outcome of a [`Post`] or an [`ActRequest`]; an error says why it has no effect.
pub type PostOutcome = Result<Receipt, Complaint>;

/// Somebody asks for an act.
pub struct ActRequest {
    /// Who asks.
    pub by: By,
    /// What for.
    pub wish: Wish,
    /// Whether the one who asks has written the message that the act is about. The broadcaster never
    /// reads the history, so whoever sends this has looked.
    pub is_author: bool,
}

/// Who asks for an act.
pub enum By {
    /// A client, in its room, with a `ref` if it gave one.
    Client(ClientId, Option<String>),
    /// Somebody who comes over HTTP.
    Api {
        /// The room.
        room: RoomName,
        /// The user; or the name that the room is told.
        author: Author,
        /// The rank.
        rank: Rank,
        /// Waits for the outcome.
        waiter: Waiter,
    },
}

/// An act that somebody asks for over HTTP: see [`ActRequest`] and [`By::Api`].
pub struct ApiAct {
    /// The room.
    pub room: RoomName,
    /// The user; or the name that the room is told.
    pub author: Author,
    /// The rank.
    pub rank: Rank,
    /// What is asked for.
    pub wish: Wish,
    /// Whether the one who asks has written the message that the act is about.
    pub is_author: bool,
}

/// The receipt for a message that was kept and sent.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// Its id.
    pub id: MessageId,
    /// The number of clients that it was sent to; `None`: it was sent before, and not again.
    pub heard: Option<usize>,
}

/// The numbers of clients and rooms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counts {
    /// WebSocket clients that have completed their handshake, on all nodes. (Those of the echo are
    /// counted by their own node.)
    pub clients: usize,
    /// Those of this node; `None`: there are no other nodes.
    pub here: Option<usize>,
    /// Rooms that have members.
    pub rooms: usize,
    /// Why messages cannot be kept at the moment; `None`: they can be.
    pub unkept: Option<String>,
    /// The server stops.
    pub stops: bool,
}

/// The sending end of the broadcaster's inbox.
#[derive(Clone)]
pub struct Events {
    sender: Sender<Event>,
    budget: Arc<ByteBudget>,
}

/// Both ends of a new inbox.
pub fn open() -> (Events, Receiver<Event>) {
    let (sender, inbox) = bounded(MAX_EVENTS);
    (Events { sender, budget: Arc::new(ByteBudget::new(MAX_BYTES)) }, inbox)
}

impl Events {
    /// Sends an event; blocks while the inbox is full. After the broadcaster has ended, the server has
    /// stopped, and the event is dropped.
    pub fn send(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    /// Asks how many clients and rooms there are; `None` if the broadcaster does not answer within
    /// `timeout`.
    pub fn ask(&self, timeout: Duration) -> Option<Counts> {
        let (reply, counts) = bounded(1);
        self.sender.send_timeout(Event::Asked(reply), timeout).ok()?;
        counts.recv_timeout(timeout).ok()
    }

    /// Asks what a scrape of the metrics tells; `None` if the broadcaster does not answer within
    /// `timeout`.
    pub fn measure(&self, timeout: Duration) -> Option<Relaying> {
        let (reply, measured) = bounded(1);
        self.sender.send_timeout(Event::Measured(reply), timeout).ok()?;
        measured.recv_timeout(timeout).ok()
    }

    /// Sends a client's message; blocks while too much waits.
    pub fn say(&self, client: ClientId, content: Content, reference: Option<String>) {
        let share = self.share(content.size());
        self.send(Event::Said(client, Box::new(Submission { content, reference, share })));
    }

    /// Sends a message from somebody who is not a client, and waits until it is kept and sent. `None`
    /// if the broadcaster has not begun to relay it within `timeout`; then it never will. Once the
    /// broadcaster has begun, the message can no longer be withdrawn, so this waits as long as the
    /// disk takes.
    pub fn post(&self, draft: Draft, rank: Rank, timeout: Duration) -> Option<PostOutcome> {
        let share = self.share(draft.content.size());
        self.wait(timeout, |waiter| Event::Posted(Box::new(Post { draft, rank, share, waiter })))
    }

    /// Asks for an act in a room, for somebody who is not a client, and waits until it is done and
    /// kept. `None` as with [`post`](Self::post). `is_author`: see [`ActRequest::is_author`].
    pub fn act(&self, request: ApiAct, timeout: Duration) -> Option<PostOutcome> {
        let ApiAct { room, author, rank, wish, is_author } = request;
        self.wait(timeout, |waiter| {
            let by = By::Api { room, author, rank, waiter };
            Event::Acted(Box::new(ActRequest { by, wish, is_author }))
        })
    }

    fn wait(&self, timeout: Duration, event: impl FnOnce(Waiter) -> Event) -> Option<PostOutcome> {
        let (reply, receipt) = bounded(1);
        let decided = Arc::default();
        let waiter = Waiter { decided: Arc::clone(&decided), reply };
        self.sender.send_timeout(event(waiter), timeout).ok()?;
        if let Ok(outcome) = receipt.recv_timeout(timeout) {
            return Some(outcome);
        }
        let withdrawn = !decided.swap(true, Ordering::AcqRel);
        if withdrawn { None } else { receipt.recv().ok() }
    }

    /// Asks which rooms have members, and how many; `None` if the broadcaster does not answer within
    /// `timeout`.
    pub fn list(&self, timeout: Duration) -> Option<Vec<(RoomName, usize)>> {
        let (reply, rooms) = bounded(1);
        self.sender.send_timeout(Event::Listed(reply), timeout).ok()?;
        rooms.recv_timeout(timeout).ok()
    }

    /// Asks what the owner sees; `None` if the broadcaster does not answer within `timeout`.
    pub fn watch(&self, timeout: Duration) -> Option<Snapshot> {
        let (reply, snapshot) = bounded(1);
        self.sender.send_timeout(Event::Watched(reply), timeout).ok()?;
        snapshot.recv_timeout(timeout).ok()
    }

    /// Asks who is in a room: at most `limit` members with ids above `after`. `None` if the
    /// broadcaster does not answer within `timeout`.
    pub fn list_members(
        &self,
        room: RoomName,
        after: u64,
        limit: usize,
        timeout: Duration,
    ) -> Option<MembersPage> {
        let (reply, members) = bounded(1);
        let query = Box::new(MembersQuery { room, after, limit, reply });
        self.sender.send_timeout(Event::MembersListed(query), timeout).ok()?;
        members.recv_timeout(timeout).ok()
    }

    /// Passes on what the shared log tells; blocks while too much waits.
    pub fn tell(&self, told: Vec<Told>) {
        let size = |told: &Told| match told {
            Told::Message { message, .. } => message.size(),
            _ => 0,
        };
        let (mut part, mut bytes) = (Vec::new(), 0);
        for told in told {
            bytes += size(&told);
            part.push(told);
            if bytes > MAX_TOLD_BYTES {
                self.send(Event::Told(std::mem::take(&mut part), self.share(bytes)));
                bytes = 0;
            }
        }
        if !part.is_empty() {
            self.send(Event::Told(part, self.share(bytes)));
        }
    }

    /// Reports that a user has a new name.
    pub fn renamed(&self, user: User) {
        self.send(Event::Renamed(user));
    }

    /// Reports that a user was removed from the directory.
    pub fn removed(&self, user: UserId) {
        self.send(Event::Removed(user));
    }

    /// Sends frames for the client alone; blocks while too much waits.
    pub fn answer(&self, client: ClientId, frames: Vec<u8>) {
        self.send(Event::Answered(client, self.counted(frames)));
    }

    /// Waits until all that a client has said so far is sent, at most `timeout`. A client that says much
    /// waits now and then, so that little of it is ever in front of what others say.
    pub fn wait_until_sent(&self, timeout: Duration) {
        let (mark, sent) = bounded(0);
        self.send(Event::Marked(mark));
        // Nothing ever comes here: the broadcaster drops its end.
        let _ = sent.recv_timeout(timeout);
    }

    /// Reports that the client leaves, with its last frames; blocks while too much waits.
    pub fn leave(&self, client: ClientId, last: Vec<u8>, parting: Parting) {
        self.send(Event::Left(client, self.counted(last), parting));
    }

    fn counted(&self, bytes: Vec<u8>) -> Frames {
        let share = self.share(bytes.len());
        Frames { bytes, _share: share }
    }

    fn share(&self, bytes: usize) -> Option<Share> {
        (bytes > SMALL_BYTES).then(|| self.budget.take(bytes))
    }
}

/// Whole frames on their way to the broadcaster.
pub struct Frames {
    /// Headers and payloads.
    pub bytes: Vec<u8>,
    /// The share of the channel's bytes, freed when the broadcaster has sent the frames.
    _share: Option<Share>,
}

impl From<Vec<u8>> for Frames {
    /// Frames that the broadcaster itself makes do not pass the channel, so they have no share.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, _share: None }
    }
}
