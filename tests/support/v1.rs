//! A client of `wsroom.v1`: says and hears JSON events.

use serde_json::{Value, json};
use tungstenite::Message;

use super::{Client, Server, Side, Stream};

pub struct V1 {
    pub client: Client,
}

impl V1 {
    /// Joins a room, and is welcomed: answers with the welcome too.
    pub fn joins(server: &Server, room: &str) -> (Self, Value) {
        Self::comes_back(server, &format!("/ws/{room}"))
    }

    /// Joins at a path with its query, such as `/ws/a?since=7`.
    pub fn comes_back(server: &Server, path: &str) -> (Self, Value) {
        Self::over(server.connects(), path)
    }

    /// The same on a connection that is there.
    pub fn over(stream: Stream, path: &str) -> (Self, Value) {
        Self::shakes_hands(stream, path, None)
    }

    /// Joins with a field of the handshake, such as `Authorization: Bearer KEY`.
    pub fn joins_with(server: &Server, path: &str, field: &str) -> (Self, Value) {
        Self::over_with(server.connects(), path, field)
    }

    /// The same on a connection that is there.
    pub fn over_with(stream: Stream, path: &str, field: &str) -> (Self, Value) {
        Self::shakes_hands(stream, path, Some(field))
    }

    fn shakes_hands(stream: Stream, path: &str, field: Option<&str>) -> (Self, Value) {
        let (client, chosen) = Client::offering_with(stream, path, &["wsroom.v1"], field);
        assert_eq!(chosen.as_deref(), Some("wsroom.v1"));
        let mut v1 = Self { client };
        let welcome = v1.hears_of("welcome");
        (v1, welcome)
    }

    pub fn does(&mut self, event: &Value) {
        self.client.says(&event.to_string());
    }

    pub fn says(&mut self, text: &str) {
        self.does(&json!({"type": "message", "text": text}));
    }

    pub fn says_with_ref(&mut self, text: &str, reference: &str) {
        self.does(&json!({"type": "message", "text": text, "ref": reference}));
    }

    /// Shows a file.
    pub fn shows(&mut self, name: &str, media_type: &str, bytes: &[u8]) {
        let line = json!({"type": "binary", "name": name, "media_type": media_type});
        self.shows_as(&line, bytes);
    }

    /// Shows bytes behind a line of its own making.
    pub fn shows_as(&mut self, line: &Value, bytes: &[u8]) {
        self.client.shows(&[line.to_string().as_bytes(), b"\n", bytes].concat());
    }

    /// The next event, whatever it is; without the bytes, if it has any.
    pub fn next(&mut self) -> Value {
        self.next_whole().0
    }

    /// The next event, whatever it is, and the bytes behind it. It is one that the server may send.
    pub fn next_whole(&mut self) -> (Value, Vec<u8>) {
        let message = self.client.next();
        let (event, bytes): (Value, _) = match &message {
            Message::Text(text) => (serde_json::from_str(text).expect("JSON"), Vec::new()),
            Message::Binary(frame) => {
                let line = frame.iter().position(|&byte| byte == b'\n').expect("a line");
                (serde_json::from_slice(&frame[..line]).expect("JSON"), frame[line + 1..].to_vec())
            }
            other => panic!("no event: {other:?}"),
        };
        assert_eq!(event["type"] == "binary", message.is_binary(), "{event}");
        Side::Server.may_send(&event);
        (event, bytes)
    }

    /// Says something again and again, whatever becomes of it, until it hears of somebody in an
    /// event of this type.
    pub fn hears_of_somebody(&mut self, kind: &str, is_meant: impl Fn(&Value) -> bool) {
        loop {
            self.says("again");
            let event = self.next();
            let members = event["members"].as_array();
            if event["type"] == kind && members.is_some_and(|members| members.iter().any(&is_meant))
            {
                return;
            }
        }
    }

    /// The messages of the past, and the event that ends it.
    pub fn hears_the_past(&mut self) -> (Vec<Value>, Value) {
        let mut messages = Vec::new();
        loop {
            let event = self.next();
            match event["type"].as_str() {
                Some("message" | "binary" | "act") => messages.push(event),
                Some("live") => return (messages, event),
                _ => panic!("in the past came {event}"),
            }
        }
    }

    /// The next event that is no news of members nor the end of the past, which is of this type.
    pub fn hears_of(&mut self, kind: &str) -> Value {
        self.hears_whole(kind).0
    }

    /// The next event that is no news of members, nor of this type.
    pub fn next_but(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            let news = ["live", "joined", "left", "renamed", "members", kind];
            if !news.iter().any(|news| event["type"] == *news) {
                return event;
            }
        }
    }

    fn hears_whole(&mut self, kind: &str) -> (Value, Vec<u8>) {
        loop {
            let (event, bytes) = self.next_whole();
            let news = ["live", "joined", "left", "renamed", "members"]
                .iter()
                .any(|news| event["type"] == *news);
            if event["type"] == kind {
                return (event, bytes);
            }
            assert!(news, "waited for {kind} and heard {event}");
        }
    }

    /// The next message is this text; answers with all that is told of it.
    pub fn hears(&mut self, text: &str) -> Value {
        let event = self.hears_of("message");
        assert_eq!(event["text"], text, "{event}");
        event
    }

    /// Absence is proved by a later marker, not by waiting.
    pub fn hears_nothing_before(&mut self, marker: &str) {
        self.hears(marker);
    }

    /// Whether this text comes before the line breaks.
    pub fn hears_before_a_break(&mut self, text: &str) -> bool {
        loop {
            match self.client.socket.read() {
                Ok(Message::Text(event)) if event.contains(text) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The type of the event that answers the message with this `ref`.
    pub fn hears_an_answer(&mut self, reference: &str) -> String {
        self.hears_the_answer(reference)["type"].as_str().expect("a type").to_owned()
    }

    /// The event that answers the message or the act with this `ref`.
    pub fn hears_the_answer(&mut self, reference: &str) -> Value {
        loop {
            let event = self.next();
            if event["ref"] == reference {
                return event;
            }
        }
    }

    /// The next message is this file; answers with all that is told of it.
    pub fn sees(&mut self, bytes: &[u8]) -> Value {
        let (event, seen) = self.hears_whole("binary");
        assert_eq!(seen, bytes, "{event}");
        event
    }
}
