//! What one row of the table tells beyond the others, in words.

use super::cell::{cell, count, percent, ratio};
use super::contender::Contender;
use super::figures;
use super::row::Row;
use super::scenario::{Keeps, Traffic};

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
    if row.scenario.keeps == Keeps::InAFile {
        return kept(row);
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
        Traffic::Paced(_) => tls(row),
        Traffic::Churn => None,
    }
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

fn kept(row: &Row) -> Option<String> {
    let cost = figures::cpu_per_delivery;
    Some(format!(
        "{} not kept, {}; {} µs more a message",
        cell(row.median(Contender::Forgetful, cost)),
        ratio(row.ratio(Contender::Forgetful, cost)),
        cell(row.keeping()),
    ))
}
