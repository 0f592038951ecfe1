//! An HTTP response, as the door writes it to a client.
//!
//! Every response except the 101 is made here, so the fields of all responses are in one place. No
//! header field contains a client's bytes, with one exception: the Location for a plain request on
//! a TLS port, whose grammar was checked (`request`, `door`). Not here: choosing the response. Used
//! on the connection's own thread and on the upstreams' threads.

use std::fmt::Write;
use std::time::SystemTime;

use crate::net::byte_budget::Share;

/// Header fields of every response. The policy lets our page load its own files, open its own
/// WebSocket (`'self'` covers ws and wss) and show pictures that it received, and nothing else.
const SECURITY_FIELDS: &str = "\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n";

/// A response: its status, header fields and body.
#[derive(Debug)]
pub struct Response {
    /// The status code (RFC 9110 §15).
    pub status: u16,
    /// The Connection field. It always says `close`: there is one request per connection.
    connection: &'static str,
    fields: String,
    body: Vec<u8>,
    /// Returned to its budget when the response is dropped, after it is sent.
    _share: Option<Share>,
}

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        let (connection, fields, body) = ("close", String::new(), Vec::new());
        Self { status, connection, fields, body, _share: None }
    }

    /// A response that refuses a request, with the reason in one sentence.
    pub fn refusal(status: u16, sentence: &str) -> Self {
        Self::new(status)
            .with("Content-Type", "text/plain; charset=utf-8")
            .with_body(format!("{sentence}\n").into_bytes())
    }

    /// A 426. "A server that sends a 426 MUST send an Upgrade field" (RFC 9110 §15.5.22). The
    /// Connection field names it, because it is meant for this connection alone (§7.6.1).
    pub fn upgrade_required(sentence: &str) -> Self {
        let response = Self { connection: "close, upgrade", ..Self::refusal(426, sentence) };
        response.with("Upgrade", "websocket")
    }

    /// Adds a header field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let sound = |text: &str| !text.contains(['\r', '\n']);
        debug_assert!(
            sound(name) && sound(value),
            "a newline in a field would forge another field"
        );
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    /// Sets the body and its Content-Length.
    pub fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    /// Keeps the body's share of a byte budget until the response is dropped.
    pub fn with_share(self, share: Share) -> Self {
        Self { _share: Some(share), ..self }
    }

    /// Sets the Content-Length of a body that is left out, for the response to HEAD.
    pub fn with_body_of(self, length: usize) -> Self {
        match self.status {
            204 | 304 => self,
            _ => self.with("Content-Length", &length.to_string()),
        }
    }

    /// The sentence of a refusal, for the log.
    pub fn sentence(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }

    /// The head, up to and with the empty line. It is the whole response to HEAD (RFC 9110 §9.3.2).
    pub fn head(&self) -> Vec<u8> {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let date = httpdate::fmt_http_date(SystemTime::now());
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nConnection: {}\r\n{SECURITY_FIELDS}{}\r\n",
            self.status, self.connection, self.fields
        );
        head.into_bytes()
    }

    /// The body. It is borrowed, because a long body should not be copied.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// All bytes of a short response, in one piece.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.head(), self.body()].concat()
    }
}
