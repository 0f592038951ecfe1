//! `/healthz`: is it well, and how many are there.
//!
//! Runs on the page's threads; the broadcaster itself is asked, for a server that does not relay is
//! not well.

use std::time::{Duration, Instant};

use serde_json::json;

use super::reply::{Reply, json};
use crate::relay::events::Events;

/// How long the broadcaster may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Knows how the server is.
pub struct Health {
    events: Events,
    began: Instant,
}

impl Health {
    /// Of a server that begins now.
    pub fn new(events: Events) -> Self {
        Self { events, began: Instant::now() }
    }

    /// `GET /healthz`.
    pub fn answer(&self) -> Reply {
        let version = env!("CARGO_PKG_VERSION");
        let Some(counts) = self.events.ask(TIMEOUT) else {
            return json(503, &json!({"status": "busy", "version": version}));
        };
        json(
            200,
            &json!({
                "status": "ok",
                "version": version,
                "uptime_s": self.began.elapsed().as_secs(),
                "clients": counts.clients,
                "rooms": counts.rooms,
            }),
        )
    }
}
