//! The history in memory, for a server without `--data`: it ends with the program.
//!
//! A message stands here once and is shared with those who read it. The broadcaster appends; page
//! threads and writer threads read. The lock is held for one call, and no call looks at more than
//! what it adds, lets go or answers. Not here: users, who are in SQLite in any case (`sqlite`).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::address::RoomName;
use crate::protocol::message::{Message, MessageId, now};
use crate::store::{Bounds, HistoryPage, MessageLog, ROOM_BYTES, Range, Result};

/// What a message is counted for beside its own bytes, as in a file.
const MESSAGE_ITSELF: usize = 64;

/// What it takes in memory beside that, about: its record and two reference counts.
const RECORD: usize = 256;

/// What a room takes beside its messages, about: its name, twice, and its place in two maps.
const ROOM_ITSELF: usize = 512;

/// All rooms of which something is kept.
pub struct Memory {
    bounds: Bounds,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    by_name: BTreeMap<RoomName, Room>,
    /// Each room by its newest message: the first one has been silent for the longest.
    by_last: BTreeMap<MessageId, RoomName>,
    /// Bytes that all rooms take.
    bytes: usize,
}

#[derive(Default)]
struct Room {
    messages: VecDeque<Arc<Message>>,
    /// Bytes of the messages.
    bytes: usize,
    /// What was said before this id is not known: the room is made with its first message, and
    /// may have been here and forgotten before.
    born: MessageId,
    /// The newest message that was let go; 0 if none was.
    gone: MessageId,
}

impl Memory {
    /// An empty history.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, rooms: Mutex::default() }
    }

    /// Nothing panics halfway through a change.
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MessageLog for Memory {
    fn last_id(&self) -> Result<MessageId> {
        Ok(self.rooms().by_last.last_key_value().map_or(0, |(last, _)| *last))
    }

    fn append(&self, messages: &[Arc<Message>]) -> Result<()> {
        let mut rooms = self.rooms();
        for message in messages {
            rooms.add(message, self.bounds.messages);
        }
        while rooms.bytes > self.bounds.bytes && rooms.let_go_of_the_longest_silent() {}
        if let Some(idle) = self.bounds.idle {
            rooms.forget_if_silent(idle);
        }
        Ok(())
    }

    fn page(&self, room: &RoomName, range: Range) -> Result<HistoryPage> {
        let rooms = self.rooms();
        // Of a room that is not here nobody knows what was said in it.
        Ok(rooms.by_name.get(room).map_or_else(
            || HistoryPage { complete: range.after <= 0, ..HistoryPage::default() },
            |room| room.page(range),
        ))
    }

    fn last_in(&self, room: &RoomName) -> Result<MessageId> {
        Ok(self.rooms().by_name.get(room).map_or(0, Room::last))
    }

    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Arc<Message>>> {
        let rooms = self.rooms();
        let messages = rooms.by_name.get(room).map(|room| &room.messages);
        Ok(messages.and_then(|messages| {
            let place = messages.binary_search_by_key(&id, |message| message.id).ok()?;
            messages.get(place).cloned()
        }))
    }

    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>> {
        let rooms = self.rooms();
        let behind = rooms.by_name.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        Ok(behind.take(limit).map(|(name, room)| (name.clone(), room.last())).collect())
    }
}

impl Rooms {
    fn add(&mut self, message: &Arc<Message>, most: usize) {
        let room = self.by_name.entry(message.room.clone()).or_insert_with(|| {
            self.bytes += ROOM_ITSELF;
            Room { born: message.id - 1, ..Room::default() }
        });
        self.by_last.remove(&room.last());
        self.by_last.insert(message.id, message.room.clone());
        let before = room.taken();
        room.add(message, most);
        self.bytes = self.bytes + room.taken() - before;
    }

    /// Lets go of one message; `false` if there is none.
    fn let_go_of_the_longest_silent(&mut self) -> bool {
        let Some((&last, name)) = self.by_last.first_key_value() else { return false };
        let room = self.by_name.get_mut(name).expect("both maps hold the same rooms");
        let before = room.taken();
        room.let_go();
        self.bytes -= before - room.taken();
        if room.messages.is_empty() {
            self.forget(last);
        }
        true
    }

    /// Forgets the longest silent room if it has been so for `idle`. One a call is enough: no call
    /// makes more than a few.
    fn forget_if_silent(&mut self, idle: Duration) {
        let idle = MessageId::try_from(idle.as_micros()).unwrap_or(MessageId::MAX);
        let last = self.by_last.first_key_value().map(|(&last, _)| last);
        if let Some(last) = last.filter(|last| *last < now().saturating_sub(idle)) {
            self.forget(last);
        }
    }

    /// Forgets the room with this newest message.
    fn forget(&mut self, last: MessageId) {
        let room = self.by_last.remove(&last).and_then(|name| self.by_name.remove(&name));
        self.bytes -= room.map_or(0, |room| room.taken() + ROOM_ITSELF);
    }
}

impl Room {
    fn last(&self) -> MessageId {
        self.messages.back().map_or(0, |message| message.id)
    }

    /// Bytes that the messages take in memory.
    fn taken(&self) -> usize {
        self.bytes + self.messages.len() * RECORD
    }

    /// Adds a message, and lets go of those that it pushes out.
    fn add(&mut self, message: &Arc<Message>, most: usize) {
        self.messages.push_back(Arc::clone(message));
        self.bytes += counted(message);
        let too_much = |room: &Self| room.messages.len() > most || room.bytes > ROOM_BYTES;
        while self.messages.len() > 1 && too_much(self) {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        let Some(oldest) = self.messages.pop_front() else { return };
        self.gone = oldest.id;
        self.bytes -= counted(&oldest);
    }

    fn page(&self, range: Range) -> HistoryPage {
        let place = |id| self.messages.partition_point(|message| message.id <= id);
        let found =
            self.messages.range(place(range.after)..place(range.upto).max(place(range.after)));
        let (all, mut bytes) = (found.len(), 0);
        let fits = |message: &&Arc<Message>| {
            let first = bytes == 0;
            bytes += counted(message);
            first || bytes <= range.bytes
        };
        let messages: Vec<_> = found.take(range.messages).take_while(fits).cloned().collect();
        HistoryPage {
            more: messages.len() < all,
            complete: if range.after <= 0 {
                self.gone == 0
            } else {
                range.after >= self.gone.max(self.born)
            },
            last: self.last(),
            messages,
        }
    }
}

fn counted(message: &Message) -> usize {
    message.size() + MESSAGE_ITSELF
}
