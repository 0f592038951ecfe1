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
//! [`Outbox`] is used by the broadcaster alone, [`write()`] runs on `writer-7`, and [`EchoOutbox`]
//! belongs to a client that no room sends to.

use std::cell::OnceCell;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::inbox::{Event, Events};
use crate::wire::{ClientId, Sent, Wire, timed_out};

/// The writer thread's stack, in bytes. It calls little more than `send` and the logger.
const WRITER_STACK: usize = 128 << 10;

/// The writer gives this many bytes to the kernel at a time, so that what waits is counted down
/// steadily.
const PIECE: usize = 64 << 10;

/// Pieces in which a slow client is written to, a second.
const SLOW_PIECES: u32 = 10;

/// Bytes that may wait for a client that wished to be slow, so that a class sees what happens then.
const SLOW_BACKLOG: usize = 64 << 10;

/// What an entry of the queue itself takes, in bytes, or so: many tiny messages fill it too.
const ENTRY: usize = 64;

/// Frames for many members at once. Those that are behind share one copy, made for the first.
pub struct Run<'a> {
    bytes: &'a [u8],
    copy: OnceCell<Bytes>,
}

impl<'a> Run<'a> {
    /// Whole frames, back to back.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, copy: OnceCell::new() }
    }

    /// The same for bytes that need no copy, such as those that count as long as they are there.
    pub fn owned(bytes: &'a Bytes) -> Self {
        Self { bytes, copy: OnceCell::from(bytes.clone()) }
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
    wire: Arc<Wire>,
    /// Bytes a second, if it has wished for that: then it is always behind, and only its own
    /// writer thread waits.
    slow: Option<u32>,
    /// `None` while direct. Boxed: in a straight walk over the members it is rarely there.
    behind: Option<Box<Behind>>,
}

/// What the broadcaster keeps of a member that is behind.
struct Behind {
    /// Unbounded as a channel, bounded by `waiting`. Dropping it ends the writer thread.
    queue: Sender<Waiting>,
    /// Bytes in the queue and in the writer's hands, and [`ENTRY`] for each entry. The broadcaster
    /// adds, the writer takes away.
    waiting: Arc<AtomicUsize>,
    /// What may wait beyond `--max-backlog`: the first run, such as a history, may be larger.
    allowance: usize,
}

enum Waiting {
    Frames(Bytes),
    /// Behind this there is nothing more.
    End,
}

impl Outbox {
    /// A way out for a new member, direct, or `slow` as it has wished.
    pub fn new(wire: Arc<Wire>, slow: Option<u32>) -> Self {
        Self { wire, slow, behind: None }
    }

    /// Sends `run`, or lets it wait. At most `max_backlog` bytes may wait behind the first run that
    /// did; that one may be of whatever size, or what is larger than the bound could never be sent.
    ///
    /// # Errors
    /// The client takes no more; its thread has been woken and will leave.
    pub fn send(&mut self, run: &Run, max_backlog: usize, events: &Events) -> Result<(), Gone> {
        if run.bytes.is_empty() {
            return Ok(());
        }
        let Some(behind) = &self.behind else {
            return match self.slow {
                None => self.send_directly(run, events),
                Some(_) => self.fall_behind(run.rest(0), events),
            };
        };
        let max_backlog = self.slow.map_or(max_backlog, |_| max_backlog.min(SLOW_BACKLOG));
        let waiting = behind.waiting.load(Ordering::Acquire);
        if waiting > 0 && waiting + run.bytes.len() > max_backlog.saturating_add(behind.allowance) {
            self.wire.cut("too much waited for it (--max-backlog)");
            return Err(Gone);
        }
        behind.push(run.rest(0));
        Ok(())
    }

    /// Sends the last frames, then shuts the writing side, each in its place in the stream.
    pub fn end(mut self, last: &[u8], events: &Events) {
        let run = Run::new(last);
        // Its last frames may wait even when the bound is reached: they are few bytes.
        let sent = last.is_empty() || self.send(&run, usize::MAX, events).is_ok();
        match &self.behind {
            Some(behind) if sent => behind.end(),
            _ => self.wire.finish(),
        }
    }

    /// Takes the member back to direct sending if really nothing waits for it any more.
    pub fn caught_up(&mut self) {
        // Acquire: the writer's last send comes before the next direct one.
        let nothing_waits = |behind: &mut Box<Behind>| behind.waiting.load(Ordering::Acquire) == 0;
        if self.behind.take_if(nothing_waits).is_some() {
            log::debug!("{} has caught up", self.wire.id());
        }
    }

    fn send_directly(&mut self, run: &Run, events: &Events) -> Result<(), Gone> {
        match self.wire.send_now(run.bytes) {
            Ok(Sent::All) => Ok(()),
            Ok(Sent::Part(sent)) => self.fall_behind(run.rest(sent), events),
            Err(error) => {
                log::debug!("{}: sending failed: {error}", self.wire.id());
                self.wire.shutdown(std::net::Shutdown::Both);
                Err(Gone)
            }
        }
    }

