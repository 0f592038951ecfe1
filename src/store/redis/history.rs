//! The history of all rooms in Redis, for reading: a stream for each room, and a hash with its totals.
//! The stream may still have some messages that were dropped: the hash says which.
//!
//! A page is read in several calls if one would be too large. The room's totals are read together with
//! the messages, so it is seen if some were dropped in between. Not here: how messages get there
//! (`append`). Called by threads that answer requests, and by writers.

use std::sync::Arc;

use redis::{cmd, pipe};

use super::connect::{Failure, Link};
use super::open::Redis;
use super::read::Entries;
use super::records::{self, counted, origin_text};
use super::rules::read_rules;
use super::scripts::Script;
use super::told::message_id;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Message, MessageId, Origin};
use crate::store::{Fields, HistoryPage, KeptMessages, Range, Result};

/// The most messages that are read in one call.
const MAX_MESSAGES: usize = 1024;

/// A room's totals.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    /// The newest message.
    last: MessageId,
    /// The newest message that was dropped; 0 if none was.
    gone: MessageId,
    /// Messages up to this id are not known.
    born: MessageId,
    /// Messages.
    count: usize,
    /// Bytes of the messages.
    bytes: usize,
}

impl Room {
    const FIELDS: [&str; 5] = ["last", "gone", "born", "count", "bytes"];

    fn new(fields: &[Option<i64>]) -> Option<Self> {
        let field = |place: usize| fields.get(place).copied().flatten();
        let size = |place| field(place).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        Some(Self {
            last: field(0)?,
            gone: field(1)?,
            born: field(2)?,
            count: size(3),
            bytes: size(4),
        })
    }

    /// So many messages have about so many bytes.
    fn messages_in(&self, bytes: usize) -> usize {
        let mean = (self.bytes / self.count.max(1)).max(1);
        (bytes / mean).saturating_add(1).min(MAX_MESSAGES)
    }
}

/// A page that is being read.
struct Reading<'a> {
    redis: &'a Redis,
    room: &'a RoomName,
    range: Range,
    page: HistoryPage,
    bytes: usize,
}

impl Reading<'_> {
    fn room(&self, link: &mut Link) -> std::result::Result<Option<Room>, Failure> {
        let fields: Vec<Option<i64>> =
            link.ask(cmd("HMGET").arg(self.redis.room_key("room", self.room)).arg(&Room::FIELDS))?;
        Ok(Room::new(&fields))
    }

    /// Reads at most `count` messages, and the room as it was in that moment.
    fn some(
        &self,
        link: &mut Link,
        after: MessageId,
        count: usize,
    ) -> std::result::Result<(Entries, Option<Room>), Failure> {
        let mut commands = pipe();
        commands.atomic();
        commands.cmd("XRANGE").arg(self.redis.room_key("kept", self.room));
        commands.arg(after.saturating_add(1)).arg(self.range.upto).arg("COUNT").arg(count);
        commands.cmd("HMGET").arg(self.redis.room_key("room", self.room)).arg(&Room::FIELDS);
        let (entries, fields): (Entries, Vec<Option<i64>>) = link.ask_all(&commands)?;
        Ok((entries, Room::new(&fields)))
    }

    fn run(mut self, link: &mut Link) -> std::result::Result<HistoryPage, Failure> {
        // The log cannot know whether anything was said in a room that it does not have.
        self.page.complete = self.range.after <= 0;
        let Some(mut room) = self.room(link)? else { return Ok(self.page) };
        self.note(room);
        let mut after = self.range.after.max(room.gone);
        let mut is_first = true;
        while after < self.range.upto {
            let wanted = self.range.messages - self.page.messages.len();
            let fits = room.messages_in(self.range.bytes - self.bytes);
            let count = fits.min(wanted.saturating_add(1));
            let (entries, now) = self.some(link, after, count)?;
            let Some(now) = now else { break };
            if now.gone > after && !is_first {
                // Messages were dropped between two calls, so what was read now does not follow.
                self.page.more = true;
                break;
            }
            if is_first {
                self.note(now);
            }
            (room, is_first) = (now, false);
            after = entries.last().map_or(self.range.upto, |(id, _)| message_id(id));
            let is_all = entries.len() < count;
            if !self.add(entries, room.gone) || is_all {
                break;
            }
        }
        Ok(self.page)
    }

    fn note(&mut self, room: Room) {
        let Range { after, .. } = self.range;
        self.page.last = room.last;
        self.page.complete =
            if after <= 0 { room.gone == 0 } else { after >= room.gone.max(room.born) };
    }

    /// Adds the messages behind `gone` to the page; `false` if not all of them fit.
    fn add(&mut self, entries: Entries, gone: MessageId) -> bool {
        for (id, fields) in entries {
            let id = message_id(&id);
            let Some(message) = read_message(id, self.room, fields).filter(|_| id > gone) else {
                continue;
            };
            let (size, is_first) = (counted(&message), self.page.messages.is_empty());
            let is_full = self.page.messages.len() == self.range.messages
                || self.bytes + size > self.range.bytes && !is_first;
            if is_full {
                self.page.more = true;
                return false;
            }
            self.bytes = (self.bytes + size).min(self.range.bytes);
            self.page.messages.push(Arc::new(message));
        }
        true
    }
}

