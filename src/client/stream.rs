//! The stream under tungstenite: it reads from the socket, and only collects the bytes that
//! tungstenite writes.
//!
//! A blocking tungstenite `WebSocket` cannot be split, and its `read()` also *writes*: pongs, and
//! the answer to a Close. The collected bytes leave just before the next blocking read. For the
//! echo they go straight to the socket, so that pipelined echoes share one write. For a member of a
//! room they go as an event to the broadcaster, because only the broadcaster writes to a member's
//! socket.
//!
//! The keepalive is here too, because its clock is the timeout of the read. Not here: the meaning of
//! messages (`dispatch`) and of errors (`closing`). Runs on the client's own thread.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::dispatch::Output;
use super::frames::Frames;
use super::pace::Pace;
use super::reading::Limits;
use crate::net::byte_budget::{ByteBudget, Share};
use crate::net::connection::{Connection, timed_out};
use crate::protocol::frame;
use crate::protocol::v1::MAX_ENVELOPE_BYTES;

/// The buffer for the read that waits for a client, in bytes. It is on the stack, of which an idle
/// client's thread has touched two pages: with a larger buffer it would touch a third.
const IDLE_BUFFER: usize = 512;

/// The larger buffer for a client that has filled the first one, in bytes. It is read without
/// waiting, and freed before the next wait: an idle client holds no buffer, however much it has sent.
const BUSY_BUFFER: usize = 8 << 10;

/// After so many bytes of messages the client waits until they are sent, before more is read from it.
/// So a client that sends all it can has little in front of what others say, and slows only itself.
const UNSENT_BYTES: usize = 4 << 10;

/// The longest of these waits. While the log that several servers share is away, a client that says
/// much must still be read from now and then: it may ask whether its line lives.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A client that has to wait again so soon is a flood.
const FLOOD_INTERVAL: Duration = Duration::from_millis(20);

/// A flood pauses for this long each time. Meanwhile nothing is done for it, and a core is free for
/// what others say. It may still say some megabytes a second.
const FLOOD_PAUSE: Duration = Duration::from_millis(1);

/// The most fragments of one message. Without this limit a client could send empty ones for ever.
const MAX_FRAGMENTS: usize = 65_536;

/// Bytes of all messages together that go beyond `--max-message-size` and the envelope of
/// `wsroom.v1`: JSON may need six bytes for one byte of a text.
pub const ESCAPED_BYTES: usize = 16 << 20;

/// The share of [`ESCAPED_BYTES`] that a long message takes at a time, in bytes.
const ESCAPED_STEP: usize = 256 << 10;

/// The shortest header of a client's frame, in bytes: two, and four for the mask.
const MIN_FRAME_HEADER: usize = 6;

/// One client's stream: bytes in, and the frames that tungstenite writes out.
pub struct ClientStream {
    connection: Arc<Connection>,
    output: Output,
    /// Bytes read from the socket ahead of tungstenite.
    ahead: Vec<u8>,
    /// The number of these bytes that tungstenite has read.
    consumed: usize,
    /// Frames for this client alone that have not left yet.
    collected: Vec<u8>,
    /// The frame that is being read, of a client that is told each one.
    frames: Option<Box<Frames>>,
    /// `--idle-timeout`.
    idle: Duration,
    /// A tick has passed without a byte, and a Ping was sent.
    silent: bool,
    /// The read timeout that the socket has now. It is remembered because setting it costs a system
    /// call.
    timeout: Option<Duration>,
    /// The most bytes of one message on the wire, with the headers of its fragments.
    max_message_bytes: usize,
    /// Bytes read since the last message ended.
    message_bytes: usize,
    /// Bytes that it said since it last waited for them to be sent.
    unsent: usize,
    /// The end of that wait.
    waited_at: Option<Instant>,
    /// `--max-bytes-rate`.
    pace: Pace,
    /// The time for which nothing may be read, because of the pace.
    pause: Option<Duration>,
    /// The bytes that one message may have without another share of `escaped`.
    granted: usize,
    /// The budget of [`ESCAPED_BYTES`], which all clients have together.
    escaped: Arc<ByteBudget>,
    /// This client's shares of it. They are kept until it leaves, as tungstenite's buffer is.
    shares: Vec<Share>,
}

impl ClientStream {
    /// `escaped` is the budget for the messages that JSON makes longer; `ahead` is what the client has
    /// sent already.
    pub fn new(
        connection: Arc<Connection>,
        output: Output,
        limits: Limits,
        escaped: Arc<ByteBudget>,
        ahead: Vec<u8>,
    ) -> Self {
        let Limits { idle, message_size, bytes_rate, .. } = limits;
        let frames = output.is_experiment().then(Box::default);
        let largest_frame = output.dialect().largest_frame(message_size);
        Self {
            connection,
            output,
            ahead,
            consumed: 0,
            collected: Vec::new(),
            frames,
            idle,
            silent: false,
            timeout: None,
            max_message_bytes: largest_frame.saturating_add(MAX_FRAGMENTS * MIN_FRAME_HEADER),
            message_bytes: 0,
            unsent: 0,
            waited_at: None,
            pace: Pace::new(bytes_rate, Instant::now()),
            pause: None,
            granted: message_size + MAX_ENVELOPE_BYTES,
            escaped,
            shares: Vec::new(),
        }
    }

    /// Whether the client has sent nothing since a Ping.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// The destination of this client's frames.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Call this when a message is complete: its bytes are no longer counted.
    pub fn message_ended(&mut self) {
        self.unsent += self.message_bytes;
        self.message_bytes = 0;
    }

