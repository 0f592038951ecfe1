//! The owner of the server, who watches it: one snapshot a second, over a WebSocket of its own.
//!
//! A browser cannot set a header field on a WebSocket, and an address stands in logs and histories. So
//! the admin token is the first message. (A cookie would be sent with all that the page asks from then
//! on, and would outlive it.) Whoever does not send it in time, or sends another one, is told so in a
//! Close. Afterwards the owner only listens; what an owner does goes over the REST API.
//!
//! It is a client like one of the echo: its own thread writes, and may wait for it. Not here: what is in
//! a snapshot (`relay`), and which token is good (`api`). Runs on the client's own thread.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::{CloseCode, Data};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::closing::explain;
use super::echo::EchoOutbox;
use super::reading::{Clients, Farewell, Membership};
use crate::logging;
use crate::net::connection::{Connection, timed_out};
use crate::protocol::address::Target;
use crate::protocol::frame;
use crate::relay::events::{Event, Events, Parting};
use crate::relay::watching::Snapshot;

/// The most owners who watch at a time.
const MAX_OWNERS: usize = 4;

/// The time in which the token must come.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two snapshots.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whoever has answered none of so many Pings is gone, and later if `--idle-timeout` is longer.
const UNANSWERED_PINGS: u32 = 3;

/// The longest wait for the broadcaster. A busy one is asked again with the next snapshot.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes of a message from the owner: a token has at most 128.
const MAX_MESSAGE_BYTES: usize = 1024;

/// A Close that this server sends, and why.
type Refusal = (CloseCode, &'static str);

const NO_TOKEN: Refusal = (
    CloseCode::Policy,
    "the first message is {\"type\":\"token\",\"token\":\"…\"}, within 10 s, with the admin token",
);

/// The number of owners who watch.
#[derive(Default)]
pub struct Owners(AtomicUsize);

/// One of [`MAX_OWNERS`] places, free again when it is dropped.
struct Place<'a>(&'a Owners);

impl Owners {
    fn take(&self) -> Result<Place<'_>, Refusal> {
        let more = |count| (count < MAX_OWNERS).then_some(count + 1);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Place(self)),
            Err(_) => Err((CloseCode::Again, "four owners watch already")),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the owner sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Said {
    Token { token: String },
}

/// What the owner is sent.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Milliseconds since the owner began to watch, by which the page makes rates of the counts.
    at: u64,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    /// The last warnings of the log.
    warnings: &'a [String],
}

/// Lets an owner watch until they leave. `response_101` ends the handshake, `tail` is what came right
/// behind it, and `check` says whether a token is good, or why not.
pub fn run(
    connection: &Arc<Connection>,
    response_101: &[u8],
    tail: Vec<u8>,
    clients: &Clients,
    check: impl Fn(&str) -> Result<(), &'static str>,
) {
    connection.becomes_client();
    let outbox = Arc::new(EchoOutbox::new(Arc::clone(connection)));
    // If this fails, the first read fails too.
    let _ = outbox.send(response_101);
    let shared = Arc::clone(&outbox);
    let goodbye = Box::new(move |close: &[u8]| shared.close(close));
    clients.events.send(Event::EchoJoined(connection.id(), goodbye));
    // This value leaves also when the thread panics.
    let mut membership =
        Membership { connection, events: &clients.events, farewell: Farewell::default() };
    let mut owner = Owner::new(connection, outbox, tail, clients.limits.idle);
    let end = match owner.begin(check, &clients.owners) {
        Ok(_place) => {
            log::info!("{} {} watches as the owner", connection.id(), connection.peer());
            owner.watch(&clients.events)
        }
        Err(end) => end,
    };
    membership.farewell = owner.part(&end, clients);
}

/// Why an owner leaves.
enum End {
    /// This server ends it.
    Refused(Refusal),
    /// The client or the line has.
    Gone(Error),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

struct Owner {
    socket: WebSocket<OwnerStream>,
    /// How long the owner may be silent.
    idle: Duration,
}

impl Owner {
    fn new(
        connection: &Arc<Connection>,
        outbox: Arc<EchoOutbox>,
        ahead: Vec<u8>,
        idle: Duration,
    ) -> Self {
        let now = Instant::now();
        let connection = Arc::clone(connection);
        let stream = OwnerStream { connection, outbox, ahead, until: now, heard: now };
        let config = WebSocketConfig::default()
            .read_buffer_size(MAX_MESSAGE_BYTES)
            // tungstenite buffers nothing: what it writes leaves at once, in whole frames.
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
        Self { socket, idle: idle.max(UNANSWERED_PINGS * INTERVAL) }
    }

