//! One WebSocket client: reads its messages until it leaves.
//!
//! Runs on the client's own thread, `client-7`, in blocking reads. Not here: the handshake (it is
//! over), and sending to a room (only the broadcaster does that).
//!
//! A blocking tungstenite `WebSocket` cannot be split, and its `read()` also *writes*: pongs, and
//! the answer to a Close. So the stream under it, [`Feed`], reads from the socket but only
//! collects what is written. What was collected leaves just before the next blocking read: for
//! the echo straight to the socket, so that pipelined echoes share one write; for a member of a
//! room as an event to the broadcaster, the only one that writes to a member's socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::frame;
use crate::inbox::{Event, Events};
use crate::outbox::EchoOutbox;
use crate::room::Target;
use crate::wire::{Wire, timed_out};

/// What a client may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--max-message-size`, in bytes.
    pub message_size: usize,
    /// `--max-rate`, in messages a second; 0 is no limit.
    pub rate: u32,
    /// `--idle-timeout`.
    pub idle: Duration,
}

/// tungstenite's read buffer, in bytes, for each client for as long as it lives.
const READ_BUFFER: usize = 128;

/// What the socket of a quiet client is read with, in bytes.
const QUIET: usize = 1 << 10;

/// What a busy client is read with, in bytes: one that has filled the last [`QUIET`] bytes.
const BUSY: usize = 32 << 10;

/// Fragments that one message may come in. Empty ones would otherwise never end.
const FRAGMENTS: usize = 65_536;

/// The least that a frame from a client takes: two bytes of header, four of mask.
const FRAME_HEADER: usize = 6;

/// Reads the client's messages until it leaves; `tail` is what came right behind its handshake,
/// and `hello` the answer to it, not yet sent.
pub fn run(
    wire: &Arc<Wire>,
    target: &Target,
    hello: Vec<u8>,
    tail: Vec<u8>,
    limits: Limits,
    events: &Events,
) {
    wire.becomes_client();
    let way = match target {
        Target::Room(room) => {
            let (wire, room) = (Arc::clone(wire), room.clone());
            events.send(Event::Joined { wire, room, hello });
            Way::Room(events.clone())
        }
        Target::Echo => {
            let outbox = Arc::new(EchoOutbox::new(Arc::clone(wire)));
            // A socket that does not even take this fails at the first read too.
            let _ = outbox.send(&hello);
            events.send(Event::EchoJoined(wire.id(), Arc::clone(&outbox)));
            Way::Echo(outbox)
        }
    };
    // Leaves also when this thread panics, so that no dead client stays in a room.
    let mut presence = Presence { wire, events, last: Vec::new() };
    let feed = Feed::new(Arc::clone(wire), way, limits);
    presence.last = read_all(feed, tail, limits, wire, target);
    drop(presence);
}

/// A client that the broadcaster knows of, until it is dropped.
struct Presence<'a> {
    wire: &'a Wire,
    events: &'a Events,
    /// The last frames to the client.
    last: Vec<u8>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let last = std::mem::take(&mut self.last);
        let told = !last.is_empty();
        self.events.send(Event::Left(self.wire.id(), last));
        if thread::panicking() {
            self.wire.shutdown(Shutdown::Both);
        } else if told {
            self.wire.linger();
        }
        // Else the client has ended its side, perhaps only that: what it is still owed goes out
        // first, and whoever sends the last of it shuts ours.
    }
}

/// Reads to the end of the connection. Answers with the last frames for a room to send; the
/// echo sends its own.
fn read_all(feed: Feed, tail: Vec<u8>, limits: Limits, wire: &Wire, target: &Target) -> Vec<u8> {
    let mut socket = WebSocket::from_partially_read(feed, tail, Role::Server, Some(config(limits)));
    let mut pace = Pace::new(limits.rate);
    let ending = loop {
        match socket.read() {
            Ok(message) => {
                let counts = message.is_text() || message.is_binary();
                let feed = socket.get_mut();
                if let Err(error) = feed.pass_on(message) {
                    break Error::Io(error);
                }
                if counts && let Some(pause) = pace.pause() {
                    // What the client is owed does not wait with it.
                    if let Err(error) = feed.deliver() {
                        break Error::Io(error);
                    }
                    thread::sleep(pause);
                }
            }
            Err(error) => break error,
        }
    };
    let feed = socket.get_mut();
    let (why, close) = explain(&ending, feed.silent);
    if let Some((code, reason)) = close {
        feed.collected.extend(frame::close(code, reason));
    }
    let why = wire.why_cut().map_or(why, str::to_owned);
    log::info!("{} {} left {target}: {why}", wire.id(), wire.peer());
    feed.last_words()
}

