//! `pings` and `flood`: in a large room somebody sends as fast as it is taken, in `pings` empty pings
//! and one-byte texts by turns, in `flood` texts alone; in another room somebody is alone, and says a
//! message to herself at a steady pace.
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

/// About so many bytes of a flood's texts are in one send.
const FLOOD_BYTES: usize = 64 << 10;

/// How often it is looked whether a socket that was full has room again.
const RETRY: Duration = Duration::from_millis(1);

pub struct Crowded {
    alone: Paced,
    room: Room,
}

/// The large one.
struct Room {
    crowd: Crowd,
    /// The first so many of the crowd send.
    senders: usize,
    /// What each of them sends, again and again.
    frames: Vec<u8>,
    /// The length of a frame as a member hears it.
    heard_length: usize,
}

impl Crowded {
    pub fn pings(scenario: &Scenario, pingers: usize, server: &Destination) -> io::Result<Self> {
        let mut frames = Vec::new();
        for _ in 0..PAIRS {
            frame::push_masked(frame::PING, b"", &mut frames);
            frame::push_masked(frame::TEXT, b".", &mut frames);
        }
        Self::connect(scenario, pingers, (frames, 1), server)
    }

    pub fn flood(
        scenario: &Scenario,
        flooders: usize,
        bytes: usize,
        server: &Destination,
    ) -> io::Result<Self> {
        let mut frames = Vec::new();
        while frames.len() < FLOOD_BYTES {
            frame::push_masked(frame::TEXT, &vec![b'.'; bytes], &mut frames);
        }
        Self::connect(scenario, flooders, (frames, bytes), server)
    }

    /// With the frames that are sent, and the length of a text among them.
    fn connect(
        scenario: &Scenario,
        senders: usize,
        (frames, bytes): (Vec<u8>, usize),
        server: &Destination,
    ) -> io::Result<Self> {
        let alone = Paced::connect(&Scenario { clients: 1, ..scenario.clone() }, server)?;
        let mut crowd = Crowd::new()?;
        crowd.join(server, &vec!["/ws/large".to_owned(); scenario.clients - 1])?;
        let heard_length = frame::length_around(bytes);
        Ok(Self { alone, room: Room { crowd, senders, frames, heard_length } })
    }
}

impl Room {
    /// Answers with the texts that those who do not send have heard.
    fn send_until(&mut self, over: &AtomicBool) -> io::Result<u64> {
        let mut bytes = 0;
        while !over.load(Ordering::Relaxed) {
            for sender in &mut self.crowd.connections[..self.senders] {
                if sender.flush()? {
                    sender.send(&self.frames)?;
                }
            }
            for event in 0..self.crowd.wait(RETRY)? {
                let Some(place) = self.crowd.ready(event) else { continue };
                let count = self.crowd.count(place)?;
                // What a pinger hears is pongs too.
                if place >= self.senders {
                    bytes += count;
                }
            }
        }
        Ok((bytes / self.heard_length) as u64)
    }
}

impl Load for Crowded {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let Self { alone, room } = self;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let sending = scope.spawn(|| room.send_until(&over));
            let tally = alone.run(duration);
            over.store(true, Ordering::Relaxed);
            let heard = sending.join().expect("it does not panic")?;
            let tally = tally?;
            Ok(Tally { deliveries: tally.deliveries + heard, ..tally })
        })
    }

    /// Nobody sends in the large room: the server would be at it for long.
    fn warm_up(&mut self, duration: Duration) -> io::Result<()> {
        self.alone.run(duration).map(drop)
    }

    fn faults(&mut self) -> io::Result<Faults> {
        self.alone.faults()
    }
}
