//! Where a request carries a key, and how a browser is given one.
//!
//! In `Authorization: Bearer KEY`, or in a cookie of this server's own name. Not here: whose key it is
//! (`identity`). Runs on the page's threads, and for a handshake on the connection's own.

use tiny_http::Request;

use super::asked::header;
use super::invitation::BaseUrl;
use super::reply::{Reply, field, problem};
use super::users::failed;
use crate::identity::auth::Auth;
use crate::store::User;

/// How long a browser keeps a key: a year, in seconds.
const COOKIE_AGE: u32 = 31_536_000;

/// Keys in requests.
pub struct Credentials {
    /// Whose they are.
    pub auth: Auth,
    /// The name of the cookie that carries a key. It has the port in it, for a browser sends the
    /// cookies of a host to all of its ports (RFC 6265 §8.5), and there may be two servers.
    cookie_name: String,
    /// What it ends with: under TLS it goes over TLS alone.
    cookie_end: &'static str,
}

impl Credentials {
    /// For a server at `base`.
    pub fn new(auth: Auth, base: BaseUrl) -> Self {
        let cookie_name = format!("wsroom_key_{}", base.address.port());
        let cookie_end = if base.scheme == "https" { "; Secure" } else { "" };
        Self { auth, cookie_name, cookie_end }
    }

    /// The key in `Authorization: Bearer KEY` (RFC 6750), or else in a cookie.
    pub fn key<'a>(
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
    pub fn key_in<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let cookies = header(request, "Cookie").into_iter().flat_map(|cookies| cookies.split("; "));
        self.key(header(request, "Authorization"), cookies)
    }

    /// Who speaks with a request; `None`: a guest, for it carries no key.
    ///
    /// # Errors
    /// The answer to a wrong key, or for a store that cannot be read.
    pub fn speaker(&self, request: &Request) -> Result<Option<User>, Reply> {
        match self.key_in(request) {
            None => Ok(None),
            Some(_) => self.user_of(request)?.map(Some).ok_or_else(unknown_key),
        }
    }

    /// Whose key a request carries; `None`: nobody's.
    ///
    /// # Errors
    /// The answer for a directory that cannot be read.
    pub fn user_of(&self, request: &Request) -> Result<Option<User>, Reply> {
        let key = self.key_in(request);
        key.map_or(Ok(None), |key| self.auth.user_with(key).map_err(failed))
    }

    /// The field that gives a browser this key.
    pub fn cookie(&self, key: &str) -> String {
        self.cookie_for(key, COOKIE_AGE)
    }

    /// The field that takes a browser's key back.
    pub fn no_cookie(&self) -> String {
        self.cookie_for("", 0)
    }

    /// Out of reach for scripts, and not sent along from other sites (RFC 6265, and its draft
    /// successor for `SameSite`).
    fn cookie_for(&self, key: &str, age: u32) -> String {
        let (name, end) = (&self.cookie_name, self.cookie_end);
        format!("{name}={key}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{end}")
    }
}

/// Refuses a request whose key is missing, or nobody's.
pub fn unknown_key() -> Reply {
    problem(401, "Send the key of a user: Authorization: Bearer KEY.")
        .with_header(field("WWW-Authenticate", "Bearer"))
}
