//! HTTP as tests write and read it: sound requests, and answers taken apart.
//!
//! Not here: requests that are wrong on purpose (each test writes its own), and what carries them
//! (`visitor`).

use serde_json::Value;

/// An HTTP answer, taken apart.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Fields as they stand, in order.
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Takes head and body apart.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.unwrap_or_else(|| panic!("no status: {status_line:?}"));
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_owned(), value.to_owned())
        };
        Self {
            status: status.parse().unwrap(),
            fields: lines.map(field).collect(),
            body: body.to_owned(),
        }
    }

    /// The value of a field, which stands there at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let first = named.next()?;
        assert!(named.next().is_none(), "{name} stands there twice");
        Some(&first.1)
    }

    /// Carries what every answer carries: security fields, and the end of the connection.
    pub fn is_sound(&self) -> &Self {
        assert_eq!(self.field("X-Content-Type-Options"), Some("nosniff"), "{self:?}");
        assert_eq!(self.field("Referrer-Policy"), Some("no-referrer"), "{self:?}");
        let policy = self.field("Content-Security-Policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        let connection = self.field("Connection").expect("a Connection field");
        assert!(connection.split(", ").any(|token| token == "close"), "{connection}");
        self
    }

    /// Refuses with this status, and says why in a sentence that has come whole.
    pub fn refuses_with(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        let length = self.body.len().to_string();
        assert_eq!(self.field("Content-Length"), Some(length.as_str()), "{self:?}");
        assert_eq!(self.field("Content-Type"), Some("text/plain; charset=utf-8"), "{self:?}");
        assert!(self.body.ends_with('\n') && self.body.contains(' '), "{self:?}");
        self.is_sound()
    }

    /// Succeeds with this status: the JSON that it tells.
    pub fn tells(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("Content-Type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Refused with a sentence for people and a status for programs (RFC 9457).
    pub fn has_a_problem(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        let length = self.body.len().to_string();
        assert_eq!(self.field("Content-Length"), Some(length.as_str()), "{self:?}");
        assert_eq!(self.field("Content-Type"), Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(' ')), "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        self.is_sound()
    }
}

/// A sound request with these fields; with its length if it has a body.
pub fn request(method: &str, path: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
    for field in fields {
        head += &format!("{field}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// The same with a body of JSON.
pub fn request_with_json(method: &str, path: &str, fields: &[&str], body: &str) -> Vec<u8> {
    request(method, path, &[fields, &["Content-Type: application/json"]].concat(), body)
}

/// A sound request for a WebSocket.
pub fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
