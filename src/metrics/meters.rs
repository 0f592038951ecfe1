//! Every metric of the server: its name, its help, and who counts it.
//!
//! One [`Metrics`] belongs to one server; all its parts hold it and count what they do. What can be
//! asked (how many clients there are) is not counted, but asked at each scrape: see [`Moment`]. So a
//! server that nobody scrapes pays nothing for it. Not here: the values of labels (`labels`).

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::histogram::Histogram;
use super::labels::{CODES, Eviction, OTHER, REFUSALS, Unheard, name_of};
use super::process::Process;

/// What all names begin with, except those of the process.
const PREFIX: &str = "wsroom";

/// Limits for times, in nanoseconds: from 50 µs to 5 s.
const TIMES: [u64; 16] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
];

/// Limits for numbers of events.
const NUMBERS: [u64; 7] = [1, 4, 16, 64, 256, 1024, 4096];

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Close {
    by: &'static str,
    code: &'static str,
}

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The broadcaster's turns: events in each, and the time from the first one to the last send.
    turn_events: Histogram,
    turn_seconds: Histogram,
    /// Counted by the broadcaster, once a turn.
    messages: Counter,
    message_bytes: Counter,
    unkept: Counter,
    deliveries: Counter,
    sent_bytes: Counter,
    /// The time in which the messages of a turn are written to the store of this host; with Redis that of
    /// one batch there and back.
    pub append_seconds: Histogram,
    /// With Redis, the time from handing over a message until it is told.
    pub readback_seconds: Histogram,
    /// Counted by the thread `accept`.
    pub accepted: Counter,
    unheard: Family<Reason, Counter>,
    /// Counted by each connection's own thread.
    requests: Counter,
    requests_refused: Family<Reason, Counter>,
    /// Handshakes that became clients.
    pub handshakes: Counter,
    handshakes_refused: Family<Reason, Counter>,
    evictions: Family<Reason, Counter>,
    closes: Family<Close, Counter>,
}

/// What was said and sent since the start.
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Messages times those who were sent them.
    pub deliveries: u64,
    /// Bytes of frames for members.
    pub bytes: u64,
}

/// What a scrape asks for.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// Connections of every kind.
    pub connections: usize,
    /// What the broadcaster knows; `None`: it does not answer.
    pub relay: Option<Relaying>,
    /// When the certificate ends, in seconds since 1970; `None`: there is no TLS.
    pub certificate_expiry: Option<i64>,
}

/// What the broadcaster knows.
#[derive(Clone, Debug, Default)]
pub struct Relaying {
    /// Clients of this server.
    pub clients: usize,
    /// Rooms with members.
    pub rooms: usize,
    /// Clients that are behind.
    pub behind: usize,
    /// Bytes that wait for them.
    pub behind_bytes: usize,
    /// Whether messages can be kept.
    pub keeps: bool,
    /// The other nodes; `None`: this server is alone.
    pub nodes: Option<Sharing>,
}

/// What a node knows of the others.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    /// Its own number.
    pub node: u32,
    /// Members on other nodes.
    pub elsewhere: usize,
    /// How old the last message was when this node was told of it.
    pub lag: Duration,
}

