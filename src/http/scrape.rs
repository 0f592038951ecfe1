//! `GET /metrics`: who may read it, and what they are told.
//!
//! It is answered at the door, not by the page's threads: when these wait for a disk, somebody should
//! see that. Not here: what is counted (`metrics`). Runs on the connection's own thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

use super::door::{Door, NoRequest, REQUEST_TIMEOUT, respond};
use super::request::Request;
use super::response::Response;
use crate::api::credentials::{Credentials, bearer};
use crate::metrics::meters::{Metrics, Moment};
use crate::net::certificate::Certificate;
use crate::net::connection::Connection;
use crate::net::slots::Slots;
use crate::relay::events::Events;

/// The longest wait for the broadcaster. Without its answer the other metrics are told.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Fields that say that a proxy has passed a request on.
const PASSED_ON: [&str; 5] =
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"];

/// Tells the metrics.
pub struct Scrape {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// The broadcaster, which knows the rest.
    pub events: Events,
    /// All open connections.
    pub slots: Arc<Slots>,
    /// The certificate, if there is one.
    pub certificate: Option<Arc<Certificate>>,
    /// Knows `--admin-token`.
    pub credentials: Arc<Credentials>,
}

/// Whether a request is for the metrics.
pub fn is_meant(request: &Request) -> bool {
    request.path == "/metrics"
}

/// Whether a program on this host sends the request, and not a proxy on it for somebody elsewhere, be it
/// trusted or not.
pub fn is_local(connection: &Connection, request: &Request) -> bool {
    let is_passed_on = PASSED_ON.iter().any(|name| request.values(name).next().is_some());
    let address = connection.peer().ip().to_canonical();
    address.is_loopback() && request.outside.is_none() && !is_passed_on
}

impl Scrape {
    /// Checks that a request from elsewhere carries `--admin-token`.
    ///
    /// # Errors
    /// The response to one that does not.
    pub fn check(&self, request: &Request) -> Result<(), Response> {
        let token = request.value("Authorization").and_then(bearer);
        if token.is_some_and(|token| self.credentials.auth.is_admin(token)) {
            return Ok(());
        }
        let sentence = "The metrics are for programs on this host, and for those who send \
                        Authorization: Bearer and the --admin-token.";
        Err(Response::refusal(401, sentence).with("WWW-Authenticate", "Bearer"))
    }

    fn answer(&self, request: &Request) -> Response {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            let refusal = Response::refusal(405, "This address takes GET and HEAD.");
            return refusal.with("Allow", "GET, HEAD");
        }
        let certificate = self.certificate.as_ref();
        let moment = Moment {
            connections: self.slots.count(),
            relay: self.events.measure(TIMEOUT),
            certificate_expiry: certificate.and_then(|certificate| certificate.expiry()),
        };
        Response::new(200)
            .with("Content-Type", CONTENT_TYPE)
            .with("Cache-Control", "no-store")
            .with_body(self.metrics.text(&moment).into_bytes())
    }
}

impl Door {
    /// Answers somebody who may read the metrics.
    pub(super) fn show_metrics(&self, connection: &Connection, request: &Request) {
        let response = self.scrape.answer(request).for_path(&request.path);
        self.clients.metrics.answered(response.status);
        respond(connection, &request.method, response);
    }

    /// Serves one connection to `--metrics-listen`, where everyone may read the metrics and nothing else
    /// is to be had.
    pub fn receive_scrape(&self, connection: &Connection) {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let read = self
            .greet(connection, deadline)
            .and_then(|first| self.read_request(connection, first, deadline));
        match read {
            Ok((request, _)) if is_meant(&request) => self.show_metrics(connection, &request),
            Ok((request, _)) => {
                let response = Response::refusal(404, "Here are the metrics alone, at /metrics.");
                self.refuse_request(connection, &request, response);
            }
            Err(NoRequest::Refused(response)) => self.refuse(connection, response, b""),
            Err(NoRequest::Gone) => connection.finish(),
        }
    }
}
