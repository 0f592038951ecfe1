//! Numbers messages and keeps them: written, then sent.
//!
//! The broadcaster's own. What is said in one turn is one transaction, and only when that is done
//! are the members sent anything: so what anyone has seen is still there after a `kill -9`. Not
//! here: how it is stored (`store`), and reading it again (`replay`).

use std::sync::Arc;

use crate::protocol::message::{Message, MessageId, now};
use crate::store::{MessageLog, Result};

/// What was said, in the order in which everyone hears it.
pub struct History {
    log: Arc<dyn MessageLog>,
    /// `--history`; 0: messages are numbered, and that is all.
    most: usize,
    last: MessageId,
}

impl History {
    /// Goes on behind the last message of the log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn open(log: Arc<dyn MessageLog>, most: usize) -> Result<Self> {
        let last = log.last_id()?;
        Ok(Self { log, most, last })
    }

    /// Where it can be read.
    pub fn log(&self) -> &Arc<dyn MessageLog> {
        &self.log
    }

    /// The newest id that was given out.
    pub fn last(&self) -> MessageId {
        self.last
    }

    /// A number for the next message: the time in microseconds, but always more than the last,
    /// even if the clock was set back.
    pub fn number(&mut self) -> MessageId {
        self.last = now().max(self.last + 1);
        self.last
    }

    /// Keeps what was said in a turn.
    ///
    /// # Errors
    /// None of it is kept, and nobody may be sent it.
    pub fn keep(&self, messages: &[Arc<Message>]) -> Result<()> {
        if self.most == 0 || messages.is_empty() {
            return Ok(());
        }
        self.log.append(messages)
    }
}