    fn fall_behind(&mut self, rest: Bytes, events: &Events) -> Result<(), Gone> {
        log::debug!("{} is behind", self.wire.id());
        let (queue, frames) = unbounded();
        let behind = Box::new(Behind { queue, waiting: Arc::default(), allowance: rest.len() });
        behind.push(rest);
        let (wire, slow) = (Arc::clone(&self.wire), self.slow);
        let (waiting, events) = (Arc::clone(&behind.waiting), events.clone());
        let thread = thread::Builder::new()
            .name(self.wire.id().to_string().replace("client", "writer"))
            .stack_size(WRITER_STACK)
            .spawn(move || write(&wire, slow, &frames, &waiting, &events));
        if thread.is_err() {
            self.wire.cut("no thread could be started to write to it");
            return Err(Gone);
        }
        self.behind = Some(behind);
        Ok(())
    }
}

impl Behind {
    fn push(&self, frames: Bytes) {
        // Counted before it is there: the writer must not take away what was not added yet.
        self.waiting.fetch_add(frames.len() + ENTRY, Ordering::Relaxed);
        // It fails when the writer has given up; it has cut the client, and its thread leaves.
        let _ = self.queue.send(Waiting::Frames(frames));
    }

    fn end(&self) {
        let _ = self.queue.send(Waiting::End);
    }
}

/// The writer thread: sends what waits, blocking, until the member is direct again or gone.
fn write(
    wire: &Wire,
    slow: Option<u32>,
    queue: &Receiver<Waiting>,
    waiting: &AtomicUsize,
    events: &Events,
) {
    loop {
        let next = match queue.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                events.send(Event::CaughtUp(wire.id()));
                match queue.recv() {
                    Ok(next) => next,
                    Err(_) => return,
                }
            }
        };
        match next {
            Waiting::End => return wire.finish(),
            Waiting::Frames(frames) => {
                if let Err(error) = write_frames(wire, slow, &frames, waiting) {
                    return give_up(wire, &error);
                }
            }
        }
    }
}

fn write_frames(
    wire: &Wire,
    slow: Option<u32>,
    frames: &[u8],
    waiting: &AtomicUsize,
) -> io::Result<()> {
    let mut rest = frames;
    let piece = slow.map_or(PIECE, |slow| (slow / SLOW_PIECES) as usize);
    // Sent once even if empty: under TLS something may be sealed and wait to leave.
    loop {
        match wire.send(&rest[..rest.len().min(piece)]) {
            Ok(sent) => {
                rest = &rest[sent..];
                waiting.fetch_sub(sent, Ordering::Release);
                if slow.is_some() {
                    thread::sleep(Duration::from_secs(1) / SLOW_PIECES);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if rest.is_empty() {
            break;
        }
    }
    waiting.fetch_sub(ENTRY, Ordering::Release);
    Ok(())
}

fn give_up(wire: &Wire, error: &io::Error) {
    if timed_out(error) {
        wire.cut("it took nothing for 10 s");
    } else {
        log::debug!("{}: sending failed: {error}", wire.id());
        wire.shutdown(std::net::Shutdown::Both);
    }
}

/// The way out of a client of the echo. Its own thread writes, straight to the socket and
/// blocking, for nobody waits but itself. The lock is there for one moment only: when the server
/// stops, the broadcaster says goodbye, between two of the client's own writes.
pub struct EchoOutbox {
    wire: Arc<Wire>,
    /// A Close frame has left, and nothing may follow it (RFC 6455 §5.5.1); or half a frame has,
    /// and nothing can.
    closed: Mutex<bool>,
}

impl EchoOutbox {
    /// A way out for a new client of the echo.
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire, closed: Mutex::new(false) }
    }

    /// Whose it is.
    pub fn id(&self) -> ClientId {
        self.wire.id()
    }

    /// Sends whole frames; called by the client's own thread.
    ///
    /// # Errors
    /// The client took nothing for [`crate::wire::STALLED`], or is gone. Some of the bytes may
    /// have left, so nothing can be sent behind them.
    pub fn send(&self, frames: &[u8]) -> io::Result<()> {
        let mut closed = self.closed.lock().expect("nothing panics while holding it");
        if *closed {
            return Ok(());
        }
        self.wire.send_all(frames).inspect_err(|_| *closed = true)
    }

    /// Sends a Close frame without waiting; called by the broadcaster. A client that is just
    /// being written to gets none: if it does not read on, it is cut off with the rest.
    pub fn close(&self, frame: &[u8]) {
        if let Ok(mut closed) = self.closed.try_lock() {
            *closed = self.wire.send_now(frame).is_ok_and(|sent| sent != Sent::Part(0));
        }
    }
}
