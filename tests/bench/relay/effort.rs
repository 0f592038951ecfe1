//! How much of a machine's time the figures are worth: rounds, durations, sizes.

use std::time::Duration;

use super::scenario::{Scenario, Traffic};

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

    /// For the program's command line.
    pub fn options_for(&self, scenario: &Scenario) -> &'static [&'static str] {
        if scenario.traffic == Traffic::Idle { self.holder } else { &[] }
    }

    /// Silence needs none.
    pub fn warm_up_of(&self, scenario: &Scenario) -> Duration {
        if scenario.traffic == Traffic::Idle { Duration::ZERO } else { self.warm_up }
    }

    pub fn drive_of(&self, scenario: &Scenario) -> Duration {
        match scenario.traffic {
            Traffic::Idle => self.hold,
            Traffic::Storm => self.storm,
            _ => self.drive,
        }
    }
}
