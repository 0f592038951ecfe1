//! Dispatch: each message of a client becomes an echo, or an event for the broadcaster.
//!
//! Not here: bytes (`stream`), the meaning of a payload (`protocol`), and delivery to the room
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

/// The shortest time between two "is writing" events of one client, until it says something. More
/// of them would cost the other members more than they cost the client.
const TYPING_INTERVAL: Duration = Duration::from_secs(2);

/// The destination of a client's messages, and of the frames that answer it.
pub enum Output {
    /// Both go to the broadcaster, as events.
    Room(Events, Dialect),
    /// Both go back to the client.
    Echo(Arc<EchoOutbox>),
}

/// The state that one message of a client leaves for its next messages.
pub struct Dispatcher {
    client: ClientId,
    /// The announcement of a binary message (`wsroom.v1`), which must come next. Boxed, because it is
    /// rarely there.
    announced: Option<Box<Announced>>,
    /// The time at which the others were last told that this client's user is writing; `None` after
    /// a message.
    typing_sent: Option<Instant>,
}

impl Dispatcher {
    /// A dispatcher for a client that has said nothing yet.
    pub fn new(client: ClientId) -> Self {
        Self { client, announced: None, typing_sent: None }
    }

    /// Relays a message, or takes note of a control frame.
    ///
    /// # Errors
    /// An echo could not be sent: the client reads nothing, or is gone.
    #[inline(never)] // Else the waiting thread would keep the stack for it.
    pub fn dispatch(&mut self, message: Message, stream: &mut ClientStream) -> io::Result<()> {
        match message {
            Message::Text(text) => self.relay(Data::Text, text.as_bytes(), stream),
            Message::Binary(payload) => self.relay(Data::Binary, &payload, stream),
            // tungstenite has already written the pong into the stream.
            Message::Ping(payload) | Message::Pong(payload) => {
                stream.discount_control_frame(payload.len());
                Ok(())
            }
            Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn relay(&mut self, kind: Data, payload: &[u8], stream: &mut ClientStream) -> io::Result<()> {
        stream.message_ended();
        if let Output::Echo(_) = stream.output() {
            return frame::write(stream, kind, payload);
        }
        // A pong to an earlier ping leaves before this message does.
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
                self.typing_sent = None;
                events.say(self.client, content, reference);
            }
            Action::Announce(announced) => self.announced = Some(Box::new(announced)),
            Action::Type
                if self.typing_sent.is_some_and(|sent| sent.elapsed() < TYPING_INTERVAL) => {}
            Action::Type => {
                self.typing_sent = Some(Instant::now());
                events.send(Event::Typing(self.client));
            }
        }
    }
}
