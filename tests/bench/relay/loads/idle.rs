//! `idle`: everyone is connected and silent, and answers pings.
//!
//! That all are still there is proved at the end, after the figures have been read: one talks, and
//! everyone must hear it.

use std::io;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::ledger::{self, Faults, Ledger};
use crate::relay::messages::stamp::{Author, Stamp};
use crate::relay::plan::scenario::Scenario;

const TICK: Duration = Duration::from_millis(100);

pub struct Idle {
    crowd: Crowd,
    scenario: Scenario,
}

impl Idle {
    pub fn connect(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        let mut crowd = Crowd::new()?;
        crowd.join(server, &vec![scenario.path(0); scenario.clients])?;
        Ok(Self { crowd, scenario: scenario.clone() })
    }

    /// The first calls, and the number of those who heard it is returned.
    fn call_the_roll(&mut self, ledgers: &mut [Ledger]) -> io::Result<u64> {
        let mut frames = Vec::new();
        let length = self.scenario.bytes;
        Author::new(self.scenario.opcode(), length).push(0, 0, &mut frames);
        self.crowd.connections[0].send(&frames)?;
        let (deadline, mut heard) = (Instant::now() + PATIENCE, 0);
        while heard < ledgers.len() as u64 && Instant::now() < deadline {
            for event in 0..self.crowd.wait(TICK)? {
                let Some(place) = self.crowd.ready(event) else { continue };
                self.crowd.receive(place, |payload| {
                    ledgers[place].enter(Stamp::read(payload, length).as_ref());
                    heard += 1;
                })?;
            }
        }
        Ok(heard)
    }
}

impl Load for Idle {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let start = Instant::now();
        while start.elapsed() < duration {
            for event in 0..self.crowd.wait(TICK)? {
                if let Some(place) = self.crowd.ready(event) {
                    self.crowd.receive(place, |_| {})?;
                }
            }
        }
        Ok(Tally { elapsed: start.elapsed(), ..Tally::default() })
    }

    fn faults(&mut self) -> io::Result<Faults> {
        let mut ledgers: Vec<_> =
            (0..self.scenario.clients).map(|_| Ledger::new(0, 1, 1)).collect();
        let heard = self.call_the_roll(&mut ledgers)?;
        let mut faults = ledger::faults(&ledgers);
        faults.lost += ledgers.len() as u64 - heard;
        Ok(faults)
    }

    fn extra(&self) -> Option<(&'static str, u64)> {
        Some(("pings answered", self.crowd.pings()))
    }
}
