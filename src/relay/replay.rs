//! A replay: the past messages of a room, read from the log page by page and sent to one newcomer.
//!
//! A newcomer who asks for the past is *behind* from its first moment: new messages wait in its
//! queue, and its writer thread first runs the replay. So the broadcaster never reads
//! history, and only one page of it is in memory, however long it is. Few replays work at a time
//! (`permits`). Not here: the queue (`outbox`), and how history is kept (`store`).

use std::io::{self, Write};
use std::sync::Arc;

use super::permits::Permits;
use crate::identity::rules::Rules;
use crate::identity::session::Session;
use crate::protocol::address::{Files, Past, RoomName};
use crate::protocol::dialect::Dialect;
use crate::protocol::message::{Message, MessageId};
use crate::protocol::rules::RulesInfo;
use crate::protocol::v1::{self, Copied, Key, MemberInfo, ServerEvent};
use crate::store::{HistoryPage, KeptMessages, Range, Result, StoreError};

/// The bytes of messages in one page.
const PAGE_BYTES: usize = 16 << 10;

/// The memory of a replay, in bytes: a page, and the buffer for sending. One message may exceed it.
pub const REPLAY_BYTES: usize = PAGE_BYTES + SEND_BUFFER;

/// The buffer in which a replay collects frames before they are sent, in bytes.
pub const SEND_BUFFER: usize = 16 << 10;

/// A replay that has not begun yet.
pub struct Replay {
    /// Whose leave the writer needs while it works.
    pub permits: Permits,
    /// The log that is read.
    pub log: Arc<dyn KeptMessages>,
    /// The room whose messages are sent.
    pub room: RoomName,
    /// The part of the past that the newcomer wants.
    pub past: Past,
    /// How it wants the files of it.
    pub files: Files,
    /// The newcomer's session: its own messages carry their `ref`.
    pub session: Option<Session>,
    /// The last message of the replay. Newer ones wait in the newcomer's queue.
    pub upto: MessageId,
    /// The rules of the room, if it has any: what was said while the history was off is missing.
    pub rules: Option<Arc<Rules>>,
    /// The first event for a client of `wsroom.v1`; `None`: the client is plain.
    pub welcome: Option<Box<Welcome>>,
}

/// The `welcome` for a client of `wsroom.v1`, without the fields about the past: these are known
/// when the first page is read.
pub struct Welcome {
    /// The client itself.
    pub you: MemberInfo,
    /// The room that it has joined.
    pub room: RoomName,
    /// All members; `None` in a crowd.
    pub members: Option<Vec<MemberInfo>>,
    /// The number of members.
    pub count: usize,
    /// The largest message that the server takes, in bytes (`--max-message-size`).
    pub limit: usize,
    /// The number of messages that the room keeps (`--history`).
    pub history: usize,
    /// What the server thinks of the client's key, if it is not good.
    pub key: Option<Key>,
    /// The rules of the room, if it has any.
    pub rules: Option<RulesInfo>,
}

impl Welcome {
    /// Writes the event as a frame. `last` is the newest message of the room; `complete` says that no
    /// message after `since` is missing.
    ///
    /// # Errors
    /// `out` cannot be written to. A vector always can.
    pub fn write(&self, last: MessageId, complete: bool, out: &mut impl Write) -> io::Result<()> {
        let Self { you, room, members, count, limit, history, key, rules } = self;
        let (room, members, count) = (room.as_str(), members.as_deref(), *count);
        let (limit, history, key, rules) = (*limit, *history, *key, rules.as_ref());
        ServerEvent::Welcome {
            you,
            room,
            members,
            count,
            last,
            complete,
            limit,
            history,
            key,
            rules,
        }
        .write(out)
    }
}

impl Replay {
    /// Writes the welcome, the past messages and the event that ends them; blocks as `out` does.
    ///
    /// # Errors
    /// `out` cannot be written to: the client takes no more. Or the log is away: the client had better
    /// lose its line, and come back for the past, than go on without it.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        let last = self.before_newest(0)?;
        let mut page = self.page_after(self.since()?)?;
        let mut complete = page.complete && self.is_all_meant_to_be_kept();
        if let Some(welcome) = &self.welcome {
            welcome.write(last, complete, out)?;
        }
        loop {
            for message in &page.messages {
                self.write_message(message, out)?;
            }
            let Some(newest) = page.messages.last().filter(|_| page.more) else { break };
            page = self.page_after(newest.id)?;
            // The log may delete messages faster than a slow client reads them.
            complete &= page.complete;
        }
        if self.welcome.is_some() {
            ServerEvent::Live { last, complete }.write(out)?;
        }
        Ok(())
    }

    fn is_all_meant_to_be_kept(&self) -> bool {
        match (&self.rules, self.past) {
            (Some(rules), Past::Since(id)) => rules.keeps_all_since(id),
            _ => true,
        }
    }

    /// The id behind which the replay begins.
    fn since(&self) -> io::Result<MessageId> {
        match self.past {
            Past::Since(id) => Ok(id),
            Past::Newest(count) => self.before_newest(count),
        }
    }

    /// The id behind which are the newest `count` messages that are not live for the newcomer. If it is
    /// none, that is the newest message itself: the newcomer may come back with `since` this one.
    fn before_newest(&self, count: usize) -> io::Result<MessageId> {
        let found = self.log.before_newest(&self.room, self.upto, count, usize::MAX);
        self.unless_away(found, || self.upto)
    }

    /// Reads the next page. If the log cannot be read, the page is empty and not `complete`.
    fn page_after(&self, after: MessageId) -> io::Result<HistoryPage> {
        let range = Range { after, upto: self.upto, messages: usize::MAX, bytes: PAGE_BYTES };
        self.unless_away(self.log.page(&self.room, range), HistoryPage::default)
    }

    /// What was read. A log that is broken will not be read later either, so there is something else
    /// in its place.
    fn unless_away<T>(&self, read: Result<T>, instead: impl FnOnce() -> T) -> io::Result<T> {
        match read {
            Ok(read) => Ok(read),
            Err(error @ StoreError::Away(_)) => Err(io::Error::other(error)),
            Err(error) => {
                log::error!("the history of room {} cannot be read: {error}", self.room);
                Ok(instead())
            }
        }
    }

    fn write_message(&self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        let mut own = self.session.iter().flat_map(Session::ids);
        let reference = own.find_map(|session| message.reference_for(session));
        let copied = Copied { member: None, reference };
        match (&self.welcome, self.files) {
            (None, _) => Dialect::Plain.write_message(out, message, copied),
            (Some(_), Files::Whole) => Dialect::V1.write_message(out, message, copied),
            (Some(_), Files::Later) => v1::write_without_bytes(out, message, copied),
        }
    }
}
