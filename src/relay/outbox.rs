//! The outbox of one member: direct while its socket takes everything, a queue while it does not.
//!
//! This is the hard spot of the program. A member of a room begins *direct*: the broadcaster sends
//! to its socket and never blocks. When the socket is full, the member falls *behind*: the bytes
//! that are left go into a queue of its own. A writer thread, started for this member alone, sends
//! from the queue, and may block. When the queue is empty, the writer reports it with an event. The
//! broadcaster, and only the broadcaster, then takes the member back to direct sending. At any
//! moment exactly one thread writes to the socket, so frames never interleave.
//!
//! Ways not taken, each measured or known to fail:
//! - a mutex around the WebSocket: a blocked read holds it, and nothing can be sent meanwhile;
//! - a read timeout after which the reader looks into a queue: every message waits for the tick;
//! - two WebSockets on a cloned socket: a pong lands inside a half-written frame;
//! - a writer thread for every member: two more context switches per delivery, four times the CPU.
//!
//! A newcomer who asks for the past begins behind: its writer first reads and sends that (`replay`).
//!
//! [`Outbox`] is used by the broadcaster alone, and [`Writer`] runs on a thread `writer`. Not here: a client
//! of the echo, whose own thread writes its answers (`client`).

use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::encoding::Spliced;
use super::events::{Event, Events};
use super::permits::Permit;
use super::replay::{REPLAY_BYTES, Replay, SEND_BUFFER};
use super::shared::{Pieces, Shared};
use crate::metrics::labels::Eviction;
use crate::metrics::meters::Metrics;
use crate::net::connection::{Connection, DRAIN_TIMEOUT, Sent, timed_out};
use crate::net::pool::Pool;
use crate::protocol::dialect::Dialect;
use crate::protocol::v1::ServerEvent;

/// The writer thread's stack, in bytes. It calls little more than `send` and the logger.
const WRITER_STACK: usize = 128 << 10;

/// The writer gives the kernel this many bytes at a time, so that the count of waiting bytes goes
/// down steadily.
const PIECE_BYTES: usize = 64 << 10;

/// The number of pieces that a slow client is sent each second.
const SLOW_PIECES_PER_SECOND: u32 = 10;

/// The most bytes that wait for a slow client. It is small, so that a class soon sees such a client
/// cut off.
const SLOW_BACKLOG_BYTES: usize = 64 << 10;

/// The shortest time between two events that tell a slow client how many bytes wait for it.
const SLOW_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The bytes that each piece of an entry counts besides its frames, about the memory that it takes. So
/// many tiny messages fill a queue too, also where they are shared.
const PIECE_OVERHEAD: usize = 64;

/// Frames for one member, or for many at once. The members that are behind share one copy.
pub struct Batch<'a> {
    bytes: &'a [u8],
    shared: Shared,
    /// Frames for one member know what it has in common with others, which is shared with them.
    spliced: Option<&'a Spliced<'a>>,
}

impl<'a> Batch<'a> {
    /// Whole frames: the same bytes for many members, or one member's own.
    pub fn new(frames: impl Into<Self>) -> Self {
        frames.into()
    }

    /// How many bytes there are.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes from `sent` on, to be queued.
    fn rest(&self, sent: usize) -> Vec<Bytes> {
        if let Some(spliced) = self.spliced {
            return spliced.rest(sent);
        }
        let mut pieces = Pieces::default();
        self.shared.add(self.bytes, sent..self.bytes.len(), &mut pieces);
        pieces.into_vec()
    }
}

impl<'a> From<&'a [u8]> for Batch<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: Shared::default(), spliced: None }
    }
}

impl<'a> From<&'a Spliced<'a>> for Batch<'a> {
    fn from(spliced: &'a Spliced<'a>) -> Self {
        Self { bytes: spliced.bytes(), shared: Shared::default(), spliced: Some(spliced) }
    }
}

/// The client was cut off, or its connection failed: nothing can be sent to it any more.
#[derive(Debug)]
pub struct Gone;

/// What all outboxes need to start a writer.
pub struct Writers {
    threads: Pool,
    /// For the report that a member has caught up.
    events: Events,
    metrics: Arc<Metrics>,
}

impl Writers {
    /// No writer is started yet.
    pub fn new(events: Events, metrics: Arc<Metrics>) -> Self {
        Self { threads: Pool::new("writer", WRITER_STACK), events, metrics }
    }

