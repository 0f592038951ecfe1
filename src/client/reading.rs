//! Reading one WebSocket client's messages until it leaves.
//!
//! Runs on the client's own thread, `client`, in blocking reads. Not here: the handshake, which is
//! over by now (`http`), and sending to a room, which only the broadcaster does (`relay`).

use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::authorship::Authorship;
use super::closing::{Ending, explain};
use super::dispatch::{Dispatcher, Output};
use super::echo::EchoOutbox;
use super::owner::Owners;
use super::pace::Pace;
use super::stream::ClientStream;
use crate::logging::Limited;
use crate::metrics::meters::Metrics;
use crate::net::byte_budget::ByteBudget;
use crate::net::connection::Connection;
use crate::protocol::address::Target;
use crate::protocol::frame;
use crate::relay::events::{Event, Events, Joining, Newcomer, Parting};
use crate::store::KeptMessages;

/// The limits of every client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--max-message-size`, in bytes.
    pub message_size: usize,
    /// `--max-rate`, in messages a second; 0 is no limit.
    pub rate: u32,
    /// `--max-bytes-rate`, in bytes a second; 0 is no limit.
    pub bytes_rate: u32,
    /// `--idle-timeout`: a client that is silent for this long is gone.
    pub idle: Duration,
}

/// The size of tungstenite's read buffer, in bytes. Each client holds one for its whole life, so it
/// is small: [`ClientStream`] has larger buffers when they are needed. With glibc this one costs
/// nothing: the start of a thread leaves a freed piece of 152 bytes that nothing else would use.
const READ_BUFFER: usize = 144;

/// The values that all clients share.
pub struct Clients {
    /// The limits of each client.
    pub limits: Limits,
    /// The broadcaster's inbox.
    pub events: Events,
    /// The messages that are kept.
    pub past: Arc<dyn KeptMessages>,
    /// The budget for messages that JSON makes longer than `--max-message-size`.
    pub escaped: Arc<ByteBudget>,
    /// Where Closes are counted.
    pub metrics: Arc<Metrics>,
    /// The log lines about clients that have left, limited in number.
    pub left: Limited,
    /// The owners who watch.
    pub owners: Owners,
}

/// Reads the client's messages until it leaves. `tail` is the bytes that came right behind its
/// handshake.
pub fn run(
    connection: &Arc<Connection>,
    target: &Target,
    joining: Box<Joining>,
    tail: Vec<u8>,
    clients: &Clients,
) {
    let events = &clients.events;
    connection.becomes_client();
    let authorship = Authorship::new(target, &joining, &clients.past);
    let ahead = match &joining.experiment {
        Some(experiment) => [experiment.play.as_slice(), &tail].concat(),
        None => tail,
    };
    let output = join(connection, target, joining, events);
    // This value leaves also when the thread panics, so that no dead client stays in a room.
    let mut membership = Membership { connection, events, farewell: Farewell::default() };
    let mut socket = open(connection, output, ahead, clients);
    let ending = read_all(&mut socket, connection, authorship, clients);
    membership.farewell = part(&mut socket, &ending, target, connection, clients);
    drop(membership);
}

/// Tells the broadcaster about the client, and returns the client's output. Not inlined, like all
/// code that does not run while the thread waits: the stack that it used would stay in memory for
/// as long as the client is connected.
#[inline(never)]
fn join(
    connection: &Arc<Connection>,
    target: &Target,
    joining: Box<Joining>,
    events: &Events,
) -> Output {
    match target {
        Target::Room(room) => {
            let (connection, room) = (Arc::clone(connection), room.clone());
            let output = Output::Room(events.clone(), joining.dialect);
            events.send(Event::Joined(Box::new(Newcomer { connection, room, joining })));
            output
        }
        Target::Owner => unreachable!("the door lets an owner watch, and does not call this"),
        Target::Echo => {
            // If sending fails, the first read fails too, and ends the client.
            let outbox = match &joining.experiment {
                None => EchoOutbox::new(Arc::clone(connection)),
                Some(_) => EchoOutbox::for_experiment(Arc::clone(connection)),
            };
            let _ = outbox.send(&joining.response_101);
            if let Some(experiment) = &joining.experiment {
                let _ = outbox.send(&experiment.handshake);
            }
            let outbox = Arc::new(outbox);
            let shared = Arc::clone(&outbox);
            let goodbye = Box::new(move |close: &[u8]| shared.close(close));
            events.send(Event::EchoJoined(connection.id(), goodbye));
            Output::Echo(outbox)
        }
    }
}

/// The broadcaster knows the client while this value lives. Its drop tells the broadcaster that the
/// client has left.
pub(super) struct Membership<'a> {
    pub connection: &'a Connection,
    pub events: &'a Events,
    pub farewell: Farewell,
}

