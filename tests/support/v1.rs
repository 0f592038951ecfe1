//! A client of `wsroom.v1`: says and hears JSON events.

use serde_json::{Value, json};
use tungstenite::Message;

use super::{Client, Server, Stream};

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
        Self::shakes_hands(server.connects(), path, Some(field))
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

    /// Announces a file and shows it.
    pub fn shows(&mut self, name: &str, media_type: &str, bytes: &[u8]) {
        self.does(&json!({"type": "binary", "name": name, "media_type": media_type}));
        self.client.shows(bytes);
    }

    /// The next event, whatever it is.
    pub fn next(&mut self) -> Value {
        match self.client.next() {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no event: {other:?}"),
        }
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
                Some("message") => messages.push(event),
                Some("binary") => {
                    assert!(matches!(self.client.next(), Message::Binary(_)), "behind {event}");
                    messages.push(event);
                }
                Some("live") => return (messages, event),
                _ => panic!("in the past came {event}"),
            }
        }
    }

    /// The next event that is no news of members nor the end of the past, which is of this type.
    pub fn hears_of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            let news = ["live", "joined", "left", "renamed", "members"]
                .iter()
                .any(|news| event["type"] == *news);
            if event["type"] == kind {
                return event;
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

    /// The next message is this file, its bytes right behind what is told of it.
    pub fn sees(&mut self, bytes: &[u8]) -> Value {
        let event = self.hears_of("binary");
        assert_eq!(event["size"], bytes.len(), "{event}");
        self.client.sees(bytes);
        event
    }
}
