//! The same figures as JSON, for programs: of every contender, and of every round.

use serde_json::{Value, json};

use crate::relay::contenders::contender::Contender;
use crate::relay::contenders::credentials::SUITE_NAME;
use crate::relay::measure::figures::{self, Figure};
use crate::relay::measure::row::Row;
use crate::relay::plan::scenario::Transport;

/// Every figure and its name, which tells the unit.
const FIGURES: [(&str, Figure); 16] = [
    ("cpu_us_per_delivery", figures::cpu_per_delivery),
    ("deliveries_per_s", figures::deliveries_per_second),
    ("p50_ms", figures::p50),
    ("p99_ms", figures::p99),
    ("worst_ms", figures::worst),
    ("settled_ms", figures::settled),
    ("cpu_percent", figures::server_percent),
    ("redis_cpu_us_per_delivery", figures::redis_cpu_per_delivery),
    ("load_cpu_percent", figures::load_percent),
    ("segments_per_message", figures::segments_per_message),
    ("records_per_message", figures::records_per_delivery),
    ("encryption_us_per_record", figures::encryption),
    ("resident_kib_per_client", figures::resident_per_client),
    ("resident_growth_mib", figures::resident_growth),
    ("resident_driven_growth_mib", figures::driven_growth),
    ("extra", figures::extra),
];

pub fn report(machine: &str, rows: &[Row]) -> Value {
    json!({ "machine": machine, "scenarios": rows.iter().map(scenario).collect::<Vec<_>>() })
}

fn scenario(row: &Row) -> Value {
    let (scenario, faults) = (&row.scenario, row.faults());
    let contenders = scenario.contenders.iter();
    json!({
        "name": scenario.name,
        "clients": scenario.clients,
        "rooms": scenario.rooms,
        "senders": scenario.senders,
        "bytes": scenario.bytes,
        "transport": transport(row),
        "keeping_us_per_message": row.keeping(),
        "tls_to_plain_and_encryption": row.tls_ratio(),
        "failure": row.failure,
        "lost": faults.lost,
        "reordered": faults.reordered,
        "strange": faults.strange,
        "contenders": contenders.map(|&each| contender(row, each)).collect::<Vec<_>>(),
    })
}

fn transport(row: &Row) -> &'static str {
    match row.scenario.transport {
        Transport::Plain => "plain",
        Transport::Tls => SUITE_NAME,
    }
}

/// Medians, how often they go into the server's, and what each round told.
fn contender(row: &Row, contender: Contender) -> Value {
    let object = |value: &dyn Fn(Figure) -> Value| -> Value {
        FIGURES.iter().map(|&(name, figure)| (name.to_owned(), value(figure))).collect()
    };
    let trials = row.of(contender).unwrap_or_default();
    json!({
        "name": contender.name(),
        "extra_is": trials.iter().find_map(|trial| trial.extra).map(|(name, _)| name),
        "median": object(&|figure| json!(row.median(contender, figure))),
        "server_to_this": object(&|figure| json!(row.ratio(contender, figure))),
        "rounds": object(&|figure| trials.iter().map(figure).collect()),
    })
}