    /// Call this after a control frame with a payload of so many bytes. It may come between the
    /// fragments of a message, so its bytes are taken off the count, but no others are.
    pub fn discount_control_frame(&mut self, payload: usize) {
        let bytes = payload + MIN_FRAME_HEADER;
        self.unsent += bytes;
        self.message_bytes = self.message_bytes.saturating_sub(bytes);
    }

    /// Reads the bytes that the socket has. tungstenite alone would hold a large buffer for each idle
    /// client, or make a system call for every few messages of a busy one.
    fn read_ahead(&mut self) -> io::Result<()> {
        self.deliver()?;
        self.wait_for_others();
        if self.message_bytes > self.max_message_bytes {
            return Err(ErrorKind::InvalidData.into());
        }
        while self.message_bytes > self.granted {
            self.take_share()?;
        }
        self.consumed = 0;
        // An idle client waits here. It has no buffer on the heap, and the stack is there anyway.
        self.ahead = Vec::new();
        let mut piece = [0; IDLE_BUFFER];
        let count = self.wait_for_bytes(&mut piece)?;
        // The broadcaster has sent the last Close: nothing that comes now counts.
        if self.connection.why_ended().is_some() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.ahead =
            if count < IDLE_BUFFER { piece[..count].to_vec() } else { self.read_more(&piece)? };
        self.pause = self.pace.pause(self.ahead.len() as u64, Instant::now());
        Ok(())
    }

    /// Waits before more is read, if this client says much: its own line is what fills then, and TCP
    /// tells it.
    #[inline(never)] // Else the waiting thread would keep the stack for it.
    fn wait_for_others(&mut self) {
        if let Some(pause) = self.pause.take() {
            thread::sleep(pause);
        }
        let Output::Room(events, _) = &self.output else { return };
        if self.unsent < UNSENT_BYTES {
            return;
        }
        self.unsent = 0;
        events.wait_until_sent(LONGEST_WAIT);
        if self.waited_at.is_some_and(|at| at.elapsed() < FLOOD_INTERVAL) {
            thread::sleep(FLOOD_PAUSE);
        }
        self.waited_at = Some(Instant::now());
    }

    /// Takes a share of the budget for messages that JSON makes longer.
    ///
    /// # Errors
    /// The other clients have all of it.
    #[inline(never)] // Else the waiting thread would keep the stack for it.
    fn take_share(&mut self) -> io::Result<()> {
        let share = self.escaped.try_take(ESCAPED_STEP).ok_or(ErrorKind::OutOfMemory)?;
        self.shares.push(share);
        self.granted += ESCAPED_STEP;
        Ok(())
    }

    /// Reads on without waiting: a client that has filled a `piece` has probably sent more.
    #[inline(never)] // Else the waiting thread would keep the stack for it.
    fn read_more(&self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let size = self.pace.most_at_once(BUSY_BUFFER).max(piece.len());
        let mut ahead = Vec::with_capacity(size);
        ahead.extend_from_slice(piece);
        ahead.resize(size, 0);
        // The next blocking read meets the same error, and reports it.
        let more = self.connection.read_now(&mut ahead[piece.len()..]).unwrap_or_default();
        ahead.truncate(piece.len() + more);
        Ok(ahead)
    }

    /// Sends the collected frames to the client's output.
    ///
    /// # Errors
    /// An echo could not be sent: the client reads nothing, or is gone.
    pub fn deliver(&mut self) -> io::Result<()> {
        if let Some(frames) = &mut self.frames {
            frames.report(&mut self.collected);
        }
        if self.collected.is_empty() {
            return Ok(());
        }
        match &self.output {
            Output::Room(events, _) => {
                let bytes = std::mem::take(&mut self.collected);
                events.answer(self.connection.id(), bytes);
            }
            Output::Echo(outbox) => {
                outbox.send(&self.collected)?;
                self.collected.clear();
                self.collected.shrink_to(IDLE_BUFFER);
            }
        }
        Ok(())
    }

    /// Ends the stream: returns the collected frames and `close` behind them, for the broadcaster to
    /// send to a member of a room. A client of the echo is sent them here.
    pub fn finish(&mut self, close: &[u8]) -> Vec<u8> {
        self.collected.extend_from_slice(close);
        if let Some(frames) = &mut self.frames {
            frames.report_last(&mut self.collected);
        }
        if let Output::Echo(outbox) = &self.output {
            let _ = outbox.send(&self.collected);
            self.connection.finish();
        }
        std::mem::take(&mut self.collected)
    }

    /// Waits for bytes. This is also the keepalive, without a timer: the read's timeout is the tick.
    /// After 5/12 of the idle timeout without a byte a Ping is sent; after the other 7/12 the read
    /// fails, and the client is gone.
    fn wait_for_bytes(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tick = self.idle * 5 / 12;
        loop {
            let timeout = if self.silent { self.idle - tick } else { tick };
            if self.timeout != Some(timeout) {
                self.connection.set_read_timeout(timeout)?;
                self.timeout = Some(timeout);
            }
            match self.connection.read(buffer) {
                Err(error) if timed_out(&error) && !self.silent => {
                    self.silent = true;
                    self.collected.extend(frame::ping());
                    self.deliver()?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.silent = false;
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The report of a frame, and its answer, leave before the next frame is read.
        if self.frames.is_some() {
            self.deliver()?;
        }
        if self.consumed == self.ahead.len() {
            self.read_ahead()?;
        }
        let rest = &self.ahead[self.consumed..];
        let mut count = rest.len().min(buffer.len());
        if let Some(frames) = &mut self.frames {
            count = frames.take(&rest[..count]);
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        self.consumed += count;
        self.message_bytes += count;
        Ok(count)
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.collected.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
