//! Dispatch: each message of a client becomes an echo, or an event for the broadcaster.
//!
//! Not here: bytes (`stream`), the meaning of a payload (`protocol`), and delivery to the room
//! (`relay`). Runs on the client's own thread.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::Message;
use tungstenite::protocol::frame::coding::Data;

use super::authorship::{Authorship, Writer};
use super::echo::EchoOutbox;
use super::stream::ClientStream;
use crate::net::connection::ClientId;
use crate::protocol::act::Wish;
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::v1::{Action, Complaint, ServerEvent};
use crate::relay::events::{ActRequest, By, Event, Events};

/// The shortest time between two "is writing" events of one client, until it says something. More
/// of them would cost the other members more than they cost the client.
const TYPING_INTERVAL: Duration = Duration::from_secs(3);

/// The destination of a client's messages, and of the frames that answer it.
pub enum Output {
    /// Both go to the broadcaster, as events.
    Room(Events, Dialect),
    /// Both go back to the client.
    Echo(Arc<EchoOutbox>),
}

impl Output {
    /// The dialect of the client; every message to the echo is plain.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Room(_, dialect) => *dialect,
            Self::Echo(_) => Dialect::Plain,
        }
    }

    /// Whether the client is told each frame.
    pub fn is_experiment(&self) -> bool {
        matches!(self, Self::Echo(outbox) if outbox.is_experiment())
    }
}

/// The limit of a client's messages, what it has written, and what one of them leaves for the next ones.
pub struct Dispatcher {
    client: ClientId,
    /// The most bytes of a text or binary message (`--max-message-size`).
    limit: usize,
    /// By what its own messages are known.
    authorship: Authorship,
    /// The time at which the others were last told that this client's user is writing; `None` after
    /// a message.
    typing_sent: Option<Instant>,
}

impl Dispatcher {
    /// A dispatcher for a client that has said nothing yet.
    pub fn new(client: ClientId, limit: usize, authorship: Authorship) -> Self {
        Self { client, limit, authorship, typing_sent: None }
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
        match dialect.read(kind, payload, self.limit) {
            Ok(action) => self.act(action, events),
            Err(complaint) => events.answer(self.client, complaint.event().frame()),
        }
        Ok(())
    }

    fn act(&mut self, action: Action, events: &Events) {
        match action {
            Action::Say(content, reference) => {
                self.typing_sent = None;
                events.say(self.client, content, reference);
            }
            Action::Ping(reference) => {
                let pong = ServerEvent::Pong { reference: reference.as_deref() };
                events.answer(self.client, pong.frame());
            }
            Action::Act(wish, reference) => self.ask(wish, reference, events),
            Action::Hand(hand) => events.send(Event::Hand(self.client, hand)),
            Action::Type
                if self.typing_sent.is_some_and(|sent| sent.elapsed() < TYPING_INTERVAL) => {}
            Action::Type => {
                self.typing_sent = Some(Instant::now());
                events.send(Event::Typing(self.client));
            }
        }
    }

    /// Asks the broadcaster for an act.
    fn ask(&self, wish: Wish, reference: Option<String>, events: &Events) {
        let found = wish.message().map_or(Ok(Writer::Another), |id| self.authorship.writer_of(id));
        match found {
            Ok(writer) => {
                let by = By::Client(self.client, reference);
                let is_author = writer == Writer::Own;
                events.send(Event::Acted(Box::new(ActRequest { by, wish, is_author })));
            }
            Err((code, detail)) => {
                let complaint = Complaint { code, detail, reference };
                events.answer(self.client, complaint.event().frame());
            }
        }
    }
}
