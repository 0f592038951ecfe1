//! One trial: start a server, connect the clients, drive it, read the meters, end it.
//!
//! Meters are read while the server is at rest: before the first message, and after the last has
//! been heard. A short drive before that warms up caches, buffers and congestion windows, and
//! counts for nothing but its faults. Not here: rounds and medians (see `row`).

use std::io;
use std::time::Duration;

use super::contender::{Contender, Running};
use super::encryption;
use super::ledger::Faults;
use super::load::{self, Load, Tally};
use super::scenario::{Keeps, Scenario, Traffic, Transport};
use super::system;

/// How much of a machine's time the figures are worth.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    warm_up: Duration,
    drive: Duration,
    /// A storm's turns are long: it is driven for longer.
    storm: Duration,
    /// How long idle clients are held.
    hold: Duration,
    /// Options for the server that holds them.
    holder: &'static [&'static str],
}

impl Effort {
    /// Under five minutes for everything.
    pub const FULL: Self = Self {
        rounds: 5,
        warm_up: Duration::from_millis(100),
        drive: Duration::from_millis(800),
        storm: Duration::from_millis(1600),
        // A ping for each, which comes after 25 s, and no second one.
        hold: Duration::from_secs(30),
        holder: &[],
    };

    /// Under 40 seconds for everything. The hold is too short for a ping of the default
    /// keepalive, so a shorter one is asked for.
    pub const QUICK: Self = Self {
        rounds: 2,
        warm_up: Duration::from_millis(40),
        drive: Duration::from_millis(100),
        storm: Duration::from_millis(250),
        hold: Duration::from_secs(3),
        holder: &["--idle-timeout", "6s"],
    };

    /// Silence is not repeated.
    pub fn rounds_of(&self, scenario: &Scenario) -> usize {
        if scenario.traffic == Traffic::Idle { 1 } else { self.rounds }
    }

    fn options_for(&self, scenario: &Scenario) -> &'static [&'static str] {
        if scenario.traffic == Traffic::Idle { self.holder } else { &[] }
    }

    /// Silence needs none.
    fn warm_up_of(&self, scenario: &Scenario) -> Duration {
        if scenario.traffic == Traffic::Idle { Duration::ZERO } else { self.warm_up }
    }

    fn drive_of(&self, scenario: &Scenario) -> Duration {
        match scenario.traffic {
            Traffic::Idle => self.hold,
            Traffic::Storm => self.storm,
            _ => self.drive,
        }
    }
}

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
    pub faults: Faults,
    /// CPU time of the server, and of the load.
    pub cpu: Duration,
    pub load_cpu: Duration,
    /// Resident memory of the server in bytes: before the first client, when all were there, and
    /// the most there ever was.
    pub empty: u64,
    pub filled: u64,
    pub peak: u64,
    /// Segments that the server sent, where they are counted: in `echo`.
    pub segments: Option<u64>,
    /// Encrypted records that the clients heard; 0 where there is no TLS.
    pub records: u64,
    /// CPU time of encrypting one record and nothing else, measured after the drive.
    pub encryption: Option<Duration>,
    pub extra: Option<(&'static str, u64)>,
}

impl Trial {
    pub fn run(scenario: &Scenario, contender: Contender, effort: &Effort) -> io::Result<Self> {
        let scenario = &seen_by(contender, scenario);
        let server = contender.start(scenario, effort.options_for(scenario))?;
        let empty = system::resident(server.process())?;
        let mut load = load::connect(scenario, &server.destination())?;
        load.run(effort.warm_up_of(scenario))?;
        let before = Meters::read(&server, &*load, scenario)?;
        let tally = load.run(effort.drive_of(scenario))?;
        let after = Meters::read(&server, &*load, scenario)?;
        let mut trial = Self::reckon(tally, &before, &after);
        (trial.clients, trial.empty) = (scenario.clients, empty);
        if scenario.transport == Transport::Tls && trial.deliveries > 0 {
            trial.encryption = Some(encryption::cost_of_record(scenario)?);
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
            cpu: after.cpu.saturating_sub(before.cpu),
            load_cpu: after.load_cpu.saturating_sub(before.load_cpu),
            filled: before.resident,
            peak: after.peak,
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
        (Contender::Forgetful, _) => Scenario { keeps: Keeps::Nothing, ..scenario.clone() },
        (Contender::Plain, _) => Scenario { transport: Transport::Plain, ..scenario.clone() },
        _ => scenario.clone(),
    }
}

struct Meters {
    cpu: Duration,
    load_cpu: Duration,
    resident: u64,
    peak: u64,
    segments: Option<u64>,
    records: u64,
}

impl Meters {
    fn read(server: &Running, load: &dyn Load, scenario: &Scenario) -> io::Result<Self> {
        let echoes = matches!(scenario.traffic, Traffic::Echo { .. });
        let process = server.process();
        Ok(Self {
            segments: if echoes { system::segments_sent_from(server.address()) } else { None },
            records: load.records(),
            resident: system::resident(process)?,
            peak: system::peak_resident(process)?,
            load_cpu: system::own_cpu()?,
            cpu: system::cpu_of(process)?,
        })
    }
}
