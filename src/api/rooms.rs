//! `/rooms`: the rooms and their members, their history, and a way to post without a WebSocket.
//!
//! Runs on the page's threads. The history comes from the message log, which has each message
//! before it is sent. The members come from the broadcaster, because nobody else knows them. Not
//! here: the replay for a client that comes back (`relay`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tiny_http::Request;

use super::asked::{self, parameter};
use super::disposition;
use super::leading::complained;
use super::per_address::PerAddress;
use super::reply::{Reply, field, json, problem, too_many, whole};
use super::rights::{Actor, Rights};
use super::transcript::{self, Keep, Wish};
use crate::identity::session::Session;
use crate::protocol::address::{Files, RoomName};
use crate::protocol::message::{Content, Draft, MessageId, Origin, Stay, UserId};
use crate::protocol::v1::MAX_FIELD_BYTES;
use crate::relay::events::{Events, Receipt};
use crate::relay::members::MembersPage;
use crate::store::{HistoryPage, KeptMessages, Range, StoreError};

/// The longest wait for the broadcaster.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Messages, members or rooms in one response if the request has no `limit`.
const DEFAULT_LIMIT: usize = 100;

/// The largest `limit`: messages, members or rooms in one response.
const MAX_LIMIT: usize = 1000;

/// The most bytes of messages in one response; a single longer message is sent alone. A client gets
/// the others with its next request.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The routes under `/rooms`.
pub struct Rooms {
    events: Events,
    log: Arc<dyn KeptMessages>,
    rights: Arc<Rights>,
    /// Limits the posted messages of one address to `--max-rate` a second.
    posts: PerAddress,
    /// Limits their bytes to `--max-bytes-rate` a second.
    bytes: PerAddress,
}

impl Rooms {
    /// The routes for these parts of the server; `rate` is `--max-rate`, and `bytes_rate` is
    /// `--max-bytes-rate`.
    pub fn new(
        events: Events,
        log: Arc<dyn KeptMessages>,
        rights: Arc<Rights>,
        rate: u32,
        bytes_rate: u32,
    ) -> Self {
        let a_second = |most| PerAddress::new(most, Duration::from_secs(1));
        let (posts, bytes) = (a_second(rate), a_second(bytes_rate));
        Self { events, log, rights, posts, bytes }
    }

    /// `GET /rooms?limit=&after=`: rooms that have members or a history, ordered by name.
    ///
    /// # Errors
    /// The response to a wrong `limit`, or for a history or a broadcaster that does not answer.
    pub fn list(&self, url: &str) -> Result<Reply, Reply> {
        let limit = asked::limit(url, DEFAULT_LIMIT, MAX_LIMIT)?;
        let after = parameter(url, "after").unwrap_or_default();
        let kept = self.log.rooms(after, limit + 1).map_err(|error| failed(&error))?;
        let live = self.events.list(TIMEOUT).ok_or_else(busy)?;
        let mut rooms: BTreeMap<String, (usize, MessageId)> = BTreeMap::new();
        for (name, last) in kept {
            rooms.insert(name.as_str().to_owned(), (0, last));
        }
        for (name, members) in live.into_iter().filter(|(name, _)| name.as_str() > after) {
            rooms.entry(name.as_str().to_owned()).or_default().0 = members;
        }
        let next = rooms.keys().nth(limit).is_some().then(|| rooms.keys().nth(limit - 1)).flatten();
        let entry = |(name, (members, last)): (&String, &(usize, MessageId))| {
            let entry = json!({"name": name, "members": members, "last": last});
            self.with_rules(entry, name)
        };
        let mut page = json!({"rooms": rooms.iter().take(limit).map(entry).collect::<Vec<_>>()});
        if let Some(next) = next {
            page["next"] = json!(next);
        }
        Ok(json(200, &page))
    }

    /// Adds what a stranger may know of a room's rules to its entry in the list. A room that has a key
    /// shows nothing of what is inside.
    fn with_rules(&self, mut entry: Value, name: &str) -> Value {
        let rules = RoomName::parse(name).and_then(|room| self.rights.rulebook().get(&room));
        match rules.map(|rules| rules.info()) {
            Some(rules) if rules.has_key => entry["has_key"] = json!(true),
            Some(rules) => {
                entry["topic"] = json!(rules.topic);
                entry["mode"] = json!(rules.mode);
            }
            None => {}
        }
        entry
    }

