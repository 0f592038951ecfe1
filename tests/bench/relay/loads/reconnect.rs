//! `reconnect`: all clients of a server that was just restarted come back at once, and read a short
//! past.
//!
//! The server has never seen them: with TLS each makes a whole handshake. It is measured how long it
//! takes until the last one has read everything. A connection that is refused fails the row.

use std::io;
use std::time::Duration;

use super::load::{Load, Tally};
use super::pages::{self, Past, Reading};
use super::rejoin;
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::ledger::Faults;
use crate::relay::plan::scenario::Scenario;

/// Messages that they read: a room keeps so many unless it is told otherwise.
const MESSAGES: u32 = 100;

pub struct Reconnect {
    server: Destination,
    past: Past,
    reading: Reading,
}

impl Reconnect {
    pub fn prepare(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        // The teller is the next one behind the senders, and there are none of these.
        rejoin::tell(scenario, MESSAGES, server)?;
        let path = scenario.path(0) + "?since=0";
        let past = Past { path, scenario: scenario.clone(), messages: MESSAGES };
        Ok(Self { server: server.clone(), past, reading: Reading::default() })
    }
}

impl Load for Reconnect {
    fn run(&mut self, _duration: Duration) -> io::Result<Tally> {
        self.reading = pages::read(&self.past, self.past.scenario.clients, &self.server)?;
        let (back, took) = (self.reading.whole, self.reading.took);
        Ok(Tally { deliveries: back, elapsed: took, ..Tally::default() })
    }

    /// They come once.
    fn warm_up(&mut self, _duration: Duration) -> io::Result<()> {
        Ok(())
    }

    fn faults(&mut self) -> io::Result<Faults> {
        Ok(self.reading.faults)
    }

    fn settled(&self) -> Option<Duration> {
        Some(self.reading.took)
    }
}