    /// Waits for the token.
    fn begin<'a>(
        &mut self,
        check: impl Fn(&str) -> Result<(), &'static str>,
        owners: &'a Owners,
    ) -> Result<Place<'a>, End> {
        self.socket.get_mut().until = Instant::now() + TOKEN_TIMEOUT;
        let said = loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => break serde_json::from_str(&text).ok(),
                Ok(Message::Binary(_)) => break None,
                Ok(_) => {}
                Err(Error::Io(error)) if timed_out(&error) => break None,
                Err(error) => return Err(End::Gone(error)),
            }
        };
        let Some(Said::Token { token }) = said else { return Err(NO_TOKEN.into()) };
        check(&token).map_err(|why| (CloseCode::Policy, why))?;
        Ok(owners.take()?)
    }

    /// Sends snapshots until something ends that.
    fn watch(&mut self, events: &Events) -> End {
        let began = Instant::now();
        loop {
            self.socket.get_mut().until = Instant::now() + INTERVAL;
            if let Some(snapshot) = events.watch(SNAPSHOT_TIMEOUT)
                && let Err(error) = self.send(&snapshot, began.elapsed())
            {
                return End::Gone(Error::Io(error));
            }
            if let Some(end) = self.listen() {
                return end;
            }
        }
    }

    /// Sends a snapshot, and a Ping behind it: whoever does not answer is gone.
    fn send(&self, snapshot: &Snapshot, since: Duration) -> io::Result<()> {
        let at = since.as_millis() as u64;
        let warnings = &logging::warnings();
        let told = Told { kind: "snapshot", at, snapshot, warnings };
        let json = serde_json::to_vec(&told).expect("a snapshot is numbers and texts");
        let mut frames = Vec::with_capacity(json.len() + 16);
        frame::write(&mut frames, Data::Text, &json)?;
        frames.extend(frame::ping());
        self.socket.get_ref().outbox.send(&frames)
    }

    /// Reads until the next snapshot is due; then `None`.
    fn listen(&mut self) -> Option<End> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(_) | Message::Binary(_)) => {
                    let why = "the owner only listens here: use the REST API";
                    return Some(End::Refused((CloseCode::Policy, why)));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if timed_out(&error) => {
                    return self.is_silent().then_some(End::Gone(Error::Io(error)));
                }
                Err(error) => return Some(End::Gone(error)),
            }
        }
    }

    fn is_silent(&self) -> bool {
        self.socket.get_ref().heard.elapsed() > self.idle
    }

    /// Sends the last Close, and says in the log why.
    fn part(&self, end: &End, clients: &Clients) -> Farewell {
        let OwnerStream { connection, outbox, .. } = self.socket.get_ref();
        let (why, close) = match end {
            End::Refused((code, why)) => (String::from(*why), Some((*code, *why))),
            End::Gone(error) => {
                let ending = explain(error, self.is_silent());
                (ending.why, ending.close)
            }
        };
        let close = close.map(|(code, reason)| frame::close(code, reason)).unwrap_or_default();
        let _ = outbox.send(&close);
        connection.finish();
        let why = connection.why_ended().map_or(why, str::to_owned);
        let (id, peer, target) = (connection.id(), connection.peer(), Target::Owner);
        clients.left.line(|more| log::info!("{id} {peer} left {target}: {why}{more}"));
        let said_goodbye = close.is_empty();
        Farewell { last_frames: close, parting: Parting::Closed, said_goodbye }
    }
}

/// The stream under tungstenite: reads end when the next snapshot is due, and what tungstenite writes
/// (pongs, and the answer to a Close) is sent at once.
struct OwnerStream {
    connection: Arc<Connection>,
    outbox: Arc<EchoOutbox>,
    /// Bytes that came right behind the handshake.
    ahead: Vec<u8>,
    /// When a read fails.
    until: Instant,
    /// When the last bytes came.
    heard: Instant,
}

impl Read for OwnerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.ahead[..count]);
            self.ahead.drain(..count);
            return Ok(count);
        }
        let count = loop {
            match self.connection.read_before(self.until, buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.heard = Instant::now();
        Ok(count)
    }
}

impl Write for OwnerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbox.send(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
