//! `churn`: connect, say one message, hear it, close properly, and again.
//!
//! The time that is told is from connecting to hearing the message. Each of the clients has a room
//! to itself, which the server opens and closes with it.

use std::io;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use crate::relay::clients::connection::Stage;
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame;
use crate::relay::messages::latency::Latency;
use crate::relay::messages::ledger::{self, Faults, Ledger};
use crate::relay::messages::stamp::{self, Author, Stamp};
use crate::relay::plan::scenario::Scenario;

/// Connections of one run. Each may leave a port behind that cannot be used again for a minute,
/// and there are 28,000 of them.
const MOST: u64 = 12_000;

const TICK: Duration = Duration::from_millis(100);

pub struct Churn {
    crowd: Crowd,
    server: Destination,
    scenario: Scenario,
    author: Author,
    /// Of the connection that is now in each place.
    seats: Vec<Seat>,
    opened: u64,
    heard: u64,
    latency: Latency,
    frames: Vec<u8>,
}

struct Seat {
    phase: Phase,
    opened: Duration,
    number: u32,
    ledger: Ledger,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Phase {
    /// Waits for the answer to its upgrade.
    Entering,
    /// Waits for its own message.
    Speaking,
    /// Waits for the answer to its Close, and the end.
    Leaving,
    /// Nobody is here.
    Empty,
}

impl Churn {
    pub fn new(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        let clients = scenario.clients;
        let seat = |client| Seat {
            phase: Phase::Empty,
            opened: stamp::now(),
            number: 0,
            ledger: Ledger::new(client, clients, 1),
        };
        Ok(Self {
            crowd: Crowd::new()?,
            server: server.resuming(),
            scenario: scenario.clone(),
            author: Author::new(scenario.opcode(), scenario.bytes),
            seats: (0..clients).map(seat).collect(),
            opened: 0,
            heard: 0,
            latency: Latency::default(),
            frames: Vec::new(),
        })
    }

    fn open(&mut self, place: usize) -> io::Result<()> {
        self.opened += 1;
        let seat = &mut self.seats[place];
        (seat.phase, seat.opened) = (Phase::Entering, stamp::now());
        self.crowd.seat(place, &self.server, &self.scenario.path(place))
    }

    /// Reads once, and does what is next for this client.
    fn advance(&mut self, place: usize) -> io::Result<()> {
        let (seat, length) = (&mut self.seats[place], self.scenario.bytes);
        let mut messages = 0;
        self.crowd.receive_last(place, |payload| {
            seat.ledger.enter(Stamp::read(payload, length).as_ref());
            messages += 1;
        })?;
        let stage = self.crowd.connections[place].stage;
        match (seat.phase, stage) {
            (Phase::Entering, Stage::Open) => self.speak(place),
            (Phase::Speaking, Stage::Open) if messages == 1 => self.leave(place),
            (Phase::Leaving, Stage::Ended) => {
                seat.phase = Phase::Empty;
                self.crowd.part(place)
            }
            (_, Stage::Ended) => Err(io::Error::other("the server let go of a client too early")),
            _ => Ok(()),
        }
    }

    fn speak(&mut self, place: usize) -> io::Result<()> {
        let seat = &mut self.seats[place];
        seat.phase = Phase::Speaking;
        self.frames.clear();
        self.author.push(place, seat.number, &mut self.frames);
        seat.number += 1;
        self.crowd.connections[place].send(&self.frames)
    }

    fn leave(&mut self, place: usize) -> io::Result<()> {
        let seat = &mut self.seats[place];
        seat.phase = Phase::Leaving;
        self.heard += 1;
        self.latency.enter_time(stamp::now() - seat.opened);
        self.frames.clear();
        frame::push_masked(frame::CLOSE, &1000_u16.to_be_bytes(), &mut self.frames);
        self.crowd.connections[place].send(&self.frames)
    }

    fn taken(&self) -> usize {
        self.seats.iter().filter(|seat| seat.phase != Phase::Empty).count()
    }
}

impl Load for Churn {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let (start, heard, opened) = (Instant::now(), self.heard, self.opened);
        for place in 0..self.seats.len() {
            self.open(place)?;
        }
        while self.taken() > 0 && start.elapsed() < duration + PATIENCE {
            for event in 0..self.crowd.wait(TICK)? {
                let Some(place) = self.crowd.ready(event) else { continue };
                self.advance(place)?;
                let goes_on = start.elapsed() < duration && self.opened - opened < MOST;
                if goes_on && self.seats[place].phase == Phase::Empty {
                    self.open(place)?;
                }
            }
        }
        let latency = std::mem::take(&mut self.latency);
        Ok(Tally { deliveries: self.heard - heard, elapsed: start.elapsed(), latency })
    }

    fn faults(&mut self) -> io::Result<Faults> {
        let mut faults = ledger::faults(self.seats.iter().map(|seat| &seat.ledger));
        faults.lost += self.opened - self.heard;
        Ok(faults)
    }
}
