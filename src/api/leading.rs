//! Leading a room over HTTP: what its rules are, the acts of its leaders, and who leads it.
//!
//! A request becomes a wish, and the broadcaster does it, as it does what leaders ask for over
//! `wsroom.v1`. Not here: who may do what (`rights`), and what an act changes (`relay`). Runs on the
//! page's threads.

use std::sync::Arc;

use serde_json::json;
use tiny_http::Request;

use super::asked;
use super::reply::{Reply, field, json, problem, problem_of};
use super::rights::{Actor, Rights};
use super::rooms::{TIMEOUT, busy, failed, parse_id, parse_room};
use super::users;
use crate::protocol::act::Wish;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Content, Message, MessageId, UserId};
use crate::protocol::rules::{LeaderInfo, RulesInfo, Settings};
use crate::protocol::v1::{Code, Complaint};
use crate::relay::events::{ApiAct, Events};
use crate::store::{Directory, KeptMessages, User};

/// The longest body of a request that asks for an act, in bytes.
const MAX_BODY_BYTES: usize = 4096;

/// The routes with which a room is led.
pub struct Leading {
    events: Events,
    log: Arc<dyn KeptMessages>,
    directory: Arc<dyn Directory>,
    rights: Arc<Rights>,
}

impl Leading {
    /// The routes for these parts of the server.
    pub fn new(
        events: Events,
        log: Arc<dyn KeptMessages>,
        directory: Arc<dyn Directory>,
        rights: Arc<Rights>,
    ) -> Self {
        Self { events, log, directory, rights }
    }

    /// `GET /rooms/ROOM`: how many are in a room, and its rules. So a page learns why its handshake
    /// was refused: a browser does not tell it.
    ///
    /// # Errors
    /// The response to somebody who may not enter the room, with the reason; or for a history or a
    /// broadcaster that does not answer.
    pub fn show(&self, room: &str, request: &Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        self.rights.enter(&room, request)?;
        // A page of no members: the number of all comes with it.
        let found = self.events.list_members(room.clone(), u64::MAX, 1, TIMEOUT);
        let members = found.ok_or_else(busy)?.count;
        let last = self.log.last_in(&room).map_err(|error| failed(&error))?;
        let rules = self.rules_of(&room);
        let name = room.as_str();
        Ok(json(200, &json!({"room": name, "members": members, "last": last, "rules": rules})))
    }

    /// `PUT /rooms/ROOM`: changes the settings that the body names.
    ///
    /// # Errors
    /// The response to somebody who does not lead the room, or to bad settings, or for a store or a
    /// broadcaster that cannot take the act. So it is for all acts.
    pub fn set(&self, room: &str, request: &mut Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let leader = self.rights.lead(&room, request)?;
        let wish = Wish::Set(settings_in(request)?);
        self.act_as(&room, leader, wish)?;
        Ok(json(200, &json!(self.rules_of(&room))))
    }

    /// `POST /rooms/ROOM/acts`: does what the body asks for.
    ///
    /// # Errors
    /// As [`Leading::set`]; also the response to an act on a member or a message that is not there.
    pub fn act(&self, room: &str, request: &mut Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let leader = self.rights.lead(&room, request)?;
        if asked::media_type(request) != "application/json" {
            return Err(problem(415, "Send JSON (Content-Type: application/json)."));
        }
        let body = short_body(request)?;
        let wish = Wish::parse(&body).map_err(|why| problem(400, &sentence(&why)))?;
        self.act_as(&room, leader, wish)
    }

    /// `DELETE /rooms/ROOM/messages/ID`: removes a message. Its author may too.
    ///
    /// # Errors
    /// As [`Leading::act`].
    pub fn remove(&self, room: &str, id: &str, request: &Request) -> Result<Reply, Reply> {
        let (room, id) = (parse_room(room)?, parse_id(id)?);
        let actor = match self.rights.lead(&room, request) {
            Ok(leader) => leader,
            Err(refusal) => {
                let message = self.message(&room, id)?;
                let author = self.rights.author_of(message.as_deref(), request)?;
                author.ok_or(refusal)?
            }
        };
        self.act_as(&room, actor, Wish::Remove(id))
    }

    /// `DELETE /rooms/ROOM/messages`: removes all messages.
    ///
    /// # Errors
    /// As [`Leading::set`].
    pub fn clear(&self, room: &str, request: &Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let leader = self.rights.lead(&room, request)?;
        self.act_as(&room, leader, Wish::Clear)
    }

    /// `PUT /rooms/ROOM/leaders/ID`: makes a user a leader.
    ///
    /// # Errors
    /// As [`Leading::set`], but for everyone without `--admin-token`; also the response to an unknown
    /// user.
    pub fn appoint(&self, room: &str, id: &str, request: &Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let owner = self.rights.own(request)?;
        let User { id: user, name, .. } = self.find(id)?;
        self.act_as(&room, owner, Wish::Lead(LeaderInfo { user, name }))
    }

