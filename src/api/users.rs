//! `/users`: the directory of people, and who may change it.
//!
//! Runs on the page's threads. Not here: what a name may be and whose key this is (`identity`), and
//! where users are kept (`store`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use tiny_http::Request;

use super::asked;
use super::credentials::{Credentials, unknown_key};
use super::per_address::PerAddress;
use super::reply::{Reply, field, json, problem, too_many};
use crate::identity::auth;
use crate::identity::name::Name;
use crate::protocol::message::UserId;
use crate::relay::events::Events;
use crate::store::{Directory, StoreError, User};

/// The longest body of a user, in bytes.
const LARGEST: usize = 4096;

/// Users in one answer.
const LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 200;

/// The directory, and who may do what with it.
pub struct Users {
    directory: Arc<dyn Directory>,
    events: Events,
    credentials: Arc<Credentials>,
    /// New users, as many as `--max-new-users`.
    new: PerAddress,
}

/// What is sent to make or rename a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

impl Users {
    /// What is in `directory`; `most_new` is `--max-new-users`.
    pub fn new(
        directory: Arc<dyn Directory>,
        events: Events,
        credentials: Arc<Credentials>,
        most_new: u32,
    ) -> Self {
        let new = PerAddress::new(most_new, Duration::from_secs(60));
        Self { directory, events, credentials, new }
    }

    /// `POST /users`: a new user, and the only time that its key is shown.
    pub fn create(&self, request: &mut Request) -> Result<Reply, Reply> {
        let name = name_in(request)?;
        self.new.count(asked::peer(request)).map_err(|wait| {
            too_many("Too many new users from your address: wait a minute.", wait)
        })?;
        let key = auth::new_key().map_err(|_| problem(503, "There are no random numbers."))?;
        let user = self
            .directory
            .add_user(&name.shown, &name.folded, &auth::hash(&key))
            .map_err(failed)?;
        let mut told = shown(&user);
        told["key"] = json!(key);
        Ok(json(201, &told)
            .with_header(field("Location", &format!("/users/{}", user.id)))
            .with_header(field("Set-Cookie", &self.credentials.cookie(&key))))
    }

    /// `GET /users?limit=&after=`.
    pub fn list(&self, url: &str) -> Result<Reply, Reply> {
        let limit = asked::limit(url, LIMIT, LARGEST_LIMIT)?;
        let after = asked::number(url, "after", 0)?;
        let mut users = self.directory.users(after, limit + 1).map_err(failed)?;
        let more = users.len() > limit;
        users.truncate(limit);
        let mut answer = json!({"users": users.iter().map(shown).collect::<Vec<_>>()});
        if more {
            answer["next"] = json!(users.last().map(|user| user.id));
        }
        Ok(json(200, &answer))
    }

    /// `GET /users/ID`.
    pub fn show(&self, id: &str) -> Result<Reply, Reply> {
        Ok(json(200, &shown(&self.find(id)?)))
    }

    /// `GET /users/me`: whose key it is.
    pub fn me(&self, request: &Request) -> Result<Reply, Reply> {
        let user = self.credentials.user_of(request)?.ok_or_else(unknown_key)?;
        Ok(json(200, &shown(&user)))
    }

    /// `PUT /users/ID`: another name.
    pub fn rename(&self, id: &str, request: &mut Request) -> Result<Reply, Reply> {
        let user = self.find(id)?;
        self.check_right(&user, request)?;
        let name = name_in(request)?;
        let renamed =
            self.directory.rename_user(user.id, &name.shown, &name.folded).map_err(failed)?;
        // It may have been removed a moment ago.
        let user = renamed.ok_or_else(no_such_user)?;
        let answer = json(200, &shown(&user));
        self.events.renamed(user);
        Ok(answer)
    }

    /// `DELETE /users/ID`.
    pub fn remove(&self, id: &str, request: &Request) -> Result<Reply, Reply> {
        let user = self.find(id)?;
        self.check_right(&user, request)?;
        let by_themselves =
            self.credentials.user_of(request)?.is_some_and(|whose| whose.id == user.id);
        if !self.directory.remove_user(user.id).map_err(failed)? {
            return Err(no_such_user());
        }
        self.events.removed(user.id);
        let answer = Reply::from_data(Vec::new()).with_status_code(204);
        let forget = field("Set-Cookie", &self.credentials.no_cookie());
        Ok(if by_themselves { answer.with_header(forget) } else { answer })
    }

    /// An unknown user is told before anything else is asked.
    fn find(&self, id: &str) -> Result<User, Reply> {
        let id: UserId = id.parse().map_err(|_| no_such_user())?;
        self.directory.user(id).map_err(failed)?.ok_or_else(no_such_user)
    }

    /// A user may change what is theirs, and the holder of `--admin-token` everything.
    fn check_right(&self, user: &User, request: &Request) -> Result<(), Reply> {
        let key = self.credentials.key_in(request).ok_or_else(unknown_key)?;
        if self.credentials.auth.is_admin(key) {
            return Ok(());
        }
        match self.credentials.user_of(request)? {
            None => Err(unknown_key()),
            Some(whose) if whose.id == user.id => Ok(()),
            Some(_) => Err(problem(403, "This is somebody else: only they may change it.")),
        }
    }
}

/// The name that a request asks for.
fn name_in(request: &mut Request) -> Result<Name, Reply> {
    if asked::media_type(request) != "application/json" {
        return Err(problem(415, "Send JSON, and say so: Content-Type: application/json."));
    }
    if request.body_length().is_some_and(|length| length > LARGEST) {
        return Err(problem(413, "A user takes 4096 bytes at most."));
    }
    let asked: Named = serde_json::from_slice(&asked::body(request)?)
        .map_err(|error| problem(400, &format!("Send an object with a name: {error}.")))?;
    Name::parse(&asked.name).map_err(|why| problem(400, why))
}

/// A user as everyone may see it.
fn shown(user: &User) -> Value {
    let seconds = u64::try_from(user.created_at).unwrap_or_default();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let at = humantime::format_rfc3339_seconds(at).to_string();
    json!({"id": user.id, "name": user.name, "created_at": at})
}

fn no_such_user() -> Reply {
    problem(404, "There is no such user.")
}

/// The answer for a directory that cannot do what it should.
#[allow(clippy::needless_pass_by_value, reason = "what map_err hands over")]
pub fn failed(error: StoreError) -> Reply {
    match error {
        StoreError::Taken => {
            problem(409, "Somebody has this name, or one that looks like it: choose another one.")
        }
        StoreError::Full => problem(507, "The directory is full."),
        StoreError::Failed(why) => {
            log::error!("the directory cannot be used: {why}");
            problem(503, "The directory cannot be used at the moment.")
        }
    }
}