impl Default for Metrics {
    /// Nothing was counted yet.
    fn default() -> Self {
        let mut all = Registry::with_prefix(PREFIX);
        all.register("build", "This program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            accepted: counter(&mut all, "connections_accepted", "Connections of every kind"),
            unheard: reasons(
                &mut all,
                "connections_refused",
                "Connections that were ended before they could ask",
                Unheard::ALL.map(Unheard::name),
            ),
            requests: counter(
                &mut all,
                "requests",
                "Requests that were answered, without handshakes",
            ),
            requests_refused: reasons(
                &mut all,
                "requests_refused",
                "Requests that were refused",
                refusals(),
            ),
            handshakes: counter(&mut all, "handshakes", "Handshakes that became clients"),
            handshakes_refused: reasons(
                &mut all,
                "handshakes_refused",
                "Handshakes that were refused",
                refusals(),
            ),
            messages: counter(&mut all, "messages", "Messages that were said in rooms"),
            message_bytes: counter(&mut all, "message_bytes", "Bytes of these messages"),
            unkept: counter(&mut all, "messages_unkept", "Messages that could not be kept"),
            deliveries: counter(&mut all, "deliveries", "Messages times those who were sent them"),
            sent_bytes: counter(&mut all, "sent_bytes", "Bytes of frames for members of rooms"),
            evictions: reasons(
                &mut all,
                "evictions",
                "Clients that were cut off because they were behind",
                Eviction::ALL.map(Eviction::name),
            ),
            closes: closes(&mut all),
            turn_events: histogram(
                &mut all,
                "turn_events",
                "Events in a turn of the broadcaster",
                Histogram::of_numbers(&NUMBERS),
            ),
            turn_seconds: histogram(
                &mut all,
                "turn_seconds",
                "Time from the first event of a turn to its last send",
                Histogram::of_times(&TIMES),
            ),
            append_seconds: histogram(
                &mut all,
                "store_append_seconds",
                "Time in which the store takes the messages of a turn, or Redis a batch",
                Histogram::of_times(&TIMES),
            ),
            readback_seconds: histogram(
                &mut all,
                "log_readback_seconds",
                "With Redis, time from handing over a message until this server reads it back",
                Histogram::of_times(&TIMES),
            ),
            registry: all,
        }
    }
}

impl Metrics {
    /// Everything, in the text format of Prometheus (version 0.0.4).
    pub fn text(&self, moment: &Moment) -> String {
        let mut text = String::new();
        let mut now = Registry::with_prefix(PREFIX);
        moment.register(&mut now);
        let mut process = Registry::default();
        process.register_collector(Box::new(Process));
        for registry in [&self.registry, &now, &process] {
            prometheus_text::encode(&mut text, registry).expect("writing to a text cannot fail");
        }
        text
    }

    /// Counts a turn of the broadcaster.
    pub fn turned(&self, events: u64, time: Duration) {
        self.turn_events.count(events);
        self.turn_seconds.count_time(time);
    }

    /// Counts the messages that were said in a turn, and those that could not be kept.
    pub fn said(&self, messages: u64, bytes: u64, unkept: u64) {
        self.messages.inc_by(messages);
        self.message_bytes.inc_by(bytes);
        self.unkept.inc_by(unkept);
    }

    /// Counts what one room was sent at once.
    pub fn delivered(&self, deliveries: u64, bytes: u64) {
        self.deliveries.inc_by(deliveries);
        self.sent_bytes.inc_by(bytes);
    }

    /// What was said and sent since the start.
    pub fn traffic(&self) -> Traffic {
        let Self { messages, deliveries, sent_bytes, .. } = self;
        Traffic { messages: messages.get(), deliveries: deliveries.get(), bytes: sent_bytes.get() }
    }

    /// Counts a connection that is ended before it could ask.
    pub fn turned_away(&self, why: Unheard) {
        self.unheard.get_or_create(&Reason { reason: why.name() }).inc();
    }

    /// Counts a request that is answered with this status; a handshake is none.
    pub fn answered(&self, status: u16) {
        self.requests.inc();
        // Whoever speaks http to a TLS port is sent elsewhere with a 308, and nothing else is.
        if status >= 400 || status == 308 {
            let reason = Reason { reason: name_of(status, &REFUSALS) };
            self.requests_refused.get_or_create(&reason).inc();
        }
    }

    /// Counts a handshake that is refused with this status.
    pub fn handshake_refused(&self, status: u16) {
        let reason = Reason { reason: name_of(status, &REFUSALS) };
        self.handshakes_refused.get_or_create(&reason).inc();
    }

    /// Counts a client that is cut off.
    pub fn evicted(&self, why: Eviction) {
        self.evictions.get_or_create(&Reason { reason: why.name() }).inc();
    }

    /// Counts a Close that this server sends.
    pub fn closes(&self, code: u16) {
        self.closed("server", code);
    }

