//! The metrics: they move as they should, they are for those who may read them, and nothing that a
//! client sends becomes a part of them.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use socket2::SockRef;
use support::redis::RedisServer;
use support::{Answer, Scrape, Server, Visitor, Way, handshake, until};

/// Waits until one series tells this.
fn comes_to(server: &Server, series: &str, value: f64) {
    until(&format!("{series} at {value}"), || server.is_scraped().tells(series) == value);
}

/// What somebody is told who asks for the metrics with these fields.
fn asks(server: &Server, fields: &[&str]) -> Answer {
    server.is_visited().asks(support::request("GET", "/metrics", fields, ""))
}

#[test]
fn what_is_said_is_counted_and_so_are_those_who_hear_it() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    ada.says("hello");
    ada.hears("hello");
    bob.hears("hello");
    comes_to(&server, "wsroom_deliveries_total", 2.0);
    let scrape = server.is_scraped();
    for (series, value) in [
        ("wsroom_messages_total", 1.0),
        ("wsroom_message_bytes_total", 5.0),
        ("wsroom_messages_unkept_total", 0.0),
        ("wsroom_store_append_seconds_count", 1.0),
        ("wsroom_handshakes_total", 2.0),
        ("wsroom_clients", 2.0),
        ("wsroom_rooms", 1.0),
        ("wsroom_clients_behind", 0.0),
        ("wsroom_behind_bytes", 0.0),
        ("wsroom_keeping", 1.0),
        ("wsroom_turning", 1.0),
    ] {
        assert_eq!(scrape.tells(series), value, "{series}");
    }
    // Both, and whoever asks.
    comes_to(&server, "wsroom_connections", 3.0);
    // Each has got its 101, and a header of two bytes with the message.
    assert!(scrape.tells("wsroom_sent_bytes_total") > 2.0 * 7.0);
    assert!(scrape.tells("wsroom_turn_events_sum") >= scrape.tells("wsroom_turn_events_count"));
    assert!(scrape.tells("process_resident_memory_bytes") > 1e6);
    assert!(scrape.tells("process_threads") > 5.0 && scrape.tells("process_open_fds") > 5.0);
    ada.leaves();
    bob.closes_with(4999, "of my own");
    comes_to(&server, "wsroom_clients", 0.0);
    let scrape = server.is_scraped();
    assert_eq!(scrape.tells(r#"wsroom_closes_total{by="client",code="1000"}"#), 1.0);
    assert_eq!(scrape.tells(r#"wsroom_closes_total{by="client",code="other"}"#), 1.0);
}

#[test]
fn a_client_that_breaks_the_rules_is_counted_by_its_close() {
    let server = Server::start();
    let mut ada = server.is_visited();
    ada.upgrades("/ws/physics");
    ada.sends(support::masked(0x81, b"\xff"));
    comes_to(&server, r#"wsroom_closes_total{by="server",code="1007"}"#, 1.0);
    drop(ada);
    let mut bob = server.is_visited();
    bob.upgrades("/ws/physics");
    drop(bob);
    comes_to(&server, r#"wsroom_closes_total{by="client",code="1006"}"#, 1.0);
}

#[test]
fn one_that_reads_nothing_is_behind_and_then_evicted() {
    let server = Server::with(&["--max-backlog", "8M"]);
    let mut ada = server.joins("physics");
    let slow = server.is_visited();
    SockRef::from(&slow.stream).set_recv_buffer_size(4096).unwrap();
    let mut slow = slow;
    slow.upgrades("/ws/physics");
    let piece = vec![7; 64 << 10];
    let mut says = || {
        ada.shows(&piece);
        ada.sees(&piece);
    };
    until("somebody behind", || {
        says();
        server.is_scraped().tells("wsroom_clients_behind") == 1.0
    });
    until("bytes that wait", || {
        says();
        server.is_scraped().tells("wsroom_behind_bytes") > 64.0 * 1024.0
    });
    until("an eviction", || {
        says();
        server.is_scraped().tells(r#"wsroom_evictions_total{reason="backlog"}"#) == 1.0
    });
    let scrape = server.is_scraped();
    assert_eq!(scrape.tells("wsroom_clients_behind"), 0.0);
    assert_eq!(scrape.tells("wsroom_behind_bytes"), 0.0);
    assert_eq!(scrape.tells(r#"wsroom_closes_total{by="client",code="1006"}"#), 0.0);
    drop(slow);
}

#[test]
fn what_is_refused_is_counted_by_its_reason() {
    let server = Server::with(&["--host", "talk.example"]);
    let sends = |request: String| drop(server.is_visited().asks(request));
    let from = |origin: &str| {
        handshake("/ws").replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"))
    };
    sends(from("https://evil.example"));
    sends(handshake("/nowhere"));
    sends(handshake("/ws").replace("localhost", "other.example"));
    sends(handshake("/ws").replace("Version: 13", "Version: 8"));
    sends("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned());
    sends("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n".to_owned());
    sends("no request at all\r\n\r\n".to_owned());
    sends("PATCH /rooms HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned());
    let scrape = server.is_scraped();
    for (what, reasons) in [
        ("handshakes", &["forbidden", "not_found", "host", "no_websocket"][..]),
        ("requests", &["not_found", "host", "malformed", "method"]),
    ] {
        for reason in reasons {
            let series = format!("wsroom_{what}_refused_total{{reason=\"{reason}\"}}");
            assert_eq!(scrape.tells(&series), 1.0, "{series}");
        }
    }
    // The four, and this test's own look.
    assert_eq!(server.is_scraped().tells("wsroom_requests_total"), 5.0);
}

#[test]
fn a_full_server_is_watched_on_another_port() {
    let server = Server::with(&["--max-clients", "1", "--metrics-listen", "127.0.0.1:0"]);
    let ada = server.joins("physics");
    assert_eq!(server.get("/rooms").status, 503);
    let watches = || Visitor::over(Way::Plain.connects(server.metrics_address()));
    let asks = |path: &str| {
        watches()
            .asks(format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"))
    };
    let scrape = Scrape::of(&asks("/metrics"));
    assert_eq!(scrape.tells(r#"wsroom_connections_refused_total{reason="max_clients"}"#), 1.0);
    assert_eq!((scrape.tells("wsroom_connections"), scrape.tells("wsroom_clients")), (1.0, 1.0));
    for nothing_else in ["/", "/rooms", "/healthz", "/ws/physics", "/metrics/"] {
        assert_eq!(asks(nothing_else).status, 404, "{nothing_else}");
    }
    assert_eq!(watches().asks(handshake("/ws/physics")).status, 404);
    let posted = watches().asks("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((posted.status, posted.field("Allow")), (405, Some("GET, HEAD")));
    ada.leaves();
}

const TOKEN: &str = "a-token-that-nobody-guesses";

#[test]
fn metrics_are_for_this_host_and_for_the_owner() {
    let server = Server::with(&[
        "--token",
        "the-token-of-the-class",
        "--admin-token",
        TOKEN,
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    // A program on this host needs no token.
    Scrape::of(&asks(&server, &[]));
    let owner = format!("Authorization: Bearer {TOKEN}");
    for elsewhere in [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=192.0.2.1",
        "Forwarded: for=\"[::1]\"",
        "X-Real-IP: 127.0.0.1",
        "Via: 1.1 proxy",
    ] {
        let refusal = asks(&server, &[elsewhere]);
        refusal.has_a_problem(401);
        assert!(refusal.field("WWW-Authenticate").is_some(), "{elsewhere}");
        let class = "Authorization: Bearer the-token-of-the-class";
        asks(&server, &[elsewhere, class]).has_a_problem(401);
        asks(&server, &[elsewhere, "Authorization: Bearer wrong"]).has_a_problem(401);
        Scrape::of(&asks(&server, &[elsewhere, &owner]));
    }
    // Guesses are limited as everywhere.
    let statuses: BTreeSet<_> = (0..70)
        .map(|_| asks(&server, &["Via: a", "Authorization: Bearer guessed-guessed"]).status)
        .collect();
    assert_eq!(statuses, BTreeSet::from([401, 429]));
}

#[test]
fn without_admin_token_nobody_elsewhere_may_read_them() {
    let server = Server::start();
    for fields in
        [&["Via: a"][..], &["Via: a", "Authorization: Bearer "], &["Via: a", "Cookie: a=b"]]
    {
        asks(&server, fields).has_a_problem(401);
    }
}

/// Else a client could make as many series as it likes, and fill the memory of this server and of
/// whoever scrapes it.
#[test]
fn nothing_that_clients_send_makes_a_new_series() {
    let server = Server::start();
    let before = server.is_scraped();
    for code in [1000, 1001, 1003, 1011, 3000, 4000, 4321, 4999] {
        server.joins(&format!("room-{code}")).closes_with(code, "evil\"} 1\nwsroom_evil 1");
    }
    let evil = "x\"} 1\nwsroom_evil";
    for request in [
        "GET /evil%22%7d%0awsroom_evil HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "EVIL / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {evil}\r\n\r\n"),
        handshake("/ws?session=evil-evil-evil-evil&since=1"),
        handshake("/ws?token=evil").replace("\r\n\r\n", "\r\nOrigin: evil\r\n\r\n"),
    ] {
        server.is_visited().sends(request);
    }
    comes_to(&server, "wsroom_connections", 1.0);
    let after = server.is_scraped();
    assert_eq!(before.names(), after.names());
    assert_eq!(before.families, after.families);
}

#[test]
fn the_end_of_the_certificate_is_told() {
    let server = Server::over(Way::Tls, &[]);
    let told = server.is_scraped().tells("wsroom_certificate_expiry_timestamp_seconds");
    let health = server.get("/healthz").tells(200);
    let until = humantime::parse_rfc3339(health["certificate_expires_at"].as_str().unwrap());
    let until = until.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(told, until.as_secs() as f64);
    // A plain request to this port is sent to https, and nothing is told to it.
    let plain = Visitor::over(Way::Plain.connects(server.address()));
    let mut plain = plain;
    assert_eq!(plain.asks("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 308);
    comes_to(&server, r#"wsroom_requests_refused_total{reason="plain_http"}"#, 1.0);
}

#[test]
fn servers_on_one_redis_tell_how_long_their_log_takes() {
    let redis = RedisServer::start();
    let url = redis.url();
    let [here, there] = [(); 2].map(|()| Server::with(&["--data", url.secret()]));
    let (mut ada, mut bob) = (here.joins("physics"), there.joins("physics"));
    comes_to(&here, "wsroom_members_elsewhere", 1.0);
    ada.says("hello");
    ada.hears("hello");
    bob.hears("hello");
    let (here, there) = (here.is_scraped(), there.is_scraped());
    assert_ne!(here.tells("wsroom_node"), there.tells("wsroom_node"));
    assert_eq!(here.tells("wsroom_log_readback_seconds_count"), 1.0);
    assert!(here.tells("wsroom_store_append_seconds_count") >= 1.0);
    // It was said here, and is heard there too.
    assert_eq!(there.tells("wsroom_messages_total"), 0.0);
    assert_eq!(there.tells("wsroom_log_readback_seconds_count"), 0.0);
    let lag = there.tells("wsroom_log_lag_seconds");
    assert!((0.0..support::PATIENCE.as_secs_f64()).contains(&lag), "{lag}");
    assert_eq!(OF_NODES.map(|name| here.families[name].as_str()), ["gauge"; 3]);
}

/// Metrics that only a server with other nodes has.
const OF_NODES: [&str; 3] = ["wsroom_node", "wsroom_members_elsewhere", "wsroom_log_lag_seconds"];

/// All words in the expressions of a dashboard that may name a metric.
fn named_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(expression) = fields.get("expr").and_then(Value::as_str) {
                let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let is_metric =
                    |word: &&str| word.starts_with("wsroom_") || word.starts_with("process_");
                found.extend(words.filter(is_metric).map(str::to_owned));
            }
            fields.values().for_each(|value| named_in(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| named_in(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let dashboard = include_str!("grafana.json");
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let mut named = BTreeSet::new();
    named_in(&dashboard, &mut named);
    assert!(named.len() > 15, "{named:?}");
    let server = Server::over(Way::Tls, &[]);
    let scrape = server.is_scraped();
    for name in &named {
        let ends = ["_bucket", "_sum", "_count"].iter();
        let family = ends
            .filter_map(|end| name.strip_suffix(end))
            .find(|family| scrape.families.get(*family).is_some_and(|kind| kind == "histogram"));
        let family = family.unwrap_or(name);
        let is_there = scrape.families.contains_key(family) || OF_NODES.contains(&family);
        assert!(is_there, "the dashboard shows {name}, which is not told");
    }
    // And it leaves out none of ours that somebody should see.
    let readme = include_str!("../README.md");
    for family in scrape.families.keys().map(String::as_str).chain(OF_NODES) {
        assert!(readme.contains(family), "the README does not say what {family} is");
    }
}
