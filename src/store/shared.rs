//! A log of messages that several programs share, as a trait: what one of them appends, all are told.
//!
//! Each program is a *node*. A node hands over an [`Entry`] and does not wait. Later it is [`Told`]
//! what became of it, and everything that the other nodes have appended, in the one order of the log.
//! A shared log may be cut into *shards*: each room belongs to one of them for ever, and there is one
//! order in each shard, so there is one order in each room. Not here: the server behind it, its
//! threads and its keys.

use std::sync::Arc;

use crate::protocol::address::RoomName;
use crate::protocol::message::{Draft, Message, MessageId, SessionId, UserId};
use crate::protocol::rules::Mark;
use crate::protocol::v1::MemberId;

use super::{Fields, User};

/// The number of a node, below 2^20. Each start of the program gets another one. The ids of a node's
/// members are its number × 2^32 + n, so no two nodes have the same ones.
pub type Node = u32;

/// The number of a shard, from 0.
pub type Shard = u16;

/// A member of a room, as all nodes know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Present {
    /// The room.
    pub room: RoomName,
    /// The member's id, which no other member has.
    pub member: MemberId,
    /// The node that the member is connected to.
    pub node: Node,
    /// When it connected, in the time of the log: a member, and a session, is where it was last.
    pub since: i64,
    /// The number in the name that the member has as a guest.
    pub guest: u64,
    /// The member's user; `None`: a guest.
    pub user: Option<User>,
    /// The member's session, if it has one. It is for nodes only, and never sent to clients.
    pub session: Option<SessionId>,
    /// The mark of the member's address, for nodes only too.
    pub address: Option<Mark>,
    /// When the member has raised a hand, in microseconds since 1970; `None`: it is down.
    pub hand: Option<i64>,
}

/// What a node wants to be appended.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A message, and the member that says it, if a member does.
    Message(Draft, Option<MemberId>),
    /// A member has come, or has a new connection.
    Joined(Present),
    /// A member of this node has gone, perhaps to another node.
    Left {
        /// The room that it was in.
        room: RoomName,
        /// Its id.
        member: MemberId,
    },
    /// A member of this node is now called otherwise, has another user or session, or has raised a hand
    /// or taken it down.
    Renamed(Present),
    /// A member of this node is writing. It is told once, and not kept.
    Typing {
        /// The room that it is in.
        room: RoomName,
        /// Its id.
        member: MemberId,
    },
}

/// What the log says: to every node the same, in the same order in each shard. Only
/// [`Before`](Self::Before), [`NotKept`](Self::NotKept), [`Everyone`](Self::Everyone),
/// [`Rules`](Self::Rules), [`Gap`](Self::Gap) and [`State`](Self::State) are for one node.
#[derive(Clone, Debug)]
pub enum Told {
    /// A message is kept, and may now be sent.
    Message {
        /// The message.
        message: Arc<Message>,
        /// The member that says it, if a member does.
        member: Option<MemberId>,
        /// The number of the entry, if this node has appended it.
        own: Option<u64>,
    },
    /// This node's entry repeats a message: one of its origin, or of the same `ref` in the session
    /// that its sender had as a guest. It is not kept again.
    Before {
        /// The number of the entry.
        own: u64,
        /// The id of the message that is repeated.
        id: MessageId,
    },
    /// This node's message is not kept, and never will be.
    NotKept {
        /// The number of the entry.
        own: u64,
        /// The reason, in words for the sender.
        why: String,
    },
    /// A member has come. It may be known already: then the one with the later
    /// [`since`](Present::since) replaces the other.
    Joined(Present),
    /// A member has gone from a node. It may be unknown, or known to be on another node by now. If a node was silent for so long that the others took it
    /// for dead, it is told this of its own members, and then [`Joined`](Self::Joined) again.
    Left {
        /// The room that it was in.
        room: RoomName,
        /// Its id.
        member: MemberId,
        /// The node that it was connected to.
        node: Node,
    },
    /// A member is now called otherwise, has another user or session, or has raised a hand or taken it
    /// down.
    Renamed(Present),
    /// A member is writing.
    Typing {
        /// The room that it is in.
        room: RoomName,
        /// Its id.
        member: MemberId,
    },
    /// All members of all rooms of a shard, on all nodes: this replaces what was known. It is told of
    /// each shard before anything else, and again when the log had to be begun anew.
    Everyone {
        /// The shard: see [`SharedLog::shard_of`].
        shard: Shard,
        /// The members, in no order.
        members: Vec<Present>,
    },
    /// The rules of all rooms of a shard: they replace what was known. They are told when the members
    /// are.
    Rules {
        /// The shard: see [`SharedLog::shard_of`].
        shard: Shard,
        /// The fields of the rooms that have rules.
        rules: Vec<(RoomName, Fields)>,
    },
    /// A user has a new name.
    UserRenamed(User),
    /// A user was removed from the directory.
    UserRemoved(UserId),
    /// Messages may be missing between what was told of a shard before and what is told next: clients
    /// in its rooms must come back with `since`.
    Gap {
        /// The shard: see [`SharedLog::shard_of`].
        shard: Shard,
        /// None is missing behind this id.
        upto: MessageId,
    },
    /// Whether anything can be kept now; an error is the reason, in words for the operator.
    State(Result<(), String>),
}

/// Is called with what the log says. The threads of the log call it, each with its own shard; a call
/// may block for a while, and then that shard waits.
pub type Tell = Box<dyn Fn(Vec<Told>) + Send + Sync>;

/// A log that several nodes append to.
pub trait SharedLog: Send + Sync {
    /// The number of this node.
    fn node(&self) -> Node;
    /// The newest message of a shard when this node began: it is told all that come behind it.
    fn began_behind(&self, shard: Shard) -> MessageId;
    /// The time, in microseconds since 1970: about the same on all nodes.
    fn now(&self) -> i64;
    /// The shard that a room belongs to.
    fn shard_of(&self, room: &RoomName) -> Shard;
    /// Hands over an entry. `own` is its number: 1 for the first entry of this node, then always more.
    /// This never waits. For a message, one of [`Told::Message`], [`Told::Before`] and
    /// [`Told::NotKept`] follows. While the log is away, what was not sent yet is not kept after a
    /// while (30 s). What was sent and not answered is in doubt, at most 64 entries of each shard: what
    /// became of it is told when the log is back. News of members follow as they are, and are not lost:
    /// if they cannot be appended for a while, others hear later what became of them in the end.
    ///
    /// # Errors
    /// Too much waits already, or this node has left: the message is not kept. The error is the reason
    /// for its sender. News of members never fail.
    fn append(&self, own: u64, entry: Entry) -> Result<(), String>;
    /// Takes this node's members away, and ends the threads soon. Waits a few seconds at most.
    fn leave(&self);
}
