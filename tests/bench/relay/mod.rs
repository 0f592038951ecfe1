//! The map. One folder for each part, in this order: [`plan`] (what is done, how long, how large) ·
//! [`measure`] (one trial, its figures, the rounds) · [`report`] (the table, and JSON) ·
//! [`contenders`] (who is driven) · [`floor`] (the least it can cost) · [`loads`] (what clients do) ·
//! [`clients`] · [`messages`] (what is in them, and what became of them). Each folder's `mod.rs`
//! names its files. [`options`] is the command line.
//!
//! One thread drives all clients whose latency is measured; server and floor are processes of their
//! own. Everything listens on 127.0.0.1, on a port that the system picks, and everything ends: runs
//! after their time and at most ten seconds of patience (pages after three minutes at most),
//! processes with the trial that started them.

mod options;
mod plan;
mod measure;
mod report;
mod contenders;
mod floor;
mod loads;
mod clients;
mod messages;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use floor::server;
use measure::row::Row;
use measure::system;
use options::{Format, Options};
use plan::scenario::Scenario;
use report::{json, table};

/// Descriptors of this process that are not clients.
const OTHER_DESCRIPTORS: u64 = 64;

pub fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.floor() {
        Some(manner) => server::serve(manner).map(|()| ExitCode::SUCCESS),
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
        Format::Table => print!("{machine}\n\n{}", table::table(&rows)),
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
