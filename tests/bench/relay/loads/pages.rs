//! Pages that come back all at once: each joins by `wsroom.v1` with `?since=0`, and reads the past.
//!
//! The past ends with the newest message that the welcome names. Every page checks every message,
//! and goes on reading, without looking, what is said until the last page has its past. On a thread
//! of their own.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::relay::clients::connection::Stage;
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::ledger::{self, Faults, Ledger};
use crate::relay::messages::stamp::Stamp;
use crate::relay::plan::scenario::Scenario;

/// How long all of them may take together.
const LIMIT: Duration = Duration::from_secs(180);

const TICK: Duration = Duration::from_millis(100);

/// What there is to read.
pub struct Past {
    pub path: String,
    pub scenario: Scenario,
    /// Those of one who is no more there, the next behind the senders; theirs come on top.
    pub messages: u32,
}

/// What became of all pages.
#[derive(Default)]
pub struct Reading {
    /// From the first that knocked to the last that had its past.
    pub took: Duration,
    /// Pages that were told all of the past. The others were told that something is missing.
    pub whole: u64,
    pub faults: Faults,
}

/// What a page looks at in an event.
#[derive(Deserialize)]
struct Event<'a> {
    id: Option<i64>,
    last: Option<i64>,
    complete: Option<bool>,
    #[serde(borrow)]
    text: Option<&'a str>,
}

struct Page {
    /// The newest message at its coming, once the welcome has named it.
    last: Option<i64>,
    /// The newest message that it has heard.
    newest: i64,
    ledger: Ledger,
    /// Who told the past, and how many messages that were.
    teller: usize,
    messages: u32,
    /// What the server has said of it.
    complete: Option<bool>,
    /// Events that are none, and messages behind a newer one.
    faults: Faults,
    state: State,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Reading,
    Done,
    /// The server has let go of it.
    Gone,
}

/// Lets so many pages join, and returns when all have the past, or when nothing comes any more.
pub fn read(past: &Past, pages: usize, server: &Destination) -> io::Result<Reading> {
    let start = Instant::now();
    let mut crowd = Crowd::speaking("wsroom.v1")?;
    for place in 0..pages {
        crowd.seat(place, server, &past.path)?;
    }
    let mut pages: Vec<_> = (0..pages).map(|_| Page::new(past)).collect();
    let (mut left, mut last) = (pages.len(), start);
    while left > 0 && last.elapsed() < PATIENCE && start.elapsed() < LIMIT {
        for event in 0..crowd.wait(TICK)? {
            let Some(place) = crowd.ready(event) else { continue };
            let page = &mut pages[place];
            if page.state == State::Done {
                Page::hear_no_more(place, &mut crowd)?;
                continue;
            }
            page.read(place, &mut crowd, past.scenario.bytes)?;
            last = Instant::now();
            left -= usize::from(page.state != State::Reading);
        }
    }
    let mut reading = Reading { took: last - start, ..Reading::default() };
    pages.iter().for_each(|page| reading.add(page));
    Ok(reading)
}

impl Reading {
    fn add(&mut self, page: &Page) {
        self.faults += page.faults;
        self.faults += ledger::faults([&page.ledger]);
        self.faults.lost += page.ledger.missed_later;
        match (page.state, page.lacks()) {
            (State::Done, 0) => self.whole += 1,
            (State::Done, _) if page.complete == Some(false) => {}
            // It lacks what came after that too, which nobody has counted.
            (_, lacks) => self.faults.lost += lacks.max(1),
        }
    }
}

impl Page {
    fn new(past: &Past) -> Self {
        let teller = past.scenario.senders;
        Self {
            last: None,
            newest: 0,
            ledger: Ledger::new(0, 1, teller + 1),
            teller,
            messages: past.messages,
            complete: None,
            faults: Faults::default(),
            state: State::Reading,
        }
    }

    fn read(&mut self, place: usize, crowd: &mut Crowd, length: usize) -> io::Result<()> {
        match crowd.receive_last(place, |payload| self.hear(payload, length)) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => return Err(error),
            Ok(()) if matches!(crowd.connections[place].stage, Stage::Greeting | Stage::Open) => {}
            _ => {
                crowd.part(place)?;
                self.state = State::Gone;
            }
        }
        if self.state == State::Reading && self.has_past() {
            self.state = State::Done;
        }
        Ok(())
    }

    /// Whether it has the newest message, and all others or the server's word on what is missing:
    /// some versions give that first, and some last.
    fn has_past(&self) -> bool {
        let all_or_told = self.lacks() == 0 || self.complete.is_some();
        self.last.is_some_and(|last| self.newest >= last) && all_or_told
    }

    /// Messages that are not there from the beginning of the past on, and at its end.
    fn lacks(&self) -> u64 {
        let heard = self.ledger.heard(self.teller);
        self.ledger.missed_at_first + u64::from(self.messages.saturating_sub(heard))
    }

    /// Reads on, so that the server is not held up, for as long as it likes.
    fn hear_no_more(place: usize, crowd: &mut Crowd) -> io::Result<()> {
        crowd.count(place).map(drop).or_else(|_| crowd.part(place))
    }

    fn hear(&mut self, payload: &[u8], length: usize) {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(payload) else {
            self.faults.strange += 1;
            return;
        };
        self.last = self.last.or(event.last);
        self.complete = event.complete.or(self.complete);
        if let (Some(id), Some(text)) = (event.id, event.text) {
            self.faults.reordered += u64::from(id <= self.newest);
            self.newest = id;
            self.ledger.enter(Stamp::read(text.as_bytes(), length).as_ref());
        }
    }
}
