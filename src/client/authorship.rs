//! Authorship: which messages a client has written, so that it may remove them.
//!
//! The history is read here, on the client's own thread, because the broadcaster never reads it. Not
//! here: what else a client may do in its room (`relay`).

use std::sync::Arc;

use crate::identity::session::Session;
use crate::protocol::address::{RoomName, Target};
use crate::protocol::message::{Content, Message, MessageId, UserId};
use crate::protocol::v1::Code;
use crate::relay::events::Joining;
use crate::store::KeptMessages;

/// By what the messages of a client are known.
pub struct Authorship {
    past: Arc<dyn KeptMessages>,
    /// `None`: the echo keeps nothing.
    room: Option<RoomName>,
    user: Option<UserId>,
    session: Option<Session>,
}

/// Who has written a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writer {
    /// The client itself.
    Own,
    /// Somebody else.
    Another,
}

impl Authorship {
    /// The authorship of a client that joins.
    pub fn new(target: &Target, joining: &Joining, past: &Arc<dyn KeptMessages>) -> Self {
        let room = match target {
            Target::Room(room) => Some(room.clone()),
            Target::Echo | Target::Owner => None,
        };
        let user = joining.user.as_ref().map(|user| user.id);
        Self { past: Arc::clone(past), room, user, session: joining.session }
    }

    /// Finds out who has written a message of the room.
    ///
    /// # Errors
    /// It is not in the history, or that cannot be read: a code and a sentence for the client.
    pub fn writer_of(&self, id: MessageId) -> Result<Writer, (Code, String)> {
        let found = self.room.as_ref().map(|room| self.past.message(room, id)).transpose();
        let found = found.map_err(|error| {
            log::error!("the history cannot be read: {error}");
            (Code::NotKept, "the history cannot be read at the moment".to_owned())
        })?;
        match found.flatten() {
            Some(message) if !matches!(message.content, Content::Act(_)) => {
                Ok(if self.has_written(&message) { Writer::Own } else { Writer::Another })
            }
            _ => Err((Code::Unknown, "no such message is kept in this room".to_owned())),
        }
    }

    /// A user has written what has the user's number, and a guest what came from the session.
    fn has_written(&self, message: &Message) -> bool {
        let mut sessions = self.session.iter().flat_map(Session::ids);
        let is_theirs = self.user.is_some() && message.author.user == self.user;
        is_theirs || sessions.any(|session| message.reference_for(session).is_some())
    }
}
