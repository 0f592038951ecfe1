//! The history: messages get their numbers here, and are kept before they are sent.
//!
//! Used by the broadcaster alone. The messages of a turn are one transaction. Members are sent
//! nothing before it is complete, so a message that anyone has seen is still there after a
//! `kill -9`. Not here: how messages are stored (`store`), and reading them again (`replay`).

use std::sync::Arc;

use crate::protocol::message::{Draft, Message, MessageId, now};
use crate::store::{MessageLog, Result};

/// The order of all messages, and the log that keeps them.
pub struct History {
    log: Arc<dyn MessageLog>,
    /// `--history`, in messages; 0: messages are numbered but not kept.
    max_messages: usize,
    /// The newest id that was given out.
    last: MessageId,
}

impl History {
    /// Opens a history that continues after the last message of the log and keeps at most
    /// `max_messages` in each room.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn open(log: Arc<dyn MessageLog>, max_messages: usize) -> Result<Self> {
        let last = log.last_id()?;
        Ok(Self { log, max_messages, last })
    }

    /// The log, for reading.
    pub fn log(&self) -> &Arc<dyn MessageLog> {
        &self.log
    }

    /// The newest id that was given out.
    pub fn last(&self) -> MessageId {
        self.last
    }

    /// Gives messages their ids, and keeps them. Answers with the messages as they may now be sent.
    ///
    /// # Errors
    /// None of them is kept, and no member may be sent any of them.
    pub fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Arc<Message>>> {
        let messages: Vec<_> = drafts.into_iter().map(|draft| self.number(draft)).collect();
        if self.max_messages > 0 && !messages.is_empty() {
            self.log.append(&messages)?;
        }
        Ok(messages)
    }

    /// An id is the time in microseconds, but always more than the last id, even if the clock was set
    /// back.
    fn number(&mut self, draft: Draft) -> Arc<Message> {
        self.last = now().max(self.last + 1);
        let Draft { room, author, content } = draft;
        Arc::new(Message { id: self.last, room, author, content })
    }
}
