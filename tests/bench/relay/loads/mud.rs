//! `mud`: a fanout in which some clients stand in the room and read nothing.
//!
//! At 64 bytes a message their sockets would take minutes to fill, so they are filled before
//! everyone else comes in: what is measured is the time in which the server already holds a
//! backlog for each of them. It must end before the server cuts them off (after 10 s without
//! progress), or it would measure something else: [`Mud::extra`] tells how many were cut.

use std::io;
use std::time::{Duration, Instant};

use super::load::{Load, Tally};
use super::paced::Paced;
use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame;
use crate::relay::messages::ledger::Faults;
use crate::relay::plan::scenario::Scenario;

/// Of a hundred clients, so many do not read.
const PERCENT: usize = 5;

/// What is said before the others come. The kernel takes up to 2.6 MiB for a socket whose other
/// end reads nothing, and the server lets 4 MiB wait on top of that before it cuts one off.
const FILLING: usize = 4 << 20;
const PIECE: usize = 64 << 10;

pub struct Mud {
    /// Connected, and never read from.
    stuck: Crowd,
    healthy: Paced,
}

impl Mud {
    pub fn connect(scenario: &Scenario, server: &Destination) -> io::Result<Self> {
        let stuck_clients = scenario.clients * PERCENT / 100;
        let clients = scenario.clients - stuck_clients;
        let mut healthy =
            Paced::with_crowd(&Scenario { clients, ..scenario.clone() }, Crowd::new()?);
        let mut stuck = Crowd::with_small_buffers()?;
        healthy.join(server, scenario.senders)?;
        stuck.join(server, &vec![scenario.path(0); stuck_clients])?;
        fill(&mut healthy.crowd)?;
        healthy.join(server, clients)?;
        Ok(Self { stuck, healthy })
    }
}

/// The first client says so much, and hears it all.
fn fill(crowd: &mut Crowd) -> io::Result<()> {
    let mut piece = Vec::new();
    frame::push_masked(frame::BINARY, &vec![0; PIECE], &mut piece);
    crowd.connections[0].send(&piece.repeat(FILLING / PIECE))?;
    let deadline = Instant::now() + PATIENCE;
    let mut heard = 0;
    while heard < FILLING {
        if Instant::now() > deadline {
            return Err(io::Error::other("the first messages were not relayed"));
        }
        crowd.connections[0].flush()?;
        for event in 0..crowd.wait(Duration::from_millis(1))? {
            if let Some(place) = crowd.ready(event) {
                crowd.receive(place, |payload| heard += payload.len())?;
            }
        }
    }
    Ok(())
}

impl Load for Mud {
    fn run(&mut self, duration: Duration) -> io::Result<Tally> {
        self.healthy.run(duration)
    }

    fn faults(&mut self) -> io::Result<Faults> {
        self.healthy.faults()
    }

    fn extra(&self) -> Option<(&'static str, u64)> {
        let cut = self.stuck.connections.iter().filter(|stuck| {
            // A reset shows here without reading.
            matches!(stuck.socket.take_error(), Ok(Some(_)))
        });
        Some(("cut", cut.count() as u64))
    }
}
