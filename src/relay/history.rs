//! Numbers messages and keeps them: written, then sent.
//!
//! The broadcaster's own. What is said in one turn is one transaction, and only when that is done
//! are the members sent anything: so what anyone has seen is still there after a `kill -9`. Not
//! here: how it is stored (`store`), and reading it again (`replay`).

use std::sync::Arc;

use crate::protocol::message::{Draft, Message, MessageId, now};
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

    /// Gives messages their place in the order, and keeps them; answers with them as they are now
    /// said.
    ///
    /// # Errors
    /// None of them is kept, and nobody may be sent them.
    pub fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Arc<Message>>> {
        let messages: Vec<_> = drafts.into_iter().map(|draft| self.number(draft)).collect();
        if self.most > 0 && !messages.is_empty() {
            self.log.append(&messages)?;
        }
        Ok(messages)
    }

    /// An id is the time in microseconds, but always more than the last, even if the clock was set
    /// back.
    fn number(&mut self, draft: Draft) -> Arc<Message> {
        self.last = now().max(self.last + 1);
        let Draft { room, author, content } = draft;
        Arc::new(Message { id: self.last, room, author, content })
    }
}
