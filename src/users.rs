//! `/users`: the directory of people, who may change it, and whose key a request carries.
//!
//! Runs on the page's threads, and for the handshake on a connection's own. Not here: what a name
//! may be (`name`), and where users are kept (`store`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};
use tiny_http::Request;

use crate::answer::Answer;
use crate::invitation::Place;
use crate::name::Name;
use crate::options::Options;
use crate::per_address;
use crate::per_address::PerAddress;
use crate::protocol::message::UserId;
use crate::relay::events::Events;
use crate::reply::{Reply, field, json, parameter, problem, too_many};
use crate::request;
use crate::store::{Directory, KeyHash, StoreError, User};

/// Bytes of a key before they become text: 256 bits, which nobody guesses.
const KEY_BYTES: usize = 32;

/// How long a browser keeps a key: a year, in seconds.
const COOKIE_AGE: u32 = 31_536_000;

/// The longest body of a user, in bytes.
const LARGEST: usize = 4096;

/// Users in one answer.
const LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 200;

/// The directory, and who may do what with it.
pub struct Users {
    directory: Arc<dyn Directory>,
    events: Events,
    /// SHA-256 of `--admin-token`.
    admin: Option<KeyHash>,
    /// The name of the cookie that carries a key. It has the port in it, for a browser sends the
    /// cookies of a host to all of its ports (RFC 6265 §8.5), and there may be two servers.
    cookie_name: String,
    /// What it ends with: under TLS it goes over TLS alone.
    cookie_end: &'static str,
    /// New users, as many as `--max-new-users`.
    new: PerAddress,
}

/// What is sent to make or rename a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
}

impl Users {
    /// What is in `directory`, for a server at `place`.
    pub fn new(
        directory: Arc<dyn Directory>,
        events: Events,
        options: &Options,
        place: Place,
    ) -> Self {
        let (secure, port) = (place.scheme == "https", place.address.port());
        Self {
            directory,
            events,
            admin: options.admin_token.as_deref().map(hash),
            cookie_name: format!("wsroom_key_{port}"),
            cookie_end: if secure { "; Secure" } else { "" },
            new: PerAddress::new(options.max_new_users, Duration::from_secs(60)),
        }
    }

    /// Whose key a request carries; `None`: it carries none.
    ///
    /// # Errors
    /// The answer to a wrong key, or for a store that cannot be read.
    pub fn whoever(&self, request: &request::Request) -> Result<Option<User>, Answer> {
        let key = self.key(request.value("Authorization"), request.cookies());
        let Some(key) = key else { return Ok(None) };
        match self.directory.user_with_key(&hash(key)) {
            Ok(Some(user)) => Ok(Some(user)),
            // A browser's is taken back: its page would be refused for ever, and could not help it.
            Ok(None) => {
                let sentence = "This key is nobody's: leave it out, or get a new one.";
                Err(Answer::refusal(401, sentence)
                    .with("WWW-Authenticate", "Bearer")
                    .with("Set-Cookie", &self.cookie("", 0)))
            }
            Err(error) => {
                log::error!("the directory cannot be read: {error}");
                Err(Answer::refusal(503, "The directory cannot be read at the moment."))
            }
        }
    }

    /// `POST /users`: a new user, and the only time that its key is shown.
    pub fn create(&self, request: &mut Request) -> Reply {
        self.created(request).unwrap_or_else(|refusal| refusal)
    }

