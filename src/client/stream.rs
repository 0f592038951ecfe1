//! The stream under tungstenite: reads the socket, and only collects what is written.
//!
//! A blocking tungstenite `WebSocket` cannot be split, and its `read()` also *writes*: pongs, and
//! the answer to a Close. What was collected leaves just before the next blocking read: for the
//! echo straight to the socket, so that pipelined echoes share one write; for a member of a room
//! as an event to the broadcaster, the only one that writes to a member's socket.
//!
//! The keepalive is here too, for its clock is the read's own timeout. Not here: what messages
//! (`dispatch`) and errors (`closing`) mean. Runs on the client's own thread.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::dispatch::Output;
use crate::net::connection::{Connection, timed_out};
use crate::protocol::frame;

/// What a client is waited for with, in bytes, on the stack.
const QUIET: usize = 1 << 10;

/// What is read of a client that has filled these, in bytes, without waiting. It is let go again
/// before the next wait: an idle client holds no buffer, whatever it has sent before.
const BUSY: usize = 32 << 10;

/// Fragments that one message may come in. Empty ones would otherwise never end.
const FRAGMENTS: usize = 65_536;

/// The least that a frame from a client takes: two bytes of header, four of mask.
const FRAME_HEADER: usize = 6;

/// One client's stream, for reading in and for its own frames out.
pub struct ClientStream {
    connection: Arc<Connection>,
    output: Output,
    /// Bytes read from the socket ahead of tungstenite.
    ahead: Vec<u8>,
    /// How many of them tungstenite has had.
    taken: usize,
    /// Frames for this client alone that have not left yet.
    collected: Vec<u8>,
    /// `--idle-timeout`.
    idle: Duration,
    /// One tick without a byte has passed, and a Ping was sent.
    silent: bool,
    /// The socket's timeout as it is set now: setting it costs a system call.
    timeout: Option<Duration>,
    /// The most bytes that one message may take on the wire.
    allowance: usize,
    /// Bytes read since the last message.
    spent: usize,
}

impl ClientStream {
    /// `idle` and `message_size` (in bytes) are the client's limits.
    pub fn new(
        connection: Arc<Connection>,
        output: Output,
        idle: Duration,
        message_size: usize,
    ) -> Self {
        Self {
            connection,
            output,
            ahead: Vec::new(),
            taken: 0,
            collected: Vec::new(),
            idle,
            silent: false,
            timeout: None,
            allowance: message_size + FRAGMENTS * FRAME_HEADER,
            spent: 0,
        }
    }

    /// Whether the last read ended because nothing was heard, not even an answer to a Ping.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Where this client's frames leave.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// A message is whole: its fragments are no longer counted.
    pub fn ends_message(&mut self) {
        self.spent = 0;
    }

    /// A control frame may come inside a fragmented message, so its own bytes are not counted, and
    /// only these.
    pub fn forgives(&mut self, payload: usize) {
        self.spent = self.spent.saturating_sub(payload + FRAME_HEADER);
    }

    /// Reads what the socket has. tungstenite alone would keep a large buffer for each idle client
    /// or take a system call for every few messages of a busy one.
    fn read_ahead(&mut self) -> io::Result<()> {
        self.deliver()?;
        if self.spent > self.allowance {
            return Err(ErrorKind::InvalidData.into());
        }
        self.taken = 0;
        // An idle client waits here with no buffer but this, on stack that it has anyway.
        self.ahead = Vec::new();
        let mut piece = [0; QUIET];
        let count = self.wait_for_bytes(&mut piece)?;
        self.ahead = if count < QUIET { piece[..count].to_vec() } else { self.read_more(&piece)? };
        Ok(())
    }

    /// What has filled a `piece` goes on, most likely.
    #[inline(never)] // Its stack is not needed while the client waits.
    fn read_more(&self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let mut ahead = Vec::with_capacity(BUSY);
        ahead.extend_from_slice(piece);
        ahead.resize(BUSY, 0);
        // A failure is found again by the next read, which waits.
        let more = self.connection.read_now(&mut ahead[piece.len()..]).unwrap_or_default();
        ahead.truncate(piece.len() + more);
        Ok(ahead)
    }

    /// Lets go of what was collected.
    ///
    /// # Errors
    /// The echo's client takes nothing any more.
    pub fn deliver(&mut self) -> io::Result<()> {
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
                self.collected.shrink_to(QUIET);
            }
        }
        Ok(())
    }

    /// What was collected, and `close` behind it, as the last that this client is sent: a room's
    /// member is sent it by the broadcaster, the echo's client here and now.
    pub fn last_words(&mut self, close: &[u8]) -> Vec<u8> {
        self.collected.extend_from_slice(close);
        if let Output::Echo(outbox) = &self.output {
            let _ = outbox.send(&self.collected);
            self.connection.finish();
        }
        std::mem::take(&mut self.collected)
    }

    /// The keepalive without a timer: the read's own timeout is the tick. After 5/12 of the idle
    /// timeout without a byte a Ping goes out; after the other 7/12 the client is gone.
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
        if self.taken == self.ahead.len() {
            self.read_ahead()?;
        }
        let rest = &self.ahead[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        self.spent += count;
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
