//! The key and the token that a request carries, and the cookies that give them to a browser.
//!
//! The key says who sends the request, the token that they may come in. Either may be in
//! `Authorization: Bearer …`, or in a cookie with this server's own name; a token may also be in the
//! query. A token in the Authorization field is no key. So whoever has both sends the key there, and
//! the token otherwise. Not here: whose key it is, which tokens are good (`identity`), and what is
//! refused without one (`http`). Runs on the page's threads, and for the door on the connection's own
//! thread.

use std::sync::Arc;

use serde_json::json;
use tiny_http::Request;

use super::asked::header;
use super::invitation::BaseUrl;
use super::reply::{Reply, field, json, problem};
use super::users::failed;
use crate::identity::auth::Auth;
use crate::identity::tokens::{Standing, Tokens};
use crate::store::User;

/// How long a browser keeps a key, in seconds: a year.
const COOKIE_AGE: u32 = 31_536_000;

/// Finds the keys and tokens in requests, and makes the cookies for them.
pub struct Credentials {
    /// Finds the user of a key.
    pub auth: Auth,
    /// The tokens that are good; `None`: everyone may come in.
    pub tokens: Option<Arc<Tokens>>,
    /// The port, which is part of the cookies' names: a browser sends the cookies of a host to all
    /// its ports (RFC 6265 §8.5), and a host may have two servers.
    port: u16,
    /// The last attribute of a cookie: under TLS, `Secure` keeps it away from plain requests.
    cookie_end: &'static str,
}

impl Credentials {
    /// The credentials of a server at `base`.
    pub fn new(auth: Auth, tokens: Option<Arc<Tokens>>, base: BaseUrl) -> Self {
        let cookie_end = if base.scheme == "https" { "; Secure" } else { "" };
        Self { auth, tokens, port: base.address.port(), cookie_end }
    }

    /// The key in `Authorization: Bearer KEY` (RFC 6750), or else in a cookie.
    pub fn key<'a>(
        &self,
        authorization: Option<&'a str>,
        cookies: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let is_token = |text| {
            let tokens = self.tokens.as_ref();
            tokens.is_some_and(|tokens| tokens.standing(text) == Standing::Good)
        };
        let bearer = authorization.and_then(bearer).filter(|text| !is_token(text));
        bearer.or_else(|| value_of(&self.key_name(), cookies))
    }

    /// The token in a cookie.
    pub fn token_cookie<'a>(&self, cookies: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        value_of(&self.token_name(), cookies)
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
                let cookie = self.cookie_for(&self.token_name(), token, "");
                reply.with_header(field("Set-Cookie", &cookie))
            }
            None => reply,
        }
    }

    /// The key in a request. The proxy has joined all cookies in one field.
    pub fn key_in<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let cookies = header(request, "Cookie").into_iter().flat_map(|cookies| cookies.split("; "));
        self.key(header(request, "Authorization"), cookies)
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

    /// The value of a Set-Cookie field that gives a browser this key.
    pub fn cookie(&self, key: &str) -> String {
        self.cookie_for(&self.key_name(), key, &format!("; Max-Age={COOKIE_AGE}"))
    }

    /// The value of a Set-Cookie field that removes the key from a browser.
    pub fn no_cookie(&self) -> String {
        self.cookie_for(&self.key_name(), "", "; Max-Age=0")
    }

    /// The value of a Set-Cookie field that removes the token from a browser.
    pub fn no_token_cookie(&self) -> String {
        self.cookie_for(&self.token_name(), "", "; Max-Age=0")
    }

    fn key_name(&self) -> String {
        format!("wsroom_key_{}", self.port)
    }

    fn token_name(&self) -> String {
        format!("wsroom_token_{}", self.port)
    }

    /// A cookie that scripts cannot read, and that requests from other sites do not carry (RFC
    /// 6265, and its draft successor for `SameSite`). Without an `age` it ends with the browser.
    fn cookie_for(&self, name: &str, value: &str, age: &str) -> String {
        let end = self.cookie_end;
        format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/{age}{end}")
    }
}

/// The text in `Bearer TEXT`.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, text) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(text.trim())
}

/// The value of the first cookie with this name.
fn value_of<'a>(name: &str, mut cookies: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let own = |(other, value)| (other == name).then_some(value);
    cookies.find_map(|cookie| cookie.split_once('=').and_then(own))
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

    fn credentials(scheme: &'static str) -> Credentials {
        let bounds = Bounds { messages: 0, bytes: 0, idle: None };
        let directory = Sqlite::open(None, bounds, Name::folded).expect("a database in memory");
        let address = "127.0.0.1:8080".parse().unwrap();
        let auth = Auth::new(Arc::new(directory), None);
        Credentials::new(auth, None, BaseUrl { scheme, address })
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
            let cookies = std::iter::empty();
            assert_eq!(
                credentials("http").key(Some(authorization), cookies),
                key,
                "{authorization:?}"
            );
        }
    }

    #[test]
    fn a_key_is_in_the_cookie_of_this_port() {
        for (cookies, key) in [
            (vec![], None),
            (vec!["wsroom_key_8080=abc"], Some("abc")),
            (vec!["theme=dark", "wsroom_key_8080=abc", "x"], Some("abc")),
            (vec!["wsroom_key_8081=other", "wsroom_key_8080=abc"], Some("abc")),
            (vec!["wsroom_key_8080=a=b"], Some("a=b")),
            (vec!["wsroom_key_8081=abc"], None),
            (vec!["wsroom_key_80800=abc"], None),
            (vec!["wsroom_key_808=abc"], None),
            (vec!["wsroom_key=abc"], None),
            (vec!["WSROOM_KEY_8080=abc"], None),
            (vec!["wsroom_key_8080"], None),
        ] {
            let all = cookies.iter().copied();
            assert_eq!(credentials("http").key(None, all), key, "{cookies:?}");
        }
    }

    #[test]
    fn a_bearer_token_wins_over_a_cookie() {
        for (authorization, key) in [("Bearer mine", "mine"), ("Basic abc", "theirs")] {
            let cookie = std::iter::once("wsroom_key_8080=theirs");
            assert_eq!(credentials("http").key(Some(authorization), cookie), Some(key));
        }
    }

    #[test]
    fn a_cookie_is_read_again_and_under_tls_it_is_secure() {
        for (scheme, secure) in [("http", false), ("https", true)] {
            let credentials = credentials(scheme);
            let set = credentials.cookie("abc");
            let sent = set.split("; ").next();
            assert_eq!(credentials.key(None, sent.into_iter()), Some("abc"));
            for set in [set.clone(), credentials.no_cookie()] {
                let mut attributes = set.split("; ").skip(1);
                assert_eq!(attributes.any(|attribute| attribute == "Secure"), secure, "{set}");
            }
        }
        assert!(credentials("http").no_cookie().contains("Max-Age=0"));
    }
}