    /// `GET /rooms/ROOM/members?limit=&after=`: who is in a room, in order of their ids.
    ///
    /// # Errors
    /// The response to a wrong parameter, to somebody who may not enter the room, or for a broadcaster
    /// that does not answer.
    pub fn members(&self, room: &str, request: &Request) -> Result<Reply, Reply> {
        let (room, url) = (parse_room(room)?, request.url());
        self.rights.enter(&room, request)?;
        let limit = asked::limit(url, DEFAULT_LIMIT, MAX_LIMIT)?;
        let after = asked::number(url, "after", 0)?;
        let found = self.events.list_members(room.clone(), after, limit, TIMEOUT);
        let MembersPage { count, members, more } = found.ok_or_else(busy)?;
        let mut page = json!({"room": room.as_str(), "count": count, "members": members});
        if more {
            page["next"] = json!(members.last().map(|member| member.id));
        }
        Ok(json(200, &page))
    }

    /// `GET /rooms/ROOM/messages?since=&before=&limit=&q=&files=`: the messages that are kept, in order of
    /// their ids. With `since` these are the oldest ones behind it; without, the newest ones. With `q`
    /// they are looked at, and only those that have this text are sent: a search costs no more than
    /// any other page, and goes on with the next request.
    ///
    /// # Errors
    /// The response to a wrong parameter, to somebody who may not enter the room, or for a history that
    /// cannot be read.
    pub fn messages(&self, room: &str, request: &Request) -> Result<Reply, Reply> {
        let (room, url) = (parse_room(room)?, request.url());
        self.rights.enter(&room, request)?;
        let limit = asked::limit(url, DEFAULT_LIMIT, MAX_LIMIT)?;
        let id = |name| parameter(url, name).map(parse_id).transpose();
        let since = id("since")?;
        let upto = id("before")?.map_or(MessageId::MAX, |before| before - 1);
        let (found, keep) = match since {
            Some(after) => (self.log.page(&room, range(after, upto, limit)), Keep::Oldest),
            None => (self.newest(&room, upto, limit), Keep::Newest),
        };
        let mut found = found.map_err(|error| failed(&error))?;
        let rules = self.rights.rulebook().get(&room);
        found.complete &=
            rules.is_none_or(|rules| since.is_none_or(|id| rules.keeps_all_since(id)));
        let sought = asked::text(url, "q").map(|text| text.to_lowercase());
        let wish = Wish { sought: sought.as_deref(), files: files(url)?, keep };
        let body = transcript::encode(&room, &found, wish, MAX_RESPONSE_BYTES);
        let reply = whole(200, "application/json", body);
        Ok(reply.with_header(field("Cache-Control", "no-store")))
    }

    /// The newest messages up to `upto`. In the result, `more` tells whether there are older ones, and
    /// `complete` whether none of these was deleted.
    fn newest(
        &self,
        room: &RoomName,
        upto: MessageId,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        // A message that comes meanwhile belongs to another page.
        let upto = upto.min(self.log.last_in(room)?);
        let after = self.log.before_newest(room, upto, limit, MAX_RESPONSE_BYTES)?;
        let found = self.log.page(room, range(after, upto, limit))?;
        let more = self.log.before_newest(room, after, 0, 0)? > 0;
        // This range has no messages: only the room is read.
        let complete = self.log.page(room, range(0, 0, 0))?.complete;
        Ok(HistoryPage { more, complete, ..found })
    }

    /// `GET /rooms/ROOM/messages/ID`: the bytes of one message.
    ///
    /// # Errors
    /// The response to a message that is not there, to somebody who may not enter the room, or for a
    /// history that cannot be read.
    pub fn message(&self, room: &str, id: &str, request: &Request) -> Result<Reply, Reply> {
        let (room, id) = (parse_room(room)?, parse_id(id)?);
        self.rights.enter(&room, request)?;
        let found = self.log.message(&room, id);
        let Some(kept) = found.map_err(|error| failed(&error))? else {
            return Err(problem(404, "No such message is kept in this room."));
        };
        Ok(match &kept.content {
            Content::Text(text) => whole(200, "text/plain; charset=utf-8", text.to_vec()),
            // Never with the sender's media type: a page that somebody posted would run with the
            // rights of ours. The security headers say `nosniff`.
            Content::Binary { bytes, .. } => whole(200, "application/octet-stream", bytes.to_vec())
                .with_header(field("Content-Disposition", "attachment")),
            Content::Act(_) => return Err(problem(404, "This is an act, and has no bytes.")),
        })
    }

