//! One WebSocket client: reads its messages until it leaves.
//!
//! Runs on the client's own thread, `client-7`, in blocking reads. Not here: the handshake (it is
//! over), the stream that tungstenite reads from (`feed`), and sending to a room (only the
//! broadcaster does that).

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

use crate::feed::{Feed, Way};
use crate::logging::Limited;
use crate::net::connection::{Connection, timed_out};
use crate::protocol::address::{JoinOptions, Target};
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::message::MessageId;
use crate::relay::events::{Event, Events, Newcomer};
use crate::relay::outbox::EchoOutbox;
use crate::store::User;

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

/// tungstenite's read buffer, in bytes, for each client for as long as it lives. [`Feed`] has
/// larger ones when they are needed. With glibc this one costs nothing: starting a thread leaves
/// it a freed piece of 152 bytes that nothing else would use.
const READ_BUFFER: usize = 144;

/// What all clients share.
pub struct Clients {
    /// What each of them may do.
    pub limits: Limits,
    /// The way to the broadcaster.
    pub events: Events,
    /// Clients that have left.
    pub left: Limited,
}

/// What the handshake has left to a client.
pub struct Start {
    /// The answer to it, not yet sent.
    pub hello: Vec<u8>,
    /// What came right behind it.
    pub tail: Vec<u8>,
    /// What was agreed on.
    pub dialect: Dialect,
    /// Whose key came with it.
    pub user: Option<User>,
    /// What it options for.
    pub options: JoinOptions,
    /// See [`Newcomer::last`].
    pub last: MessageId,
}

/// Reads the client's messages until it leaves.
pub fn run(connection: &Arc<Connection>, target: &Target, start: Start, clients: &Clients) {
    let Clients { limits, events, .. } = clients;
    connection.becomes_client();
    let (way, tail) = join(connection, target, start, events);
    // Leaves also when this thread panics, so that no dead client stays in a room.
    let mut presence = Presence { connection, events, last: Vec::new() };
    let feed = Feed::new(Arc::clone(connection), way, limits.idle, limits.message_size);
    presence.last = read_all(feed, tail, connection, target, clients);
    drop(presence);
}

/// Makes the client known; answers with its way out, and what came behind its handshake. Not
/// inlined, as all that is not done while the client waits: the stack that it took would stay in
/// memory for as long as it does.
#[inline(never)]
fn join(
    connection: &Arc<Connection>,
    target: &Target,
    start: Start,
    events: &Events,
) -> (Way, Vec<u8>) {
    let Start { hello, tail, dialect, user, options, last } = start;
    match target {
        Target::Room(room) => {
            let (connection, room) = (Arc::clone(connection), room.clone());
            let newcomer = Newcomer { connection, room, hello, dialect, user, options, last };
            events.send(Event::Joined(Box::new(newcomer)));
            (Way::Room(events.clone(), dialect), tail)
        }
        Target::Echo => {
            let outbox = Arc::new(EchoOutbox::new(Arc::clone(connection)));
            // A socket that does not even take this fails at the first read too.
            let _ = outbox.send(&hello);
            events.send(Event::EchoJoined(Arc::clone(&outbox)));
            (Way::Echo(outbox), tail)
        }
    }
}

/// A client that the broadcaster knows of, until it is dropped.
struct Presence<'a> {
    connection: &'a Connection,
    events: &'a Events,
    /// The last frames to the client.
    last: Vec<u8>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let last = std::mem::take(&mut self.last);
        let told = !last.is_empty();
        self.events.leave(self.connection.id(), last);
        if thread::panicking() {
            self.connection.shutdown(Shutdown::Both);
        } else if told {
            self.connection.linger();
        }
        // Else the client has ended its side, perhaps only that: what it is still owed goes out
        // first, and whoever sends the last of it shuts ours.
    }
}

/// Reads to the end of the connection. Answers with the last frames for a room to send; the echo
/// sends its own. Not inlined either: else `join` would be called on top of all that this keeps on
/// the stack.
#[inline(never)]
fn read_all(
    feed: Feed,
    tail: Vec<u8>,
    connection: &Connection,
    target: &Target,
    clients: &Clients,
) -> Vec<u8> {
    let limits = clients.limits;
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
    let (why, close) = explain(&ending, feed.is_silent());
    let close = close.map(|(code, reason)| frame::close(code, reason)).unwrap_or_default();
    let why = connection.why_cut().map_or(why, str::to_owned);
    clients.left.line(|more| {
        log::info!("{} {} left {target}: {why}{more}", connection.id(), connection.peer());
    });
    feed.last_words(&close)
}

fn config(limits: Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Nothing is buffered inside: writes only go to `Feed`.
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