    /// Where outboxes are counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// The outbox of a member of a room.
pub struct Outbox {
    connection: Arc<Connection>,
    /// `Some`: the client has asked to be slow. Then it is always behind, and only its own writer
    /// thread waits.
    slow: Option<Slow>,
    /// `None` while direct. Boxed, because it is rarely there, and small members are quick to walk
    /// over.
    behind: Option<Box<Behind>>,
}

/// The slowness that a client has asked for (`slow=`).
#[derive(Clone, Copy)]
pub struct Slow {
    /// The rate at which it is sent to.
    pub bytes_per_second: u32,
    /// Its dialect: a client of `wsroom.v1` is told how many bytes wait for it.
    pub dialect: Dialect,
}

/// The broadcaster's side of a member that is behind.
struct Behind {
    /// The channel is unbounded; `waiting` bounds it. Its drop ends the writer thread.
    queue: Sender<Entry>,
    /// Bytes in the queue and in the writer's hands, and [`Entry::overhead`]. The broadcaster adds, the
    /// writer takes away.
    waiting: Arc<AtomicUsize>,
    /// Bytes that may wait beyond `--max-backlog`: those that the entries count that it began with.
    allowance: usize,
    /// See [`Writer::until`].
    until: Arc<OnceLock<Instant>>,
}

/// An entry of the queue.
enum Entry {
    /// Whole frames, in pieces; only the first one of the queue may begin inside a frame.
    Frames(Vec<Bytes>),
    Replay(Box<Replay>),
    /// The last entry: shut the writing side.
    End,
}

impl Entry {
    /// What it counts besides its frames, in bytes.
    fn overhead(&self) -> usize {
        let pieces = match self {
            Self::Frames(pieces) => pieces.len(),
            Self::Replay(_) | Self::End => 1,
        };
        pieces.max(1) * PIECE_OVERHEAD
    }
}

impl Outbox {
    /// An outbox for a new member: direct, or `slow` if the client has asked for that.
    pub fn new(connection: Arc<Connection>, slow: Option<Slow>) -> Self {
        Self { connection, slow, behind: None }
    }

    /// Sends `first` and then the replay. All frames that are sent from now on wait behind it.
    ///
    /// # Errors
    /// No writer thread could be started. The client's own thread was woken, and will leave.
    pub fn begin(
        &mut self,
        first: Vec<u8>,
        replay: Box<Replay>,
        writers: &Writers,
    ) -> Result<(), Gone> {
        self.fall_behind(vec![first.into()], writers)?;
        if let Some(behind) = &mut self.behind {
            behind.allowance += REPLAY_BYTES;
            behind.push(Entry::Replay(replay), REPLAY_BYTES);
        }
        Ok(())
    }

    /// Sends `batch`, or queues it. The first queued batch may have any size, or a batch above the
    /// bound could never be sent; behind it at most `max_backlog` bytes wait.
    ///
    /// # Errors
    /// The client was cut off, or its connection failed. Its own thread was woken, and will leave.
    pub fn send(
        &mut self,
        batch: &Batch,
        max_backlog: usize,
        writers: &Writers,
    ) -> Result<(), Gone> {
        if batch.bytes.is_empty() {
            return Ok(());
        }
        let Some(behind) = &self.behind else {
            return match self.slow {
                None => self.send_directly(batch, writers),
                Some(_) => self.fall_behind(batch.rest(0), writers),
            };
        };
        let max_backlog = self.slow.map_or(max_backlog, |_| max_backlog.min(SLOW_BACKLOG_BYTES));
        let waiting = behind.waiting.load(Ordering::Acquire);
        if waiting > 0 && waiting + batch.bytes.len() > max_backlog.saturating_add(behind.allowance)
        {
            cut(&self.connection, Eviction::Backlog, writers.metrics());
            return Err(Gone);
        }
        behind.push_frames(batch.rest(0));
        Ok(())
    }

    /// The bytes that wait for this member; `None`: it is not behind.
    pub fn waiting(&self) -> Option<usize> {
        self.behind.as_ref().map(|behind| behind.waiting.load(Ordering::Relaxed))
    }

    /// The connection to which it sends.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Notes that the server will end this client with a Close, and why.
    pub fn will_end(&self, reason: &'static str) {
        self.connection.will_end(reason);
    }