    /// `POST /rooms/ROOM`: sends the body to everyone in the room.
    ///
    /// # Errors
    /// The response to a message that is refused, or for a store or a broadcaster that cannot take
    /// it.
    pub fn post(&self, room: &str, request: &mut Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let peer = asked::peer(request);
        self.posts.count(peer).map_err(|wait| {
            too_many("Too many messages from your address: wait a second.", wait)
        })?;
        let size = request.body_length().unwrap_or_default().try_into().unwrap_or(u32::MAX);
        self.bytes
            .add(peer, size)
            .map_err(|wait| too_many("Too many bytes from your address: wait a second.", wait))?;
        let Actor { author, rank, .. } = self.rights.speak(&room, request)?;
        let origin = origin(request, author.user)?;
        let body = asked::body(request)?;
        let content = content(request, body)?;
        let draft = Draft { room, author, content, origin, as_guest: None, stay: Stay::Kept };
        match self.events.post(draft, rank, TIMEOUT) {
            Some(Ok(Receipt { id, heard: Some(heard) })) => {
                Ok(json(202, &json!({"id": id, "heard": heard})))
            }
            Some(Ok(Receipt { id, heard: None })) => Ok(json(200, &json!({"id": id, "heard": 0}))),
            Some(Err(complaint)) => Err(complained(&complaint)),
            None => Err(busy()),
        }
    }
}

/// Where a posted message comes from, if its Idempotency-Key says so: then it may be posted again. The
/// key is a session of one message, so it must be as hard to guess.
fn origin(request: &Request, user: Option<UserId>) -> Result<Option<Box<Origin>>, Reply> {
    let Some(key) = asked::header(request, "Idempotency-Key") else { return Ok(None) };
    // The header field is a string in quotes, but many clients leave the quotes out.
    let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let is_sound = (16..=255).contains(&bare.len()) && bare.bytes().all(|c| c.is_ascii_graphic());
    if !is_sound {
        let detail = "An Idempotency-Key has 16 to 255 visible ASCII characters, such as a UUID.";
        return Err(problem(400, detail));
    }
    let session = Session::new(bare, user).id;
    Ok(Some(Box::new(Origin { session, reference: bare.to_owned() })))
}

/// The content of a message from a request and its body. A body with a file's name is a file, whatever
/// its media type; of others the media type decides.
fn content(request: &Request, body: Vec<u8>) -> Result<Content, Reply> {
    let media_type = asked::media_type(request);
    if media_type.starts_with("multipart/") {
        let detail =
            "A form of files is not taken: send one body, such as with curl --data-binary.";
        return Err(problem(415, detail));
    }
    let name = file_name(request)?;
    // This is what curl sends for -d and --data-binary.
    let is_unsaid = media_type == "application/x-www-form-urlencoded";
    let is_text = is_unsaid || media_type.starts_with("text/") || media_type == "application/json";
    if is_text && name.is_empty() {
        let text = String::from_utf8(body);
        let text = text.map_err(|_| problem(400, "The body is not UTF-8, as a text must be."))?;
        return Ok(Content::Text(text.into()));
    }
    if name.len().max(media_type.len()) > MAX_FIELD_BYTES {
        let detail = format!("A file's name and its type take {MAX_FIELD_BYTES} bytes at most.");
        return Err(problem(400, &detail));
    }
    let media_type = if is_unsaid { String::new() } else { media_type };
    Ok(Content::Binary { name, media_type, bytes: Bytes::from(body) })
}

/// The name of the file in a request; empty if it has none.
fn file_name(request: &Request) -> Result<String, Reply> {
    let value = asked::header(request, "Content-Disposition");
    let name = value.map_or(Ok(String::new()), disposition::file_name);
    name.map_err(|sentence| problem(400, sentence))
}

/// How the client wants the files of the past.
fn files(url: &str) -> Result<Files, Reply> {
    let files = parameter(url, "files").map_or(Ok(Files::Whole), Files::parse);
    files.map_err(|sentence| problem(400, sentence))
}

fn range(after: MessageId, upto: MessageId, messages: usize) -> Range {
    Range { after, upto, messages, bytes: MAX_RESPONSE_BYTES }
}

pub(super) fn parse_room(name: &str) -> Result<RoomName, Reply> {
    RoomName::parse(name).ok_or_else(|| {
        problem(400, "A room name is 1 to 64 of A-Z a-z 0-9 . _ ~ - (but not . or ..).")
    })
}

pub(super) fn parse_id(digits: &str) -> Result<MessageId, Reply> {
    let id = digits.parse().ok().filter(|&id| id >= 0);
    id.ok_or_else(|| problem(400, "The id of a message is a whole number."))
}

pub(super) fn failed(error: &StoreError) -> Reply {
    log::error!("the history cannot be read: {error}");
    problem(503, "The history cannot be read at the moment.")
}

pub(super) fn busy() -> Reply {
    problem(503, "The server is busy: try again soon.").with_header(field("Retry-After", "2"))
}
