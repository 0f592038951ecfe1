//! Admission: whether a request carries a token of this server, and what it is told if not.
//!
//! Without `--token` and `--token-file` everyone is admitted. The token is in the query, in the
//! Authorization field, or in a cookie; `--admin-token` admits too. A user's key does not: who has
//! been told a new token may come in, whoever they are. Not here: which tokens are good
//! (`identity/tokens`). Runs on the connection's own thread, before anything else is done with the
//! request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::request::Request;
use super::response::Response;
use crate::api::cookies::Cookies;
use crate::api::credentials::{Credentials, bearer, no_token_cookie, token_cookie};
use crate::api::per_address::PerAddress;
use crate::api::routes::is_open;
use crate::identity::tokens::Standing;

/// The most wrong tokens of one address in a minute. A class behind one router is one address, and
/// each of its browsers may begin with an old link.
const MAX_WRONG: u32 = 60;

const NONE: &str = "This server asks for its token: open the link that you were given, \
                    or send Authorization: Bearer TOKEN.";
const WRONG: &str = "This token is not good here, or no longer: ask for the new one.";
const TOO_MANY: &str = "Too many wrong tokens came from your address: wait a minute.";

/// The protection space of this server's addresses (RFC 9110 §11.5). It tells a program that the
/// token is missing, and not the key of a user.
const REALM: &str = "Bearer realm=\"wsroom\"";

/// Decides who may come in.
pub struct Admission {
    credentials: Arc<Credentials>,
    /// Limits the wrong tokens of one address.
    wrong: PerAddress,
}

impl Admission {
    /// For the tokens in these credentials.
    pub fn new(credentials: Arc<Credentials>) -> Self {
        Self { credentials, wrong: PerAddress::new(MAX_WRONG, Duration::from_secs(60)) }
    }

    /// Checks that a request from this address may come in, and takes the token out of its query, so
    /// that it goes no further.
    ///
    /// # Errors
    /// A 401 without a good token. A 429 after too many wrong ones: then no token of this address is
    /// looked at, or guessing would go on.
    pub fn admit(
        &self,
        request: &mut Request,
        cookies: &Cookies,
        address: IpAddr,
    ) -> Result<(), Response> {
        let in_query = take_token(&mut request.query);
        let Some(tokens) = &self.credentials.tokens else { return Ok(()) };
        if is_open(&request.path) {
            return Ok(());
        }
        let in_field = request.value("Authorization").and_then(bearer);
        let in_cookie = token_cookie(cookies, request.cookies());
        let given: Vec<&str> =
            [in_query.as_deref(), in_field, in_cookie].into_iter().flatten().collect();
        if given.is_empty() {
            // "If the request lacks any authentication information, the resource server SHOULD NOT
            // include an error code" (RFC 6750 §3.1).
            return Err(Response::refusal(401, NONE).with("WWW-Authenticate", REALM));
        }
        self.wrong.check(address).map_err(|wait| {
            Response::refusal(429, TOO_MANY).with("Retry-After", &wait.to_string())
        })?;
        let standings: Vec<_> = given.iter().map(|text| tokens.standing(text)).collect();
        let is_admin = in_field.is_some_and(|text| self.credentials.auth.is_admin(text));
        if is_admin || standings.contains(&Standing::Good) {
            return Ok(());
        }
        if standings.contains(&Standing::Unknown) {
            let _ = self.wrong.count(address);
        }
        let challenge = format!("{REALM}, error=\"invalid_token\"");
        let refusal = Response::refusal(401, WRONG).with("WWW-Authenticate", &challenge);
        // The browser would send a wrong cookie for ever.
        Err(match in_cookie {
            Some(_) => refusal.with("Set-Cookie", &no_token_cookie(cookies)),
            None => refusal,
        })
    }
}

/// Takes `token=` out of a query; the value of the first one.
fn take_token(query: &mut Option<String>) -> Option<String> {
    let all = query.take()?;
    let (tokens, others): (Vec<_>, Vec<_>) =
        all.split('&').partition(|part| part.starts_with("token="));
    let token = tokens.first().and_then(|part| part.strip_prefix("token=")).map(str::to_owned);
    *query = (token.is_none() || !others.is_empty()).then(|| others.join("&"));
    token
}

#[cfg(test)]
mod tests {
    use super::take_token;

    #[test]
    fn a_token_is_taken_out_of_the_query() {
        for (query, token, rest) in [
            (None, None, None),
            (Some(""), None, Some("")),
            (Some("since=7"), None, Some("since=7")),
            (Some("token=abc"), Some("abc"), None),
            (Some("token="), Some(""), None),
            (Some("since=7&token=abc&last"), Some("abc"), Some("since=7&last")),
            (Some("token=a&x&token=b"), Some("a"), Some("x")),
            (Some("mytoken=a&token"), None, Some("mytoken=a&token")),
        ] {
            let mut query = query.map(str::to_owned);
            assert_eq!(take_token(&mut query).as_deref(), token);
            assert_eq!(query.as_deref(), rest);
        }
    }
}
