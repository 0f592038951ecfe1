//! A turn: the messages that the broadcaster has gathered are kept together, and then sent.
//!
//! Every message takes this way, and no other: it is kept, then encoded, then sent. What a server that
//! is alone gathers are drafts, and one transaction keeps them. With a shared log the messages come
//! here when that has decided about them. Not here: the items of a room (`room`), and when a turn
//! begins and ends (`broadcaster`). Runs on the broadcaster's thread.

use std::sync::Arc;

use crossbeam_channel::Sender;
use tungstenite::protocol::frame::coding::CloseCode;

use super::broadcaster::{Broadcaster, Client, EVENT_OVERHEAD};
use super::encoding::Speaker;
use super::events::{Mark, Parting, PostOutcome, Receipt};
use super::history::{History, Kept};
use super::room::{Item, Outcome, Room, Sending};
use crate::net::byte_budget::Share;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Content, Draft, MessageId};
use crate::protocol::v1::{Code, Complaint};

/// The turn that is being gathered, apart from the items, which the rooms record.
#[derive(Default)]
pub struct Turn {
    /// Rooms that have recorded items.
    rooms: Vec<RoomName>,
    /// The messages of a server that is alone, in order. They are not kept yet.
    drafts: Vec<Draft>,
    /// What a shared log has decided about messages, in its order. (There are drafts or these, never
    /// both.)
    decided: Vec<Outcome>,
    /// Bytes gathered so far.
    pub bytes: usize,
    /// The indices and rooms of posted messages, whose senders wait for a receipt.
    posts: Vec<(usize, RoomName, Sender<PostOutcome>)>,
    /// The indices of acts. They are done when they are kept.
    pub acts: Vec<usize>,
    /// The messages' shares of the inbox, which are freed when the messages are sent.
    pub shares: Vec<Share>,
    /// Clients that wait for the end of this turn.
    pub marks: Vec<Mark>,
}

/// Who waits for a message to be kept.
#[derive(Default)]
pub struct Waiting {
    /// The member who says it.
    pub speaker: Option<Speaker>,
    /// The member's `ref` for it.
    pub reference: Option<String>,
    /// The share of the inbox's bytes, freed when the message is sent.
    pub share: Option<Share>,
    /// Receives the outcome of a post.
    pub reply: Option<Sender<PostOutcome>>,
    /// Dropped when the message is sent.
    pub marks: Vec<Mark>,
}

impl Turn {
    /// The number of messages so far.
    pub fn count(&self) -> usize {
        self.drafts.len() + self.decided.len()
    }

    /// Notes the next message if it is an act.
    pub fn note_act(&mut self, content: &Content) {
        if let Content::Act(_) = content {
            self.acts.push(self.count());
        }
    }

    /// Call this before a room records an item, so that the turn includes the room.
    pub fn begin(&mut self, members: &Room, room: &RoomName) {
        if !members.has_turn() {
            self.rooms.push(room.clone());
        }
    }
}

impl Broadcaster {
    /// Hands a message to the shared log, or adds it to the turn.
    pub(super) fn submit(&mut self, draft: Draft, waiting: Waiting) {
        self.turn.bytes += draft.content.size() + EVENT_OVERHEAD;
        self.traffic.said();
        match &mut self.nodes {
            None => {
                self.turn.note_act(&draft.content);
                let room = draft.room.clone();
                self.add_message(&room, waiting);
                self.turn.drafts.push(draft);
            }
            Some(nodes) => {
                if let Err((room, why, waiting)) = nodes.submit(draft, waiting) {
                    self.decide(&room, Err(why), *waiting);
                }
            }
        }
    }

    /// Lets a client wait until all that it said is sent. With a shared log that may be after this turn.
    pub(super) fn hold(&mut self, mark: Mark) {
        let mark = match &mut self.nodes {
            None => Some(mark),
            Some(nodes) => nodes.hold(mark),
        };
        self.turn.marks.extend(mark);
    }

    /// Adds a message about which the shared log has decided.
    pub(super) fn decide(&mut self, room: &RoomName, outcome: Outcome, waiting: Waiting) {
        self.add_message(room, waiting);
        self.turn.decided.push(outcome);
    }

    fn add_message(&mut self, room: &RoomName, waiting: Waiting) {
        let Waiting { speaker, reference, share, reply, marks } = waiting;
        let index = self.turn.count();
        self.turn.shares.extend(share);
        self.turn.marks.extend(marks);
        self.turn.posts.extend(reply.map(|reply| (index, room.clone(), reply)));
        // If nobody is in the room, nobody is sent the message.
        if let Some(members) = self.rooms.get_mut(room) {
            self.turn.begin(members, room);
            members.record(Item::Message(index, speaker, reference));
        }
    }

    /// Keeps the messages of this turn, then delivers the turn to its rooms.
    pub(super) fn end_turn(&mut self) {
        let before = self.history.as_ref().map_or(0, History::last);
        let outcomes = self.keep();
        if outcomes.iter().any(Result::is_err) {
            self.end_unheard(&outcomes);
        }
        for index in std::mem::take(&mut self.turn.acts) {
            if let Ok(Kept::Now(message)) = &outcomes[index] {
                self.done(message);
            }
        }
        let turn = std::mem::take(&mut self.turn);
        let Turn { mut rooms, posts, shares: _shares, marks: _marks, .. } = turn;
        // Rooms with few members come first: the large ones hardly notice, and a quiet room does not
        // wait while a flood goes out to hundreds.
        rooms.sort_by_cached_key(|room| self.rooms.get(room).map_or(0, Room::connected));
        for room in &rooms {
            self.deliver(room, &outcomes, before);
        }
        for (index, room, reply) in posts {
            let receipt = outcomes[index].as_ref().map(|kept| self.receipt(kept, &room));
            drop(reply.try_send(receipt.map_err(|why| not_kept(why))));
        }
    }

