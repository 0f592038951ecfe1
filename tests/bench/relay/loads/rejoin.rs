//! `rejoin`: ten people talk in a room with a long history, and many pages come back to it at once.
//!
//! It is measured how long the ten wait for each other meanwhile. A second thread is the pages (see
//! `pages`), so that what they read is in nobody's latency but where it takes the processor.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use super::paced::Paced;
use super::pages::{self, Past, Reading};
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::ledger::Faults;
use crate::relay::messages::stamp::Author;
use crate::relay::plan::scenario::Scenario;

/// Bytes of history. A room keeps 16 MiB: what is said meanwhile pushes nothing out.
const HISTORY: usize = 14 << 20;

/// What a message takes in there beside its payload, or so.
const BESIDE: usize = 70;

/// Messages of the history in one send, and under way to the one who says them.
const BATCH: u32 = 64;
const UNDER_WAY: u32 = 64 * BATCH;

pub struct Rejoin {
    talkers: Paced,
    server: Destination,
    past: Past,
    pages: usize,
    /// What the pages have read.
    reading: Reading,
}

impl Rejoin {
    pub fn connect(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        let messages = u32::try_from(HISTORY / (scenario.bytes + BESIDE)).unwrap_or(u32::MAX);
        tell(scenario, messages, server)?;
        let talkers = Scenario { clients: scenario.senders, ..scenario.clone() };
        Ok(Self {
            talkers: Paced::connect(&talkers, server)?,
            server: server.clone(),
            past: Past {
                path: scenario.path(0) + "?since=0",
                scenario: scenario.clone(),
                messages,
            },
            pages: scenario.clients - scenario.senders,
            reading: Reading::default(),
        })
    }
}

/// One who is not there later says so much, and hears it all.
pub fn tell(scenario: &Scenario, messages: u32, server: &Destination) -> io::Result<()> {
    let mut crowd = Crowd::new()?;
    crowd.join(server, &[scenario.path(0)])?;
    let mut author = Author::new(scenario.opcode(), scenario.bytes);
    let (mut said, mut heard, mut last) = (0, 0, Instant::now());
    while heard < messages {
        let connection = &mut crowd.connections[0];
        if connection.flush()? && said < messages && said - heard < UNDER_WAY {
            let mut frames = Vec::new();
            let batch = said..messages.min(said + BATCH);
            said = batch.end;
            batch.for_each(|number| author.push(scenario.senders, number, &mut frames));
            connection.send(&frames)?;
        }
        let before = heard;
        for event in 0..crowd.wait(Duration::from_millis(1))? {
            if let Some(place) = crowd.ready(event) {
                crowd.receive(place, |_| heard += 1)?;
            }
        }
        if heard > before {
            last = Instant::now();
        } else if last.elapsed() > PATIENCE {
            return Err(io::Error::other("the history was not relayed"));
        }
    }
    Ok(())
}

impl Load for Rejoin {
    /// They talk for so long, and for as long as the pages read.
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        let Self { talkers, server, past, pages, reading } = self;
        let enough = Instant::now() + duration;
        thread::scope(|scope| {
            let pages = scope.spawn(|| pages::read(past, *pages, server));
            let tally = talkers.talk_while(|_| Instant::now() < enough || !pages.is_finished());
            *reading = pages.join().expect("it does not panic")?;
            tally
        })
    }

    /// The pages come later.
    fn warm_up(&mut self, duration: Duration) -> io::Result<()> {
        self.talkers.run(duration).map(drop)
    }

    fn faults(&mut self) -> io::Result<Faults> {
        let mut faults = self.talkers.faults()?;
        faults += self.reading.faults;
        Ok(faults)
    }

    fn settled(&self) -> Option<Duration> {
        (self.pages > 0).then_some(self.reading.took)
    }

    fn extra(&self) -> Option<(&'static str, u64)> {
        Some(("told all of the past", self.reading.whole))
    }
}
