//! The key and the token that a request carries, and the cookies that give them to a browser.
//!
//! The key says who sends the request, the token that they may come in. Either may be in
//! `Authorization: Bearer …`, or in a cookie of this server; a token may also be in the query. A token in the Authorization field is no key. So whoever has both sends the key there, and
//! the token otherwise. Not here: which requests carry
//! those cookies (`cookies`), whose key it is, which tokens are good (`identity`), and what is
//! refused without one (`http`). Runs on the page's threads, and for the door on the connection's own
//! thread.

use std::sync::Arc;

use serde_json::json;
use tiny_http::Request;

use super::asked::{self, header};
use super::cookies::Cookies;
use super::reply::{Reply, field, json, problem};
use super::users::failed;
use crate::identity::auth::Auth;
use crate::identity::tokens::{Standing, Tokens};
use crate::store::User;

/// The kind of cookie that carries a key.
const KEY: &str = "key";

/// The kind of cookie that carries a token. It ends with the browser.
const TOKEN: &str = "token";

/// How long a browser keeps a key, in seconds: a year.
const COOKIE_AGE: u32 = 31_536_000;

/// Finds the keys and tokens in requests.
pub struct Credentials {
    /// Finds the user of a key.
    pub auth: Auth,
    /// The tokens that are good; `None`: everyone may come in.
    pub tokens: Option<Arc<Tokens>>,
}

impl Credentials {
    /// The key in `Authorization: Bearer KEY` (RFC 6750), or else in a cookie.
    pub fn key<'a>(
        &self,
        authorization: Option<&'a str>,
        cookies: &Cookies,
        all: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let is_token = |text| {
            let tokens = self.tokens.as_ref();
            tokens.is_some_and(|tokens| tokens.standing(text) == Standing::Good)
        };
        let bearer = authorization.and_then(bearer).filter(|text| !is_token(text));
        bearer.or_else(|| cookies.find(KEY, all))
    }

    /// `GET /token`: whether this server asks for a token. The answer is for those who have one.
    pub fn token_state(&self) -> Reply {
        json(200, &json!({"needed": self.tokens.is_some()}))
    }

    /// `POST /token`: gives a browser the token of `Authorization: Bearer TOKEN` as a cookie, so that
    /// its WebSockets carry it too: a page cannot set their header fields. The door has checked it.
    pub fn keep_token(&self, request: &Request) -> Reply {
        let reply = Reply::from_data(Vec::new()).with_status_code(204);
        let token = header(request, "Authorization").and_then(bearer);
        let token = token.filter(|_| self.tokens.is_some());
        match token {
            Some(token) => {
                let cookie = asked::cookies(request).set(TOKEN, token, None);
                reply.with_header(field("Set-Cookie", &cookie))
            }
            None => reply,
        }
    }

    /// The key in a request. The proxy has joined all cookies in one field.
    pub fn key_in<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let all = header(request, "Cookie").into_iter().flat_map(|cookies| cookies.split("; "));
        self.key(header(request, "Authorization"), &asked::cookies(request), all)
    }

    /// The user who sends a request; `None` if it carries no key and comes from a guest.
    ///
    /// # Errors
    /// The response to an unknown key, or for a directory that cannot be read.
    pub fn speaker(&self, request: &Request) -> Result<Option<User>, Reply> {
        match self.key_in(request) {
            None => Ok(None),
            Some(_) => self.user_of(request)?.map(Some).ok_or_else(unknown_key),
        }
    }

    /// The user whose key a request carries; `None` if there is no key, or no user has it.
    ///
    /// # Errors
    /// The response for a directory that cannot be read.
    pub fn user_of(&self, request: &Request) -> Result<Option<User>, Reply> {
        let key = self.key_in(request);
        key.map_or(Ok(None), |key| self.auth.user_with(key).map_err(failed))
    }
}

/// The value of a Set-Cookie field that gives a browser this key.
pub fn cookie(cookies: &Cookies, key: &str) -> String {
    cookies.set(KEY, key, Some(COOKIE_AGE))
}

/// The value of a Set-Cookie field that removes the key from a browser.
pub fn no_cookie(cookies: &Cookies) -> String {
    cookies.set(KEY, "", Some(0))
}

/// The token in a cookie.
pub fn token_cookie<'a>(cookies: &Cookies, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    cookies.find(TOKEN, all)
}

/// The value of a Set-Cookie field that removes the token from a browser.
pub fn no_token_cookie(cookies: &Cookies) -> String {
    cookies.set(TOKEN, "", Some(0))
}

/// The text in `Bearer TEXT`.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, text) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(text.trim())
}

/// A 401 for a request without a key, or with a key that no user has.
pub fn unknown_key() -> Reply {
    problem(401, "Send the key of a user: Authorization: Bearer KEY.")
        .with_header(field("WWW-Authenticate", "Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::name::Name;
    use crate::store::Bounds;
    use crate::store::sqlite::Sqlite;

    fn credentials() -> Credentials {
        let bounds = Bounds { messages: 0, bytes: 0, idle: None };
        let directory = Sqlite::open(None, bounds, Name::folded).expect("a database in memory");
        Credentials { auth: Auth::new(Arc::new(directory), None), tokens: None }
    }

    fn cookies() -> Cookies {
        Cookies::new("http", 8080, "")
    }

    #[test]
    fn a_key_is_a_bearer_token_of_any_case() {
        for (authorization, key) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER   abc ", Some("abc")),
            ("Bearer", None),
            ("Bearerabc", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            let found = credentials().key(Some(authorization), &cookies(), std::iter::empty());
            assert_eq!(found, key, "{authorization:?}");
        }
    }

    #[test]
    fn a_bearer_token_wins_over_a_cookie() {
        for (authorization, key) in [("Bearer mine", "mine"), ("Basic abc", "theirs")] {
            let all = std::iter::once("wsroom_key_8080=theirs");
            assert_eq!(credentials().key(Some(authorization), &cookies(), all), Some(key));
        }
    }
}
