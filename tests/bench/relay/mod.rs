//! The map. Read in this order: `scenario` and `scenarios` (what is done) · `effort` (how long, how
//! large) · `trial` (once: start, connect, drive, read the meters, stop) · `figures` and `row`
//! (rounds, medians, ratios) · `report`, `note`, `cell` (the table) and `json` · `contender` (who
//! is driven), `credentials` and `pem` (its certificate), `destination` (what clients know of it) ·
//! `floor`, `floor_peer`, `encryption` (the least it can cost) · `many_rooms` (a file, before it is
//! measured) · `load` and the eight loads (`pages` come back in `rejoin`) · `crowd`, `connection`,
//! `session`, `records`, `frame` (clients) · `stamp`, `ledger`, `latency` (what is in a message and
//! what became of it) · `system` (CPU, memory, machine).
//!
//! One thread drives all clients whose latency is measured; server and floor are processes of their
//! own. Everything listens on 127.0.0.1, on a port that the system picks, and everything ends: runs
//! after their time and at most ten seconds of patience (pages after three minutes at most),
//! processes with the trial that started them.

mod options;
mod scenario;
mod scenarios;
mod effort;
mod trial;
mod figures;
mod row;
mod report;
mod note;
mod cell;
mod json;
mod contender;
mod credentials;
mod pem;
mod destination;
mod floor;
mod floor_peer;
mod load;
mod paced;
mod mud;
mod pings;
mod rejoin;
mod pages;
mod many_rooms;
mod storm;
mod echo;
mod churn;
mod idle;
mod crowd;
mod connection;
mod session;
mod records;
mod frame;
mod stamp;
mod ledger;
mod latency;
mod encryption;
mod system;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use options::{Format, Options};
use row::Row;
use scenario::Scenario;

/// Descriptors of this process that are not clients.
const OTHER_DESCRIPTORS: u64 = 64;

pub fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.floor() {
        Some(manner) => floor::serve(manner).map(|()| ExitCode::SUCCESS),
        None if options.measures() => measure(&options),
        None => {
            println!("nothing was measured: `cargo bench` does, or this program with --bench");
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

/// Runs what was asked for, and prints it. It is a failure if a scenario could not be run to its
/// end, or if a message was lost, changed or out of order.
fn measure(options: &Options) -> io::Result<ExitCode> {
    let scenarios = options.scenarios()?;
    let machine = system::machine();
    eprintln!("{machine}");
    let sized = scenarios.iter().map(|scenario| options.effort().sized(scenario));
    let rows: Vec<_> = sized.map(|scenario| row(&scenario, options)).collect();
    match options.format() {
        Format::Table => print!("{machine}\n\n{}", report::table(&rows)),
        Format::Json => println!("{:#}", json::report(&machine, &rows)),
    }
    let clean = rows.iter().all(|row| row.failure.is_none() && !row.faults().any());
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(scenario: &Scenario, options: &Options) -> Row {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let fitting = usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX);
    // As many as the server will take.
    let fitting = fitting.min(wsroom::capacity::clip(scenario.clients).unwrap_or(1));
    if scenario.clients <= fitting {
        return Row::measure(scenario.clone(), options.effort());
    }
    let (name, clients) = (scenario.name, scenario.clients);
    eprintln!(
        "{name}: {fitting} clients, not {clients}: open files or memory mappings allow no more here"
    );
    // Whole rooms only.
    let clients = fitting - fitting % scenario.rooms;
    Row::measure(Scenario { clients, ..scenario.clone() }, options.effort())
}
