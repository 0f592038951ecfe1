//! An HTTP response, as the door writes it to a client.
//!
//! Every response except the 101 is made here, so the fields of all responses are in one place. No
//! header field contains a client's bytes, with one exception: the Location for a plain request on
//! a TLS port, whose grammar was checked (`request`, `door`). Not here: choosing the response. Used
//! on the connection's own thread and on the upstreams' threads.

use std::fmt::Write;
use std::time::SystemTime;

use crate::api::reply::problem_body;
use crate::api::routes::has_problems;
use crate::net::byte_budget::Share;

/// Header fields of every response. The policy lets our page load its own files, open its own
/// WebSocket (`'self'` covers ws and wss) and show pictures that it received, and nothing else.
const SECURITY_FIELDS: &str = "\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n";

/// The form in which a refusal is sent.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A sentence, for people.
    Sentence,
    /// JSON, for programs (RFC 9457).
    Problem,
}

/// A response: its status, header fields and body.
#[derive(Debug)]
pub struct Response {
    /// The status code (RFC 9110 §15).
    pub status: u16,
    fields: String,
    body: Vec<u8>,
    /// The Content-Length; `None` if the response has neither a body nor that field.
    length: Option<usize>,
    /// The sentence of a refusal that was made here, and the form in which it is sent.
    refusal: Option<(Box<str>, Form)>,
    /// Returned to its budget when the response is dropped, after it is sent.
    _share: Option<Share>,
}

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            fields: String::new(),
            body: Vec::new(),
            length: None,
            refusal: None,
            _share: None,
        }
    }

    /// A response that refuses a request, with the reason in one sentence.
    pub fn refusal(status: u16, sentence: &str) -> Self {
        let refusal = Some((sentence.into(), Form::Sentence));
        Self { refusal, ..Self::new(status).with_body(format!("{sentence}\n").into_bytes()) }
    }

    /// The response in the form that its path promises. A refusal below the addresses of the API is a
    /// problem in JSON (RFC 9457); at any other path it is a sentence. Redirects, and responses that
    /// tiny_http has made, stay as they are.
    pub fn for_path(self, path: &str) -> Self {
        match &self.refusal {
            Some((sentence, Form::Sentence)) if self.status >= 400 && has_problems(path) => {
                let (sentence, body) = (sentence.clone(), problem_body(self.status, sentence));
                Self { refusal: Some((sentence, Form::Problem)), ..self.with_body(body) }
                    .with("Cache-Control", "no-store")
            }
            _ => self,
        }
    }

    /// A 426. "A server that sends a 426 MUST send an Upgrade field" (RFC 9110 §15.5.22). The
    /// Connection field names it, because it is meant for this connection alone (§7.6.1).
    pub fn upgrade_required(sentence: &str) -> Self {
        Self::refusal(426, sentence).with("Upgrade", "websocket")
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
    pub fn with_body(self, body: Vec<u8>) -> Self {
        Self { length: Some(body.len()), body, ..self }
    }

    /// Keeps the body's share of a byte budget until the response is dropped.
    pub fn with_share(self, share: Share) -> Self {
        Self { _share: Some(share), ..self }
    }

    /// Sets the Content-Length of a body that is left out, for the response to HEAD.
    pub fn with_body_of(self, length: usize) -> Self {
        match self.status {
            204 | 304 => self,
            _ => Self { length: Some(length), ..self },
        }
    }

    /// The sentence of a refusal, for the log; empty for any other response.
    pub fn sentence(&self) -> &str {
        self.refusal.as_ref().map_or("", |(sentence, _)| sentence)
    }

    /// The head, up to and with the empty line. It is the whole response to HEAD (RFC 9110 §9.3.2).
    pub fn head(&self) -> Vec<u8> {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let date = httpdate::fmt_http_date(SystemTime::now());
        // There is one request per connection. A 426 also names its own Upgrade field here.
        let connection = if self.status == 426 { "close, upgrade" } else { "close" };
        let mut head = format!(
            "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nConnection: {connection}\r\n{SECURITY_FIELDS}{}",
            self.status, self.fields
        );
        head.push_str(match self.refusal {
            None => "",
            Some((_, Form::Sentence)) => "Content-Type: text/plain; charset=utf-8\r\n",
            Some((_, Form::Problem)) => "Content-Type: application/problem+json\r\n",
        });
        if let Some(length) = self.length {
            head.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
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
