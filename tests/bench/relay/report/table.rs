//! The table, for people.
//!
//! Not here: what the figures mean (see `figures`), what is told behind them (`note`), or whether
//! they are good enough.

use std::fmt::Write;

use super::cell::{cell, percent, ratio, thousands};
use super::note::note;
use crate::relay::contenders::contender::Contender;
use crate::relay::floor::server::Manner;
use crate::relay::measure::figures;
use crate::relay::measure::row::Row;

const ONE_SEND: Contender = Contender::Floor(Manner::OneSendEach);
const JOINED: Contender = Contender::Floor(Manner::Joined);

const HEAD: [&str; 15] = [
    "scenario", "clients", "bytes", "CPU µs", "one send", "ratio", "joined", "ratio", "heard/s",
    "ratio", "p50 ms", "p99 ms", "lost", "disorder", "load CPU",
];

const LEGEND: &str = "\
CPU µs: the server's CPU time for each message to each receiver (churn: each connection). one send,
joined: that of the floors, one thread that sends each message to each member, or all that wait at
once; the echo's and churn's floor is one non-blocking thread. ratio: the server's figure divided
by the floor's, at heard/s by that of the joining floor. load CPU: of one core. Medians of the
rounds. fanout-tls: at its end stand the same load without TLS, the encryption of each message for
each receiver and nothing else, both in µs, and how often their sum goes into what TLS costs. kept:
with a file; at its end stands the same load without a history, and how often it goes into that.
pings, flood, rejoin, many-rooms: at the end stand latencies in ms, beside those of the same clients
where nothing hinders them. nodes: all servers together, on one Redis; at the end they stand beside
one server without it. CPU µs and heard/s: pings and flood count all who hear, rejoin only the ten
who talk.
";

/// Everything that is printed, but for the machine.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    let notes = std::iter::once(String::new()).chain(rows.iter().map(note));
    for (line, note) in lines.iter().zip(notes) {
        let _ = write!(text, "{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        let _ = writeln!(text, "  {note}");
    }
    text + "\n" + &growth(rows) + LEGEND
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let cost = figures::cpu_per_delivery;
    let (scenario, faults) = (&row.scenario, row.faults());
    [
        scenario.name.to_owned(),
        scenario.clients.to_string(),
        scenario.bytes.to_string(),
        cell(row.server(cost)),
        cell(row.median(ONE_SEND, cost)),
        ratio(row.ratio(ONE_SEND, cost)),
        cell(row.median(JOINED, cost)),
        ratio(row.ratio(JOINED, cost)),
        thousands(row.server(figures::deliveries_per_second)),
        ratio(row.ratio(JOINED, figures::deliveries_per_second)),
        cell(row.server(figures::p50)),
        cell(row.server(figures::p99)),
        faults.lost.to_string(),
        (faults.reordered + faults.strange).to_string(),
        percent(row.server(figures::load_percent)),
    ]
}

/// How the cost grows with clients and with bytes.
fn growth(rows: &[Row]) -> String {
    let cost = |name| {
        let row = rows.iter().find(|row| row.scenario.name == name)?;
        row.server(figures::cpu_per_delivery)
    };
    let mut lines = String::new();
    for (from, to, what) in [
        ("fanout-10", "fanout-1000", "from 10 to 1000 clients"),
        ("fanout-1000", "fanout-1000-1k", "from 64 to 1024 bytes"),
    ] {
        if let (Some(from), Some(to)) = (cost(from), cost(to)) {
            let _ = writeln!(lines, "CPU per delivery {what}: × {:.2}", to / from);
        }
    }
    lines
}
