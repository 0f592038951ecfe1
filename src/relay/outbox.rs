//! One client's way out: direct while its socket takes everything, a queue while it does not.
//!
//! This is the hard spot of the program. A member of a room is *direct*: the broadcaster sends
//! to its socket without ever blocking. When the socket is full, the member is *behind*: what is
//! left goes into a queue of its own, and a writer thread, started for it alone, sends from there
//! and may block. When the queue is empty the writer says so with an event, and the broadcaster,
//! and only it, takes the member back to direct sending. At any moment exactly one thread writes
//! to the socket, so frames never interleave.
//!
//! Ways not taken, each measured or known to fail:
//! - a mutex around the WebSocket: a blocked read holds it, and nothing can be sent meanwhile;
//! - a read timeout after which the reader looks into a queue: every message waits for the tick;
//! - two WebSockets on a cloned socket: a pong lands inside a half-written frame;
//! - a writer thread for everybody: two more context switches per delivery, four times the CPU.
//!
//! A newcomer who asks for the past begins behind: its writer first reads and sends that (`replay`).
//!
//! [`Outbox`] is used by the broadcaster alone, and [`Writer`] runs on `writer-7`. Not here: a client
//! of the echo, who writes its own answers.

use std::cell::OnceCell;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::events::{Event, Events};
use super::replay::{COLLECTED, IN_HAND, Replay};
use crate::net::connection::{Connection, Sent, timed_out};
use crate::protocol::dialect::Dialect;
use crate::protocol::v1::ServerEvent;

/// The writer thread's stack, in bytes. It calls little more than `send` and the logger.
const WRITER_STACK: usize = 128 << 10;

/// The writer gives this many bytes to the kernel at a time, so that what waits is counted down
/// steadily.
const PIECE: usize = 64 << 10;

/// Pieces in which a slow client is written to, a second.
const SLOW_PIECES: u32 = 10;

/// Bytes that may wait for a client that wished to be slow, so that a class sees what happens then.
const SLOW_BACKLOG: usize = 64 << 10;

/// How often such a client is told at most how much waits for it.
const SLOW_NEWS: Duration = Duration::from_secs(1);

/// What an entry of the queue itself takes, in bytes, or so: many tiny messages fill it too.
const ENTRY: usize = 64;

/// Frames for many members at once. Those that are behind share one copy, made for the first.
pub struct Batch<'a> {
    bytes: &'a [u8],
    copy: OnceCell<Bytes>,
}

impl<'a> Batch<'a> {
    /// Whole frames, back to back.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, copy: OnceCell::new() }
    }

    /// The bytes from `sent` on, to be kept. A small rest is copied, lest it keep the whole.
    fn rest(&self, sent: usize) -> Bytes {
        let rest = &self.bytes[sent..];
        if self.copy.get().is_none() && rest.len() < self.bytes.len() / 2 {
            return Bytes::copy_from_slice(rest);
        }
        self.copy.get_or_init(|| Bytes::copy_from_slice(self.bytes)).slice(sent..)
    }
}

/// The client is gone or was cut off: it takes no more.
#[derive(Debug)]
pub struct Gone;

/// A room member's way out.
pub struct Outbox {
    connection: Arc<Connection>,
    /// If it has wished for that: then it is always behind, and only its own writer thread waits.
    slow: Option<Slow>,
    /// `None` while direct. Boxed: in a straight walk over the members it is rarely there.
    behind: Option<Box<Behind>>,
}

/// How slow a client has wished to be.
#[derive(Clone, Copy)]
pub struct Slow {
    /// Bytes a second.
    pub pace: u32,
    /// What it speaks: with `wsroom.v1` it is told how much waits for it.
    pub dialect: Dialect,
}

/// What the broadcaster keeps of a member that is behind.
struct Behind {
    /// Unbounded as a channel, bounded by `waiting`. Dropping it ends the writer thread.
    queue: Sender<Waiting>,
    /// Bytes in the queue and in the writer's hands, and [`ENTRY`] for each entry. The broadcaster
    /// adds, the writer takes away.
    waiting: Arc<AtomicUsize>,
    /// What may wait beyond `--max-backlog`: what it began with.
    allowance: usize,
}

