//! The outbox of a client of the echo. The client's own thread writes, and may block: only this
//! client waits for it.
//!
//! Not here: members of a room, to whom only the broadcaster writes (`relay`).

use std::io;
use std::sync::{Arc, Mutex};

use crate::net::connection::{Connection, Sent};
use crate::protocol::experiment::Report;

/// Writes straight to the socket, and blocks. The lock is needed at one moment only: when the server
/// stops, the broadcaster sends a Close between two writes of the client's own thread.
pub struct EchoOutbox {
    connection: Arc<Connection>,
    /// Nothing may be sent any more: a Close frame has left (RFC 6455 §5.5.1), or a part of a frame
    /// has, which the next frame would corrupt.
    closed: Mutex<bool>,
    /// The client is told each frame.
    is_experiment: bool,
}

impl EchoOutbox {
    /// An outbox for a new client of the echo.
    pub fn new(connection: Arc<Connection>) -> Self {
        Self { connection, closed: Mutex::new(false), is_experiment: false }
    }

    /// The same for an experiment.
    pub fn for_experiment(connection: Arc<Connection>) -> Self {
        Self { is_experiment: true, ..Self::new(connection) }
    }

    /// Whether the client is told each frame.
    pub fn is_experiment(&self) -> bool {
        self.is_experiment
    }

    /// Sends whole frames. Called by the client's own thread.
    ///
    /// # Errors
    /// The client took no byte for [`crate::net::connection::STALLED`], or is gone. A part of a frame
    /// may have left, so nothing can be sent after it.
    pub fn send(&self, frames: &[u8]) -> io::Result<()> {
        let mut closed = self.closed.lock().expect("nothing panics while it holds the lock");
        if *closed {
            return Ok(());
        }
        self.connection.send_all(frames).inspect_err(|_| *closed = true)
    }

    /// Sends a Close frame without waiting. Called by the broadcaster. While the client's own thread
    /// writes, no Close is sent: the client is cut off with the others if it does not leave.
    pub fn close(&self, frame: &[u8]) {
        let report = self.is_experiment.then(|| Report::of(None, frame).frame());
        let frames = [&report.unwrap_or_default(), frame].concat();
        if let Ok(mut closed) = self.closed.try_lock() {
            *closed = self.connection.send_now(&frames).is_ok_and(|sent| sent != Sent::Part(0));
        }
    }
}
