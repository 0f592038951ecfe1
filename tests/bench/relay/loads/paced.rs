//! Messages at a fixed pace: `fanout`, `fanout-tls`, `table`, `pictures`, `rooms`,
//! `many-rooms`, and those whose latency is measured in `mud`, `pings`, `flood` and
//! `rejoin`.
//!
//! The pace does not wait for the server: one that falls behind is late for every message that
//! follows, as for people who talk. Each message leaves with a send of its own. Every receiver
//! checks every message, unless the scenario says that only a sample does: of the others the bytes
//! of frames are counted.

use std::io;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame;
use crate::relay::messages::latency::Latency;
use crate::relay::messages::ledger::{self, Faults, Ledger};
use crate::relay::messages::stamp::{Author, Stamp};
use crate::relay::plan::scenario::{Pace, Scenario, Turns};

/// How often it is looked at the time where nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// How often it is looked whether a socket that was full has room again.
const RETRY: Duration = Duration::from_millis(1);

pub struct Paced {
    pub crowd: Crowd,
    scenario: Scenario,
    pace: Pace,
    author: Author,
    frame_length: u64,
    /// Of each client in the sample.
    ledgers: Vec<Ledger>,
    /// Messages that each sender has sent.
    sent: Vec<u32>,
    /// Deliveries that should have come until now, and that have.
    expected: u64,
    heard: u64,
    /// Bytes of frames that each client has heard.
    bytes: Vec<u64>,
    latency: Latency,
    frames: Vec<u8>,
}

impl Paced {
    pub fn connect(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        let mut paced = Self::with_crowd(scenario, Crowd::new()?);
        paced.join(server, scenario.clients)?;
        Ok(paced)
    }

    /// For a crowd that is still to be filled.
    pub fn with_crowd(scenario: &Scenario, crowd: Crowd) -> Self {
        let pace = scenario.traffic.pace().expect("only paced traffic comes here");
        let ledger = |client| {
            Ledger::new(client % scenario.rooms, scenario.rooms, scenario.senders / scenario.rooms)
        };
        Self {
            crowd,
            pace,
            author: Author::new(scenario.opcode(), scenario.bytes),
            frame_length: frame::length_around(scenario.bytes) as u64,
            ledgers: (0..scenario.clients).step_by(scenario.sample).map(ledger).collect(),
            sent: vec![0; scenario.senders],
            expected: 0,
            heard: 0,
            bytes: vec![0; scenario.clients],
            latency: Latency::default(),
            frames: Vec::new(),
            scenario: scenario.clone(),
        }
    }

    /// Lets clients join until there are so many.
    pub fn join(&mut self, server: &Destination, clients: usize) -> io::Result<()> {
        let newcomers = self.crowd.connections.len()..clients;
        let paths: Vec<_> = newcomers.map(|client| self.scenario.path(client)).collect();
        self.crowd.join(server, &paths)
    }

    /// From one beat to the next, at which one sender or all of them talk.
    fn interval(&self) -> Duration {
        let second = Duration::from_secs(1) / self.pace.per_second;
        match self.pace.turns {
            Turns::Together => second,
            Turns::Spread => second / u32::try_from(self.sent.len()).unwrap_or(u32::MAX),
        }
    }

    fn say(&mut self, beat: u32) -> io::Result<()> {
        match self.pace.turns {
            Turns::Together => (0..self.sent.len()).try_for_each(|sender| self.say_as(sender)),
            Turns::Spread => self.say_as(beat as usize % self.sent.len()),
        }
    }

    fn say_as(&mut self, sender: usize) -> io::Result<()> {
        self.frames.clear();
        self.author.push(sender, self.sent[sender], &mut self.frames);
        self.sent[sender] += 1;
        self.expected += (self.scenario.clients / self.scenario.rooms) as u64;
        self.crowd.connections[sender].send(&self.frames)
    }

    /// Sends on what was held up, and reads from whoever has something.
    fn hear(&mut self) -> io::Result<()> {
        let senders = &mut self.crowd.connections[..self.sent.len()];
        let mut patience = TICK;
        for sender in senders {
            if !sender.flush()? {
                patience = RETRY;
            }
        }
        for event in 0..self.crowd.wait(patience)? {
            let Some(place) = self.crowd.ready(event) else { continue };
            let before = self.bytes[place] / self.frame_length;
            if place % self.scenario.sample == 0 {
                self.check(place)?;
            } else {
                self.bytes[place] += self.crowd.count(place)? as u64;
            }
            self.heard += self.bytes[place] / self.frame_length - before;
        }
        Ok(())
    }

    fn check(&mut self, place: usize) -> io::Result<()> {
        let (length, frame_length) = (self.scenario.bytes, self.frame_length);
        let ledger = &mut self.ledgers[place / self.scenario.sample];
        self.crowd.receive(place, |payload| {
            let stamp = Stamp::read(payload, length);
            ledger.enter(stamp.as_ref());
            if let Some(stamp) = stamp {
                self.latency.enter(&stamp);
            }
            self.bytes[place] += frame_length;
        })
    }

    /// Talks for so many beats as it should, and returns when everything that was said has been
    /// heard, or when patience has run out.
    pub fn talk_while(&mut self, goes_on: impl Fn(u32) -> bool) -> io::Result<Tally> {
        let interval = self.interval();
        let (start, heard) = (Instant::now(), self.heard);
        let (mut beat, mut last) = (0, start);
        self.crowd.tick_every(interval)?;
        while goes_on(beat) || self.heard < self.expected {
            while goes_on(beat) && start.elapsed() >= interval * beat {
                self.say(beat)?;
                beat += 1;
            }
            let before = self.heard;
            self.hear()?;
            if self.heard > before {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                break;
            }
        }
        self.crowd.stop_ticking()?;
        let latency = std::mem::take(&mut self.latency);
        Ok(Tally { deliveries: self.heard - heard, elapsed: last - start, latency })
    }

    /// Messages that each client in a room should have heard.
    fn expected_in(&self, room: usize) -> u64 {
        self.sent.iter().skip(room).step_by(self.scenario.rooms).map(|&sent| u64::from(sent)).sum()
    }
}

impl Load for Paced {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let beats = duration.div_duration_f64(self.interval()).ceil() as u32;
        self.talk_while(|beat| beat < beats)
    }

    fn records(&self) -> u64 {
        self.crowd.records()
    }

    fn faults(&mut self) -> io::Result<Faults> {
        let mut faults = ledger::faults(&self.ledgers);
        let expected: Vec<_> =
            (0..self.scenario.rooms).map(|room| self.expected_in(room)).collect();
        let length = self.frame_length;
        for (client, &heard) in self.bytes.iter().enumerate() {
            let expected = expected[client % self.scenario.rooms] * length;
            faults.lost += expected.saturating_sub(heard).div_ceil(length);
            faults.strange += heard.saturating_sub(expected).div_ceil(length);
        }
        Ok(faults)
    }
}
