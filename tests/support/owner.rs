//! The owner of a server, who watches it.

use serde_json::{Value, json};
use tungstenite::Message;

use super::{Client, PATIENCE, Server};

/// Somebody who has sent the admin token, or what they take for it.
pub struct Watcher {
    pub client: Client,
}

impl Watcher {
    /// Over a client that is connected to `/owner`.
    pub fn with(mut client: Client, token: &str) -> Self {
        client.says(&json!({"type": "token", "token": token}).to_string());
        Self { client }
    }

    /// The next snapshot.
    pub fn sees(&mut self) -> Value {
        match self.client.next() {
            Message::Text(text) => {
                let snapshot: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(snapshot["type"], "snapshot");
                snapshot
            }
            other => panic!("no snapshot: {other:?}"),
        }
    }

    /// The first snapshot in which this is so.
    pub fn sees_that(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let snapshot = self.sees();
            if is_so(&snapshot) {
                return snapshot;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain for {what}: {snapshot}");
        }
    }
}

impl Server {
    /// Somebody watches it with this token.
    pub fn is_watched_with(&self, token: &str) -> Watcher {
        Watcher::with(Client::over(self.connects(), "/owner"), token)
    }
}
