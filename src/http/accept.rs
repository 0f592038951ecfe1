//! The accept thread: takes each connection and gives it a slot, a number and a thread.
//!
//! Runs on `accept`. It never waits for a client and never ends on an error: what it cannot hold
//! it turns away. Not here: what is said on the connection (`door`).

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::door::Door;
use crate::logging::Limited;
use crate::net::connection::Connection;
use crate::net::slots::{Slot, Slots};

/// Stack of a connection's first thread, in bytes. Only what is touched is real memory. Over four
/// times a client's: glibc hands a dead thread's stack, with its touched pages, to the next thread
/// that asks for at least a quarter of it, and an idle client would keep them (16 KiB, not 8).
const DOOR_STACK: usize = 1 << 20;

/// Connections that are being turned away at once; further ones are told in passing.
const TURNED_AWAY: usize = 16;

/// Pause after an `accept` that failed. Out of descriptors it fails at once and for ever, and
/// without a pause that is a busy core.
const PAUSE: Duration = Duration::from_millis(50);

/// What the accept thread works with.
pub struct Acceptor {
    /// Dropped when the thread ends: then the port is free.
    pub listener: TcpListener,
    /// Set before a last connection of our own wakes `accept`.
    pub stopping: Arc<AtomicBool>,
    /// How many connections there may be.
    pub slots: Arc<Slots>,
    /// What each new connection is given to.
    pub door: Arc<Door>,
}

/// How often which thing went wrong.
#[derive(Default)]
struct Troubles {
    full: Limited,
    accept: Limited,
    thread: Limited,
}

impl Acceptor {
    /// The accept thread, until `stopping`.
    pub fn run(self) {
        let turned_away = Slots::new(TURNED_AWAY);
        let troubles = Troubles::default();
        loop {
            let accepted = self.listener.accept();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            match accepted {
                Ok((socket, peer)) => match self.slots.admit() {
                    Some(slot) => self.receive(socket, peer, slot, &troubles),
                    None => turn_away(socket, peer, &turned_away, &self.door, &troubles),
                },
                // It was reset while it waited to be accepted: no trouble of ours.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    troubles.accept.line(|more| {
                        log::warn!("no connection could be accepted: {error}{more}");
                    });
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn receive(&self, socket: TcpStream, peer: SocketAddr, slot: Slot, troubles: &Troubles) {
        let Ok(connection) = Connection::new(slot.id(), socket, peer, slot) else { return };
        self.slots.enter(&connection);
        let (door, guest) = (Arc::clone(&self.door), Arc::clone(&connection));
        if let Err(error) = start(&connection, move || door.receive(&guest)) {
            troubles.thread.line(|more| {
                log::warn!("{peer} turned away: no thread could be started: {error}{more}");
            });
            self.door.turn_away_in_passing(&connection);
        }
    }
}

fn start(connection: &Connection, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let name = connection.id().to_string();
    thread::Builder::new().name(name).stack_size(DOOR_STACK).spawn(work).map(drop)
}

/// `--max-clients` is reached. A few at a time are told with all care, on threads of their own;
/// in a flood it is done in passing, so that those who are connected feel nothing.
fn turn_away(
    socket: TcpStream,
    peer: SocketAddr,
    turned_away: &Arc<Slots>,
    door: &Arc<Door>,
    troubles: &Troubles,
) {
    troubles.full.line(|more| log::warn!("{peer} turned away: --max-clients is reached{more}"));
    let (slot, careful) = match turned_away.admit() {
        Some(slot) => (slot, true),
        None => (Slots::new(1).admit().expect("a house of its own has room"), false),
    };
    let Ok(connection) = Connection::new(slot.id(), socket, peer, slot) else { return };
    let (own, guest) = (Arc::clone(door), Arc::clone(&connection));
    if !careful || start(&connection, move || own.turn_away(&guest)).is_err() {
        door.turn_away_in_passing(&connection);
    }
}
