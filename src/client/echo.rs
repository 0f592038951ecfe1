//! The way out of a client of the echo: its own thread writes, for nobody waits but itself.
//!
//! Not here: members of a room, to whom only the broadcaster writes (`relay`).

use std::io;
use std::sync::{Arc, Mutex};

use crate::net::connection::{Connection, Sent};

/// Straight to the socket, and blocking. The lock is there for one moment only: when the server
/// stops, the broadcaster says goodbye, between two of the client's own writes.
pub struct EchoOutbox {
    connection: Arc<Connection>,
    /// A Close frame has left, and nothing may follow it (RFC 6455 §5.5.1); or half a frame has,
    /// and nothing can.
    closed: Mutex<bool>,
}

impl EchoOutbox {
    /// A way out for a new client of the echo.
    pub fn new(connection: Arc<Connection>) -> Self {
        Self { connection, closed: Mutex::new(false) }
    }

    /// Sends whole frames; called by the client's own thread.
    ///
    /// # Errors
    /// The client took nothing for [`crate::net::connection::STALLED`], or is gone. Some of the bytes may
    /// have left, so nothing can be sent behind them.
    pub fn send(&self, frames: &[u8]) -> io::Result<()> {
        let mut closed = self.closed.lock().expect("nothing panics while holding it");
        if *closed {
            return Ok(());
        }
        self.connection.send_all(frames).inspect_err(|_| *closed = true)
    }

    /// Sends a Close frame without waiting; called by the broadcaster. A client that is just
    /// being written to gets none: if it does not read on, it is cut off with the rest.
    pub fn close(&self, frame: &[u8]) {
        if let Ok(mut closed) = self.closed.try_lock() {
            *closed = self.connection.send_now(frame).is_ok_and(|sent| sent != Sent::Part(0));
        }
    }
}
