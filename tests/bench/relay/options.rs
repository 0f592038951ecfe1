//! The benchmark's command line, behind `cargo bench --bench relay --`.

use std::io;

use clap::Parser;

use super::floor::server::Manner;
use super::plan::effort::Effort;
use super::plan::scenario::Scenario;

/// What relaying costs in wsroom, beside the least that it can cost on this machine.
///
/// WSROOM_BIN names another build of the program to measure.
#[derive(Parser)]
pub struct Options {
    /// Only these: fanout, storm, table, pictures, echo, idle, churn, reconnect, rooms, mud, kept,
    /// pings, flood, rejoin, many-rooms, nodes (which need redis-server), or one row of them such as
    /// fanout-1000.
    scenarios: Vec<String>,

    /// Few and short rounds: under a minute in all, for a first look.
    #[arg(long)]
    quick: bool,

    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,

    /// How this program starts itself as a floor.
    #[arg(long, hide = true, value_parser = manner)]
    floor: Option<Manner>,

    /// What `cargo bench` adds, and `cargo test --all-targets` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How the figures are printed.
pub enum Format {
    Table,
    Json,
}

impl Options {
    pub fn floor(&self) -> Option<Manner> {
        self.floor
    }

    /// Whether measuring was asked for. A test run starts benchmarks too, and not optimised.
    pub fn measures(&self) -> bool {
        self.bench
    }

    pub fn effort(&self) -> Effort {
        if self.quick { Effort::QUICK } else { Effort::FULL }
    }

    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Table }
    }

    /// Those that were named, or all.
    pub fn scenarios(&self) -> io::Result<Vec<Scenario>> {
        let all = Scenario::all();
        let unknown =
            self.scenarios.iter().find(|name| !all.iter().any(|scenario| scenario.is_called(name)));
        if let Some(name) = unknown {
            let known: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
            return Err(io::Error::other(format!("{name}: there are {}", known.join(", "))));
        }
        let named = |scenario: &Scenario| {
            self.scenarios.is_empty() || self.scenarios.iter().any(|name| scenario.is_called(name))
        };
        Ok(all.into_iter().filter(named).collect())
    }
}

fn manner(name: &str) -> Result<Manner, String> {
    Manner::from_name(name).ok_or_else(|| "one-send-each or joined".to_owned())
}
