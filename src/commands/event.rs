//! What a command says and hears: the events of `wsroom.v1`, and sentences for its user.
//!
//! Not here: the rules by which they are sent (`member`), and the server's own side of them
//! (`protocol::v1`). Values and functions, on any thread.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tungstenite::{Bytes, Message};

/// Something to say.
pub struct Say {
    /// The event, as it goes over the wire.
    pub frame: Message,
    /// Its `ref`; without one it is sent once, and not waited for.
    pub reference: Option<String>,
    /// What it is for the user, such as `line 7`.
    pub name: String,
}

impl Say {
    /// From a line of text.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub fn text(line: Vec<u8>, number: usize) -> Result<Self, String> {
        let text = String::from_utf8(line).map_err(|_| "it is not UTF-8")?;
        let reference = number.to_string();
        let event = json!({"type": "message", "text": text, "ref": reference});
        Ok(Self {
            frame: Message::text(event.to_string()),
            reference: Some(reference),
            name: format!("line {number}"),
        })
    }

    /// From an event of a client, as it stands in a line. What has an effect once gets a `ref` if it
    /// has none.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub fn event(line: &[u8], number: usize, limit: usize) -> Result<Self, String> {
        let mut event: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| format!("it is no event: {error}"))?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        // Other events have no answer that could be waited for.
        let has_answer = matches!(&*kind, "message" | "binary" | "act");
        if has_answer {
            event.entry("ref").or_insert_with(|| json!(number.to_string()));
        }
        let reference = event.get("ref").and_then(Value::as_str).map(str::to_owned);
        let frame = if kind == "binary" {
            let base64 = event.remove("base64").unwrap_or_default();
            let bytes = base64.as_str().map(|text| STANDARD.decode(text));
            let Some(Ok(bytes)) = bytes else { return Err("its base64 cannot be read".to_owned()) };
            if bytes.len() > limit {
                return Err(format!("it has more than {limit} bytes"));
            }
            let line = Value::Object(event).to_string();
            Message::binary([line.as_bytes(), b"\n", &bytes].concat())
        } else {
            Message::text(Value::Object(event).to_string())
        };
        let reference = reference.filter(|_| has_answer);
        Ok(Self { frame, reference, name: format!("line {number}") })
    }
}

/// What comes from the input.
pub enum Input {
    /// Say this.
    Say(Say),
    /// This cannot be said: a sentence for the user.
    Bad(String),
}

/// An event of the server.
pub struct Event {
    /// Its JSON.
    pub json: Map<String, Value>,
    /// The bytes of a binary message.
    pub bytes: Option<Bytes>,
}

impl Event {
    /// Reads what a server of `wsroom.v1` has sent: JSON, or a line of JSON, a newline, and bytes
    /// (rule 3).
    ///
    /// # Errors
    /// It is no event.
    pub fn read(frame: &Message) -> serde_json::Result<Self> {
        let (json, bytes) = match frame {
            Message::Binary(frame) => {
                let end = frame.iter().position(|&byte| byte == b'\n').unwrap_or(frame.len());
                (&frame[..end], Some(frame.slice((end + 1).min(frame.len())..)))
            }
            Message::Text(text) => (text.as_bytes(), None),
            _ => (&[][..], None),
        };
        Ok(Self { json: serde_json::from_slice(json)?, bytes })
    }

    /// Writes it in one line; the bytes of a binary message are in it in base64.
    pub fn to_json(&self) -> String {
        let mut all = self.json.clone();
        if let Some(bytes) = &self.bytes {
            all.insert("base64".to_owned(), json!(STANDARD.encode(bytes)));
        }
        Value::Object(all).to_string()
    }

    /// What it is.
    pub fn kind(&self) -> &str {
        self.text("type")
    }

    /// A field that is text; empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.json.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field that is a number; 0 if there is none.
    pub fn number(&self, field: &str) -> i64 {
        self.json.get(field).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The `ref`.
    pub fn reference(&self) -> Option<&str> {
        self.json.get("ref").and_then(Value::as_str)
    }

    /// Whether a field is `true`.
    pub fn is(&self, field: &str) -> bool {
        self.json.get(field) == Some(&Value::Bool(true))
    }

    /// Whether it is something that was said or done in the room: it has a place in the order.
    pub fn has_place(&self) -> bool {
        matches!(self.kind(), "message" | "binary" | "act")
    }

    /// Whether this program has said it (rule 18).
    pub fn is_own(&self) -> bool {
        self.has_place() && self.reference().is_some()
    }
}

/// Says something to the user, in one line. Some of it the server or a stranger may have written, so
/// what could command a terminal is replaced.
pub fn complain(sentence: &str) {
    let _ = writeln!(io::stderr(), "wsroom: {}", for_terminal(sentence));
}

/// The text without characters that command a terminal.
pub fn for_terminal(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\t';
    text.chars().map(|c| if is_harmless(c) { c } else { '\u{fffd}' }).collect()
}
