//! `/users`: the directory of users, and the rules on who may change it.
//!
//! Runs on the page's threads. Not here: the grammar of names and the owners of keys (`identity`),
//! and keeping users (`store`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use tiny_http::Request;

use super::asked;
use super::credentials::{self, Credentials, unknown_key};
use super::per_address::PerAddress;
use super::reply::{Reply, field, json, problem, too_many};
use crate::identity::auth;
use crate::identity::name::Name;
use crate::protocol::message::UserId;
use crate::relay::events::Events;
use crate::store::{Directory, StoreError, User};

/// The longest body of a request that makes or renames a user, in bytes.
const MAX_BODY_BYTES: usize = 4096;

/// Users in one response if the request has no `limit`.
const DEFAULT_LIMIT: usize = 50;

/// The largest `limit`: users in one response.
const MAX_LIMIT: usize = 200;

/// The routes under `/users`.
pub struct Users {
    directory: Arc<dyn Directory>,
    events: Events,
    credentials: Arc<Credentials>,
    /// Limits the new users of one address to `--max-new-users` a minute.
    new: PerAddress,
}

/// The body of a request that makes or renames a user, in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

impl Users {
    /// The routes for the users in `directory`; `most_new` is `--max-new-users`.
    pub fn new(
        directory: Arc<dyn Directory>,
        events: Events,
        credentials: Arc<Credentials>,
        most_new: u32,
    ) -> Self {
        let new = PerAddress::new(most_new, Duration::from_secs(60));
        Self { directory, events, credentials, new }
    }

    /// `POST /users`: makes a new user. Only this response contains the user's key.
    ///
    /// # Errors
    /// The response to a bad or taken name, to too many new users, or for a directory that cannot
    /// keep the user.
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
        let cookies = asked::cookies(request);
        let mut created = shown(&user);
        created["key"] = json!(key);
        Ok(json(201, &created)
            // Relative to this address, so that it is right behind a proxy that adds a prefix
            // (RFC 9110 §10.2.2).
            .with_header(field("Location", &format!("users/{}", user.id)))
            .with_header(field("Set-Cookie", &credentials::cookie(&cookies, &key))))
    }

    /// `GET /users?limit=&after=`: users in the order of their ids.
    ///
    /// # Errors
    /// The response to a wrong parameter, or for a directory that cannot be read.
    pub fn list(&self, url: &str) -> Result<Reply, Reply> {
        let limit = asked::limit(url, DEFAULT_LIMIT, MAX_LIMIT)?;
        let after = asked::number(url, "after", 0)?;
        let mut users = self.directory.users(after, limit + 1).map_err(failed)?;
        let more = users.len() > limit;
        users.truncate(limit);
        let mut page = json!({"users": users.iter().map(shown).collect::<Vec<_>>()});
        if more {
            page["next"] = json!(users.last().map(|user| user.id));
        }
        Ok(json(200, &page))
    }

    /// `GET /users/ID`: one user.
    ///
    /// # Errors
    /// The response to an unknown id, or for a directory that cannot be read.
    pub fn show(&self, id: &str) -> Result<Reply, Reply> {
        Ok(json(200, &shown(&self.find(id)?)))
    }

    /// `GET /users/me`: the user whose key the request carries.
    ///
    /// # Errors
    /// The response to a request without a user's key, or for a directory that cannot be read.
    pub fn me(&self, request: &Request) -> Result<Reply, Reply> {
        let user = self.credentials.user_of(request)?.ok_or_else(unknown_key)?;
        Ok(json(200, &shown(&user)))
    }

    /// `PUT /users/ID`, `PUT /users/me`: gives a user another name.
    ///
    /// # Errors
    /// The response to an unknown id, a wrong key, or a bad or taken name, or for a directory that
    /// cannot be changed.
    pub fn rename(&self, id: &str, request: &mut Request) -> Result<Reply, Reply> {
        let user = self.find_for_change(id, request)?;
        let name = name_in(request)?;
        let renamed =
            self.directory.rename_user(user.id, &name.shown, &name.folded).map_err(failed)?;
        // Another request may just have removed the user.
        let user = renamed.ok_or_else(no_such_user)?;
        let reply = json(200, &shown(&user));
        self.events.renamed(user);
        Ok(reply)
    }

    /// `DELETE /users/ID`, `DELETE /users/me`: removes a user.
    ///
    /// # Errors
    /// The response to an unknown id or a wrong key, or for a directory that cannot be changed.
    pub fn remove(&self, id: &str, request: &Request) -> Result<Reply, Reply> {
        let user = self.find_for_change(id, request)?;
        let by_themselves =
            self.credentials.user_of(request)?.is_some_and(|whose| whose.id == user.id);
        if !self.directory.remove_user(user.id).map_err(failed)? {
            return Err(no_such_user());
        }
        self.events.removed(user.id);
        let reply = Reply::from_data(Vec::new()).with_status_code(204);
        let forget = field("Set-Cookie", &credentials::no_cookie(&asked::cookies(request)));
        Ok(if by_themselves { reply.with_header(forget) } else { reply })
    }

    /// The user with an id in a path. An unknown id is refused before the key is checked.
    fn find(&self, id: &str) -> Result<User, Reply> {
        let id: UserId = id.parse().map_err(|_| no_such_user())?;
        self.directory.user(id).map_err(failed)?.ok_or_else(no_such_user)
    }

    /// The user with an id in a path, or `me`, if the request may change them.
    fn find_for_change(&self, id: &str, request: &Request) -> Result<User, Reply> {
        if id == "me" {
            return self.credentials.user_of(request)?.ok_or_else(unknown_key);
        }
        let user = self.find(id)?;
        self.check_right(&user, request)?;
        Ok(user)
    }

    /// Checks that the request may change `user`: it carries the user's own key, or
    /// `--admin-token`.
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

