//! The responses of the page's threads, as tiny_http takes them: files, JSON, and problems.
//!
//! Not here: the requests (`routes`), and the security headers (`http`). Pure functions, on the
//! page's threads.

use std::io::Cursor;

use serde_json::{Value, json};
use tiny_http::{Header, Response};

/// A whole response of tiny_http. A route returns `Result<Reply, Reply>`, whose error is a refusal.
pub type Reply = Response<Cursor<Vec<u8>>>;

/// One sentence of plain text, for people.
pub fn sentence(status: u16, text: &str) -> Reply {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
}

/// A JSON value. It is never cached.
pub fn json(status: u16, value: &Value) -> Reply {
    whole(status, "application/json", value.to_string().into_bytes())
        .with_header(field("Cache-Control", "no-store"))
}

/// Why a request is refused, in JSON for programs and for people (RFC 9457).
pub fn problem(status: u16, detail: &str) -> Reply {
    whole(status, "application/problem+json", problem_body(status, detail))
        .with_header(field("Cache-Control", "no-store"))
}

/// The same, with the reason in a word for programs, where one status has several reasons.
pub fn problem_of(status: u16, detail: &str, reason: &str) -> Reply {
    let mut body = problem_value(status, detail);
    // "Problem type definitions MAY extend the problem details object with additional members"
    // (RFC 9457 §3.2).
    body["reason"] = json!(reason);
    whole(status, "application/problem+json", body.to_string().into_bytes())
        .with_header(field("Cache-Control", "no-store"))
}

/// The body of a problem. The door makes refusals too, without tiny_http.
pub fn problem_body(status: u16, detail: &str) -> Vec<u8> {
    problem_value(status, detail).to_string().into_bytes()
}

fn problem_value(status: u16, detail: &str) -> Value {
    let code = http::StatusCode::from_u16(status).ok();
    let title = code.and_then(|code| code.canonical_reason()).unwrap_or_default();
    json!({"type": "about:blank", "title": title, "status": status, "detail": detail})
}

/// A 429: one address has sent too many requests. It may try again after `wait` seconds.
pub fn too_many(detail: &str, wait: u64) -> Reply {
    problem(429, detail).with_header(field("Retry-After", &wait.to_string()))
}

/// A response with a body of any media type.
pub fn whole(status: u16, media_type: &str, body: Vec<u8>) -> Reply {
    Response::from_data(body)
        .with_status_code(status)
        // Never chunked: the proxy reads the body by its Content-Length.
        .with_chunked_threshold(usize::MAX)
        .with_header(field("Content-Type", media_type))
}

/// A header field. It is made by this program, so it is ASCII.
pub fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("our own fields are ASCII")
}
