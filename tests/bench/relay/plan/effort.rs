//! How much of a machine's time the figures are worth: rounds, durations, sizes.

use std::time::Duration;

use super::scenario::{Keeps, Scenario, Traffic};

#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    warm_up: Duration,
    drive: Duration,
    /// A storm's turns are long, and so are those that pings and floods end: they are driven for
    /// longer.
    storm: Duration,
    /// How long idle clients are held.
    hold: Duration,
    /// Options for the server that holds them.
    holder: &'static [&'static str],
    /// How long somebody talks beside many rooms, where the server does some things seldom, and how
    /// long several servers are driven, where a message is seldom.
    watch: Duration,
    /// Rounds in which pages come back, and how many come, at most.
    rejoins: usize,
    pages: usize,
    /// Rooms in a file, at most.
    rooms: usize,
}

impl Effort {
    /// Under ten minutes for everything.
    pub const FULL: Self = Self {
        rounds: 5,
        warm_up: Duration::from_millis(100),
        drive: Duration::from_millis(800),
        storm: Duration::from_millis(1600),
        // A ping for each, which comes after 25 s, and no second one.
        hold: Duration::from_secs(30),
        holder: &[],
        watch: Duration::from_secs(10),
        rejoins: 1,
        pages: usize::MAX,
        rooms: usize::MAX,
    };

    /// Under a minute for everything. The hold is too short for a ping of the default
    /// keepalive, so a shorter one is asked for.
    pub const QUICK: Self = Self {
        rounds: 2,
        warm_up: Duration::from_millis(40),
        drive: Duration::from_millis(100),
        storm: Duration::from_millis(250),
        hold: Duration::from_secs(3),
        holder: &["--idle-timeout", "6s"],
        watch: Duration::from_secs(1),
        rejoins: 2,
        pages: 8,
        rooms: 20_000,
    };

    /// A scenario as large as it can be with this effort.
    pub fn sized(&self, scenario: &Scenario) -> Scenario {
        let mut sized = scenario.clone();
        if let Traffic::Rejoin(_) = scenario.traffic {
            sized.clients = scenario.clients.min(scenario.senders.saturating_add(self.pages));
        }
        if let Keeps::ManyRooms(rooms) = scenario.keeps {
            sized.keeps = Keeps::ManyRooms(rooms.min(self.rooms));
        }
        sized
    }

    /// What takes long to prepare, and silence, is not repeated.
    pub fn rounds_of(&self, scenario: &Scenario) -> usize {
        match (scenario.traffic, scenario.keeps) {
            (Traffic::Idle, _) | (_, Keeps::ManyRooms(_)) => 1,
            (Traffic::Rejoin(_), _) => self.rejoins,
            _ => self.rounds,
        }
    }

    /// For the program's command line.
    pub fn options_for(&self, scenario: &Scenario) -> &'static [&'static str] {
        match scenario.traffic {
            Traffic::Idle => self.holder,
            // Bytes are what bounds it.
            Traffic::Rejoin(_) => &["--history", "1000000"],
            _ => &[],
        }
    }

    /// Silence needs none, and of many rooms the first message may be the one that is late.
    pub fn warm_up_of(&self, scenario: &Scenario) -> Duration {
        match (scenario.traffic, scenario.keeps) {
            (Traffic::Idle, _) | (_, Keeps::ManyRooms(_)) => Duration::ZERO,
            _ => self.warm_up,
        }
    }

    pub fn drive_of(&self, scenario: &Scenario) -> Duration {
        match (scenario.traffic, scenario.keeps) {
            (_, Keeps::ManyRooms(_)) | (Traffic::Paced(_), Keeps::InRedis { .. }) => self.watch,
            (Traffic::Idle, _) => self.hold,
            (Traffic::Storm | Traffic::Pings { .. } | Traffic::Flood { .. }, _) => self.storm,
            _ => self.drive,
        }
    }
}
