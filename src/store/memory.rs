//! The history in memory, for a server without `--data`: it ends with the program.
//!
//! Each message is in memory once, and its readers share it. The broadcaster appends; page threads
//! and writer threads read. The lock is held for one call, and no call looks at more messages than
//! it adds, drops or returns. Not here: users, who are always in SQLite (`sqlite`).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::act::{Act, Deed};
use crate::protocol::address::RoomName;
use crate::protocol::message::{Content, Message, MessageId, Origin, now};
use crate::protocol::rules::Change;
use crate::store::{
    Bounds, Fields, HistoryPage, KeptMessages, MessageLog, ROOM_BYTES, Range, Result,
};

/// The bytes that a message counts besides its content, names and origin, as in a file.
const MESSAGE_OVERHEAD: usize = 64;

/// The bytes that an origin takes in memory besides those, about: its second copy, and its places
/// in a map and in a message.
const ORIGIN_OVERHEAD: usize = 192;

/// The bytes that a message takes in memory besides that, about: its record and two reference counts.
const RECORD_OVERHEAD: usize = 256;

/// The bytes that a room takes besides its messages, about: its name, twice, and its place in two
/// maps.
const ROOM_OVERHEAD: usize = 512;

/// The history of all rooms, in memory.
pub struct Memory {
    bounds: Bounds,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    by_name: BTreeMap<RoomName, Room>,
    /// Each room by its newest message. The first was silent for the longest.
    by_last: BTreeMap<MessageId, RoomName>,
    /// Bytes that all rooms take in memory.
    bytes: usize,
    /// The rules of the rooms that have any. Their number is bounded elsewhere.
    rules: HashMap<RoomName, HashMap<String, String>>,
}

#[derive(Default)]
struct Room {
    messages: VecDeque<Arc<Message>>,
    /// The messages that have an origin, also those that were removed.
    by_origin: HashMap<Origin, MessageId>,
    /// The origins of messages that were removed, until older messages than these are dropped.
    removed: BTreeMap<MessageId, Origin>,
    /// Bytes of the messages, as [`ROOM_BYTES`] counts them.
    bytes: usize,
    /// Messages up to this id are not known: the room is made with its first message, but may have
    /// existed before, and been forgotten.
    born: MessageId,
    /// The newest message that was dropped; 0 if none was.
    gone: MessageId,
}

impl Memory {
    /// An empty history.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, rooms: Mutex::default() }
    }

    /// A poisoned lock is used on: no change of the rooms panics halfway.
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
            if self.bounds.messages > 0 {
                rooms.add(message, self.bounds.messages);
            }
            if let Content::Act(act) = &message.content {
                rooms.act(message, act, self.bounds.messages);
            }
        }
        while rooms.bytes > self.bounds.bytes && rooms.drop_one_from_longest_silent() {}
        if let Some(idle) = self.bounds.idle {
            rooms.forget_if_silent(idle);
        }
        Ok(())
    }

    fn probe(&self) -> Result<()> {
        Ok(())
    }
}

impl KeptMessages for Memory {
    fn known(&self, room: &RoomName, origin: &Origin) -> Result<Option<MessageId>> {
        let rooms = self.rooms();
        Ok(rooms.by_name.get(room).and_then(|room| room.by_origin.get(origin).copied()))
    }

    fn page(&self, room: &RoomName, range: Range) -> Result<HistoryPage> {
        let rooms = self.rooms();
        // The log cannot know whether anything was said in a room that it does not have.
        Ok(rooms.by_name.get(room).map_or_else(
            || HistoryPage { complete: range.after <= 0, ..HistoryPage::default() },
            |room| room.page(range),
        ))
    }

    fn before_newest(
        &self,
        room: &RoomName,
        upto: MessageId,
        messages: usize,
        bytes: usize,
    ) -> Result<MessageId> {
        let rooms = self.rooms();
        let room = rooms.by_name.get(room);
        Ok(room.map_or(0, |room| room.before_newest(upto, messages, bytes)))
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

    fn rules(&self) -> Result<Vec<(RoomName, Fields)>> {
        let fields = |fields: &HashMap<String, String>| fields.clone().into_iter().collect();
        let rules = &self.rooms().rules;
        Ok(rules.iter().map(|(room, rules)| (room.clone(), fields(rules))).collect())
    }
}

impl Rooms {
    fn add(&mut self, message: &Arc<Message>, max_messages: usize) {
        let room = self.by_name.entry(message.room.clone()).or_insert_with(|| {
            self.bytes += ROOM_OVERHEAD;
            Room { born: message.id - 1, ..Room::default() }
        });
        self.by_last.remove(&room.last());
        self.by_last.insert(message.id, message.room.clone());
        let before = room.memory();
        room.add(message, max_messages);
        self.bytes = self.bytes + room.memory() - before;
    }

