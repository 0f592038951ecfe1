//! `/rooms`: who is where, what was said, and a way to say something without a WebSocket.
//!
//! Runs on the page's threads. What was said is read from the log, for it is kept before it is sent;
//! who is where, only the broadcaster knows. Not here: the past of a client that comes back
//! (`relay`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tiny_http::Request;

use super::asked::{self, parameter};
use super::credentials::Credentials;
use super::per_address::PerAddress;
use super::reply::{Reply, field, json, problem, too_many, whole};
use super::transcript;
use crate::protocol::address::RoomName;
use crate::protocol::message::{Content, MessageId};
use crate::relay::events::Events;
use crate::store::{MessageLog, Range, StoreError};

/// How long the broadcaster may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Messages, and rooms, in one answer.
const LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1000;

/// Bytes of one answer, but for a single message that is longer; what is beyond comes with the next.
const ANSWER_BYTES: usize = 1 << 20;

/// What is behind `/rooms`.
pub struct Rooms {
    events: Events,
    log: Arc<dyn MessageLog>,
    credentials: Arc<Credentials>,
    /// Messages, as many as `--max-rate`.
    said: PerAddress,
}

impl Rooms {
    /// Everything that is asked goes to these; `rate` is `--max-rate`.
    pub fn new(
        events: Events,
        log: Arc<dyn MessageLog>,
        credentials: Arc<Credentials>,
        rate: u32,
    ) -> Self {
        let said = PerAddress::new(rate, Duration::from_secs(1));
        Self { events, log, credentials, said }
    }

    /// `GET /rooms?limit=&after=`: rooms with somebody in them, or something kept of them, by name.
    pub fn list(&self, url: &str) -> Result<Reply, Reply> {
        let limit = asked::limit(url, LIMIT, LARGEST_LIMIT)?;
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
        let mut answer = json!({"rooms": rooms.iter().take(limit).map(|(name, (members, last))| {
            json!({"name": name, "members": members, "last": last})
        }).collect::<Vec<_>>()});
        if let Some(next) = next {
            answer["next"] = json!(next);
        }
        Ok(json(200, &answer))
    }

    /// `GET /rooms/ROOM/messages?since=&limit=`: what is kept, in order.
    pub fn messages(&self, room: &str, url: &str) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        let since = match parameter(url, "since") {
            None => 0,
            Some(digits) => parse_id(digits)?,
        };
        let limit = asked::limit(url, LIMIT, LARGEST_LIMIT)?;
        let range = Range { messages: limit, bytes: ANSWER_BYTES, ..Range::behind(since) };
        let found = self.log.page(&room, range).map_err(|error| failed(&error))?;
        let body = transcript::encode(&room, &found, ANSWER_BYTES);
        let answer = whole(200, "application/json", body);
        Ok(answer.with_header(field("Cache-Control", "no-store")))
    }

    /// `GET /rooms/ROOM/messages/ID`: the bytes of one message.
    pub fn message(&self, room: &str, id: &str) -> Result<Reply, Reply> {
        let found = self.log.message(&parse_room(room)?, parse_id(id)?);
        let Some(kept) = found.map_err(|error| failed(&error))? else {
            return Err(problem(404, "No such message is kept in this room."));
        };
        Ok(match &kept.content {
            Content::Text(text) => whole(200, "text/plain; charset=utf-8", text.to_vec()),
            // Never as what its sender says that it is: a page of somebody else's making would run
            // under our address. The security headers say `nosniff`.
            Content::Binary { bytes, .. } => whole(200, "application/octet-stream", bytes.to_vec())
                .with_header(field("Content-Disposition", "attachment")),
        })
    }

    /// `POST /rooms/ROOM`: the body, to everyone in the room. Text types as text, else binary.
    pub fn post(&self, room: &str, request: &mut Request) -> Result<Reply, Reply> {
        let room = parse_room(room)?;
        self.said.count(asked::peer(request)).map_err(|wait| {
            too_many("Too many messages from your address: wait a second.", wait)
        })?;
        let user = self.credentials.speaker(request)?;
        let content = content(&asked::media_type(request), asked::body(request)?)?;
        match self.events.post(room, user, content, TIMEOUT) {
            Some(Ok(receipt)) => Ok(json(202, &json!({"id": receipt.id, "heard": receipt.heard}))),
            Some(Err(detail)) => Err(problem(503, &detail)),
            None => Err(busy()),
        }
    }
}

/// What curl sends for `-d` if it is told nothing else is text too.
fn content(media_type: &str, body: Vec<u8>) -> Result<Content, Reply> {
    let is_text = media_type.starts_with("text/")
        || matches!(media_type, "application/json" | "application/x-www-form-urlencoded");
    if is_text {
        let text = String::from_utf8(body)
            .map_err(|_| problem(400, "The body is not UTF-8, as a text must be."))?;
        return Ok(Content::Text(text.into()));
    }
    if media_type.starts_with("multipart/") {
        let detail =
            "A form of files is not taken: send one body, such as with curl --data-binary.";
        return Err(problem(415, detail));
    }
    let (name, media_type) = (String::new(), media_type.to_owned());
    Ok(Content::Binary { name, media_type, bytes: Bytes::from(body) })
}

fn parse_room(name: &str) -> Result<RoomName, Reply> {
    RoomName::parse(name).ok_or_else(|| {
        problem(400, "A room name is 1 to 64 of A-Z a-z 0-9 . _ ~ - (but not . or ..).")
    })
}

fn parse_id(digits: &str) -> Result<MessageId, Reply> {
    let id = digits.parse().ok().filter(|&id| id >= 0);
    id.ok_or_else(|| problem(400, "The id of a message is a whole number."))
}

fn failed(error: &StoreError) -> Reply {
    log::error!("the history cannot be read: {error}");
    problem(503, "The history cannot be read at the moment.")
}

fn busy() -> Reply {
    problem(503, "The server is busy: try again soon.").with_header(field("Retry-After", "2"))
}
