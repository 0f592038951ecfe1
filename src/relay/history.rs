//! The history: messages get their numbers here, and are kept before they are sent.
//!
//! Used by the broadcaster alone. The messages of a turn are one transaction. Members are sent
//! nothing before it is complete, so a message that anyone has seen is still there after a
//! `kill -9`. Not here: how messages are stored (`store`), and reading them again (`replay`).

use std::sync::Arc;

use crate::protocol::message::{Message, MessageId, now};
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

    /// The id for the next message: the time in microseconds, but always more than the last id, even
    /// if the clock was set back.
    pub fn next_id(&mut self) -> MessageId {
        self.last = now().max(self.last + 1);
        self.last
    }

    /// Keeps the messages of a turn.
    ///
    /// # Errors
    /// None of them is kept, and no member may be sent any of them.
    pub fn keep(&self, messages: &[Arc<Message>]) -> Result<()> {
        if self.max_messages == 0 || messages.is_empty() {
            return Ok(());
        }
        self.log.append(messages)
    }
}
