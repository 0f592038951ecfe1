//! What one row of the table tells beyond the others, in words.

use super::cell::{cell, count, percent, ratio};
use crate::relay::contenders::contender::Contender;
use crate::relay::measure::figures::{self, Figure};
use crate::relay::measure::row::Row;
use crate::relay::plan::scenario::{Keeps, Traffic};

/// From this share of a core on, the load generator's one thread is what is measured.
const LIMIT: f64 = 95.0;

pub fn note(row: &Row) -> String {
    let mut notes: Vec<_> =
        row.failure.iter().map(|failure| format!("FAILED: {failure}")).collect();
    if row.server(figures::load_percent).is_some_and(|percent| percent > LIMIT) {
        notes.push("the load was the limit".to_owned());
    }
    notes.extend(special(row));
    notes.join("; ")
}

fn special(row: &Row) -> Option<String> {
    if row.of(Contender::Forgetful).is_some() {
        return kept(row);
    }
    if row.of(Contender::Alone).is_some() {
        return Some(nodes(row));
    }
    if let Keeps::ManyRooms(rooms) = row.scenario.keeps {
        return Some(format!("{rooms} rooms; {}", latencies(row)));
    }
    match row.scenario.traffic {
        Traffic::Echo { .. } => {
            Some(format!("{} writes a message", cell(row.server(figures::segments_per_message))))
        }
        Traffic::Idle => Some(format!(
            "{} KiB resident a client, {} % CPU, {} pings answered",
            cell(row.server(figures::resident_per_client)),
            cell(row.server(figures::server_percent)),
            count(row.server(figures::extra)),
        )),
        Traffic::Mud(_) => Some(format!(
            "p99 {} of unhindered, {} MiB more resident at most, {} cut",
            ratio(row.ratio(Contender::Unhindered, figures::p99)),
            cell(row.server(figures::resident_growth)),
            count(row.server(figures::extra)),
        )),
        Traffic::Storm => {
            Some(format!("{} server CPU", percent(row.server(figures::server_percent))))
        }
        Traffic::Pings { .. } | Traffic::Flood { .. } => Some(format!(
            "{}; {} server CPU",
            latencies(row),
            percent(row.server(figures::server_percent)),
        )),
        Traffic::Rejoin(_) => Some(rejoin(row)),
        Traffic::Paced(_) => tls(row),
        Traffic::Churn => handshakes(row),
        Traffic::Reconnect => Some(format!(
            "{} of {} back after {} ms",
            count(row.server(|trial| Some(trial.deliveries as f64))),
            row.scenario.clients,
            cell(row.server(figures::settled)),
        )),
    }
}

/// How long messages took, and beside that how long where nothing hinders them.
fn latencies(row: &Row) -> String {
    let beside = |name: &str, figure: Figure| {
        format!(
            "{name} {} beside {} ({})",
            cell(row.server(figure)),
            cell(row.median(Contender::Unhindered, figure)),
            ratio(row.ratio(Contender::Unhindered, figure)),
        )
    };
    let figures =
        [("p50", figures::p50 as Figure), ("p99", figures::p99), ("worst", figures::worst)];
    figures.map(|(name, figure)| beside(name, figure)).join(", ")
}

/// What it costs to be one of several servers, beside one that is alone.
fn nodes(row: &Row) -> String {
    let more = |figure| cell(row.more_than(Contender::Alone, figure));
    format!(
        "{} ms more at p50, {} at p99; {} CPU, {} heard/s of one alone; {} µs of Redis a message",
        more(figures::p50),
        more(figures::p99),
        ratio(row.ratio(Contender::Alone, figures::cpu_per_delivery)),
        ratio(row.ratio(Contender::Alone, figures::deliveries_per_second)),
        cell(row.redis()),
    )
}

fn rejoin(row: &Row) -> String {
    let pages = row.scenario.clients - row.scenario.senders;
    format!(
        "{}; {} of {pages} told all, after {} ms; {} MiB more resident at most",
        latencies(row),
        count(row.server(figures::extra)),
        cell(row.server(figures::settled)),
        cell(row.server(figures::driven_growth)),
    )
}

fn tls(row: &Row) -> Option<String> {
    let ratio_of_both = row.tls_ratio()?;
    Some(format!(
        "{} plain + {} encryption, {} of both; {} records a message",
        cell(row.median(Contender::Plain, figures::cpu_per_delivery)),
        cell(row.server(figures::encryption)),
        ratio(Some(ratio_of_both)),
        cell(row.server(figures::records_per_delivery)),
    ))
}

fn handshakes(row: &Row) -> Option<String> {
    Some(format!(
        "{} plain + {} handshake, {} of both",
        cell(row.median(Contender::Plain, figures::cpu_per_delivery)),
        cell(row.server(figures::encryption)),
        ratio(Some(row.tls_ratio()?)),
    ))
}

fn kept(row: &Row) -> Option<String> {
    let cost = figures::cpu_per_delivery;
    Some(format!(
        "{} not kept, {}; {} µs more a message",
        cell(row.median(Contender::Forgetful, cost)),
        ratio(row.ratio(Contender::Forgetful, cost)),
        cell(row.keeping()),
    ))
}
