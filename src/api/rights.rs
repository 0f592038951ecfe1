//! What somebody may do in a room: enter it, speak in it without being a member, and lead it.
//!
//! Whoever may not enter a room may not read it either. The door asks for a handshake, and the page's
//! threads for a request. Not here: the rules of a room (`identity`), and what a leader does
//! (`leading`). Runs on the page's threads, and for a handshake on the connection's own thread.

use std::sync::Arc;
use std::time::Duration;

use tiny_http::Request;

use super::asked::{self, parameter};
use super::credentials::{Credentials, unknown_key};
use super::per_address::PerAddress;
use super::reply::{Reply, field, problem, problem_of};
use crate::identity::name::OWNER;
use crate::identity::rulebook::Rulebook;
use crate::identity::rules::{Refusal, Visitor, mark_of, marks};
use crate::identity::session::Session;
use crate::logging::Limited;
use crate::net::connection::Peer;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Author, Message, UserId};
use crate::protocol::rules::Mode;
use crate::relay::events::Rank;
use crate::relay::presence::author;
use crate::store::User;

/// The header field that carries the key of a room, for programs that do not write it into the address.
pub const ROOM_KEY: &str = "Room-Key";

/// The most wrong room keys of one address in a minute, and the most wrong admin tokens. A class behind
/// one router is one address.
const MAX_WRONG: u32 = 60;

/// Decides who may enter a room, and who leads it.
pub struct Rights {
    credentials: Arc<Credentials>,
    rulebook: Rulebook,
    /// Limits the wrong room keys of one address: a key that people say aloud is short.
    wrong: PerAddress,
    /// Limits the wrong admin tokens of one address, and the log lines about them.
    wrong_owners: PerAddress,
    refused: Limited,
}

/// Why somebody may not enter a room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Denial {
    /// The rules of the room say so.
    Rules(Refusal),
    /// Too many wrong keys came from this address; it may try again after so many seconds.
    TooManyKeys(u64),
}

/// Somebody who does something in a room, over HTTP.
pub struct Actor {
    /// The name that the room is told.
    pub author: Author,
    /// Whether it is the owner of the server, with `--admin-token`.
    pub rank: Rank,
    /// Whether they have written the message that this is about.
    pub is_author: bool,
}

impl Denial {
    /// The status of the response.
    pub fn status(self) -> u16 {
        match self {
            Self::Rules(_) => 403,
            Self::TooManyKeys(_) => 429,
        }
    }

    /// Why, in a sentence for people.
    pub fn sentence(self) -> String {
        match self {
            Self::Rules(refusal) => refusal.sentence(),
            Self::TooManyKeys(_) => {
                "Too many wrong room keys came from your address: wait a minute.".to_owned()
            }
        }
    }

    fn reply(self) -> Reply {
        let reason = match self {
            Self::Rules(refusal) => refusal.reason(),
            Self::TooManyKeys(_) => Refusal::WrongKey.reason(),
        };
        let reply = problem_of(self.status(), &self.sentence(), reason);
        match self {
            Self::Rules(_) => reply,
            Self::TooManyKeys(wait) => reply.with_header(field("Retry-After", &wait.to_string())),
        }
    }
}

impl Rights {
    /// For the rooms in this rulebook.
    pub fn new(credentials: Arc<Credentials>, rulebook: Rulebook) -> Self {
        let limit = || PerAddress::new(MAX_WRONG, Duration::from_secs(60));
        let (wrong, wrong_owners, refused) = (limit(), limit(), Limited::default());
        Self { credentials, rulebook, wrong, wrong_owners, refused }
    }

    /// The rules of all rooms.
    pub fn rulebook(&self) -> &Rulebook {
        &self.rulebook
    }

    /// Checks that a visitor may enter a room.
    ///
    /// # Errors
    /// Why not. After too many wrong keys no key of this address is looked at, or guessing would go on.
    pub fn check(&self, room: &RoomName, visitor: &Visitor) -> Result<(), Denial> {
        let Some(rules) = self.rulebook.get(room) else { return Ok(()) };
        let can_guess = rules.key.is_some() && visitor.key.is_some() && !rules.leads(visitor.user);
        if can_guess {
            self.wrong.check(visitor.address).map_err(Denial::TooManyKeys)?;
        }
        let outcome = self.rulebook.check(room, visitor);
        if outcome == Err(Refusal::WrongKey) {
            let _ = self.wrong.count(visitor.address);
        }
        outcome.map_err(Denial::Rules)
    }

    /// Checks that whoever sends a request may enter the room, and so may read what is in it. The
    /// owner may.
    ///
    /// # Errors
    /// The response to somebody who may not, or for a directory that cannot be read.
    pub fn enter(&self, room: &RoomName, request: &Request) -> Result<(), Reply> {
        if self.rulebook.get(room).is_none() || self.is_owner(request) {
            return Ok(());
        }
        let user = self.credentials.user_of(request)?.map(|user| user.id);
        let visitor = visitor(request, user);
        self.check(room, &visitor).map_err(Denial::reply)
    }

