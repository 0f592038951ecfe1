//! A client that goes from server to server and loses nothing, as the specification tells a client
//! to do. Not here: the servers, and what becomes of them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tungstenite::Message;

use super::{V1, Way};

/// A client that loses nothing: it keeps what it has said until that is answered, and comes back
/// to any server with the last id that it has heard.
pub struct Traveller {
    pub session: String,
    place: usize,
    pub line: Option<V1>,
    /// What it has heard: ids and texts.
    pub heard: Vec<(i64, String)>,
    /// What it has said, and is not answered yet.
    pub unanswered: VecDeque<String>,
}

impl Traveller {
    pub fn new(name: &str, place: usize) -> Self {
        let session = format!("{name}-0123456789abcdef");
        Self { session, place, line: None, heard: Vec::new(), unanswered: VecDeque::new() }
    }

    fn since(&self) -> i64 {
        self.heard.last().map_or(0, |(id, _)| *id)
    }

    /// Connects at the next one of these places, and says again what was not answered.
    pub fn comes_back(&mut self, places: &[SocketAddr]) {
        self.place = (self.place + 1) % places.len();
        let path = format!("/ws/a?session={}&since={}", self.session, self.since());
        let (mut line, _) = V1::over(Way::Plain.connects(places[self.place]), &path);
        let (past, live) = line.hears_the_past();
        assert_eq!(live["complete"], true);
        self.line = Some(line);
        past.iter().for_each(|event| self.takes(event));
        for text in self.unanswered.clone() {
            self.sends(&text);
        }
    }

    pub fn says(&mut self, text: String) {
        self.sends(&text);
        self.unanswered.push_back(text);
    }

    fn sends(&mut self, text: &str) {
        let event = json!({"type": "message", "text": text, "ref": text}).to_string();
        let sent = self.line.as_mut().map(|line| line.client.socket.send(Message::text(event)));
        if sent.is_some_and(|sent| sent.is_err()) {
            self.line = None;
        }
    }

    fn takes(&mut self, event: &Value) {
        if event["type"] == "message" {
            let id = event["id"].as_i64().unwrap();
            assert!(id > self.since(), "{event} came behind {}", self.since());
            self.heard.push((id, event["text"].as_str().unwrap().to_owned()));
        }
        if let Some(answered) = event["ref"].as_str() {
            assert_ne!(event["type"], "error", "{event}");
            self.unanswered.retain(|text| text != answered);
        }
    }

    /// Hears on until this is so, whatever becomes of the servers.
    pub fn hears_until(&mut self, places: &[SocketAddr], is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let Some(line) = &mut self.line else {
                self.comes_back(places);
                continue;
            };
            match line.client.socket.read() {
                Ok(Message::Text(event)) => self.takes(&serde_json::from_str(&event).unwrap()),
                Ok(Message::Close(_)) | Err(_) => self.line = None,
                Ok(_) => {}
            }
        }
    }

    pub fn hears_the_end(&mut self, places: &[SocketAddr], end: &str) {
        self.hears_until(places, |one| one.heard.last().is_some_and(|(_, text)| text == end));
    }
}

/// Everyone has heard the same, and each message of these speakers once, in order.
pub fn is_whole(travellers: &[&Traveller], speakers: &[&str], count: usize) {
    for other in travellers {
        assert_eq!(other.heard, travellers[0].heard, "all have put together the same");
    }
    for name in speakers {
        let own = travellers[0].heard.iter().filter_map(|(_, text)| text.strip_prefix(*name));
        let own: Vec<_> = own.collect();
        let expected: Vec<_> = (0..count).map(|number| format!(" {number}")).collect();
        assert_eq!(own, expected, "what {name} said");
    }
}