fn config(limits: Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Nothing is buffered inside: writes only go to `Feed::collected`.
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_size))
        // Not smaller: tungstenite would wait for the rest of an oversized control frame.
        .max_frame_size(Some(limits.message_size.max(125)))
}

/// Why a client left, in words, and the Close to send if it has not been sent one yet: of its
/// own accord tungstenite sends none when a read fails (RFC 6455 §7.1.7, §7.4.1).
fn explain(error: &Error, silent: bool) -> (String, Option<(CloseCode, &'static str)>) {
    let close = match error {
        Error::ConnectionClosed | Error::AlreadyClosed => return ("closed".into(), None),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return ("gone without a Close".into(), None);
        }
        Error::Io(error) if silent && timed_out(error) => {
            (CloseCode::Policy, "nothing was heard from you within the idle timeout")
        }
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            (CloseCode::Policy, "a message in too many fragments")
        }
        Error::Io(error) => return (format!("gone: {error}"), None),
        Error::Utf8(_) => (CloseCode::Invalid, "a text message that is not UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            (CloseCode::Size, "a message larger than this server takes (--max-message-size)")
        }
        Error::Protocol(error) => (CloseCode::Protocol, violation(error)),
        _ => (CloseCode::Protocol, "not a WebSocket frame"),
    };
    (format!("Close {}: {}", u16::from(close.0), close.1), Some(close))
}

/// What a client did wrong, in the words of RFC 6455.
fn violation(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::NonZeroReservedBits => "a reserved bit is set (RFC 6455 section 5.2)",
        ProtocolError::InvalidOpcode(_) => "an unknown opcode (RFC 6455 section 5.2)",
        ProtocolError::UnmaskedFrameFromClient => "an unmasked frame (RFC 6455 section 5.1)",
        ProtocolError::FragmentedControlFrame => {
            "a fragmented control frame (RFC 6455 section 5.5)"
        }
        ProtocolError::ControlFrameTooBig => {
            "a control frame over 125 bytes (RFC 6455 section 5.5)"
        }
        ProtocolError::UnexpectedContinueFrame => {
            "a continuation of nothing (RFC 6455 section 5.4)"
        }
        ProtocolError::ExpectedFragment(_) => {
            "a new message inside a fragmented one (RFC 6455 section 5.4)"
        }
        ProtocolError::InvalidCloseSequence => "a Close with half a code (RFC 6455 section 5.5.1)",
        _ => "a violation of RFC 6455",
    }
}

/// The stream under tungstenite: reads the socket, collects what is written.
struct Feed {
    wire: Arc<Wire>,
    way: Way,
    /// Bytes read from the socket ahead of tungstenite.
    ahead: Vec<u8>,
    /// How many of them tungstenite has had.
    taken: usize,
    /// The last read filled at least [`QUIET`] bytes: there is probably more.
    busy: bool,
    /// Frames for this client alone that have not left yet.
    collected: Vec<u8>,
    idle: Duration,
    /// One tick without a byte has passed, and a Ping was sent.
    silent: bool,
    /// The socket's timeout as it is set now: setting it costs a system call.
    patience: Option<Duration>,
    /// The most bytes that one message may take on the wire.
    allowance: usize,
    /// Bytes read since the last message.
    spent: usize,
}

/// Where this client's frames leave.
enum Way {
    Room(Events),
    Echo(Arc<EchoOutbox>),
}

impl Feed {
    fn new(wire: Arc<Wire>, way: Way, limits: Limits) -> Self {
        Self {
            wire,
            way,
            ahead: Vec::new(),
            taken: 0,
            busy: false,
            collected: Vec::new(),
            idle: limits.idle,
            silent: false,
            patience: None,
            allowance: limits.message_size + FRAGMENTS * FRAME_HEADER,
            spent: 0,
        }
    }

