//! A school: a server with a room that has a leader, and everybody who might want something there.

use serde_json::{Value, json};

use super::{Answer, Person, Server, V1, bearer, handshake, request, request_with_json};

/// The token of the server's owner.
pub const OWNER: &str = "the-token-of-the-owner";

/// The room that everybody wants something in.
pub const ROOM: &str = "physics";

/// Somebody who sends a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// Nobody in particular: without a key.
    Guest,
    /// With a key that is nobody's.
    Stranger,
    /// A user who leads no room.
    User,
    /// A user who leads the room.
    Leader,
    /// A user who leads another room.
    OtherLeader,
    /// The owner of the server, with `--admin-token`.
    Owner,
}

/// Everybody, in the order of the tables.
pub const EVERYBODY: [Who; 6] =
    [Who::Guest, Who::Stranger, Who::User, Who::Leader, Who::OtherLeader, Who::Owner];

pub struct School {
    pub server: Server,
    pub ada: Person,
    pub bob: Person,
    pub cyd: Person,
}

impl School {
    /// Ada leads physics, Cyd leads chemistry, and Bob leads nothing.
    pub fn opens() -> Self {
        Self::opens_with(&[])
    }

    pub fn opens_with(options: &[&str]) -> Self {
        let owner = ["--admin-token", OWNER, "--max-new-users", "0"];
        let server = Server::with(&[&owner, options].concat());
        let [ada, bob, cyd] = ["Ada", "Bob", "Cyd"].map(|name| server.enters(name));
        let school = Self { server, ada, bob, cyd };
        school.appoints(school.ada.id, ROOM);
        school.appoints(school.cyd.id, "chemistry");
        school
    }

    /// The owner makes a user a leader.
    pub fn appoints(&self, user: i64, room: &str) {
        self.asks(Who::Owner, "PUT", &format!("/rooms/{room}/leaders/{user}"), "").tells(200);
    }

    /// The field that carries somebody's key.
    pub fn key_of(&self, who: Who) -> Option<String> {
        match who {
            Who::Guest => None,
            Who::Stranger => Some(bearer("this-is-nobodys-key")),
            Who::User => Some(self.bob.bearer()),
            Who::Leader => Some(self.ada.bearer()),
            Who::OtherLeader => Some(self.cyd.bearer()),
            Who::Owner => Some(bearer(OWNER)),
        }
    }

    /// The answer to somebody's request. A body in braces is JSON, and any other a text.
    pub fn asks(&self, who: Who, method: &str, path: &str, body: &str) -> Answer {
        self.asks_with(who, method, path, &[], body)
    }

    /// The same with more fields.
    pub fn asks_with(
        &self,
        who: Who,
        method: &str,
        path: &str,
        fields: &[&str],
        body: &str,
    ) -> Answer {
        let key = self.key_of(who);
        let fields: Vec<_> = key.iter().map(String::as_str).chain(fields.iter().copied()).collect();
        self.server.is_visited().asks(match body {
            "" => request(method, path, &fields, ""),
            json if json.starts_with('{') => request_with_json(method, path, &fields, json),
            text => {
                request(method, path, &[&fields, &["Content-Type: text/plain"][..]].concat(), text)
            }
        })
    }

    /// The leader changes the settings of the room.
    pub fn sets(&self, settings: &Value) -> Value {
        self.asks(Who::Leader, "PUT", &format!("/rooms/{ROOM}"), &settings.to_string()).tells(200)
    }

    /// The leader does something in the room.
    pub fn acts(&self, act: &Value) -> Value {
        self.asks(Who::Leader, "POST", &format!("/rooms/{ROOM}/acts"), &act.to_string()).tells(200)
    }

    /// The leader has said something in the room: its id.
    pub fn says(&self, text: &str) -> i64 {
        let told = self.asks(Who::Leader, "POST", &format!("/rooms/{ROOM}"), text).tells(202);
        told["id"].as_i64().expect("an id")
    }

    /// The status of the answer to somebody's handshake.
    pub fn shakes_hands(&self, who: Who, path: &str) -> u16 {
        let key = self.key_of(who).map(|key| format!("\r\n{key}")).unwrap_or_default();
        let handshake = handshake(path).replacen("\r\n", &format!("{key}\r\n"), 1);
        // The field stands behind the request line.
        let mut visitor = self.server.is_visited();
        visitor.sends(handshake);
        let head = String::from_utf8(visitor.reads_a_head()).expect("a head is ASCII");
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// Somebody is in the room, on `wsroom.v1`, with a session if it is not empty.
    pub fn is_joined_by(&self, who: Who, session: &str) -> (V1, Value) {
        let path = match session {
            "" => format!("/ws/{ROOM}"),
            session => format!("/ws/{ROOM}?session={session}"),
        };
        match self.key_of(who) {
            Some(key) => V1::joins_with(&self.server, &path, &key),
            None => V1::comes_back(&self.server, &path),
        }
    }
}

/// The word for programs in a refusal that has several reasons.
pub fn reason(answer: &Answer) -> Value {
    answer.has_a_problem(answer.status);
    let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
    problem["reason"].clone()
}

/// An act on a member.
pub fn on_member(act: &str, welcome: &Value) -> Value {
    json!({"act": act, "member": welcome["you"]["id"]})
}
