//! A member of a room who says everything exactly once: `wsroom.v1` over any number of connections.
//!
//! It keeps what it has said until that is answered, comes back when the line breaks, and then asks for
//! what it has missed and sends again what has no answer (rules 7 to 26). It takes no more from its input
//! while much is unanswered, so its memory is bounded. Not here: what is said and what becomes of the
//! heard (`pipe`, `record`, `play`), and the bytes of one connection (`wire`). The main thread runs it;
//! the input has a thread of its own.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, TryRecvError};
use rustls::ClientConfig;
use tungstenite::Message;
use tungstenite::error::{Error, ProtocolError};

use super::connected::{Connected, Ending, refused};
use super::event::{Event, Input, Say, complain, for_terminal};
use super::stop;
use super::visit::{Past, Visit};
use super::wire::Line;
use crate::identity::auth;
use crate::protocol::message::MessageId;
use crate::protocol::v1::{MAX_ENVELOPE_BYTES, MAX_ESCAPE_BYTES};

/// With so many bytes unanswered nothing more is taken from the input.
const MAX_UNANSWERED_BYTES: usize = 1 << 20;

/// The pause before a message that was not kept is sent again (rule 43), and the shortest one before
/// a connection when the server asks for one.
const RETRY: Duration = Duration::from_secs(1);

/// The longest pause before the next connection. Each is random, up to a bound that doubles (rule 45).
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The longest list of members is in a frame of 256 KiB (rule 39).
const MIN_FRAME_BYTES: usize = 256 << 10;

/// What a command does in the room.
pub struct Part<'a> {
    /// Starts what says something. It is called once, with the largest message that the server takes.
    pub input: &'a mut dyn FnMut(usize) -> Receiver<Input>,
    /// What becomes of the events. A broken pipe ends the visit quietly.
    pub listener: &'a mut dyn FnMut(&Event) -> io::Result<()>,
}

/// When the visit ends.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum End {
    /// When the input has ended, and all of it is answered.
    WithInput,
    /// When the user ends the program.
    BySignal,
}

/// A member, over all of its connections.
pub struct Member<'a> {
    visit: &'a Visit,
    tls: Option<Arc<ClientConfig>>,
    /// A secret of this run (rule 7).
    session: String,
    /// What the first connection asks for.
    past: Past,
    /// The newest id that is known (rule 26).
    newest: Option<MessageId>,
    /// What was said and has no answer, the oldest first.
    unanswered: Vec<Unanswered>,
    input: Source,
    end: End,
    /// The user's Ctrl-C.
    stop: Receiver<()>,
    is_stopped: bool,
    /// So many were not said, or nobody knows whether they were.
    unsaid: usize,
    /// The server is known to be there.
    has_been_live: bool,
    /// The next pause is at most this.
    pause: Duration,
    /// The user is told once that the line is broken.
    is_told_of_break: bool,
}

/// Where the input is.
enum Source {
    /// Not begun: how much the server takes is not known yet.
    ToCome,
    Here(Receiver<Input>),
    Over,
}

/// Something that was said and has no answer.
struct Unanswered {
    say: Say,
    /// It has left once, over any connection.
    is_sent: bool,
    /// It was not kept, and is sent again then.
    again: Option<Instant>,
}

impl<'a> Member<'a> {
    /// A member that has not connected yet.
    ///
    /// # Errors
    /// A sentence: the certificates cannot be read, or the system has no random numbers.
    pub fn new(visit: &'a Visit, past: Past, end: End) -> Result<Self, String> {
        let session = auth::new_key().map_err(|_| "the system gives no random numbers")?;
        Ok(Self {
            tls: visit.tls()?,
            visit,
            session,
            past,
            newest: None,
            unanswered: Vec::new(),
            input: Source::ToCome,
            end,
            stop: stop::listen()?,
            is_stopped: false,
            unsaid: 0,
            has_been_live: false,
            pause: RETRY,
            is_told_of_break: false,
        })
    }

    /// Talks and listens to the end.
    ///
    /// # Errors
    /// A sentence: the server does not let it in, or something was not said.
    pub fn takes_part(&mut self, mut part: Part) -> Result<(), String> {
        while !self.is_stopped {
            match self.visits(&mut part) {
                Ending::Done => break,
                // A part of it the server has written.
                Ending::Never(sentence) => return Err(for_terminal(&sentence)),
                Ending::Again(pause, why) => self.pauses(pause, &why),
            }
        }
        match self.unsaid + self.unanswered.len() {
            0 => Ok(()),
            1 => Err("one message was refused, or has no answer".to_owned()),
            count => Err(format!("{count} messages were refused, or have no answer")),
        }
    }

    /// One connection, to its end.
    fn visits(&mut self, part: &mut Part) -> Ending {
        self.connects().and_then(|connected| self.stays(connected, part)).unwrap_or_else(|end| end)
    }