/// Makes a message of its fields: `h`, and `t`, `b` or `a`.
fn read_message(id: MessageId, room: &RoomName, fields: Vec<Vec<u8>>) -> Option<Message> {
    let mut fields = fields.into_iter();
    let (mut header, mut payload) = (None, None);
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match name.as_slice() {
            b"h" => header = Some(value),
            b"t" => payload = Some(("t", value)),
            b"b" => payload = Some(("b", value)),
            b"a" => payload = Some(("a", value)),
            _ => {}
        }
    }
    let (field, payload) = payload?;
    records::message(id, room.clone(), &header?, field, payload)
}

impl Redis {
    /// The key of a room.
    fn room_key(&self, kind: &str, room: &RoomName) -> String {
        self.keys().of(self.keys().shard_of(room), &format!("{kind}:{room}"))
    }
}

impl KeptMessages for Redis {
    fn known(&self, room: &RoomName, origin: &Origin) -> Result<Option<MessageId>> {
        let refs = self.room_key("refs", room);
        let origin = origin_text(origin);
        let known: Option<String> =
            self.pool().call(|link| link.ask(cmd("HGET").arg(&refs).arg(&origin)))?;
        // What somebody has said as a user is not the guest's.
        Ok(known.and_then(|id| id.parse().ok()))
    }

    fn page(&self, room: &RoomName, range: Range) -> Result<HistoryPage> {
        Ok(self.pool().call(|link| {
            let page = HistoryPage::default();
            Reading { redis: self, room, range, page, bytes: 0 }.run(link)
        })?)
    }

    fn before_newest(
        &self,
        room: &RoomName,
        upto: MessageId,
        messages: usize,
        bytes: usize,
    ) -> Result<MessageId> {
        let shard = self.keys().shard_of(room);
        let (messages, bytes) = (messages.min(1 << 32), bytes.min(1 << 40));
        let found: String = self.pool().call(|link| {
            link.run(Script::BeforeNewest, shard, |command| {
                command.arg(room.as_str()).arg(upto.max(0)).arg(messages).arg(bytes);
            })
        })?;
        Ok(message_id(&found))
    }

    fn last_in(&self, room: &RoomName) -> Result<MessageId> {
        let key = self.room_key("room", room);
        let last: Option<MessageId> =
            self.pool().call(|link| link.ask(cmd("HGET").arg(&key).arg("last")))?;
        Ok(last.unwrap_or_default())
    }

    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Arc<Message>>> {
        let all = Range { after: id.saturating_sub(1), upto: id, ..Range::behind(0) };
        Ok(self.page(room, all)?.messages.pop())
    }

    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>> {
        let mut all = Vec::new();
        for shard in 0..self.keys().shards() {
            all.extend(self.pool().call(|link| self.rooms_of(link, shard, after, limit))?);
        }
        all.sort_unstable();
        all.truncate(limit);
        Ok(all)
    }

    fn rules(&self) -> Result<Vec<(RoomName, Fields)>> {
        let mut all = Vec::new();
        for shard in 0..self.keys().shards() {
            all.extend(self.pool().call(|link| read_rules(link, self.keys(), shard))?);
        }
        Ok(all)
    }
}

impl Redis {
    /// Lists the rooms of one shard, in order of their names.
    fn rooms_of(
        &self,
        link: &mut Link,
        shard: u16,
        after: &str,
        limit: usize,
    ) -> std::result::Result<Vec<(RoomName, MessageId)>, Failure> {
        let mut list = cmd("ZRANGE");
        list.arg(self.keys().of(shard, "names")).arg(format!("({after}")).arg("+").arg("BYLEX");
        list.arg("LIMIT").arg(0).arg(limit.min(1 << 32));
        let names: Vec<String> = link.ask(&list)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut newest = cmd("ZMSCORE");
        newest.arg(self.keys().of(shard, "rooms")).arg(&names);
        let newest: Vec<Option<f64>> = link.ask(&newest)?;
        let rooms = names.iter().zip(newest);
        Ok(rooms.filter_map(|(name, last)| Some((RoomName::parse(name)?, last? as i64))).collect())
    }
}