    /// Does what an act says.
    fn act(&mut self, message: &Message, act: &Act, max_messages: usize) {
        if let Some(room) = self.by_name.get_mut(&message.room) {
            let before = room.memory();
            match &act.deed {
                Deed::Remove { message } => room.remove(*message, max_messages),
                Deed::Clear => room.clear(message.id, max_messages),
                _ => {}
            }
            self.bytes = self.bytes + room.memory() - before;
        }
        for Change { field, value } in &act.changes {
            let fields = self.rules.entry(message.room.clone()).or_default();
            match value {
                Some(value) => drop(fields.insert(field.clone(), value.clone())),
                None => drop(fields.remove(field)),
            }
        }
        if self.rules.get(&message.room).is_some_and(HashMap::is_empty) {
            self.rules.remove(&message.room);
        }
    }

    /// Drops the oldest message of the room that was silent for the longest; `false` if there is none.
    fn drop_one_from_longest_silent(&mut self) -> bool {
        let Some((&last, name)) = self.by_last.first_key_value() else { return false };
        let room = self.by_name.get_mut(name).expect("both maps hold the same rooms");
        let before = room.memory();
        room.drop_oldest();
        self.bytes -= before - room.memory();
        if room.messages.is_empty() {
            self.forget(last);
        }
        true
    }

    /// Forgets the room that was silent for the longest, if that is longer than `idle`. One room in
    /// each call is enough: no call adds more than a few.
    fn forget_if_silent(&mut self, idle: Duration) {
        let idle = MessageId::try_from(idle.as_micros()).unwrap_or(MessageId::MAX);
        let last = self.by_last.first_key_value().map(|(&last, _)| last);
        if let Some(last) = last.filter(|last| *last < now().saturating_sub(idle)) {
            self.forget(last);
        }
    }

    /// Forgets the room that has this newest message.
    fn forget(&mut self, last: MessageId) {
        let room = self.by_last.remove(&last).and_then(|name| self.by_name.remove(&name));
        self.bytes -= room.map_or(0, |room| room.memory() + ROOM_OVERHEAD);
    }
}

impl Room {
    fn last(&self) -> MessageId {
        self.messages.back().map_or(0, |message| message.id)
    }

    /// Bytes that the messages take in memory.
    fn memory(&self) -> usize {
        let origins = self.by_origin.len() * ORIGIN_OVERHEAD;
        self.bytes + self.messages.len() * RECORD_OVERHEAD + origins
    }

    /// Adds a message, and drops the oldest ones beyond the bounds.
    fn add(&mut self, message: &Arc<Message>, max_messages: usize) {
        self.messages.push_back(Arc::clone(message));
        self.bytes += counted(message);
        if let Some(origin) = &message.origin {
            self.by_origin.insert((**origin).clone(), message.id);
        }
        let too_much = |room: &Self| room.messages.len() > max_messages || room.bytes > ROOM_BYTES;
        while self.messages.len() > 1 && too_much(self) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.messages.pop_front() else { return };
        self.gone = oldest.id;
        self.bytes -= counted(&oldest);
        if let Some(origin) = &oldest.origin {
            self.by_origin.remove(&**origin);
        }
        while let Some(first) = self.removed.first_entry().filter(|one| *one.key() < oldest.id) {
            self.by_origin.remove(&first.remove());
        }
    }

    /// Removes a message, but remembers its origin.
    fn remove(&mut self, id: MessageId, max_messages: usize) {
        let Ok(place) = self.messages.binary_search_by_key(&id, |message| message.id) else {
            return;
        };
        let removed = self.messages.remove(place).expect("it was found there");
        self.forget_content(&removed, max_messages);
    }

    /// Removes all messages before this id.
    fn clear(&mut self, before: MessageId, max_messages: usize) {
        let count = self.messages.partition_point(|message| message.id < before);
        let removed: Vec<_> = self.messages.drain(..count).collect();
        for message in removed {
            self.forget_content(&message, max_messages);
        }
    }

    /// Remembers the origin of a message that was removed. No more origins are remembered than
    /// messages.
    fn forget_content(&mut self, removed: &Message, max_messages: usize) {
        self.bytes -= counted(removed);
        if let Some(origin) = &removed.origin {
            self.removed.insert(removed.id, (**origin).clone());
        }
        if self.removed.len() > max_messages
            && let Some((_, oldest)) = self.removed.pop_first()
        {
            self.by_origin.remove(&oldest);
        }
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

    /// See [`KeptMessages::before_newest`].
    fn before_newest(&self, upto: MessageId, messages: usize, bytes: usize) -> MessageId {
        let end = self.messages.partition_point(|message| message.id <= upto);
        if end == 0 {
            return 0;
        }
        let mut start = end.saturating_sub(messages);
        // Messages are counted one by one only if they may not all fit.
        if self.bytes > bytes {
            let mut total = 0;
            let fits = |message: &&Arc<Message>| {
                let newest = total == 0;
                total += counted(message);
                newest || total <= bytes
            };
            start = end - self.messages.range(start..end).rev().take_while(fits).count();
        }
        match start.checked_sub(1) {
            Some(before) => self.messages[before].id,
            None => self.gone.max(self.born),
        }
    }
}

/// Bytes of a message, as the bounds count them.
fn counted(message: &Message) -> usize {
    message.size() + MESSAGE_OVERHEAD
}