    /// Relays a message, or takes note of a control frame.
    fn pass_on(&mut self, message: Message) -> io::Result<()> {
        // The payload shares tungstenite's read buffer, and keeping it would keep the buffer: the
        // frame is a copy, the only one on this thread.
        let frame = match message {
            Message::Text(text) => frame::text(text),
            Message::Binary(payload) => frame::binary(payload),
            // tungstenite has written the pong. They may come inside a fragmented message, so
            // only their own bytes are forgiven.
            Message::Ping(payload) | Message::Pong(payload) => {
                self.spent = self.spent.saturating_sub(payload.len() + FRAME_HEADER);
                return Ok(());
            }
            Message::Close(_) | Message::Frame(_) => return Ok(()),
        };
        self.spent = 0;
        match &self.way {
            Way::Echo(_) => self.collected.extend_from_slice(&frame),
            Way::Room(events) => {
                let events = events.clone();
                // A pong to a ping from before this message goes out before it.
                self.deliver()?;
                events.say(self.wire.id(), frame);
            }
        }
        Ok(())
    }

    /// Reads what the socket has. tungstenite alone would keep a large buffer for each idle client
    /// or take a system call for every few messages of a busy one.
    fn read_ahead(&mut self) -> io::Result<()> {
        self.deliver()?;
        if self.spent > self.allowance {
            return Err(ErrorKind::InvalidData.into());
        }
        self.taken = 0;
        let mut ahead = std::mem::take(&mut self.ahead);
        let count = if self.busy {
            ahead.resize(BUSY, 0);
            let count = self.wait_for_bytes(&mut ahead)?;
            ahead.truncate(count);
            count
        } else {
            // An idle client waits here with no buffer but this, on stack that it has anyway.
            drop(ahead);
            let mut piece = [0; QUIET];
            let count = self.wait_for_bytes(&mut piece)?;
            ahead = piece[..count].to_vec();
            count
        };
        (self.ahead, self.busy) = (ahead, count >= QUIET);
        Ok(())
    }

    /// Lets go of what was collected.
    fn deliver(&mut self) -> io::Result<()> {
        if self.collected.is_empty() {
            return Ok(());
        }
        match &self.way {
            Way::Room(events) => {
                let bytes = std::mem::take(&mut self.collected);
                events.send(Event::Answered(self.wire.id(), bytes));
            }
            Way::Echo(outbox) => {
                outbox.send(&self.collected)?;
                self.collected.clear();
                self.collected.shrink_to(QUIET);
            }
        }
        Ok(())
    }

    /// What was collected, as the last that this client is sent.
    fn last_words(&mut self) -> Vec<u8> {
        if let Way::Echo(outbox) = &self.way {
            let _ = outbox.send(&self.collected);
            self.wire.finish();
        }
        std::mem::take(&mut self.collected)
    }

    /// The keepalive without a timer: the read's own timeout is the tick. After 5/12 of the idle
    /// timeout without a byte a Ping goes out; after the other 7/12 the client is gone.
    fn wait_for_bytes(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tick = self.idle * 5 / 12;
        loop {
            let patience = if self.silent { self.idle - tick } else { tick };
            if self.patience != Some(patience) {
                self.wire.set_patience(patience)?;
                self.patience = Some(patience);
            }
            match self.wire.read(buffer) {
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

impl Read for Feed {
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

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.collected.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who was silent may say so much of its rate at once.
const BURST: Duration = Duration::from_secs(1);

/// `--max-rate`: the time between two messages, but for a [`BURST`].
struct Pace {
    interval: Option<Duration>,
    /// When the next message is due at the allowed rate.
    due: Instant,
}

impl Pace {
    fn new(rate: u32) -> Self {
        let interval = (rate > 0).then(|| Duration::from_secs(1) / rate);
        let now = Instant::now();
        Self { interval, due: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// Counts one message. `Some`: the client is too fast by so much; its next read is held back,
    /// and with it, through TCP, the client.
    fn pause(&mut self) -> Option<Duration> {
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(BURST).unwrap_or(now)) + self.interval?;
        Some(self.due.saturating_duration_since(now)).filter(|pause| !pause.is_zero())
    }
}
