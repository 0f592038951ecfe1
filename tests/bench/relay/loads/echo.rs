//! `echo`: each client sends again what comes back, with one or more messages under way.
//!
//! What one read brings back is answered with one send, so how often the load sends follows from
//! how the server joins its answers. Every answer is checked.

use std::io;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::latency::Latency;
use crate::relay::messages::ledger::{self, Faults, Ledger};
use crate::relay::messages::stamp::{Author, Stamp};
use crate::relay::plan::scenario::Scenario;

const TICK: Duration = Duration::from_millis(100);

pub struct Echo {
    crowd: Crowd,
    author: Author,
    length: usize,
    window: u32,
    /// Everyone hears only itself: client `n` is the only one in its "room" `n`.
    ledgers: Vec<Ledger>,
    sent: Vec<u32>,
    heard: u64,
    latency: Latency,
    frames: Vec<u8>,
}

impl Echo {
    pub fn connect(scenario: &Scenario, window: usize, server: &Destination) -> io::Result<Self> {
        let clients = scenario.clients;
        let paths: Vec<_> = (0..clients).map(|client| scenario.path(client)).collect();
        let mut crowd = Crowd::new()?;
        crowd.join(server, &paths)?;
        Ok(Self {
            crowd,
            author: Author::new(scenario.opcode(), scenario.bytes),
            length: scenario.bytes,
            window: u32::try_from(window).map_err(io::Error::other)?,
            ledgers: (0..clients).map(|client| Ledger::new(client, clients, 1)).collect(),
            sent: vec![0; clients],
            heard: 0,
            latency: Latency::default(),
            frames: Vec::new(),
        })
    }

    fn sent_in_all(&self) -> u64 {
        self.sent.iter().map(|&sent| u64::from(sent)).sum()
    }

    /// So many messages in one send.
    fn say(&mut self, client: usize, count: u32) -> io::Result<()> {
        self.frames.clear();
        for number in self.sent[client]..self.sent[client] + count {
            self.author.push(client, number, &mut self.frames);
        }
        self.sent[client] += count;
        // Never held up: a window is far less than what a socket takes.
        self.crowd.connections[client].send(&self.frames)
    }

    /// Reads once; the number of answers that came.
    fn hear(&mut self, client: usize) -> io::Result<u32> {
        let mut count = 0;
        self.crowd.receive(client, |payload| {
            let stamp = Stamp::read(payload, self.length);
            self.ledgers[client].enter(stamp.as_ref());
            if let Some(stamp) = stamp {
                self.latency.enter(&stamp);
            }
            count += 1;
        })?;
        self.heard += u64::from(count);
        Ok(count)
    }
}

impl Load for Echo {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let (start, before) = (Instant::now(), self.heard);
        for client in 0..self.sent.len() {
            self.say(client, self.window)?;
        }
        while self.heard < self.sent_in_all() && start.elapsed() < duration + PATIENCE {
            let events = self.crowd.wait(TICK)?;
            let goes_on = start.elapsed() < duration;
            for event in 0..events {
                let Some(client) = self.crowd.ready(event) else { continue };
                let count = self.hear(client)?;
                if goes_on && count > 0 {
                    self.say(client, count)?;
                }
            }
        }
        let latency = std::mem::take(&mut self.latency);
        Ok(Tally { deliveries: self.heard - before, elapsed: start.elapsed(), latency })
    }

    fn faults(&mut self) -> io::Result<Faults> {
        let mut faults = ledger::faults(&self.ledgers);
        faults.lost += self.sent_in_all().saturating_sub(self.heard);
        faults.strange += self.heard.saturating_sub(self.sent_in_all());
        Ok(faults)
    }
}
