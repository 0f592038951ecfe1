//! `/healthz`: whether the server works, and how many clients and rooms there are.
//!
//! Runs on the page's threads. It asks the broadcaster itself, because a server that does not relay, or
//! cannot keep what is said, does not work. It is open to those who have no token, so it names nobody and
//! no room. Not here: counting, and trying to keep (`relay`).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::reply::{Reply, json};
use crate::net::certificate::Certificate;
use crate::options::{Data, Options};
use crate::relay::events::{Counts, Events};

/// The longest wait for the broadcaster.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the server.
pub struct Health {
    events: Events,
    certificate: Option<Arc<Certificate>>,
    /// The kind of the store.
    store: &'static str,
    began: Instant,
}

impl Health {
    /// The health of a server that starts now.
    pub fn new(events: Events, certificate: Option<Arc<Certificate>>, options: &Options) -> Self {
        let store = match options.data {
            None => "memory",
            Some(Data::File(_)) => "file",
            Some(Data::Redis(_)) => "redis",
        };
        Self { events, certificate, store, began: Instant::now() }
    }

    /// `GET /healthz`: a 200, or a 503 with the reason.
    pub fn answer(&self) -> Reply {
        let mut health = json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": self.began.elapsed().as_secs(),
            "store": self.store,
        });
        let expiry = self.certificate.as_ref().and_then(|certificate| certificate.expiry());
        if let Some(expiry) = expiry {
            let expiry = Duration::from_secs(expiry.try_into().unwrap_or_default());
            let at = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + expiry);
            health["certificate_expires_at"] = json!(at.to_string());
        }
        match self.events.ask(TIMEOUT) {
            Some(counts) => tell(health, counts),
            None => {
                let reason = "the broadcaster does not answer: nothing is relayed at the moment";
                unwell(health, "busy", reason)
            }
        }
    }
}

fn tell(mut health: Value, counts: Counts) -> Reply {
    health["clients"] = json!(counts.clients);
    health["rooms"] = json!(counts.rooms);
    if let Some(here) = counts.here {
        health["clients_here"] = json!(here);
    }
    match counts.unkept {
        _ if counts.stops => unwell(health, "stopping", "the server is stopping"),
        Some(why) => unwell(health, "degraded", &format!("messages cannot be kept: {why}")),
        None => json(200, &health),
    }
}

fn unwell(mut health: Value, status: &str, reason: &str) -> Reply {
    health["status"] = json!(status);
    health["reason"] = json!(reason);
    json(503, &health)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use clap::Parser;

    use super::*;
    use crate::identity::rulebook::Rulebook;
    use crate::net::connection::ClientId;
    use crate::relay::broadcaster::{Broadcaster, Keeper};
    use crate::relay::events::{self, Event, Parting};
    use crate::relay::history::History;
    use crate::store::Bounds;
    use crate::store::memory::Memory;

    fn told(health: &Health) -> (u16, Value) {
        let reply = health.answer();
        let (status, mut body) = (reply.status_code().0, String::new());
        reply.into_reader().read_to_string(&mut body).unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn a_server_that_does_not_relay_or_is_stopping_is_not_well() {
        let (events, inbox) = events::open();
        let options = Options::parse_from(["wsroom"]);
        let health = Health::new(events.clone(), None, &options);
        // Nobody takes what is asked.
        let (status, busy) = told(&health);
        assert_eq!((status, &busy["status"]), (503, &json!("busy")));
        assert!(busy["reason"].as_str().is_some_and(|reason| reason.contains("does not answer")));
        let log = Memory::new(Bounds { messages: 1, bytes: 1 << 20, idle: None });
        let keeper = Keeper::Own(History::open(Arc::new(log), 1).unwrap());
        let broadcaster =
            Broadcaster::new(events.clone(), &options, keeper, Rulebook::default(), Arc::default());
        let turning = thread::spawn(move || broadcaster.run(&inbox));
        let (status, well) = told(&health);
        assert_eq!(
            (status, &well["status"], &well["store"]),
            (200, &json!("ok"), &json!("memory"))
        );
        // While a client has not left, the server waits for it.
        let client = ClientId::new(1);
        events.send(Event::EchoJoined(client, Box::new(|_| {})));
        events.send(Event::Stopped);
        let (status, stopping) = told(&health);
        assert_eq!((status, &stopping["status"]), (503, &json!("stopping")));
        events.leave(client, Vec::new(), Parting::Closed);
        drop(turning);
    }
}
