//! What every load can do, whoever it drives.
//!
//! Not here: the loads themselves (`paced`, `mud`, `storm`, `echo`, `churn`, `idle`, `reconnect`,
//! `crowded`, `rejoin`). All run on one thread, the main one; the last two have a second one for those whose latency is
//! not measured.

use std::io;
use std::time::Duration;

use super::churn::Churn;
use super::crowded::Crowded;
use super::echo::Echo;
use super::idle::Idle;
use super::mud::Mud;
use super::paced::Paced;
use super::reconnect::Reconnect;
use super::rejoin::Rejoin;
use super::storm::Storm;
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::latency::Latency;
use crate::relay::messages::ledger::Faults;
use crate::relay::plan::scenario::{Scenario, Traffic};

/// What came of one run.
#[derive(Default)]
pub struct Tally {
    pub deliveries: u64,
    pub elapsed: Duration,
    pub latency: Latency,
}

/// Clients that are connected, and what they do.
pub trait Load {
    /// Talks for so long, and returns when everything that was said has been heard, or when
    /// patience has run out.
    fn run(&mut self, duration: Duration) -> io::Result<Tally>;

    /// As [`Load::run`], before anything is measured.
    fn warm_up(&mut self, duration: Duration) -> io::Result<()> {
        self.run(duration).map(drop)
    }

    /// What went wrong in all runs.
    fn faults(&mut self) -> io::Result<Faults>;

    /// Encrypted records that have come, where TLS is spoken and this load counts them.
    fn records(&self) -> u64 {
        0
    }

    /// How long it took until everyone had what they came for, where this load has such clients.
    fn settled(&self) -> Option<Duration> {
        None
    }

    /// A count that only this load knows, and its name.
    fn extra(&self) -> Option<(&'static str, u64)> {
        None
    }
}

/// Connects a scenario's clients.
pub fn connect(scenario: &Scenario, server: &Destination) -> io::Result<Box<dyn Load>> {
    Ok(match scenario.traffic {
        Traffic::Paced(_) => Box::new(Paced::connect(scenario, server)?),
        Traffic::Mud(_) => Box::new(Mud::connect(scenario, server)?),
        Traffic::Pings { pingers, .. } => Box::new(Crowded::pings(scenario, pingers, server)?),
        Traffic::Flood { flooders, bytes, .. } => {
            Box::new(Crowded::flood(scenario, flooders, bytes, server)?)
        }
        Traffic::Rejoin(_) => Box::new(Rejoin::connect(scenario, server)?),
        Traffic::Storm => Box::new(Storm::connect(scenario, server)?),
        Traffic::Echo { window } => Box::new(Echo::connect(scenario, window, server)?),
        Traffic::Churn => Box::new(Churn::new(scenario, server)?),
        Traffic::Reconnect => Box::new(Reconnect::prepare(scenario, server)?),
        Traffic::Idle => Box::new(Idle::connect(scenario, server)?),
    })
}
