//! `pings`: in a large room somebody alternates empty pings and one-byte texts, as fast as they are
//! taken; in another room somebody is alone, and says a message to herself at a steady pace.
//!
//! Only her latency is measured. A second thread does what happens in the large room, so that
//! reading for 500 is in nobody's latency. It ends with her: what was sent is not waited for. Not
//! here: whether all of the large room hears all of it (the storms look at that).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::load::{Load, Tally};
use super::paced::Paced;
use crate::relay::clients::crowd::Crowd;
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame;
use crate::relay::messages::ledger::Faults;
use crate::relay::plan::scenario::Scenario;

/// Pings, and texts, in one send.
const PAIRS: usize = 1024;

/// How often it is looked whether a socket that was full has room again.
const RETRY: Duration = Duration::from_millis(1);

pub struct Pings {
    alone: Paced,
    room: Room,
}

/// The large one.
struct Room {
    crowd: Crowd,
    /// The first so many of the crowd.
    pingers: usize,
    /// What they send.
    pairs: Vec<u8>,
}

impl Pings {
    pub fn connect(scenario: &Scenario, pingers: usize, server: &Destination) -> io::Result<Self> {
        let alone = Paced::connect(&Scenario { clients: 1, ..scenario.clone() }, server)?;
        let mut crowd = Crowd::new()?;
        crowd.join(server, &vec!["/ws/large".to_owned(); scenario.clients - 1])?;
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            frame::push_masked(frame::PING, b"", &mut pairs);
            frame::push_masked(frame::TEXT, b".", &mut pairs);
        }
        Ok(Self { alone, room: Room { crowd, pingers, pairs } })
    }
}

impl Room {
    /// Answers with the texts that those who do not ping have heard.
    fn ping_until(&mut self, over: &AtomicBool) -> io::Result<u64> {
        let mut bytes = 0;
        while !over.load(Ordering::Relaxed) {
            for pinger in &mut self.crowd.connections[..self.pingers] {
                if pinger.flush()? {
                    pinger.send(&self.pairs)?;
                }
            }
            for event in 0..self.crowd.wait(RETRY)? {
                let Some(place) = self.crowd.ready(event) else { continue };
                let count = self.crowd.count(place)?;
                // The others' are pongs too.
                if place >= self.pingers {
                    bytes += count;
                }
            }
        }
        Ok((bytes / frame::length_around(1)) as u64)
    }
}

impl Load for Pings {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let Self { alone, room } = self;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let pinging = scope.spawn(|| room.ping_until(&over));
            let tally = alone.run(duration);
            over.store(true, Ordering::Relaxed);
            let heard = pinging.join().expect("it does not panic")?;
            let tally = tally?;
            Ok(Tally { deliveries: tally.deliveries + heard, ..tally })
        })
    }

    /// Nobody pings: the server would be at it for long.
    fn warm_up(&mut self, duration: Duration) -> io::Result<()> {
        self.alone.run(duration).map(drop)
    }

    fn faults(&mut self) -> io::Result<Faults> {
        self.alone.faults()
    }
}
