//! What each message of a client leads to: an echo, or an event for the broadcaster.
//!
//! Not here: bytes (`stream`), what a payload means (`protocol`), and what the room makes of it
//! (`relay`). Runs on the client's own thread.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::Message;
use tungstenite::protocol::frame::coding::Data;

use super::echo::EchoOutbox;
use super::stream::ClientStream;
use crate::net::connection::ClientId;
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::v1::{Action, Announced, ServerEvent};
use crate::relay::events::{Event, Events};

/// A client is told to be writing this often at most, until it has said something. One that tells
/// more would cost all the others more than it costs itself.
const TYPING: Duration = Duration::from_secs(2);

/// Where this client's frames leave.
pub enum Output {
    /// Its messages and its own frames go to the broadcaster.
    Room(Events, Dialect),
    /// Both go back to the client.
    Echo(Arc<EchoOutbox>),
}

/// What one client has said so far that matters for what it says next.
pub struct Dispatcher {
    client: ClientId,
    /// What `wsroom.v1` has announced: the next message is binary. Boxed: it is rarely there.
    announced: Option<Box<Announced>>,
    /// When the others were last told that this client's user is writing.
    typed: Option<Instant>,
}

impl Dispatcher {
    /// For a client that has said nothing yet.
    pub fn new(client: ClientId) -> Self {
        Self { client, announced: None, typed: None }
    }

    /// Relays a message, or takes note of a control frame.
    ///
    /// # Errors
    /// The echo's client takes nothing any more.
    #[inline(never)] // Its stack is not needed while the client waits.
    pub fn take(&mut self, message: Message, stream: &mut ClientStream) -> io::Result<()> {
        match message {
            Message::Text(text) => self.relay(Data::Text, text.as_bytes(), stream),
            Message::Binary(payload) => self.relay(Data::Binary, &payload, stream),
            // tungstenite has written the pong.
            Message::Ping(payload) | Message::Pong(payload) => {
                stream.forgives(payload.len());
                Ok(())
            }
            Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn relay(&mut self, kind: Data, payload: &[u8], stream: &mut ClientStream) -> io::Result<()> {
        stream.ends_message();
        if let Output::Echo(_) = stream.output() {
            return frame::write(stream, kind, payload);
        }
        // A pong to a ping from before this message goes out before it.
        stream.deliver()?;
        let Output::Room(events, dialect) = stream.output() else { return Ok(()) };
        let announced = self.announced.take().map(|announced| *announced);
        match dialect.read(kind, payload, announced) {
            Ok(action) => self.act(action, events),
            Err(complaint) => {
                events.answer(self.client, ServerEvent::Error(&complaint).frame());
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action, events: &Events) {
        match action {
            Action::Say(content, reference) => {
                self.typed = None;
                events.say(self.client, content, reference);
            }
            Action::Announce(announced) => self.announced = Some(Box::new(announced)),
            Action::Type if self.typed.is_some_and(|typed| typed.elapsed() < TYPING) => {}
            Action::Type => {
                self.typed = Some(Instant::now());
                events.send(Event::Typing(self.client));
            }
        }
    }
}
