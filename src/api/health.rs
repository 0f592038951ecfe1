//! `/healthz`: whether the server works, and how many clients and rooms there are.
//!
//! Runs on the page's threads. It asks the broadcaster itself, because a server that does not relay, or
//! cannot keep what is said, does not work. Not here: counting, and trying to keep (`relay`).

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

    /// `GET /healthz`: a 200, or a 503 with the reason.
    pub fn answer(&self) -> Reply {
        let version = env!("CARGO_PKG_VERSION");
        let Some(counts) = self.events.ask(TIMEOUT) else {
            return json(503, &json!({"status": "busy", "version": version}));
        };
        let mut health = json!({
            "status": "ok",
            "version": version,
            "uptime_s": self.began.elapsed().as_secs(),
            "clients": counts.clients,
            "rooms": counts.rooms,
        });
        if let Some(here) = counts.here {
            health["clients_here"] = json!(here);
        }
        let Some(reason) = counts.unkept else { return json(200, &health) };
        health["status"] = json!("degraded");
        health["reason"] = json!(format!("messages cannot be kept: {reason}"));
        json(503, &health)
    }
}
