//! Numbers messages and keeps them: written, then sent.
//!
//! The broadcaster's own. What is said in one turn is one transaction, and only when that is done
//! are the members sent anything: so what anyone has seen is still there after a `kill -9`. Not
//! here: how it is stored (`store`, `sqlite`).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::room::RoomName;
use crate::store::{Kept, MessageId, Result, Store, Stretch};

/// What was said, in the order in which everyone hears it.
pub struct History {
    store: Arc<dyn Store>,
    /// `--history`; 0: messages are numbered, and that is all.
    most: usize,
    last: MessageId,
    /// Said in this turn, not kept yet.
    turn: Vec<Kept>,
}

impl History {
    /// Goes on behind the last message of the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(store: Arc<dyn Store>, most: usize) -> Result<Self> {
        let last = store.last_id()?;
        Ok(Self { store, most, last, turn: Vec::new() })
    }

    /// A number for the next message: the time in microseconds, but always more than the last,
    /// even if the clock was set back.
    pub fn number(&mut self) -> MessageId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = MessageId::try_from(now.as_micros()).unwrap_or(MessageId::MAX);
        self.last = now.max(self.last + 1);
        self.last
    }

    /// Adds a message to the turn.
    pub fn add(&mut self, message: Kept) {
        if self.most > 0 {
            self.turn.push(message);
        }
    }

    /// Keeps what was said in this turn.
    ///
    /// # Errors
    /// None of it is kept, and nobody may be sent it.
    pub fn keep(&mut self) -> Result<()> {
        if self.turn.is_empty() {
            return Ok(());
        }
        let kept = self.store.keep(&self.turn);
        self.turn.clear();
        kept
    }

    /// What a room has kept behind `since`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn since(&self, room: &RoomName, since: MessageId) -> Result<Stretch> {
        self.store.messages(room, since, self.most)
    }
}
