//! What the page's threads answer, as tiny_http takes it: files, JSON, and why not.
//!
//! Not here: what is asked for (`routes`), and the security headers (`http`).

use std::io::Cursor;

use serde_json::{Value, json};
use tiny_http::{Header, Response};

/// A whole answer. A route answers with a [`Result`] of two of them, the second one a refusal.
pub type Reply = Response<Cursor<Vec<u8>>>;

/// One sentence for people, on a page that programs do not ask for.
pub fn sentence(status: u16, text: &str) -> Reply {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
}

/// What was asked for.
pub fn json(status: u16, value: &Value) -> Reply {
    whole(status, "application/json", value.to_string().into_bytes())
        .with_header(field("Cache-Control", "no-store"))
}

/// Why not, for programs and for people (RFC 9457).
pub fn problem(status: u16, detail: &str) -> Reply {
    let code = http::StatusCode::from_u16(status).ok();
    let title = code.and_then(|code| code.canonical_reason()).unwrap_or_default();
    let body = json!({"type": "about:blank", "title": title, "status": status, "detail": detail});
    whole(status, "application/problem+json", body.to_string().into_bytes())
        .with_header(field("Cache-Control", "no-store"))
}

/// Too often from one address; in so many seconds it may be tried again.
pub fn too_many(detail: &str, wait: u64) -> Reply {
    problem(429, detail).with_header(field("Retry-After", &wait.to_string()))
}

/// A body of any kind.
pub fn whole(status: u16, media_type: &str, body: Vec<u8>) -> Reply {
    Response::from_data(body)
        .with_status_code(status)
        // Always with a length, never chunked: the door reads by it.
        .with_chunked_threshold(usize::MAX)
        .with_header(field("Content-Type", media_type))
}

/// A header field of our own making.
pub fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("our own fields are ASCII")
}