    /// Sends the last frames behind all others, then shuts the writing side.
    pub fn end(mut self, last: &[u8], writers: &Writers) {
        let batch = Batch::new(last);
        // The last frames may wait even when the bound is reached: they are few bytes.
        let is_open = last.is_empty() || self.send(&batch, usize::MAX, writers).is_ok();
        match &self.behind {
            Some(behind) if is_open => behind.end(),
            _ => self.connection.finish(),
        }
    }

    /// Takes the member back to direct sending, unless new frames wait since the writer's report.
    pub fn caught_up(&mut self) {
        // Acquire: the writer's last send happens before the next direct send.
        let nothing_waits = |behind: &mut Box<Behind>| behind.waiting.load(Ordering::Acquire) == 0;
        if self.behind.take_if(nothing_waits).is_some() {
            log::debug!("{} has caught up", self.connection.id());
        }
    }

    fn send_directly(&mut self, batch: &Batch, writers: &Writers) -> Result<(), Gone> {
        match self.connection.send_now(batch.bytes) {
            Ok(Sent::All) => Ok(()),
            Ok(Sent::Part(sent)) => self.fall_behind(batch.rest(sent), writers),
            Err(error) => {
                log::debug!("{}: sending failed: {error}", self.connection.id());
                self.connection.shutdown(std::net::Shutdown::Both);
                Err(Gone)
            }
        }
    }

    fn fall_behind(&mut self, rest: Vec<Bytes>, writers: &Writers) -> Result<(), Gone> {
        log::debug!("{} is behind", self.connection.id());
        let (queue, frames) = unbounded();
        let allowance = length(&rest) + rest.len() * PIECE_OVERHEAD;
        let (waiting, until) = <(Arc<_>, Arc<_>)>::default();
        let behind = Box::new(Behind { queue, waiting, allowance, until });
        behind.push_frames(rest);
        let writer = Writer {
            connection: Arc::clone(&self.connection),
            slow: self.slow,
            permit: None,
            reported: Instant::now(),
            queue: frames,
            waiting: Arc::clone(&behind.waiting),
            until: Arc::clone(&behind.until),
            events: writers.events.clone(),
            metrics: Arc::clone(&writers.metrics),
        };
        if writers.threads.run(move || writer.run()).is_err() {
            cut(&self.connection, Eviction::NoThread, writers.metrics());
            return Err(Gone);
        }
        self.behind = Some(behind);
        Ok(())
    }
}

impl Behind {
    fn push_frames(&self, pieces: Vec<Bytes>) {
        let length = length(&pieces);
        self.push(Entry::Frames(pieces), length);
    }

    /// Queues an entry of so many bytes, without its overhead.
    fn push(&self, entry: Entry, bytes: usize) {
        // Count first, then queue: the writer must not subtract bytes that were not added yet.
        self.waiting.fetch_add(bytes + entry.overhead(), Ordering::Relaxed);
        // This fails if the writer has given up. Then the client is cut off, and its thread leaves.
        let _ = self.queue.send(entry);
    }

