//! The opening handshake of a WebSocket (RFC 6455 §4.2): may this request become one?
//!
//! tungstenite writes the 101 and checks the key. This file checks what tungstenite does not, or
//! not strictly: lists of tokens, doubled fields, versions, origins. Not here: whose key the
//! request carries (`door`). Pure functions, on the connection's thread.

use http::HeaderValue;
use tungstenite::handshake::server::{create_response, write_response};

use super::request::Request;
use super::response::Response;
use super::shown::without_secrets;
use crate::protocol::address::{JoinOptions, Target};
use crate::protocol::dialect::Dialect;
use crate::protocol::experiment::{EchoOptions, Experiment, Report};
use crate::protocol::v1;

/// What a request asks for that may become a WebSocket.
pub struct Upgrade<'a> {
    key: &'a str,
    /// The dialect that the client wants to speak.
    pub dialect: Dialect,
    /// The options in its address.
    pub options: JoinOptions,
    /// Those of the echo; a room has none of them.
    echo: EchoOptions,
}

/// Checks that a request may become a WebSocket at `target`.
///
/// # Errors
/// The response to a request that may not.
pub fn check<'a>(
    request: &'a Request,
    target: &Target,
    allow_origin: &[String],
) -> Result<Upgrade<'a>, Response> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(Response::refusal(405, "A WebSocket begins with GET.").with("Allow", "GET"));
    }
    // "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request"
    // (RFC 9110 §7.8).
    let asks = request.method == "GET" && request.is_http11 && asks_for_websocket(request);
    if !asks {
        return Err(Response::upgrade_required(
            "This address is for WebSocket clients: open the page at / instead, \
            or connect with ws:// (wss:// behind TLS).",
        ));
    }
    if request.value("Sec-WebSocket-Version") != Some("13") {
        return Err(Response::upgrade_required("This server speaks WebSocket version 13.")
            .with("Sec-WebSocket-Version", "13"));
    }
    if request.body_length > 0 {
        return Err(Response::refusal(400, "A WebSocket handshake has no body."));
    }
    check_origin(request, allow_origin)?;
    let query = request.query.as_deref().unwrap_or_default();
    let options = JoinOptions::parse(query).map_err(|sentence| Response::refusal(400, sentence))?;
    let echo = match target {
        Target::Echo => EchoOptions::parse(query),
        Target::Room(_) | Target::Owner => Ok(EchoOptions::default()),
    };
    let echo = echo.map_err(|sentence| Response::refusal(400, &sentence))?;
    let is_room = matches!(target, Target::Room(_));
    let offered = is_room && request.has_token("Sec-WebSocket-Protocol", v1::NAME);
    let dialect = if offered { Dialect::V1 } else { Dialect::Plain };
    let key = request.value("Sec-WebSocket-Key").ok_or_else(bad_key)?;
    Ok(Upgrade { key, dialect, options, echo })
}

fn bad_key() -> Response {
    Response::refusal(400, "Sec-WebSocket-Key must be there once: 16 random bytes in base64.")
}

/// Whether the request asks for a WebSocket, at any path.
pub fn asks_for_websocket(request: &Request) -> bool {
    request.has_token("Connection", "upgrade") && request.has_token("Upgrade", "websocket")
}

impl Upgrade<'_> {
    /// The 101 response, with this Set-Cookie field if there is one. If the client offered only other
    /// subprotocols, the response names none (RFC 6455 §4.2.2), and the client decides what it does
    /// then.
    ///
    /// # Errors
    /// The response to a key that is not valid.
    pub fn response_101(&self, set_cookie: Option<&str>) -> Result<Vec<u8>, Response> {
        let request = http::Request::get("/")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", self.key);
        let request = request.body(()).map_err(|_| bad_key())?;
        let mut response = create_response(&request).map_err(|_| bad_key())?;
        let fields = response.headers_mut();
        if self.dialect == Dialect::V1 {
            fields.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(v1::NAME));
        }
        if let Some(cookie) = set_cookie {
            let cookie = HeaderValue::from_str(cookie).expect("our own cookies are ASCII");
            fields.insert("Set-Cookie", cookie);
        }
        let mut bytes = Vec::new();
        write_response(&mut bytes, &response).expect("writing to a vector cannot fail");
        Ok(bytes)
    }

    /// How the client begins, if it is told its frames: with this head of its request, and this
    /// response. `limit` is `--max-message-size`.
    pub fn experiment(&self, head: &[u8], response_101: &[u8], limit: usize) -> Option<Experiment> {
        let EchoOptions { frames: true, play } = self.echo else { return None };
        let (request, response) = (&without_secrets(head), &without_secrets(response_101));
        let handshake = Report::Handshake { request, response }.frame();
        let play = play.map(|play| (play.bytes)(limit)).unwrap_or_default();
        Some(Experiment { handshake, play })
    }
}

/// Checks the Origin field. Browsers let any page open a WebSocket to any host, and the Origin
/// field names the page's origin (RFC 6455 §10.2). A request without Origin is accepted: it comes
/// from a program that is no browser.
///
/// # Errors
/// The response to a page of an origin that is not allowed.
pub fn check_origin(request: &Request, allowed: &[String]) -> Result<(), Response> {
    if request.values("Origin").next().is_none() {
        return Ok(());
    }
    let origin = request.value("Origin").unwrap_or_default().to_ascii_lowercase();
    let listed = allowed.iter().any(|allowed| allowed == "*" || *allowed == origin);
    if listed || is_own(&origin, request) {
        return Ok(());
    }
    Err(Response::refusal(
        403,
        "A page of another origin may not connect here: allow it with --allow-origin, \
         or let the proxy pass the Host field on.",
    ))
}

/// Whether an origin is the one that the client sees here. The scheme counts if a trusted proxy tells
/// it. Another proxy may speak TLS, and nobody knows.
fn is_own(origin: &str, request: &Request) -> bool {
    let scheme = request.outside.as_ref().and_then(|outside| outside.scheme);
    let is_same_scheme = |scheme| origin.split("://").next() == Some(scheme);
    is_same_host(origin, &request.host) && scheme.is_none_or(is_same_scheme)
}

/// Whether host and port are equal.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    !host.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::is_same_host;

    #[test]
    fn an_origin_matches_the_host_it_was_loaded_from() {
        assert!(is_same_host("http://192.168.1.5:8080", "192.168.1.5:8080"));
        assert!(is_same_host("https://talk.example", "talk.example"));
        assert!(is_same_host("https://talk.example", "Talk.Example:443"));
        assert!(is_same_host("http://talk.example:80", "talk.example"));
        assert!(is_same_host("http://[::1]:8080", "[::1]:8080"));
    }

    #[test]
    fn another_origin_does_not_match() {
        assert!(!is_same_host("null", "talk.example"));
        assert!(!is_same_host("http://evil.example", "talk.example"));
        assert!(!is_same_host("http://talk.example:8081", "talk.example:8080"));
        assert!(!is_same_host("http://talk.example.evil.example", "talk.example"));
        assert!(!is_same_host("http://talk.example", "talk.example:8080"));
        assert!(!is_same_host("http://", ""));
    }
}