enum Waiting {
    Frames(Bytes),
    Replay(Box<Replay>),
    /// Behind this there is nothing more.
    End,
}

impl Outbox {
    /// A way out for a new member, direct, or `slow` as it has wished.
    pub fn new(connection: Arc<Connection>, slow: Option<Slow>) -> Self {
        Self { connection, slow, behind: None }
    }

    /// Begins with `first`, then the past; whatever is sent from now on waits behind that.
    ///
    /// # Errors
    /// No thread could be started; its own has been woken and will leave.
    pub fn begin(
        &mut self,
        first: Vec<u8>,
        replay: Box<Replay>,
        events: &Events,
    ) -> Result<(), Gone> {
        self.fall_behind(first.into(), events)?;
        if let Some(behind) = &mut self.behind {
            behind.allowance += IN_HAND;
            behind.push(Waiting::Replay(replay), IN_HAND);
        }
        Ok(())
    }

    /// Sends `batch`, or lets it wait. At most `max_backlog` bytes may wait behind the first batch that
    /// did; that one may be of whatever size, or what is larger than the bound could never be sent.
    ///
    /// # Errors
    /// The client takes no more; its thread has been woken and will leave.
    pub fn send(&mut self, batch: &Batch, max_backlog: usize, events: &Events) -> Result<(), Gone> {
        if batch.bytes.is_empty() {
            return Ok(());
        }
        let Some(behind) = &self.behind else {
            return match self.slow {
                None => self.send_directly(batch, events),
                Some(_) => self.fall_behind(batch.rest(0), events),
            };
        };
        let max_backlog = self.slow.map_or(max_backlog, |_| max_backlog.min(SLOW_BACKLOG));
        let waiting = behind.waiting.load(Ordering::Acquire);
        if waiting > 0 && waiting + batch.bytes.len() > max_backlog.saturating_add(behind.allowance)
        {
            self.connection.cut("too much waited for it (--max-backlog)");
            return Err(Gone);
        }
        let rest = batch.rest(0);
        let length = rest.len();
        behind.push(Waiting::Frames(rest), length);
        Ok(())
    }

    /// Sends the last frames, then shuts the writing side, each in its place in the stream.
    pub fn end(mut self, last: &[u8], events: &Events) {
        let batch = Batch::new(last);
        // Its last frames may wait even when the bound is reached: they are few bytes.
        let sent = last.is_empty() || self.send(&batch, usize::MAX, events).is_ok();
        match &self.behind {
            Some(behind) if sent => behind.end(),
            _ => self.connection.finish(),
        }
    }

    /// Takes the member back to direct sending if really nothing waits for it any more.
    pub fn caught_up(&mut self) {
        // Acquire: the writer's last send comes before the next direct one.
        let nothing_waits = |behind: &mut Box<Behind>| behind.waiting.load(Ordering::Acquire) == 0;
        if self.behind.take_if(nothing_waits).is_some() {
            log::debug!("{} has caught up", self.connection.id());
        }
    }

    fn send_directly(&mut self, batch: &Batch, events: &Events) -> Result<(), Gone> {
        match self.connection.send_now(batch.bytes) {
            Ok(Sent::All) => Ok(()),
            Ok(Sent::Part(sent)) => self.fall_behind(batch.rest(sent), events),
            Err(error) => {
                log::debug!("{}: sending failed: {error}", self.connection.id());
                self.connection.shutdown(std::net::Shutdown::Both);
                Err(Gone)
            }
        }
    }

    fn fall_behind(&mut self, rest: Bytes, events: &Events) -> Result<(), Gone> {
        log::debug!("{} is behind", self.connection.id());
        let (queue, frames) = unbounded();
        let length = rest.len();
        let behind = Box::new(Behind { queue, waiting: Arc::default(), allowance: length });
        behind.push(Waiting::Frames(rest), length);
        let writer = Writer {
            connection: Arc::clone(&self.connection),
            slow: self.slow,
            told: Instant::now(),
            queue: frames,
            waiting: Arc::clone(&behind.waiting),
            events: events.clone(),
        };
        let thread = thread::Builder::new()
            .name(self.connection.id().to_string().replace("client", "writer"))
            .stack_size(WRITER_STACK)
            .spawn(move || writer.run());
        if thread.is_err() {
            self.connection.cut("no thread could be started to write to it");
            return Err(Gone);
        }
        self.behind = Some(behind);
        Ok(())
    }
}

