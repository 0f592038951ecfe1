//! An HTTP answer, as the door writes it to a client.
//!
//! Every answer but the 101 passes here, so what all of them carry stands in one place. Not here:
//! deciding what to answer. Nothing that a client sent is put into a header, but for the address to
//! which a plain request is sent on; its grammar was checked (`request`).

use std::fmt::Write;
use std::time::SystemTime;

use crate::net::byte_budget::Share;

/// Carried by every answer. The policy lets a page of ours load its own files and open its own
/// WebSocket (`'self'` covers ws and wss), show pictures that it received, and nothing else.
const ALWAYS: &str = "\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n";

/// Status, fields and body.
#[derive(Debug)]
pub struct Response {
    /// The status code (RFC 9110 §15).
    pub status: u16,
    /// One request per connection, so it closes behind every answer.
    connection: &'static str,
    fields: String,
    body: Vec<u8>,
    /// Given back when the answer is dropped, which is when it is sent.
    _share: Option<Share>,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        let (connection, fields, body) = ("close", String::new(), Vec::new());
        Self { status, connection, fields, body, _share: None }
    }

    /// Says why not, in one sentence.
    pub fn refusal(status: u16, sentence: &str) -> Self {
        Self::new(status)
            .with("Content-Type", "text/plain; charset=utf-8")
            .with_body(format!("{sentence}\n").into_bytes())
    }

    /// 426: "A server that sends a 426 MUST send an Upgrade field" (RFC 9110 §15.5.22), and that
    /// is named in Connection because it is meant for this connection alone (§7.6.1).
    pub fn upgrade_required(sentence: &str) -> Self {
        let answer = Self { connection: "close, upgrade", ..Self::refusal(426, sentence) };
        answer.with("Upgrade", "websocket")
    }

    /// Adds a header field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let sound = |text: &str| !text.contains(['\r', '\n']);
        debug_assert!(sound(name) && sound(value), "a field that would forge another");
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    /// Sets the body, and its length with it.
    pub fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    /// Counts the body among all long ones until this is dropped.
    pub fn with_share(self, share: Share) -> Self {
        Self { _share: Some(share), ..self }
    }

    /// No body, but the length that it would have: what a HEAD request is told.
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

    /// The bytes before the body, up to the empty line: all that a HEAD request is sent (RFC 9110
    /// §9.3.2).
    pub fn head(&self) -> Vec<u8> {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let date = httpdate::fmt_http_date(SystemTime::now());
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nConnection: {}\r\n{ALWAYS}{}\r\n",
            self.status, self.connection, self.fields
        );
        head.into_bytes()
    }

    /// The body, which may be too long to be copied.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// All bytes of a short answer.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.head(), self.body()].concat()
    }
}