    /// Each turn hears one message, if there is one, and says what is to be said: so nobody who talks all
    /// the time keeps this member from talking.
    fn stays(&mut self, mut connected: Connected, part: &mut Part) -> Result<Ending, Ending> {
        loop {
            let heard = connected.line.hears();
            let is_silent = matches!(heard, Ok(None));
            match heard {
                Ok(Some(message)) => self.takes(message, &mut connected, part)?,
                Ok(None) => {}
                Err(error) => return Ok(connected.why_ended(&error)),
            }
            self.speaks(&mut connected)?;
            if is_silent {
                self.waits(&connected);
            }
        }
    }

    fn connects(&self) -> Result<Connected, Ending> {
        let since = self.newest.or(self.past.since);
        let past = Past { since, last: self.past.last.filter(|_| since.is_none()) };
        let request = self.visit.request(&self.session, past).map_err(Ending::Never)?;
        match Line::open(request, self.tls.clone()) {
            Ok(line) => Ok(Connected::new(line)),
            Err(Error::Http(response)) => Err(refused(&response)),
            Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => Err(
                Ending::Never("nobody speaks wsroom.v1 at this address: /ws/ROOM is one".into()),
            ),
            Err(Error::Io(error)) if is_untrusted(&error) => Err(Ending::Never(format!(
                "the server's certificate is not trusted ({error}); if it is the right one, name it \
                 with --tls-ca FILE"
            ))),
            Err(error) if self.has_been_live => {
                Err(Ending::Again(Duration::ZERO, error.to_string()))
            }
            // An address with a slip in it would never be reached.
            Err(error) => Err(Ending::Never(format!("the server cannot be reached: {error}"))),
        }
    }

    /// Waits before the next connection, or until the user ends the program.
    fn pauses(&mut self, at_least: Duration, why: &str) {
        if !std::mem::replace(&mut self.is_told_of_break, true) {
            complain(&format!("no connection ({why}); coming back"));
        }
        let pause = self.pause.mul_f64(any_share()).max(at_least);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        self.is_stopped |= self.stop.recv_timeout(pause).is_ok();
    }