impl Behind {
    /// `bytes` is what the entry takes, but for itself.
    fn push(&self, waiting: Waiting, bytes: usize) {
        // Counted before it is there: the writer must not take away what was not added yet.
        self.waiting.fetch_add(bytes + ENTRY, Ordering::Relaxed);
        // It fails when the writer has given up; it has cut the client, and its thread leaves.
        let _ = self.queue.send(waiting);
    }

    fn end(&self) {
        let _ = self.queue.send(Waiting::End);
    }
}

/// The writer thread: sends what waits, blocking, until the member is direct again or gone.
struct Writer {
    connection: Arc<Connection>,
    slow: Option<Slow>,
    /// When a slow client was last told how much waits for it.
    told: Instant,
    queue: Receiver<Waiting>,
    /// See [`Behind::waiting`].
    waiting: Arc<AtomicUsize>,
    events: Events,
}

impl Writer {
    fn run(mut self) {
        while let Some(next) = self.next() {
            let sent = match next {
                Waiting::End => return self.connection.finish(),
                Waiting::Frames(frames) => self.write_frames(&frames),
                Waiting::Replay(replay) => self.write_past(*replay),
            };
            self.waiting.fetch_sub(ENTRY, Ordering::Release);
            if let Err(error) = sent.and_then(|()| self.tell_slow()) {
                return give_up(&self.connection, &error);
            }
        }
    }

    /// What waits next; `None` when the member is direct again or gone.
    fn next(&self) -> Option<Waiting> {
        match self.queue.try_recv() {
            Ok(next) => Some(next),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                self.events.send(Event::CaughtUp(self.connection.id()));
                self.queue.recv().ok()
            }
        }
    }

    fn write_frames(&mut self, frames: &[u8]) -> io::Result<()> {
        let mut rest = frames;
        // Sent once even if empty: under TLS something may be sealed and wait to leave.
        loop {
            let sent = self.write(rest)?;
            rest = &rest[sent..];
            self.waiting.fetch_sub(sent, Ordering::Release);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn write_past(&mut self, replay: Replay) -> io::Result<()> {
        let mut collected = BufWriter::with_capacity(COLLECTED, &mut *self);
        let sent = replay.write(&mut collected).and_then(|()| collected.flush());
        // What is left of it is not tried once more.
        let _ = collected.into_parts();
        self.waiting.fetch_sub(IN_HAND, Ordering::Release);
        sent
    }

    /// Between two entries, where no frame is under way.
    fn tell_slow(&mut self) -> io::Result<()> {
        let speaks_v1 = self.slow.is_some_and(|slow| slow.dialect == Dialect::V1);
        if !speaks_v1 || self.told.elapsed() < SLOW_NEWS {
            return Ok(());
        }
        self.told = Instant::now();
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.write_all(&ServerEvent::Behind { waiting, limit: SLOW_BACKLOG }.frame())
    }
}

/// Blocks until the client takes some of it, in pieces, and at the pace that it has wished for.
impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = self.slow.map_or(PIECE, |slow| (slow.pace / SLOW_PIECES) as usize);
        let piece = &bytes[..bytes.len().min(piece)];
        loop {
            match self.connection.send(piece) {
                Ok(sent) => {
                    if self.slow.is_some() {
                        thread::sleep(Duration::from_secs(1) / SLOW_PIECES);
                    }
                    return Ok(sent);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn give_up(connection: &Connection, error: &io::Error) {
    if timed_out(error) {
        connection.cut("it took nothing for 10 s");
    } else {
        log::debug!("{}: sending failed: {error}", connection.id());
        connection.shutdown(std::net::Shutdown::Both);
    }
}