    /// Whoever sends a request to say something in the room, as its author.
    ///
    /// # Errors
    /// The response to a wrong key, to somebody who may not enter or is muted, and to everyone but
    /// leaders in a room that is read-only; or for a directory that cannot be read.
    pub fn speak(&self, room: &RoomName, request: &Request) -> Result<Actor, Reply> {
        if self.is_owner(request) {
            return Ok(owner());
        }
        let user = self.credentials.speaker(request)?;
        let id = user.as_ref().map(|user| user.id);
        if let Some(rules) = self.rulebook.get(room).filter(|rules| !rules.leads(id)) {
            let visitor = visitor(request, id);
            self.check(room, &visitor).map_err(Denial::reply)?;
            if rules.mode == Mode::ReadOnly {
                return Err(problem_of(403, "Only leaders speak in this room.", "read-only"));
            }
            if rules.is_muted(marks(id, visitor.session, mark_of(visitor.address))) {
                return Err(problem_of(403, "A leader has muted you in this room.", "muted"));
            }
        }
        Ok(visiting(user.as_ref()))
    }

    /// Whoever sends a request, if they lead the room.
    ///
    /// # Errors
    /// A 401 for a request without a good key, a 403 for a user who does not lead the room, or the
    /// response for a directory that cannot be read.
    pub fn lead(&self, room: &RoomName, request: &Request) -> Result<Actor, Reply> {
        if self.is_owner(request) {
            return Ok(owner());
        }
        let user = self.credentials.user_of(request)?.ok_or_else(unknown_key)?;
        if !self.rulebook.leads(room, Some(user.id)) {
            return Err(problem(403, "You do not lead this room: only its leaders may do that."));
        }
        Ok(visiting(Some(&user)))
    }

    /// Whoever sends a request, if they are the user who has written this message. (A guest is known by
    /// a session, and removes an own message as a client.)
    ///
    /// # Errors
    /// The response for a directory that cannot be read.
    pub fn author_of(
        &self,
        message: Option<&Message>,
        request: &Request,
    ) -> Result<Option<Actor>, Reply> {
        let user = self.credentials.user_of(request)?;
        let user =
            user.filter(|user| message.is_some_and(|message| message.author.user == Some(user.id)));
        Ok(user.map(|user| Actor { is_author: true, ..visiting(Some(&user)) }))
    }

    /// The owner, if they send this request.
    ///
    /// # Errors
    /// A 401 for a request without a good key, a 403 for a user, or the response for a directory that
    /// cannot be read.
    pub fn own(&self, request: &Request) -> Result<Actor, Reply> {
        if self.is_owner(request) {
            return Ok(owner());
        }
        self.credentials.user_of(request)?.ok_or_else(unknown_key)?;
        Err(problem(403, "Only --admin-token may do that."))
    }

    /// Checks the token of somebody who wants to watch the server.
    ///
    /// # Errors
    /// Why not. After too many wrong ones no token of this address is looked at.
    pub fn check_owner(&self, token: &str, peer: Peer) -> Result<(), &'static str> {
        let auth = &self.credentials.auth;
        if !auth.has_admin() {
            return Err("this server was started without --admin-token");
        }
        if self.wrong_owners.check(peer.ip()).is_err() {
            return Err("too many wrong tokens came from your address: wait a minute");
        }
        if auth.is_admin(token) {
            return Ok(());
        }
        let _ = self.wrong_owners.count(peer.ip());
        self.refused.line(|more| log::warn!("{peer} has sent a wrong admin token{more}"));
        Err("this is not the admin token")
    }

    fn is_owner(&self, request: &Request) -> bool {
        let key = self.credentials.key_in(request);
        key.is_some_and(|key| self.credentials.auth.is_admin(key))
    }
}

/// Whoever sends a request, and what they bring to enter a room: in the query as in a handshake, and
/// the room's key in a field too.
fn visitor<'a>(request: &'a Request, user: Option<UserId>) -> Visitor<'a> {
    let url = request.url();
    Visitor {
        user,
        session: parameter(url, "session").map(|name| Session::new(name, user)),
        address: asked::peer(request),
        key: parameter(url, "key").or_else(|| asked::header(request, ROOM_KEY)),
    }
}

fn owner() -> Actor {
    let author = Author { user: None, name: OWNER.to_owned() };
    Actor { author, rank: Rank::Owner, is_author: false }
}

fn visiting(user: Option<&User>) -> Actor {
    Actor { author: author(None, user), rank: Rank::Visitor, is_author: false }
}
