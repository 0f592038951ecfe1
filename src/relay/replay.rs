//! The past as one newcomer hears it: read from the log page by page, and sent as it is read.
//!
//! A newcomer who asks for the past is *behind* from its first moment: what is said from now on
//! waits in its queue, and its writer thread, `writer-7`, first runs this. So the broadcaster never
//! reads history, and however long the past is, only a page of it is in memory. Not here: the queue
//! (`outbox`), and how history is kept (`store`).

use std::io::{self, Write};
use std::sync::Arc;

use crate::protocol::address::RoomName;
use crate::protocol::dialect::Dialect;
use crate::protocol::message::{Message, MessageId};
use crate::protocol::v1::{MemberInfo, ServerEvent};
use crate::store::{HistoryPage, MessageLog, Range};

/// Bytes of messages that are read at a time.
const PAGE_BYTES: usize = 16 << 10;

/// Bytes that a replay has in hand beside one message: a page, and what is collected to be sent.
pub const IN_HAND: usize = PAGE_BYTES + COLLECTED;

/// Bytes that are collected before they are sent.
pub const COLLECTED: usize = 16 << 10;

/// What is still to be read for one newcomer.
pub struct Replay {
    /// Where it is read.
    pub log: Arc<dyn MessageLog>,
    /// Whose past it is.
    pub room: RoomName,
    /// What the newcomer has heard before; 0: nothing.
    pub since: MessageId,
    /// What is newer waits in the newcomer's queue.
    pub upto: MessageId,
    /// Told first, to a client of `wsroom.v1`; `None`: it speaks plainly.
    pub welcome: Option<Box<Welcome>>,
}

/// What a client of `wsroom.v1` is told first of all; what it says of the past is added when that
/// is read.
pub struct Welcome {
    /// The client itself.
    pub you: MemberInfo,
    /// Where it is.
    pub room: RoomName,
    /// Everyone there; `None` where only their number is told.
    pub members: Option<Vec<MemberInfo>>,
    /// How many there are.
    pub count: usize,
    /// Bytes that a message may have (`--max-message-size`).
    pub limit: usize,
}

impl Welcome {
    /// As a frame, with the newest message of the room, and whether nothing is missing behind the
    /// one that the client has heard last.
    pub fn write(&self, last: MessageId, complete: bool, out: &mut impl Write) -> io::Result<()> {
        let Self { you, room, members, count, limit } = self;
        let (members, room) = (members.as_deref(), room.as_str());
        ServerEvent::Welcome { you, room, members, count: *count, last, complete, limit: *limit }
            .write(out)
    }
}

impl Replay {
    /// Writes the welcome, the past and the event that ends it; blocks as `out` does.
    ///
    /// # Errors
    /// The client takes no more.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        let mut page = self.page_behind(self.since);
        let (last, mut complete) = (page.last, page.complete);
        if let Some(welcome) = &self.welcome {
            welcome.write(last, complete, out)?;
        }
        loop {
            for message in &page.messages {
                self.write_message(message, out)?;
            }
            let Some(newest) = page.messages.last().filter(|_| page.more) else { break };
            page = self.page_behind(newest.id);
            // A slow reader may be overtaken by messages that are let go.
            complete &= page.complete;
        }
        if self.welcome.is_some() {
            ServerEvent::Live { last, complete }.write(out)?;
        }
        Ok(())
    }

    /// A log that cannot be read has told nothing, and so what there was is not complete.
    fn page_behind(&self, after: MessageId) -> HistoryPage {
        let range = Range { after, upto: self.upto, messages: usize::MAX, bytes: PAGE_BYTES };
        self.log.page(&self.room, range).unwrap_or_else(|error| {
            log::error!("the history of room {} cannot be read: {error}", self.room);
            HistoryPage::default()
        })
    }

    fn write_message(&self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        let dialect = if self.welcome.is_some() { Dialect::V1 } else { Dialect::Plain };
        dialect.write_message(out, message, None)
    }
}