    fn takes(
        &mut self,
        message: Message,
        connected: &mut Connected,
        part: &mut Part,
    ) -> Result<(), Ending> {
        connected.lives();
        let message = match message {
            Message::Text(_) | Message::Binary(_) => message,
            Message::Close(close) => {
                connected.told = close;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let event = Event::read(&message).map_err(|error| {
            Ending::Never(format!("the server has sent what is no event: {error}"))
        })?;
        // What was heard before is not told again, whatever the server says (rule 20).
        if event.has_place() && self.newest.is_some_and(|newest| event.number("id") <= newest) {
            return Ok(());
        }
        self.follows(&event, connected, part)?;
        match (part.listener)(&event) {
            // Whoever reads has enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.is_stopped = true,
            told => told.map_err(|error| Ending::Never(error.to_string()))?,
        }
        Ok(())
    }

    /// Does what the rules say of an event.
    fn follows(
        &mut self,
        event: &Event,
        connected: &mut Connected,
        part: &mut Part,
    ) -> Result<(), Ending> {
        match event.kind() {
            "welcome" => self.is_welcomed(event, connected, part)?,
            "live" => self.is_live(event, connected)?,
            "message" | "binary" | "act" => {
                self.newest = Some(event.number("id"));
                self.is_answered(event.reference());
            }
            "kept" => drop(self.is_answered(event.reference())),
            "error" => self.is_refused(event),
            _ => {}
        }
        Ok(())
    }

    fn is_welcomed(
        &mut self,
        event: &Event,
        connected: &mut Connected,
        part: &mut Part,
    ) -> Result<(), Ending> {
        // Rule 6: it would be a guest.
        if event.text("key") == "unknown" {
            return Err(Ending::Never("--user-key ***: no user has this key".to_owned()));
        }
        let limit = usize::try_from(event.number("limit")).unwrap_or_default();
        // Rule 39: texts may be six times as long, and binary messages have a line of JSON.
        let frame = limit.saturating_mul(MAX_ESCAPE_BYTES).saturating_add(2 * MAX_ENVELOPE_BYTES);
        connected.line.takes_frames_of(frame.max(MIN_FRAME_BYTES));
        connected.history = usize::try_from(event.number("history")).unwrap_or_default();
        if matches!(self.input, Source::ToCome) {
            self.input = Source::Here((part.input)(limit));
        }
        Ok(())
    }

    fn is_live(&mut self, event: &Event, connected: &mut Connected) -> Result<(), Ending> {
        self.newest = self.newest.or(Some(event.number("last")));
        self.has_been_live = true;
        self.pause = RETRY;
        if std::mem::take(&mut self.is_told_of_break) {
            complain("back again");
        }
        let complete = event.is("complete");
        if !complete {
            complain(
                "the server does not have all that was said meanwhile: some messages are missing",
            );
        }
        if !complete || connected.history == 0 {
            self.lets_go_of_what_nobody_knows();
        }
        connected.is_live = true;
        self.unanswered.iter_mut().try_for_each(|one| one.is_sent_over(connected))
    }

    /// Rule 19: the server cannot know whether it was told these before. Said again, they could be heard
    /// twice.
    fn lets_go_of_what_nobody_knows(&mut self) {
        for one in self.unanswered.extract_if(.., |one| one.is_sent) {
            complain(&format!("nobody knows whether {} was heard", one.say.name));
            self.unsaid += 1;
        }
    }

    /// What has this `ref` is said.
    fn is_answered(&mut self, reference: Option<&str>) -> Option<Say> {
        let is_it = |one: &Unanswered| one.say.reference.as_deref() == reference;
        let place = self.unanswered.iter().position(is_it).filter(|_| reference.is_some())?;
        Some(self.unanswered.remove(place).say)
    }

    fn is_refused(&mut self, event: &Event) {
        let detail = event.text("detail");
        if event.is("retry") {
            let is_it = |one: &&mut Unanswered| one.say.reference.as_deref() == event.reference();
            if let Some(one) = self.unanswered.iter_mut().find(is_it) {
                one.again = Some(Instant::now() + RETRY);
            }
            return;
        }
        let said = self.is_answered(event.reference());
        let name = said.map_or_else(|| "something".to_owned(), |say| say.name);
        complain(&format!("{name} was refused: {detail}"));
        self.unsaid += 1;
    }

    /// Says what is to be said, and leaves when that is all.
    fn speaks(&mut self, connected: &mut Connected) -> Result<(), Ending> {
        let now = Instant::now();
        for one in &mut self.unanswered {
            if connected.is_live && one.again.is_some_and(|again| again <= now) {
                one.is_sent_over(connected)?;
            }
        }
        self.takes_input(connected)?;
        let is_over = matches!(self.input, Source::Over) && self.end == End::WithInput;
        if self.is_stopped || (is_over && self.unanswered.is_empty() && connected.is_live) {
            connected.leaves();
        }
        connected.is_patient(now)
    }

    fn takes_input(&mut self, connected: &mut Connected) -> Result<(), Ending> {
        while let Some(input) = self.wanted_input(connected) {
            match input.try_recv() {
                Ok(Input::Say(say)) if say.reference.is_none() => connected.says(say.frame)?,
                // Remembered first: the line may break just now.
                Ok(Input::Say(say)) => {
                    let one = Unanswered { say, is_sent: false, again: None };
                    self.unanswered.push(one);
                    let newest = self.unanswered.last_mut().expect("it is there");
                    newest.is_sent_over(connected)?;
                }
                Ok(Input::Bad(sentence)) => {
                    complain(&sentence);
                    self.unsaid += 1;
                }
                Err(TryRecvError::Disconnected) => self.input = Source::Over,
                Err(TryRecvError::Empty) => break,
            }
        }
        Ok(())
    }

    /// The input, if something of it may be said now.
    fn wanted_input(&self, connected: &Connected) -> Option<&Receiver<Input>> {
        let Source::Here(input) = &self.input else { return None };
        let bytes: usize = self.unanswered.iter().map(|one| one.say.frame.len()).sum();
        let has_room =
            self.unanswered.len() < connected.most_unanswered() && bytes < MAX_UNANSWERED_BYTES;
        // What follows a message that was not kept waits too, or it would come before it.
        let waits = self.unanswered.iter().any(|one| one.again.is_some());
        let is_here = connected.is_live && connected.leaving.is_none();
        Some(input).filter(|_| is_here && has_room && !waits)
    }

    /// Waits for the server, for the input, for the user's end, or until something is due.
    fn waits(&mut self, connected: &Connected) {
        let mut select = Select::new();
        select.recv(connected.line.incoming());
        select.recv(&self.stop);
        if let Some(input) = self.wanted_input(connected) {
            select.recv(input);
        }
        let again = self.unanswered.iter().filter_map(|one| one.again).min();
        let due = again.map_or(connected.deadline(), |again| again.min(connected.deadline()));
        let _ = select.ready_deadline(due);
        self.is_stopped |= self.stop.try_recv().is_ok();
    }
}

impl Unanswered {
    /// It is sent, for the first time or again.
    fn is_sent_over(&mut self, connected: &mut Connected) -> Result<(), Ending> {
        (self.is_sent, self.again) = (true, None);
        connected.says(self.say.frame.clone())
    }
}

/// Whether the server has shown a certificate that nobody vouches for, or that is another host's.
fn is_untrusted(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

/// A number from 0 to 1, another one each time: so a class does not come back in one moment.
fn any_share() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}