/// How a client leaves. The default is for a thread that panics.
pub(super) struct Farewell {
    /// The last frames for the client.
    pub last_frames: Vec<u8>,
    pub parting: Parting,
    /// The client has sent a Close.
    pub said_goodbye: bool,
}

impl Default for Farewell {
    fn default() -> Self {
        Self { last_frames: Vec::new(), parting: Parting::Closed, said_goodbye: false }
    }
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let Farewell { last_frames, parting, said_goodbye } = std::mem::take(&mut self.farewell);
        let is_owed_frames = !last_frames.is_empty();
        self.events.leave(self.connection.id(), last_frames, parting);
        if thread::panicking() {
            log::error!(
                "{} {} ended: its thread has panicked",
                self.connection.id(),
                self.connection.peer()
            );
            self.connection.shutdown(Shutdown::Both);
        } else if said_goodbye && self.connection.is_read_to_the_end() {
            // Nothing comes behind a Close (RFC 6455 §5.5.1), so nothing can cause a reset.
        } else if is_owed_frames || self.connection.why_ended().is_some() {
            self.connection.linger();
        }
        // Else the client has ended its side, but may still read: the frames that wait for it are
        // sent first, and the thread that sends the last of them shuts our side.
    }
}

/// The client's WebSocket, over its stream, which begins with the bytes of `ahead`. Not inlined, as
/// [`join`].
#[inline(never)]
fn open(
    connection: &Arc<Connection>,
    output: Output,
    ahead: Vec<u8>,
    clients: &Clients,
) -> WebSocket<ClientStream> {
    let limits = clients.limits;
    let config = config(output.dialect().largest_frame(limits.message_size));
    let (connection, escaped) = (Arc::clone(connection), Arc::clone(&clients.escaped));
    let stream = ClientStream::new(connection, output, limits, escaped, ahead);
    WebSocket::from_partially_read(stream, Vec::new(), Role::Server, Some(config))
}

/// Reads to the end of the connection, and returns what ended it. Not inlined: else this function's
/// frame would be on the stack already when [`join`] runs.
#[inline(never)]
fn read_all(
    socket: &mut WebSocket<ClientStream>,
    connection: &Connection,
    authorship: Authorship,
    clients: &Clients,
) -> Error {
    let limits = clients.limits;
    let mut dispatcher = Dispatcher::new(connection.id(), limits.message_size, authorship);
    let mut pace = Pace::new(limits.rate, Instant::now());
    loop {
        let message = match socket.read() {
            Ok(message) => message,
            Err(error) => return error,
        };
        if let Message::Close(frame) = &message {
            // "If this Close control frame contains no status code, _The WebSocket Connection Close
            // Code_ is considered to be 1005" (RFC 6455 §7.1.5).
            let code = frame.as_ref().map_or(1005, |frame| frame.code.into());
            clients.metrics.is_closed(code);
        }
        let is_counted = message.is_text() || message.is_binary();
        let stream = socket.get_mut();
        if let Err(error) = dispatcher.dispatch(message, stream) {
            return Error::Io(error);
        }
        if is_counted && let Some(pause) = pace.pause(1, Instant::now()) {
            // Frames for the client leave before the pause.
            if let Err(error) = stream.deliver() {
                return Error::Io(error);
            }
            thread::sleep(pause);
        }
    }
}

/// Returns how the client leaves, with the last frames for the broadcaster to send; the echo has sent
/// its own frames. Not inlined, as [`join`].
#[inline(never)]
fn part(
    socket: &mut WebSocket<ClientStream>,
    ending: &Error,
    target: &Target,
    connection: &Connection,
    clients: &Clients,
) -> Farewell {
    let stream = socket.get_mut();
    let Ending { why, close, parting } = explain(ending, stream.is_silent());
    let said_goodbye = close.is_none() && parting == Parting::Closed;
    match &close {
        Some((code, _)) => clients.metrics.closes((*code).into()),
        // No Close came: "1006" (RFC 6455 §7.1.5).
        None if parting == Parting::Lost && connection.why_ended().is_none() => {
            clients.metrics.is_closed(1006);
        }
        None => {}
    }
    let close = close.map(|(code, reason)| frame::close(code, reason)).unwrap_or_default();
    let why = connection.why_ended().map_or(why, str::to_owned);
    clients.left.line(|more| {
        log::info!("{} {} left {target}: {why}{more}", connection.id(), connection.peer());
    });
    Farewell { last_frames: stream.finish(&close), parting, said_goodbye }
}

fn config(largest_frame: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // tungstenite buffers nothing: the stream collects its writes.
        .write_buffer_size(0)
        .max_message_size(Some(largest_frame))
        // At least 125: with a smaller limit tungstenite waits for the rest of an oversized control
        // frame, instead of refusing it.
        .max_frame_size(Some(largest_frame.max(125)))
}
