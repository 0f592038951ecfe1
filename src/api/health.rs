//! `/healthz`: whether the server works, and how many clients and rooms there are.
//!
//! Runs on the page's threads. It asks the broadcaster itself, because a server that does not relay
//! does not work. Not here: counting (`relay`).

use std::time::{Duration, Instant};

use serde_json::json;

use super::reply::{Reply, json};
use crate::relay::events::Events;

/// The longest wait for the broadcaster.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the server.
pub struct Health {
    events: Events,
    began: Instant,
}

impl Health {
    /// The health of a server that starts now.
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
