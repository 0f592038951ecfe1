//! One connection of a member: whether it is live, whether the server is silent, and how it ends.
//!
//! Not here: the bytes (`wire`), and what is said over all connections (`member`). On the main thread.

use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::http::Response;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Message};

use super::wire::Line;

/// With so many messages unanswered, or half as many as the room keeps, nothing more is taken from the
/// input. So a server that is killed has kept all of them, or knows which ones it has not.
const MAX_UNANSWERED: usize = 64;

/// After so long without a byte of the server it is pinged; after as long again the line is dead.
const SILENCE: Duration = Duration::from_secs(20);

/// The longest time that the server takes to answer the last Close.
const FAREWELL: Duration = Duration::from_secs(5);

/// The shortest pause before the next connection, if the server asks for one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One connection of a member.
pub struct Connected {
    /// Its bytes.
    pub line: Line,
    /// The past is over: messages may be said (rule 16).
    pub is_live: bool,
    /// What the room keeps; with 0 no `ref` is known.
    pub history: usize,
    /// When the server was heard last.
    pub heard: Instant,
    /// It was asked since whether it is there.
    pub is_pinged: bool,
    /// Since when this side is closing.
    pub leaving: Option<Instant>,
    /// The server's Close.
    pub told: Option<CloseFrame>,
}

/// How a connection ends.
pub enum Ending {
    /// All is said.
    Done,
    /// It may be made again, after this pause or a longer one.
    Again(Duration, String),
    /// The server would answer the same again.
    Never(String),
}

impl Connected {
    /// A connection on which nothing was heard.
    pub fn new(line: Line) -> Self {
        let heard = Instant::now();
        let (is_live, is_pinged, leaving, told) = Default::default();
        Self { line, is_live, history: 0, heard, is_pinged, leaving, told }
    }

    /// The server was heard.
    pub fn lives(&mut self) {
        (self.heard, self.is_pinged) = (Instant::now(), false);
    }

    /// See [`MAX_UNANSWERED`].
    pub fn most_unanswered(&self) -> usize {
        match self.history {
            0 => MAX_UNANSWERED,
            history => (history / 2).clamp(1, MAX_UNANSWERED),
        }
    }

    /// Sends a message, unless the server has closed.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn says(&mut self, message: Message) -> Result<(), Ending> {
        let said = self.line.says(message);
        // When the server has closed, what it says next is why.
        match said {
            Err(Error::Protocol(ProtocolError::SendAfterClosing)) => Ok(()),
            said => said.map_err(|error| Ending::Again(Duration::ZERO, error.to_string())),
        }
    }

    /// Begins the end, once.
    pub fn leaves(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now());
            self.line.closes();
        }
    }

    /// When something is due: a ping, or the end of its patience.
    pub fn deadline(&self) -> Instant {
        match self.leaving {
            Some(since) => since + FAREWELL,
            None if self.is_pinged => self.heard + 2 * SILENCE,
            None => self.heard + SILENCE,
        }
    }

    /// Pings a silent server, and gives up on one that is silent still.
    ///
    /// # Errors
    /// This connection is of no more use.
    pub fn is_patient(&mut self, now: Instant) -> Result<(), Ending> {
        if now < self.deadline() {
            return Ok(());
        }
        if self.leaving.is_some() {
            return Err(Ending::Done);
        }
        if self.is_pinged {
            return Err(Ending::Again(Duration::ZERO, "the server is silent".to_owned()));
        }
        self.is_pinged = true;
        self.says(Message::Ping(Bytes::new()))
    }

    /// The connection has ended: what now? (*How a connection ends*, in the specification)
    pub fn why_ended(&self, error: &Error) -> Ending {
        if self.leaving.is_some() {
            return Ending::Done;
        }
        let Some(close) = &self.told else {
            return Ending::Again(Duration::ZERO, error.to_string());
        };
        let (code, reason) = (u16::from(close.code), &close.reason);
        let told = format!("Close {code}: {reason}");
        match code {
            1002 | 1007 | 1008 | 1009 | 4001 => Ending::Never(told),
            1013 => Ending::Again(SHORTEST_PAUSE, told),
            _ => Ending::Again(Duration::ZERO, told),
        }
    }
}

/// An answer that is not 101: its sentence, and whether another try makes sense.
pub fn refused(response: &Response<Option<Vec<u8>>>) -> Ending {
    let body = response.body().as_deref().unwrap_or_default();
    let problem: Option<Value> = serde_json::from_slice(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    let text = String::from_utf8_lossy(body);
    let sentence = detail.unwrap_or_else(|| text.trim());
    let told = format!("{}: {sentence}", response.status());
    if !matches!(response.status().as_u16(), 429 | 503) {
        return Ending::Never(told);
    }
    let seconds = response.headers().get("Retry-After").and_then(|value| value.to_str().ok());
    let seconds =
        seconds.and_then(|text| text.parse().ok()).map_or(SHORTEST_PAUSE, Duration::from_secs);
    Ending::Again(seconds.clamp(SHORTEST_PAUSE, LONGEST_PAUSE), told)
}
