//! One trial: start a server, connect the clients, drive it, read the meters, end it.
//!
//! Meters are read while the server is at rest: before the first message, and after the last has
//! been heard. A short drive before that warms up caches, buffers and congestion windows, and
//! counts for nothing but its faults. Many rooms have none, and a pinging member is never at rest.
//! Not here: how long (see `effort`), rounds and medians (`row`).

use std::io;
use std::iter::Sum;
use std::time::Duration;

use super::system;
use crate::relay::contenders::contender::{Contender, Running};
use crate::relay::floor::encryption;
use crate::relay::loads::load::{self, Load, Tally};
use crate::relay::messages::ledger::Faults;
use crate::relay::plan::effort::Effort;
use crate::relay::plan::scenario::{Keeps, Scenario, Traffic, Transport};

/// What one trial told.
#[derive(Default)]
pub struct Trial {
    pub clients: usize,
    /// Messages that were heard, once for each receiver. In `churn`: connections.
    pub deliveries: u64,
    /// From the first message to the last that was heard.
    pub elapsed: Duration,
    /// Latency within which half of the messages, and 99 of 100, were heard.
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    /// Of the message that took longest.
    pub worst: Option<Duration>,
    pub faults: Faults,
    /// CPU time of the server, and of the load.
    pub cpu: Duration,
    pub load_cpu: Duration,
    /// CPU time of the Redis that servers share, if they do.
    pub redis_cpu: Option<Duration>,
    /// Resident memory of the server in bytes: before the first client, when all were there, and
    /// the most there ever was, and in the drive.
    pub empty: u64,
    pub filled: u64,
    pub peak: u64,
    pub peak_driven: u64,
    /// Segments that the server sent, where they are counted: in `echo`.
    pub segments: Option<u64>,
    /// Encrypted records that the clients heard; 0 where there is no TLS.
    pub records: u64,
    /// CPU time of encrypting one record and nothing else, measured after the drive. In `churn`: of
    /// one handshake.
    pub encryption: Option<Duration>,
    /// See [`Load::settled`].
    pub settled: Option<Duration>,
    pub extra: Option<(&'static str, u64)>,
}

impl Trial {
    pub fn run(scenario: &Scenario, contender: Contender, effort: &Effort) -> io::Result<Self> {
        let (asked, scenario) = (scenario, &seen_by(contender, scenario));
        let server = contender.start(scenario, effort.options_for(asked))?;
        let empty = of_all(&server, system::resident)?;
        let mut load = load::connect(scenario, &server.destination())?;
        load.warm_up(effort.warm_up_of(asked))?;
        let before = Meters::read(&server, &*load, scenario)?;
        // From here on the highest mark is the drive's own.
        server.processes().try_for_each(system::forget_peak)?;
        let tally = load.run(effort.drive_of(asked))?;
        let after = Meters::read(&server, &*load, scenario)?;
        let mut trial = Self::reckon(tally, &before, &after);
        (trial.clients, trial.empty, trial.settled) = (scenario.clients, empty, load.settled());
        if scenario.transport == Transport::Tls && trial.deliveries > 0 {
            trial.encryption = match scenario.traffic {
                Traffic::Churn => server.cost_of_handshake()?,
                _ => Some(encryption::cost_of_record(scenario)?),
            };
        }
        // Last: to find what is lost may take talking once more.
        (trial.extra, trial.faults) = (load.extra(), load.faults()?);
        Ok(trial)
    }

    fn reckon(tally: Tally, before: &Meters, after: &Meters) -> Self {
        let Tally { deliveries, elapsed, mut latency } = tally;
        Self {
            deliveries,
            elapsed,
            p50: latency.within(0.5),
            p99: latency.within(0.99),
            worst: latency.within(1.0),
            cpu: after.cpu.saturating_sub(before.cpu),
            load_cpu: after.load_cpu.saturating_sub(before.load_cpu),
            redis_cpu: after.redis_cpu.zip(before.redis_cpu).map(|(after, before)| after - before),
            filled: before.resident,
            peak: before.peak.max(after.peak),
            peak_driven: after.peak,
            segments: after.segments.zip(before.segments).map(|(after, before)| after - before),
            records: after.records - before.records,
            ..Self::default()
        }
    }
}

/// The scenario as one contender gets it.
fn seen_by(contender: Contender, scenario: &Scenario) -> Scenario {
    match (contender, scenario.traffic) {
        (Contender::Unhindered, Traffic::Mud(pace)) => {
            Scenario { traffic: Traffic::Paced(pace), ..scenario.clone() }
        }
        (Contender::Unhindered, Traffic::Pings { pace, .. }) => {
            Scenario { traffic: Traffic::Pings { pace, pingers: 0 }, ..scenario.clone() }
        }
        (Contender::Unhindered, Traffic::Flood { pace, bytes, .. }) => {
            Scenario { traffic: Traffic::Flood { pace, flooders: 0, bytes }, ..scenario.clone() }
        }
        (Contender::Unhindered, Traffic::Rejoin(_)) => {
            Scenario { clients: scenario.senders, ..scenario.clone() }
        }
        // Without the rooms.
        (Contender::Unhindered, _) => Scenario { keeps: Keeps::InAFile, ..scenario.clone() },
        (Contender::Alone, _) => Scenario { keeps: Keeps::AsUsual, ..scenario.clone() },
        (Contender::Forgetful, _) => Scenario { keeps: Keeps::Nothing, ..scenario.clone() },
        (Contender::Plain, _) => Scenario { transport: Transport::Plain, ..scenario.clone() },
        _ => scenario.clone(),
    }
}

struct Meters {
    cpu: Duration,
    load_cpu: Duration,
    redis_cpu: Option<Duration>,
    resident: u64,
    peak: u64,
    segments: Option<u64>,
    records: u64,
}

impl Meters {
    fn read(server: &Running, load: &dyn Load, scenario: &Scenario) -> io::Result<Self> {
        let echoes = matches!(scenario.traffic, Traffic::Echo { .. });
        Ok(Self {
            segments: if echoes { system::segments_sent_from(server.address()) } else { None },
            records: load.records(),
            resident: of_all(server, system::resident)?,
            peak: of_all(server, system::peak_resident)?,
            load_cpu: system::own_cpu()?,
            redis_cpu: server.redis().map(system::cpu_of).transpose()?,
            cpu: of_all(server, system::cpu_of)?,
        })
    }
}

/// The sum of a figure over all servers.
fn of_all<T: Sum>(server: &Running, figure: fn(u32) -> io::Result<T>) -> io::Result<T> {
    server.processes().map(figure).sum()
}
