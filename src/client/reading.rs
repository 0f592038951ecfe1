//! Reading one WebSocket client's messages until it leaves.
//!
//! Runs on the client's own thread, `client-7`, in blocking reads. Not here: the handshake (it is
//! over), and sending to a room (only the broadcaster does that).

use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

use super::closing::explain;
use super::dispatch::{Dispatcher, Output};
use super::echo::EchoOutbox;
use super::pace::Pace;
use super::stream::ClientStream;
use crate::logging::Limited;
use crate::net::connection::Connection;
use crate::protocol::address::Target;
use crate::protocol::frame;
use crate::relay::events::{Event, Events, Joining, Newcomer};

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

/// tungstenite's read buffer, in bytes, for each client for as long as it lives. [the stream] has
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

/// Reads the client's messages until it leaves. `tail` is what came right behind its handshake.
pub fn run(
    connection: &Arc<Connection>,
    target: &Target,
    joining: Joining,
    tail: Vec<u8>,
    clients: &Clients,
) {
    let Clients { limits, events, .. } = clients;
    connection.becomes_client();
    let output = join(connection, target, joining, events);
    // Leaves also when this thread panics, so that no dead client stays in a room.
    let mut membership = Membership { connection, events, last_frames: Vec::new() };
    let stream =
        ClientStream::new(Arc::clone(connection), output, limits.idle, limits.message_size);
    membership.last_frames = read_all(stream, tail, connection, target, clients);
    drop(membership);
}

/// Makes the client known; answers with its way out. Not inlined, as all that is not done while the
/// client waits: the stack that it took would stay in memory for as long as it does.
#[inline(never)]
fn join(
    connection: &Arc<Connection>,
    target: &Target,
    joining: Joining,
    events: &Events,
) -> Output {
    match target {
        Target::Room(room) => {
            let (connection, room) = (Arc::clone(connection), room.clone());
            let output = Output::Room(events.clone(), joining.dialect);
            events.send(Event::Joined(Box::new(Newcomer { connection, room, joining })));
            output
        }
        Target::Echo => {
            let outbox = Arc::new(EchoOutbox::new(Arc::clone(connection)));
            // A socket that does not even take this fails at the first read too.
            let _ = outbox.send(&joining.response_101);
            let own = Arc::clone(&outbox);
            let goodbye = Box::new(move |close: &[u8]| own.close(close));
            events.send(Event::EchoJoined(connection.id(), goodbye));
            Output::Echo(outbox)
        }
    }
}

/// A client that the broadcaster knows of, until it is dropped.
struct Membership<'a> {
    connection: &'a Connection,
    events: &'a Events,
    /// The last that the client is sent.
    last_frames: Vec<u8>,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let last_frames = std::mem::take(&mut self.last_frames);
        let told = !last_frames.is_empty();
        self.events.leave(self.connection.id(), last_frames);
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
    stream: ClientStream,
    tail: Vec<u8>,
    connection: &Connection,
    target: &Target,
    clients: &Clients,
) -> Vec<u8> {
    let limits = clients.limits;
    let mut socket =
        WebSocket::from_partially_read(stream, tail, Role::Server, Some(config(limits)));
    let mut dispatcher = Dispatcher::new(connection.id());
    let mut pace = Pace::new(limits.rate);
    let ending = loop {
        match socket.read() {
            Ok(message) => {
                let counts = message.is_text() || message.is_binary();
                let stream = socket.get_mut();
                if let Err(error) = dispatcher.take(message, stream) {
                    break Error::Io(error);
                }
                if counts && let Some(pause) = pace.pause() {
                    // What the client is owed does not wait with it.
                    if let Err(error) = stream.deliver() {
                        break Error::Io(error);
                    }
                    thread::sleep(pause);
                }
            }
            Err(error) => break error,
        }
    };
    let stream = socket.get_mut();
    let (why, close) = explain(&ending, stream.is_silent());
    let close = close.map(|(code, reason)| frame::close(code, reason)).unwrap_or_default();
    let why = connection.why_cut().map_or(why, str::to_owned);
    clients.left.line(|more| {
        log::info!("{} {} left {target}: {why}{more}", connection.id(), connection.peer());
    });
    stream.last_words(&close)
}

fn config(limits: Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Nothing is buffered inside: writes only go to the stream.
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_size))
        // Not smaller: tungstenite would wait for the rest of an oversized control frame.
        .max_frame_size(Some(limits.message_size.max(125)))
}