    /// `DELETE /rooms/ROOM/leaders/ID`: makes a user a leader no longer.
    ///
    /// # Errors
    /// As [`Leading::appoint`], but the response to somebody who does not lead the room instead. The
    /// user may have been removed from the directory.
    pub fn dismiss(&self, room: &str, id: &str, request: &Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let owner = self.rights.own(request)?;
        let user: UserId = id.parse().map_err(|_| users::no_such_user())?;
        if !self.rights.rulebook().leads(&room, Some(user)) {
            return Err(problem(404, "This user does not lead the room."));
        }
        self.act_as(&room, owner, Wish::Unlead(user))
    }

    fn find(&self, id: &str) -> Result<User, Reply> {
        let id: UserId = id.parse().map_err(|_| users::no_such_user())?;
        self.directory.user(id).map_err(users::failed)?.ok_or_else(users::no_such_user)
    }

    fn rules_of(&self, room: &RoomName) -> RulesInfo {
        self.rights.rulebook().get(room).unwrap_or_default().info()
    }

    /// The message with this id; an act is none.
    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Arc<Message>>, Reply> {
        let found = self.log.message(room, id).map_err(|error| failed(&error))?;
        Ok(found.filter(|message| !matches!(message.content, Content::Act(_))))
    }

    /// Lets the broadcaster do it, and waits until it is kept. The broadcaster never reads the history,
    /// so the message that the wish is about is looked for here.
    fn act_as(&self, room: &RoomName, actor: Actor, wish: Wish) -> Result<Reply, Reply> {
        if let Some(id) = wish.message()
            && self.message(room, id)?.is_none()
        {
            return Err(problem(404, "No such message is kept in this room."));
        }
        let Actor { author, rank, is_author } = actor;
        let act = ApiAct { room: room.clone(), author, rank, wish, is_author };
        match self.events.act(act, TIMEOUT) {
            Some(Ok(receipt)) => Ok(json(200, &json!({"id": receipt.id}))),
            Some(Err(complaint)) => Err(complained(&complaint)),
            None => Err(busy()),
        }
    }
}

/// The settings in the body of a request: JSON, or a form as of `curl -d`.
fn settings_in(request: &mut Request) -> Result<Settings, Reply> {
    let media_type = asked::media_type(request);
    let body = short_body(request)?;
    match &*media_type {
        "application/json" => serde_json::from_slice(&body).map_err(|error| {
            let names = "Send an object with topic, key, mode or history";
            problem(400, &format!("{names}: {error}."))
        }),
        "application/x-www-form-urlencoded" => settings_in_form(&body),
        _ => Err(asked::neither_json_nor_form()),
    }
}

fn settings_in_form(body: &[u8]) -> Result<Settings, Reply> {
    let mut settings = Settings::default();
    for (field, value) in form_urlencoded::parse(body) {
        let bad = |why: &str| problem(400, why);
        match &*field {
            // The decoder has put this character in the place of bytes that are not UTF-8.
            _ if value.contains(char::REPLACEMENT_CHARACTER) => {
                return Err(bad(&format!("{field} is not UTF-8.")));
            }
            "topic" => settings.topic = Some(value.into_owned()),
            "key" => settings.key = Some(value.into_owned()),
            "mode" => settings.mode = Some(value.parse().map_err(bad)?),
            "history" => {
                let history = value.parse().map_err(|_| bad("history is true or false."))?;
                settings.history = Some(history);
            }
            _ => return Err(bad("Send a form with topic, key, mode or history: topic=Kepler.")),
        }
    }
    Ok(settings)
}

fn short_body(request: &mut Request) -> Result<Vec<u8>, Reply> {
    if request.body_length().is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(problem(413, "An act takes 4096 bytes at most."));
    }
    asked::body(request)
}

/// The response to an act that had no effect, or to a message.
pub fn complained(complaint: &Complaint) -> Reply {
    let detail = sentence(&complaint.detail);
    match complaint.code {
        Code::BadJson | Code::BadEvent => problem(400, &detail),
        Code::TooLarge => problem(413, &detail),
        Code::NotLeader => problem_of(403, &detail, "not-leader"),
        Code::Muted => problem_of(403, &detail, "muted"),
        Code::ReadOnly => problem_of(403, &detail, "read-only"),
        Code::Unknown => problem(404, &detail),
        Code::NotKept => problem(503, &detail).with_header(field("Retry-After", "5")),
    }
}

/// The detail of a complaint as a sentence: events write it without a capital and a full stop.
fn sentence(detail: &str) -> String {
    let mut letters = detail.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rules::Mode;

    #[test]
    fn a_form_names_settings() {
        let settings = settings_in_form(b"topic=Two+bodies&key=&mode=read-only&history=false");
        let expected = Settings {
            topic: Some("Two bodies".to_owned()),
            key: Some(String::new()),
            mode: Some(Mode::ReadOnly),
            history: Some(false),
        };
        assert!(settings.is_ok_and(|settings| settings == expected));
        for bad in ["mode=shut", "history=off", "name=a", "topic=%ff"] {
            let refusal = settings_in_form(bad.as_bytes()).map(drop).expect_err(bad);
            assert_eq!(refusal.status_code().0, 400, "{bad}");
        }
    }

    #[test]
    fn a_detail_becomes_a_sentence() {
        assert_eq!(sentence("no such member is here"), "No such member is here.");
        assert_eq!(sentence("Done."), "Done.");
    }
}