    fn created(&self, request: &mut Request) -> Result<Reply, Reply> {
        let name = wish(request)?;
        self.new.count(per_address::peer(request)).map_err(|wait| {
            too_many("Too many new users from your address: wait a minute.", wait)
        })?;
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| problem(503, "No random numbers."))?;
        let key = URL_SAFE_NO_PAD.encode(bytes);
        let user =
            self.directory.add_user(&name.shown, &name.folded, &hash(&key)).map_err(failed)?;
        let mut told = shown(&user);
        told["key"] = json!(key);
        Ok(json(201, &told)
            .with_header(field("Location", &format!("/users/{}", user.id)))
            .with_header(field("Set-Cookie", &self.cookie(&key, COOKIE_AGE))))
    }

    /// `GET /users?limit=&after=`.
    pub fn list(&self, url: &str) -> Reply {
        self.listed(url).unwrap_or_else(|refusal| refusal)
    }

    fn listed(&self, url: &str) -> Result<Reply, Reply> {
        let limit = number(url, "limit", LIMIT)?;
        if !(1..=LARGEST_LIMIT).contains(&limit) {
            return Err(problem(400, "limit is a whole number from 1 to 200."));
        }
        let after = number(url, "after", 0)?;
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
    pub fn show(&self, id: &str) -> Reply {
        self.find(id).map_or_else(|refusal| refusal, |user| json(200, &shown(&user)))
    }

    /// `GET /users/me`: whose key it is.
    pub fn me(&self, request: &Request) -> Reply {
        let user = self.user_of(request).map_or_else(Err, |user| user.ok_or_else(unknown_key));
        user.map_or_else(|refusal| refusal, |user| json(200, &shown(&user)))
    }

    /// `PUT /users/ID`: another name.
    pub fn rename(&self, id: &str, request: &mut Request) -> Reply {
        self.renamed(id, request).unwrap_or_else(|refusal| refusal)
    }

    fn renamed(&self, id: &str, request: &mut Request) -> Result<Reply, Reply> {
        let user = self.find(id)?;
        self.check_right(&user, request)?;
        let name = wish(request)?;
        let renamed =
            self.directory.rename_user(user.id, &name.shown, &name.folded).map_err(failed)?;
        // It may have been removed a moment ago.
        let user = renamed.ok_or_else(no_such_user)?;
        let answer = json(200, &shown(&user));
        self.events.renamed(user);
        Ok(answer)
    }

    /// `DELETE /users/ID`.
    pub fn remove(&self, id: &str, request: &Request) -> Reply {
        self.removed(id, request).unwrap_or_else(|refusal| refusal)
    }

    fn removed(&self, id: &str, request: &Request) -> Result<Reply, Reply> {
        let user = self.find(id)?;
        self.check_right(&user, request)?;
        let by_themselves = self.user_of(request)?.is_some_and(|whose| whose.id == user.id);
        if !self.directory.remove_user(user.id).map_err(failed)? {
            return Err(no_such_user());
        }
        self.events.removed(user.id);
        let answer = Reply::from_data(Vec::new()).with_status_code(204);
        let forget = field("Set-Cookie", &self.cookie("", 0));
        Ok(if by_themselves { answer.with_header(forget) } else { answer })
    }

    /// An unknown user is told before anything else is asked.
    fn find(&self, id: &str) -> Result<User, Reply> {
        let id: UserId = id.parse().map_err(|_| no_such_user())?;
        self.directory.user(id).map_err(failed)?.ok_or_else(no_such_user)
    }

    /// A user may change what is theirs, and the holder of `--admin-token` everything.
    fn check_right(&self, user: &User, request: &Request) -> Result<(), Reply> {
        let Some(key) = self.key_in(request) else {
            return Err(unknown_key());
        };
        // Hashes are compared: how long that takes tells nothing of the token.
        if self.admin.is_some_and(|admin| admin == hash(key)) {
            return Ok(());
        }
        match self.user_of(request)? {
            None => Err(unknown_key()),
            Some(whose) if whose.id == user.id => Ok(()),
            Some(_) => Err(problem(403, "This is somebody else: only they may change it.")),
        }
    }

    /// Whose key a request carries; `None`: it carries no key.
    ///
    /// # Errors
    /// The answer to a wrong key, or for a store that cannot be read.
    pub fn speaker(&self, request: &Request) -> Result<Option<User>, Reply> {
        match self.key_in(request) {
            None => Ok(None),
            Some(_) => self.user_of(request)?.map(Some).ok_or_else(unknown_key),
        }
    }

    fn user_of(&self, request: &Request) -> Result<Option<User>, Reply> {
        let key = self.key_in(request);
        key.map_or(Ok(None), |key| self.directory.user_with_key(&hash(key)).map_err(failed))
    }

    /// Out of reach for scripts, and not sent along from other sites (RFC 6265, and its draft
    /// successor for `SameSite`).
    fn cookie(&self, key: &str, age: u32) -> String {
        let (name, end) = (&self.cookie_name, self.cookie_end);
        format!("{name}={key}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{end}")
    }

    /// The key in `Authorization: Bearer KEY` (RFC 6750), or else in a cookie.
    fn key<'a>(
        &self,
        authorization: Option<&'a str>,
        mut cookies: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let bearer = authorization.and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then_some(key.trim())
        });
        bearer.or_else(|| {
            let own = |(name, key)| (name == self.cookie_name).then_some(key);
            cookies.find_map(|cookie| cookie.split_once('=').and_then(own))
        })
    }

    /// The door has joined the cookies in one field.
    fn key_in<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let cookies = value(request, "Cookie").into_iter().flat_map(|cookies| cookies.split("; "));
        self.key(value(request, "Authorization"), cookies)
    }
}

fn hash(key: &str) -> KeyHash {
    digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The name that a request asks for.
fn wish(request: &mut Request) -> Result<Name, Reply> {
    let media_type = value(request, "Content-Type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(problem(415, "Send JSON, and say so: Content-Type: application/json."));
    }
    if request.body_length().is_some_and(|length| length > LARGEST) {
        return Err(problem(413, "A user takes 4096 bytes at most."));
    }
    let mut body = Vec::new();
    let read = request.as_reader().read_to_end(&mut body);
    read.map_err(|error| problem(400, &error.to_string()))?;
    let wish: Wish = serde_json::from_slice(&body)
        .map_err(|error| problem(400, &format!("Send an object with a name: {error}.")))?;
    Name::parse(&wish.name).map_err(|why| problem(400, why))
}

/// A user as everyone may see it.
fn shown(user: &User) -> Value {
    let seconds = u64::try_from(user.created_at).unwrap_or_default();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let at = humantime::format_rfc3339_seconds(at).to_string();
    json!({"id": user.id, "name": user.name, "created_at": at})
}

fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut fields = request.headers().iter();
    let found = fields.find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name));
    found.map(|header| header.value.as_str())
}

fn number<N: std::str::FromStr>(url: &str, name: &str, default: N) -> Result<N, Reply> {
    parameter(url, name).map_or(Ok(default), |digits| {
        digits.parse().map_err(|_| problem(400, &format!("{name} is a whole number.")))
    })
}

fn no_such_user() -> Reply {
    problem(404, "There is no such user.")
}

fn unknown_key() -> Reply {
    problem(401, "Send the key of a user: Authorization: Bearer KEY.")
        .with_header(field("WWW-Authenticate", "Bearer"))
}

#[allow(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn failed(error: StoreError) -> Reply {
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