/// The name in the body of a request.
fn name_in(request: &mut Request) -> Result<Name, Reply> {
    let read = match &*asked::media_type(request) {
        "application/json" => name_in_json,
        "application/x-www-form-urlencoded" => name_in_form,
        _ => return Err(asked::neither_json_nor_form()),
    };
    if request.body_length().is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(problem(413, "A user takes 4096 bytes at most."));
    }
    let name = read(&asked::body(request)?)?;
    Name::parse(&name).map_err(|why| problem(400, why))
}

fn name_in_json(body: &[u8]) -> Result<String, Reply> {
    let asked: Result<Named, _> = serde_json::from_slice(body);
    asked
        .map(|asked| asked.name)
        .map_err(|error| problem(400, &format!("Send an object with a name: {error}.")))
}

/// The name in a form, which has no other field.
fn name_in_form(body: &[u8]) -> Result<String, Reply> {
    let mut fields = form_urlencoded::parse(body);
    let name = match (fields.next(), fields.next()) {
        (Some((field, name)), None) if field == "name" => name,
        _ => return Err(problem(400, "Send a form with one field, name: name=Ada.")),
    };
    // The decoder has put this character in the place of bytes that are not UTF-8.
    if name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(problem(400, "The name is not UTF-8."));
    }
    Ok(name.into_owned())
}

/// A user as everyone may see it.
fn shown(user: &User) -> Value {
    let seconds = u64::try_from(user.created_at).unwrap_or_default();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let at = humantime::format_rfc3339_seconds(at).to_string();
    json!({"id": user.id, "name": user.name, "created_at": at})
}

/// A 404 for a user who is not in the directory.
pub fn no_such_user() -> Reply {
    problem(404, "There is no such user.")
}

/// The response for a directory that failed.
#[allow(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
pub fn failed(error: StoreError) -> Reply {
    match error {
        StoreError::Taken => {
            problem(409, "Somebody has this name, or one that looks like it: choose another one.")
        }
        StoreError::Full => problem(507, "The directory is full."),
        StoreError::Failed(why) | StoreError::Away(why) => {
            log::error!("the directory cannot be used: {why}");
            problem(503, "The directory cannot be used at the moment.")
        }
    }
}