    fn end(&self) {
        let _ = self.until.set(Instant::now() + DRAIN_TIMEOUT);
        let _ = self.queue.send(Entry::End);
    }
}

/// Bytes of all pieces.
fn length(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

/// The writer thread: it sends the queue, blocking, until the member is direct again or gone.
struct Writer {
    connection: Arc<Connection>,
    slow: Option<Slow>,
    /// Held while a replay is written.
    permit: Option<Permit>,
    /// The time at which a slow client was last told how many bytes wait for it.
    reported: Instant,
    queue: Receiver<Entry>,
    /// See [`Behind::waiting`].
    waiting: Arc<AtomicUsize>,
    /// The time until which the client may take what waits, once its last frames do. Its own thread
    /// may be gone by then, and nobody else would end one that takes a byte now and then.
    until: Arc<OnceLock<Instant>>,
    events: Events,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn run(mut self) {
        while let Some(next) = self.next() {
            let overhead = next.overhead();
            let sent = match next {
                Entry::End => return self.connection.finish(),
                Entry::Frames(pieces) => self.write_pieces(pieces),
                Entry::Replay(replay) => self.write_replay(*replay),
            };
            self.waiting.fetch_sub(overhead, Ordering::Release);
            if let Err(error) = sent.and_then(|()| self.report_backlog()) {
                return self.give_up(&error);
            }
        }
    }

    /// Waits for the next entry; `None` when the member is direct again or gone.
    fn next(&self) -> Option<Entry> {
        match self.queue.try_recv() {
            Ok(next) => Some(next),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                self.events.send(Event::CaughtUp(self.connection.id()));
                self.queue.recv().ok()
            }
        }
    }

    fn write_pieces(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        if pieces.is_empty() {
            // Under TLS, encrypted bytes may still wait to leave.
            return self.write(&[]).map(drop);
        }
        pieces.into_iter().try_for_each(|piece| self.write_piece(&piece))
    }

    fn write_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            let sent = self.write(rest)?;
            rest = &rest[sent..];
            self.waiting.fetch_sub(sent, Ordering::Release);
        }
        Ok(())
    }

    fn write_replay(&mut self, replay: Replay) -> io::Result<()> {
        self.permit = Some(replay.permits.wait());
        let mut collected = BufWriter::with_capacity(SEND_BUFFER, &mut *self);
        let sent = replay.write(&mut collected).and_then(|()| collected.flush());
        // Without this, the buffer's drop would try to send the rest again after an error.
        let _ = collected.into_parts();
        self.permit = None;
        self.waiting.fetch_sub(REPLAY_BYTES, Ordering::Release);
        sent
    }

    /// Sends some bytes, and blocks until the client has taken some. A replay lets others work after
    /// each piece, and while it is blocked.
    fn send(&mut self, piece: &[u8]) -> io::Result<usize> {
        let Some(permit) = self.permit.take() else { return self.connection.send(piece) };
        let sent = match self.slow {
            None => self.connection.send_now(piece)?,
            Some(_) => Sent::Part(0),
        };
        let permits = permit.give_back();
        let count = match sent {
            Sent::All => piece.len(),
            Sent::Part(0) => self.connection.send(piece)?,
            Sent::Part(count) => count,
        };
        self.permit = Some(permits.wait());
        Ok(count)
    }

    fn give_up(&self, error: &io::Error) {
        if timed_out(error) {
            cut(&self.connection, Eviction::Stalled, &self.metrics);
        } else {
            log::debug!("{}: sending failed: {error}", self.connection.id());
            self.connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Tells a slow client how many bytes wait for it. Called between two entries, so that the event
    /// is not inside another frame.
    fn report_backlog(&mut self) -> io::Result<()> {
        let speaks_v1 = self.slow.is_some_and(|slow| slow.dialect == Dialect::V1);
        if !speaks_v1 || self.reported.elapsed() < SLOW_REPORT_INTERVAL {
            return Ok(());
        }
        self.reported = Instant::now();
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.write_all(&ServerEvent::Behind { waiting, limit: SLOW_BACKLOG_BYTES }.frame())
    }
}

/// Writes a piece, and blocks until the client has taken some of it. A slow client also gets a pause
/// after each piece.
impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = self
            .slow
            .map_or(PIECE_BYTES, |slow| (slow.bytes_per_second / SLOW_PIECES_PER_SECOND) as usize);
        let piece = &bytes[..bytes.len().min(piece)];
        if self.until.get().is_some_and(|until| *until < Instant::now()) {
            cut(&self.connection, Eviction::TooSlow, &self.metrics);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        loop {
            match self.send(piece) {
                Ok(sent) => {
                    if self.slow.is_some() {
                        thread::sleep(Duration::from_secs(1) / SLOW_PIECES_PER_SECOND);
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

/// Cuts off a client that cannot be sent to, and counts it.
fn cut(connection: &Connection, why: Eviction, metrics: &Metrics) {
    metrics.evicted(why);
    connection.cut(why.words());
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::connection::ClientId;
    use crate::relay::events;

    /// Progress alone is not enough: else one that takes a byte now and then would stay for ever.
    #[test]
    fn one_that_takes_its_last_messages_too_slowly_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _line = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let connection = Connection::new(ClientId::new(1), socket, peer, ()).unwrap();
        let until = Arc::new(OnceLock::new());
        let mut writer = Writer {
            connection: Arc::clone(&connection),
            slow: None,
            permit: None,
            reported: Instant::now(),
            queue: unbounded().1,
            waiting: Arc::default(),
            until: Arc::clone(&until),
            events: events::open().0,
            metrics: Arc::default(),
        };
        writer.write_all(b"in time").unwrap();
        until.set(Instant::now()).unwrap();
        while writer.write_all(b"late").is_ok() {}
        assert_eq!(connection.why_ended(), Some("it took its last messages too slowly"));
    }
}
