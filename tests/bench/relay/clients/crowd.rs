//! All clients of a scenario, on one thread: who has something to read, and a timer.
//!
//! Not here: when to say what. The loads (`paced`, `storm`, `echo`, `churn`, `idle`) do that.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::connection::{Connection, Stage};
use crate::relay::contenders::destination::Destination;

/// One read takes up to this much: under a storm that is thousands of messages.
const SCRATCH: usize = 256 << 10;

/// Clients that are read before the caller looks at the time again.
const EVENTS: usize = 128;

/// Clients that are between connecting and the answer at a time.
const BATCH: usize = 256;

/// How long anything may take that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The timer's mark in events; clients are marked with their places.
const TIMER: u64 = u64::MAX;

pub struct Crowd {
    pub connections: Vec<Connection>,
    epoll: Epoll,
    timer: TimerFd,
    events: Vec<EpollEvent>,
    scratch: Vec<u8>,
    /// Receive buffer of clients to come; `None` leaves it to the system.
    buffer: Option<usize>,
    /// What clients to come offer as a subprotocol.
    protocol: Option<&'static str>,
}

impl Crowd {
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        let (events, scratch) = (vec![EpollEvent::empty(); EVENTS], vec![0; SCRATCH]);
        let connections = Vec::new();
        Ok(Self { connections, epoll, timer, events, scratch, buffer: None, protocol: None })
    }

    /// A crowd whose sockets hold as little as the system lets them.
    pub fn with_small_buffers() -> io::Result<Self> {
        Ok(Self { buffer: Some(4096), ..Self::new()? })
    }

    /// A crowd that offers this subprotocol.
    pub fn speaking(protocol: &'static str) -> io::Result<Self> {
        Ok(Self { protocol: Some(protocol), ..Self::new()? })
    }

    /// Connects one client to each path, and returns when all have been answered.
    pub fn join(&mut self, server: &Destination, paths: &[String]) -> io::Result<()> {
        for batch in paths.chunks(BATCH) {
            let first = self.connections.len();
            for path in batch {
                self.seat(self.connections.len(), server, path)?;
            }
            self.greet(first)?;
        }
        Ok(())
    }

    /// Connects one client, at the next place or that of one who is gone; its answer is not
    /// waited for.
    pub fn seat(&mut self, place: usize, server: &Destination, path: &str) -> io::Result<()> {
        let server = server.for_client(place);
        let connection = Connection::open(&server, path, self.protocol, self.buffer)?;
        self.watch(&connection, place)?;
        match self.connections.get_mut(place) {
            // The old socket is closed, and so leaves the epoll set.
            Some(old) => *old = connection,
            None => self.connections.push(connection),
        }
        Ok(())
    }

    /// Ends a client; its place stays.
    pub fn part(&mut self, place: usize) -> io::Result<()> {
        let socket = &self.connections[place].socket;
        self.epoll.delete(socket)?;
        // It fails where the server's end is gone too, and then there is nothing to do.
        let _ = socket.shutdown(Shutdown::Both);
        Ok(())
    }

    fn watch(&self, connection: &Connection, place: usize) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
        Ok(self.epoll.add(&connection.socket, event)?)
    }

    fn greet(&mut self, first: usize) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let greeting = |connection: &Connection| connection.stage == Stage::Greeting;
        while self.connections[first..].iter().any(greeting) {
            if Instant::now() > deadline {
                return Err(io::Error::other("a client's upgrade was not answered"));
            }
            for event in 0..self.wait(PATIENCE)? {
                if let Some(place) = self.ready(event) {
                    self.receive(place, |_| {})?;
                }
            }
        }
        Ok(())
    }

    /// From now on [`Crowd::wait`] returns at least this often.
    pub fn tick_every(&mut self, interval: Duration) -> io::Result<()> {
        let interval = Expiration::Interval(TimeSpec::from_duration(interval));
        Ok(self.timer.set(interval, TimerSetTimeFlags::empty())?)
    }

    pub fn stop_ticking(&mut self) -> io::Result<()> {
        Ok(self.timer.unset()?)
    }

    /// Waits until someone has something to read, or the timer ticks; the number of events.
    pub fn wait(&mut self, patience: Duration) -> io::Result<usize> {
        // In whole milliseconds; the timer is for what must be more exact.
        let millis = u16::try_from(patience.as_millis()).unwrap_or(u16::MAX);
        match self.epoll.wait(&mut self.events, millis) {
            Err(nix::errno::Errno::EINTR) => Ok(0),
            result => Ok(result?),
        }
    }

    /// Whose event it is; `None` for the timer's.
    pub fn ready(&mut self, event: usize) -> Option<usize> {
        let mark = self.events[event].data();
        if mark == TIMER {
            // Reading it rearms it. It fails only where there is no tick left to read.
            let _ = self.timer.wait();
            return None;
        }
        usize::try_from(mark).ok()
    }

    /// Reads once from a client that should be open, and shows its messages.
    pub fn receive(&mut self, place: usize, hear: impl FnMut(&[u8])) -> io::Result<()> {
        let connection = &mut self.connections[place];
        connection.receive(&mut self.scratch, hear)?;
        open(connection, place)
    }

    /// Reads once from a client whose messages nobody looks at; the number of bytes of frames.
    pub fn count(&mut self, place: usize) -> io::Result<usize> {
        let connection = &mut self.connections[place];
        let count = connection.count(&mut self.scratch)?;
        open(connection, place)?;
        Ok(count)
    }

    /// As [`Crowd::receive`], for a client that may be at its end.
    pub fn receive_last(&mut self, place: usize, hear: impl FnMut(&[u8])) -> io::Result<()> {
        self.connections[place].receive(&mut self.scratch, hear)
    }

    /// Encrypted records that have come to anyone.
    pub fn records(&self) -> u64 {
        self.connections.iter().map(Connection::records).sum()
    }

    pub fn pings(&self) -> u64 {
        self.connections.iter().map(|connection| connection.pings).sum()
    }
}

fn open(connection: &Connection, place: usize) -> io::Result<()> {
    match connection.stage {
        Stage::Greeting | Stage::Open => Ok(()),
        Stage::Closing => Err(io::Error::other(format!("the server said Close to client {place}"))),
        Stage::Ended => Err(io::Error::other(format!("the server let go of client {place}"))),
    }
}
