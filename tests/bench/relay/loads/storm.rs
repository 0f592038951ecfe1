//! `storm`: ten senders talk as fast as they are taken, and everyone hears all of it.
//!
//! The load must not be the narrow place, so only a sample of the receivers looks at messages.
//! Of the others the bytes are counted: all frames are of one length, so a lost message shows.
//! What is under way is bounded by the slowest receiver: a socket's buffers would take millions of
//! deliveries more, which would have to be waited for when time is up, and a server rightly cuts
//! off a client for which too much waits.

use std::io;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame;
use crate::relay::messages::latency::Latency;
use crate::relay::messages::ledger::{self, Faults, Ledger};
use crate::relay::messages::stamp::{Author, Stamp};
use crate::relay::plan::scenario::Scenario;

/// Messages in one send of a sender.
const BATCH: u32 = 64;

/// Messages under way, from the first that the slowest receiver lacks to the last that was sent.
/// Between these bounds it is a quarter of what has arrived, so that a slow server too is through
/// with the last of them soon after time is up.
const MOST_UNDER_WAY: u64 = 8 << 10;
const LEAST_UNDER_WAY: u64 = 4 * BATCH as u64;

const RETRY: Duration = Duration::from_millis(1);

pub struct Storm {
    crowd: Crowd,
    author: Author,
    length: usize,
    /// [`Scenario::sample`].
    sample: usize,
    /// Of each client in the sample.
    ledgers: Vec<Ledger>,
    /// Messages that each sender has sent.
    sent: Vec<u32>,
    /// Who goes first next time.
    turn: usize,
    /// Bytes of frames that each client has heard.
    heard: Vec<u64>,
    latency: Latency,
    frames: Vec<u8>,
}

impl Storm {
    pub fn connect(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        let paths: Vec<_> = (0..scenario.clients).map(|client| scenario.path(client)).collect();
        let mut crowd = Crowd::new()?;
        crowd.join(server, &paths)?;
        let checking = (0..scenario.clients).step_by(scenario.sample);
        Ok(Self {
            crowd,
            author: Author::new(scenario.opcode(), scenario.bytes),
            length: scenario.bytes,
            sample: scenario.sample,
            ledgers: checking.map(|_| Ledger::new(0, 1, scenario.senders)).collect(),
            sent: vec![0; scenario.senders],
            turn: 0,
            heard: vec![0; scenario.clients],
            latency: Latency::default(),
            frames: Vec::new(),
        })
    }

    fn frame_length(&self) -> u64 {
        frame::length_around(self.length) as u64
    }

    fn sent_in_all(&self) -> u64 {
        self.sent.iter().map(|&sent| u64::from(sent)).sum()
    }

    /// Messages that the slowest receiver has heard.
    fn heard_by_all(&self) -> u64 {
        self.heard.iter().min().map_or(0, |bytes| bytes / self.frame_length())
    }

    fn deliveries(&self) -> u64 {
        self.heard.iter().sum::<u64>() / self.frame_length()
    }

    /// Each sender sends a batch, as long as there is room under way.
    fn say(&mut self) -> io::Result<()> {
        let arrived = self.heard_by_all();
        let bound = (arrived / 4).clamp(LEAST_UNDER_WAY, MOST_UNDER_WAY);
        let mut under_way = self.sent_in_all() - arrived;
        for _ in 0..self.sent.len() {
            if under_way + u64::from(BATCH) > bound {
                break;
            }
            if self.say_as(self.turn)? {
                under_way += u64::from(BATCH);
            }
            self.turn = (self.turn + 1) % self.sent.len();
        }
        Ok(())
    }

    /// A batch, unless the sender's socket is still full.
    fn say_as(&mut self, sender: usize) -> io::Result<bool> {
        let connection = &mut self.crowd.connections[sender];
        if !connection.flush()? {
            return Ok(false);
        }
        self.frames.clear();
        for number in self.sent[sender]..self.sent[sender] + BATCH {
            self.author.push(sender, number, &mut self.frames);
        }
        self.sent[sender] += BATCH;
        connection.send(&self.frames)?;
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        let senders = &mut self.crowd.connections[..self.sent.len()];
        senders.iter_mut().try_for_each(|sender| sender.flush().map(drop))
    }

    fn hear(&mut self) -> io::Result<()> {
        for event in 0..self.crowd.wait(RETRY)? {
            let Some(place) = self.crowd.ready(event) else { continue };
            if place % self.sample == 0 {
                self.check(place)?;
            } else {
                self.heard[place] += self.crowd.count(place)? as u64;
            }
        }
        Ok(())
    }

    fn check(&mut self, place: usize) -> io::Result<()> {
        let frame_length = self.frame_length();
        let (ledger, heard) = (&mut self.ledgers[place / self.sample], &mut self.heard[place]);
        self.crowd.receive(place, |payload| {
            let stamp = Stamp::read(payload, self.length);
            ledger.enter(stamp.as_ref());
            if let Some(stamp) = stamp {
                self.latency.enter(&stamp);
            }
            *heard += frame_length;
        })
    }
}

impl Load for Storm {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let (start, before) = (Instant::now(), self.deliveries());
        while start.elapsed() < duration {
            self.say()?;
            self.hear()?;
        }
        while self.heard_by_all() < self.sent_in_all() && start.elapsed() < duration + PATIENCE {
            self.flush()?;
            self.hear()?;
        }
        let latency = std::mem::take(&mut self.latency);
        let deliveries = self.deliveries() - before;
        Ok(Tally { deliveries, elapsed: start.elapsed(), latency })
    }

    fn faults(&mut self) -> io::Result<Faults> {
        let expected = self.sent_in_all() * self.frame_length();
        let mut faults = ledger::faults(&self.ledgers);
        for &heard in &self.heard {
            faults.lost += expected.saturating_sub(heard).div_ceil(self.frame_length());
            faults.strange += heard.saturating_sub(expected).div_ceil(self.frame_length());
        }
        Ok(faults)
    }
}