    /// Keeps the drafts of this turn: all of them, or none. Answers what has become of each message of
    /// the turn, in order.
    fn keep(&mut self) -> Vec<Outcome> {
        let Some(history) = &mut self.history else {
            return std::mem::take(&mut self.turn.decided);
        };
        let drafts = std::mem::take(&mut self.turn.drafts);
        let count = drafts.len();
        match history.append(drafts) {
            Ok(kept) => kept.into_iter().map(Ok).collect(),
            Err(error) => {
                self.unkept.line(|more| log::error!("messages could not be kept: {error}{more}"));
                vec![Err(unheard(&error.to_string())); count]
            }
        }
    }

    fn receipt(&self, kept: &Kept, room: &RoomName) -> Receipt {
        let heard = match kept {
            Kept::Now(_) => Some(self.rooms.get(room).map_or(0, Room::connected)),
            Kept::Before(_) => None,
        };
        Receipt { id: kept.id(), heard }
    }

    /// Ends the plain clients whose messages in this turn are not kept: no frame of theirs could
    /// tell them, so a Close does.
    fn end_unheard(&mut self, outcomes: &[Outcome]) {
        let rooms = self.turn.rooms.iter().filter_map(|room| self.rooms.get(room));
        let speakers: Vec<_> = rooms.flat_map(|room| room.unheard(outcomes)).collect();
        for client in speakers {
            // "Try Again Later": registered for the codes of RFC 6455 §7.4.2.
            let seat = self.end_client(client, CloseCode::Again, "your message could not be kept");
            if let Some(seat) = seat {
                self.depart(seat, client, Parting::Closed);
            }
        }
    }

    /// Delivers the turn to one room, and removes the members that could not be sent to. `before` is
    /// the last id before this turn.
    fn deliver(&mut self, room: &RoomName, outcomes: &[Outcome], before: MessageId) {
        let (max_backlog, writers, traffic) = (self.max_backlog, &self.writers, &self.traffic);
        let sending = Sending { max_backlog, writers, before, traffic };
        let Some(members) = self.rooms.get_mut(room) else { return };
        for member in members.deliver(outcomes, &mut self.encoded, sending) {
            if let Some(Client::Member(seat)) = self.clients.remove(&member.id) {
                self.depart(seat, member.id, Parting::Lost);
            }
        }
        self.remove_if_empty(room);
    }
}

fn not_kept(why: &str) -> Complaint {
    Complaint { code: Code::NotKept, detail: why.to_owned(), reference: None }
}

/// The reason for the sender of a message that is not kept.
pub fn unheard(why: &str) -> Arc<str> {
    format!("your message was not kept, and nobody has heard it: {why}").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use clap::Parser;
    use crossbeam_channel::bounded;

    use super::*;
    use crate::identity::rulebook::Rulebook;
    use crate::net::connection::{ClientId, Connection};
    use crate::options::Options;
    use crate::protocol::address::{Files, Past};
    use crate::protocol::dialect::Dialect;
    use crate::protocol::message::{Author, Stay};
    use crate::relay::broadcaster::Keeper;
    use crate::relay::events::{self, Event, Joining, Newcomer, Post, Rank, Waiter};
    use crate::store::Bounds;
    use crate::store::memory::Memory;

    fn post(text: &'static str) -> Event {
        let author = Author { user: None, name: "guest".to_owned() };
        let content = Content::Text(text.into());
        let draft = Draft {
            room: RoomName::lobby(),
            author,
            content,
            origin: None,
            as_guest: None,
            stay: Stay::Kept,
        };
        let (reply, _) = bounded(1);
        let waiter = Waiter { decided: Arc::default(), reply };
        Event::Posted(Box::new(Post { draft, rank: Rank::Visitor, share: None, waiter }))
    }

    /// A plain client that wants the whole past, and the other end of its line.
    fn newcomer() -> (Event, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let connection = Connection::new(ClientId::new(1), socket, peer, ()).unwrap();
        let joining = Box::new(Joining {
            response_101: b"101".to_vec(),
            dialect: Dialect::Plain,
            past: Some(Past::Since(0)),
            files: Files::Whole,
            slow: None,
            user: None,
            session: None,
            key: None,
            last: 0,
            experiment: None,
        });
        let newcomer = Newcomer { connection, room: RoomName::lobby(), joining };
        (Event::Joined(Box::new(newcomer)), line)
    }

    /// The room is empty when the first one is posted, so only the replay can tell it.
    #[test]
    fn a_newcomer_misses_nothing_of_the_turn_in_which_it_comes() {
        let (events, inbox) = events::open();
        let (joined, mut line) = newcomer();
        for event in [post("before"), joined, post("behind")] {
            events.send(event);
        }
        let log = Arc::new(Memory::new(Bounds { messages: 10, bytes: 1 << 20, idle: None }));
        let keeper = Keeper::Own(History::open(log, 10).unwrap());
        let broadcaster = Broadcaster::new(
            events.clone(),
            &Options::parse_from(["wsroom"]),
            keeper,
            Rulebook::default(),
        );
        let turning = thread::spawn(move || broadcaster.run(&inbox));
        let mut told = [0; 3 + 8 + 8];
        line.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"101\x81\x06before\x81\x06behind");
        drop(line);
        events.send(Event::Stopped);
        drop(turning);
    }
}
