//! The history: messages get their numbers here, and are kept before they are sent.
//!
//! Used by the broadcaster alone. The messages of a turn are one transaction. Members are sent
//! nothing before it is complete, so a message that anyone has seen is still there after a
//! `kill -9`. Not here: how messages are stored (`store`), and reading them again (`replay`).

use std::collections::HashMap;
use std::sync::Arc;

use super::trouble::Trouble;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Content, Draft, Message, MessageId, Origin, Stay, now};
use crate::store::{KeptMessages, MessageLog, Result};

/// The order of all messages, and the log that keeps them.
pub struct History {
    log: Arc<dyn MessageLog>,
    /// `--history`, in messages; 0: messages are numbered but not kept.
    max_messages: usize,
    /// The newest id that was given out.
    last: MessageId,
    trouble: Trouble,
}

/// What has become of a draft.
#[derive(Clone, Debug)]
pub enum Kept {
    /// The message is kept, and may now be sent.
    Now(Arc<Message>),
    /// A message of the same origin has this id: it was sent before, and is not sent again.
    Before(MessageId),
}

impl Kept {
    /// The id of the message.
    pub fn id(&self) -> MessageId {
        match self {
            Self::Now(message) => message.id,
            Self::Before(id) => *id,
        }
    }
}

impl History {
    /// Opens a history that continues after the last message of the log and keeps at most
    /// `max_messages` in each room.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn open(log: Arc<dyn MessageLog>, max_messages: usize) -> Result<Self> {
        let last = log.last_id()?;
        Ok(Self { log, max_messages, last, trouble: Trouble::default() })
    }

    /// The messages that are kept.
    pub fn past(&self) -> Arc<dyn KeptMessages> {
        Arc::clone(&self.log) as Arc<dyn KeptMessages>
    }

    /// The newest id that was given out.
    pub fn last(&self) -> MessageId {
        self.last
    }

    /// Gives messages their ids, and keeps them. Answers what has become of each draft, in order.
    ///
    /// # Errors
    /// None of them is kept, and no member may be sent any of them.
    pub fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Kept>> {
        let outcome = self.number_and_keep(drafts);
        match &outcome {
            Err(error) => self.trouble.note(Some(error)),
            Ok(kept) if kept.iter().any(|kept| matches!(kept, Kept::Now(_))) => {
                self.trouble.note(None);
            }
            // Nothing was written.
            Ok(_) => {}
        }
        outcome
    }

    /// Why messages cannot be kept at the moment; `None`: they can be. While they cannot, the log tries
    /// to write, at most every second.
    pub fn trouble(&mut self) -> Option<String> {
        self.trouble.look(&*self.log)
    }

    fn number_and_keep(&mut self, drafts: Vec<Draft>) -> Result<Vec<Kept>> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let mut known = Known { log: &*self.log, new: HashMap::new() };
        let (mut outcome, mut messages) = (Vec::with_capacity(drafts.len()), Vec::new());
        for draft in drafts {
            let id = now().max(self.last + 1);
            let is_kept = self.max_messages > 0 && draft.stay == Stay::Kept;
            let before = if is_kept { known.find_or_note(&draft, id)? } else { None };
            // An act changes the rules, which are kept even where nothing else is.
            let is_written = is_kept || matches!(draft.content, Content::Act(_));
            outcome.push(if let Some(before) = before {
                Kept::Before(before)
            } else {
                self.last = id;
                let message = Arc::new(numbered(draft, id));
                messages.extend(is_written.then(|| Arc::clone(&message)));
                Kept::Now(message)
            });
        }
        if !messages.is_empty() {
            self.log.append(&messages)?;
        }
        Ok(outcome)
    }
}

/// A draft becomes a message. Its id is the time in microseconds, but always more than the last id,
/// even if the clock was set back.
fn numbered(draft: Draft, id: MessageId) -> Message {
    let Draft { room, author, content, origin, .. } = draft;
    Message { id, room, author, content, origin }
}

/// The messages that are known by their origins.
struct Known<'a> {
    log: &'a dyn MessageLog,
    /// Those of this turn: the log does not have them yet.
    new: HashMap<(RoomName, Origin), MessageId>,
}

impl Known<'_> {
    /// Finds the message that a draft repeats. If there is none, the draft is noted with its `id`.
    fn find_or_note(&mut self, draft: &Draft, id: MessageId) -> Result<Option<MessageId>> {
        let Some(own) = draft.origin.as_deref() else { return Ok(None) };
        let as_guest =
            draft.as_guest.map(|session| Origin { session, reference: own.reference.clone() });
        for origin in std::iter::once(own.clone()).chain(as_guest) {
            if let Some(&id) = self.new.get(&(draft.room.clone(), origin.clone())) {
                return Ok(Some(id));
            }
            if let Some(id) = self.log.known(&draft.room, &origin)? {
                return Ok(Some(id));
            }
        }
        self.new.insert((draft.room.clone(), own.clone()), id);
        Ok(None)
    }
}
