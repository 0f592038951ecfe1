//! The accept thread: takes each connection and gives it a slot, a number and a thread at the door.
//!
//! Runs on `accept`. It never waits for a client and never ends on an error: it turns away the
//! connections that it cannot hold. Not here: the bytes of a connection (`door`).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::door::{Crowded, Door};
use crate::logging::Limited;
use crate::metrics::labels::Unheard;
use crate::metrics::meters::Metrics;
use crate::net::connection::Connection;
use crate::net::networks::{Networks, Place};
use crate::net::pool::Pool;
use crate::net::slots::{Slot, Slots};

/// Stack of a thread at the door, in bytes. Only touched pages are real memory. It is over
/// four times a client's stack: glibc gives a dead thread's stack, with its touched pages, to the
/// next thread that asks for at least a quarter of its size. An idle client would then keep these
/// pages (16 KiB instead of 8).
pub const DOOR_STACK: usize = 1 << 20;

/// The most connections that are turned away at the same time on threads of their own. Others are
/// turned away without waiting.
const MAX_TURNED_AWAY: usize = 16;

/// Pause after a failed `accept`. Without descriptors it fails at once, again and again: without a
/// pause the loop would keep a core busy.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// The accept thread's listener, and the parts to which it gives connections.
pub struct Acceptor {
    /// Dropped when the thread ends; then the port is free.
    pub listener: TcpListener,
    /// Made by the server when it stops.
    pub last_call: Arc<LastCall>,
    /// The connections that there are, and their limit.
    pub slots: Arc<Slots>,
    /// How many of them each network has.
    pub networks: Arc<Networks>,
    /// The door that serves each new connection.
    pub door: Arc<Door>,
    /// The threads on which it does.
    pub threads: Pool,
    /// What those who come in here may ask for.
    pub entrance: Entrance,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entrance {
    /// Everything (`--listen`).
    Main,
    /// The metrics alone (`--metrics-listen`).
    Metrics,
}

/// The connection by which the server ends the accept thread: only a connection ends a blocked `accept`.
/// It is known by its address, so whoever came before it is served, and whoever comes behind it stays in
/// the listener's queue: there the next server finds them, if a service manager keeps the listener.
#[derive(Default)]
pub struct LastCall {
    /// Where it comes from; set before it is made.
    from: OnceLock<SocketAddr>,
    /// It could not be made, so any connection, or any error, will do.
    failed: AtomicBool,
}

impl LastCall {
    /// How long it may wait in a full queue for its turn.
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// Makes it to a listener at this address. If that fails, `accept` is not blocked: it fails for the same
    /// reason, or it has a queue of others.
    pub fn make(&self, mut address: SocketAddr) {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        if self.connect(address).is_err() {
            self.failed.store(true, Ordering::Release);
        }
    }

    fn connect(&self, address: SocketAddr) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        let mut own = address;
        own.set_port(0);
        socket.bind(&own.into())?;
        let from = socket.local_addr()?.as_socket().expect("it is bound to an IP address");
        let _ = self.from.set(from);
        socket.connect_timeout(&address.into(), Self::TIMEOUT)
    }

    fn is_made(&self) -> bool {
        self.from.get().is_some() || self.failed.load(Ordering::Acquire)
    }

    fn comes_from(&self, peer: SocketAddr) -> bool {
        let is_it = |from: &SocketAddr| (from.ip(), from.port()) == (peer.ip(), peer.port());
        self.from.get().is_some_and(is_it) || self.failed.load(Ordering::Acquire)
    }
}

/// Limits the log lines of each kind of trouble.
#[derive(Default)]
struct Troubles {
    full: Limited,
    network: Limited,
    accept: Limited,
    thread: Limited,
}

impl Acceptor {
    /// Runs the accept thread until the last call.
    pub fn run(self) {
        let turned_away = Slots::new(MAX_TURNED_AWAY);
        let troubles = Troubles::default();
        loop {
            match self.listener.accept() {
                Ok((_, peer)) if self.last_call.comes_from(peer) => return,
                Err(_) if self.last_call.is_made() => return,
                Ok((socket, peer)) => {
                    self.metrics().accepted.inc();
                    match self.admit(peer, &troubles) {
                        Ok(place) => self.receive(socket, peer, place, &troubles),
                        Err(crowded) => self.turn_away(socket, peer, crowded, &turned_away),
                    }
                }
                // The peer reset it while it waited to be accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    troubles.accept.line(|more| {
                        log::warn!("no connection could be accepted: {error}{more}");
                    });
                    thread::sleep(PAUSE_AFTER_ERROR);
                }
            }
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.door.clients.metrics
    }

    /// A slot for one more connection, and a place in its network.
    fn admit(&self, peer: SocketAddr, troubles: &Troubles) -> Result<(Slot, Place), Crowded> {
        let Some(slot) = self.slots.admit() else {
            troubles.full.line(|more| {
                log::warn!("{peer} turned away: --max-clients is reached{more}");
            });
            return Err(Crowded::Server);
        };
        // The door counts the clients behind a trusted proxy, when it knows them.
        let is_proxy = self.door.trusted_proxies.contain(peer.ip());
        let place =
            if is_proxy { Some(Place::uncounted()) } else { self.networks.admit(peer.ip()) };
        let Some(place) = place else {
            troubles.network.line(|more| {
                log::info!("{peer} turned away: --max-clients-per-ip is reached{more}");
            });
            return Err(Crowded::Network);
        };
        Ok((slot, place))
    }

    fn receive(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        (slot, place): (Slot, Place),
        troubles: &Troubles,
    ) {
        let Ok(connection) = Connection::new(slot.id(), socket, peer, (slot, place)) else {
            return;
        };
        self.slots.enter(&connection);
        let (door, guest) = (Arc::clone(&self.door), Arc::clone(&connection));
        let entrance = self.entrance;
        let task = move || match entrance {
            Entrance::Main => door.receive(&guest),
            Entrance::Metrics => door.receive_scrape(&guest),
        };
        if let Err(error) = self.threads.run(task) {
            self.metrics().turned_away(Unheard::NoThread);
            troubles.thread.line(|more| {
                log::warn!("{peer} turned away: no thread could be started: {error}{more}");
            });
            self.door.turn_away_without_waiting(&connection, Crowded::Server);
        }
    }

    /// Turns a connection away, because a limit on them is reached. A few at a time get their response
    /// on threads of their own. In a flood the others are turned away without waiting, so that it does
    /// not disturb the connected clients.
    fn turn_away(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        crowded: Crowded,
        turned_away: &Arc<Slots>,
    ) {
        self.metrics().turned_away(match crowded {
            Crowded::Server => Unheard::MaxClients,
            Crowded::Network => Unheard::MaxClientsPerIp,
        });
        let (slot, has_thread) = match turned_away.admit() {
            Some(slot) => (slot, true),
            None => (Slots::new(1).admit().expect("new slots are free"), false),
        };
        let Ok(connection) = Connection::new(slot.id(), socket, peer, slot) else { return };
        let (own, guest) = (Arc::clone(&self.door), Arc::clone(&connection));
        if !has_thread || self.threads.run(move || own.turn_away(&guest, crowded)).is_err() {
            self.door.turn_away_without_waiting(&connection, crowded);
        }
    }
}
