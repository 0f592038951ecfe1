//! The key that a request carries, and the cookie that gives a key to a browser.
//!
//! The key is in `Authorization: Bearer KEY`, or in a cookie with this server's own name. Not here:
//! whose key it is (`identity`). Runs on the page's threads, and for a handshake on the
//! connection's own thread.

use tiny_http::Request;

use super::asked::header;
use super::invitation::BaseUrl;
use super::reply::{Reply, field, problem};
use super::users::failed;
use crate::identity::auth::Auth;
use crate::store::User;

/// How long a browser keeps a key, in seconds: a year.
const COOKIE_AGE: u32 = 31_536_000;

/// Finds the keys in requests, and makes the cookies for them.
pub struct Credentials {
    /// Finds the user of a key.
    pub auth: Auth,
    /// The name of the cookie that carries a key. It contains the port, because a browser sends the
    /// cookies of a host to all its ports (RFC 6265 §8.5), and a host may have two servers.
    cookie_name: String,
    /// The last attribute of the cookie: under TLS, `Secure` keeps it away from plain requests.
    cookie_end: &'static str,
}

impl Credentials {
    /// The credentials of a server at `base`.
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
        self.cookie_for(key, COOKIE_AGE)
    }

    /// The value of a Set-Cookie field that removes the key from a browser.
    pub fn no_cookie(&self) -> String {
        self.cookie_for("", 0)
    }

    /// A cookie that scripts cannot read, and that requests from other sites do not carry (RFC
    /// 6265, and its draft successor for `SameSite`).
    fn cookie_for(&self, key: &str, age: u32) -> String {
        let (name, end) = (&self.cookie_name, self.cookie_end);
        format!("{name}={key}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{end}")
    }
}

/// A 401 for a request without a key, or with a key that no user has.
pub fn unknown_key() -> Reply {
    problem(401, "Send the key of a user: Authorization: Bearer KEY.")
        .with_header(field("WWW-Authenticate", "Bearer"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::identity::name::Name;
    use crate::store::Bounds;
    use crate::store::sqlite::Sqlite;

    fn credentials(scheme: &'static str) -> Credentials {
        let bounds = Bounds { messages: 0, bytes: 0, idle: None };
        let directory = Sqlite::open(None, bounds, Name::folded).expect("a database in memory");
        let address = "127.0.0.1:8080".parse().unwrap();
        Credentials::new(Auth::new(Arc::new(directory), None), BaseUrl { scheme, address })
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