    /// Counts a Close that a client sends: 1005 if it has no code, and 1006 if the line broke.
    #[inline(never)] // Else the waiting thread of each client would keep the stack for it.
    pub fn is_closed(&self, code: u16) {
        self.closed("client", code);
    }

    fn closed(&self, by: &'static str, code: u16) {
        self.closes.get_or_create(&Close { by, code: name_of(code, &CODES) }).inc();
    }
}

impl Moment {
    /// The metrics of this moment. What is not known is not told.
    fn register(&self, now: &mut Registry) {
        gauge(now, "connections", "Open connections of every kind", self.connections as f64);
        let turns = f64::from(u8::from(self.relay.is_some()));
        gauge(now, "turning", "Whether the broadcaster answers (1) or not (0)", turns);
        if let Some(relay) = &self.relay {
            relay.register(now);
        }
        if let Some(expiry) = self.certificate_expiry {
            let help = "When the certificate ends, in seconds since 1970";
            gauge(now, "certificate_expiry_timestamp_seconds", help, expiry as f64);
        }
    }
}

impl Relaying {
    fn register(&self, now: &mut Registry) {
        let keeps = f64::from(u8::from(self.keeps));
        gauge(now, "clients", "Clients of this server", self.clients as f64);
        gauge(now, "rooms", "Rooms that have members", self.rooms as f64);
        gauge(now, "clients_behind", "Clients that are behind", self.behind as f64);
        gauge(now, "behind_bytes", "Bytes that wait for them", self.behind_bytes as f64);
        gauge(now, "keeping", "Whether messages can be kept (1) or not (0)", keeps);
        if let Some(nodes) = &self.nodes {
            gauge(now, "node", "The number of this node", f64::from(nodes.node));
            gauge(now, "members_elsewhere", "Members on other nodes", nodes.elsewhere as f64);
            let help = "How old the last message was when this node was told of it";
            gauge(now, "log_lag_seconds", help, nodes.lag.as_secs_f64());
        }
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    registered(registry, name, help, Counter::default())
}

fn histogram(registry: &mut Registry, name: &str, help: &str, histogram: Histogram) -> Histogram {
    registered(registry, name, help, histogram)
}

/// Counters by reason. All are there from the start: a series that begins with 1 shows no increase.
fn reasons(
    registry: &mut Registry,
    name: &str,
    help: &str,
    reasons: impl IntoIterator<Item = &'static str>,
) -> Family<Reason, Counter> {
    let family = Family::<Reason, Counter>::default();
    for reason in reasons {
        drop(family.get_or_create(&Reason { reason }));
    }
    registered(registry, name, help, family)
}

fn refusals() -> impl Iterator<Item = &'static str> {
    REFUSALS.iter().map(|(_, name)| *name).chain([OTHER])
}

fn closes(registry: &mut Registry) -> Family<Close, Counter> {
    let family = Family::<Close, Counter>::default();
    for by in ["client", "server"] {
        for code in CODES.iter().map(|(_, name)| *name).chain([OTHER]) {
            drop(family.get_or_create(&Close { by, code }));
        }
    }
    registered(
        registry,
        "closes",
        "Closes of clients, by who sent them and with which code",
        family,
    )
}

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a broadcaster that stands still would look like a server without clients.
    #[test]
    fn what_the_broadcaster_does_not_answer_is_not_told() {
        let metrics = Metrics::default();
        let silent = metrics.text(&Moment::default());
        assert!(silent.contains("\nwsroom_turning 0.0\n"), "{silent}");
        assert!(!silent.contains("\nwsroom_clients ") && !silent.contains("\nwsroom_keeping "));
        let answers = Moment { relay: Some(Relaying::default()), ..Moment::default() };
        let answered = metrics.text(&answers);
        assert!(answered.contains("\nwsroom_turning 1.0\n"), "{answered}");
        assert!(answered.contains("\nwsroom_clients 0.0\n"), "{answered}");
    }
}
