//! The record layer of one TLS connection: plaintext on one side, ciphertext on the other.
//!
//! It touches no socket (`connection` does), so its lock is never held while anybody waits: the reader
//! takes ciphertext from the socket outside of it, and whoever sends seals under it and then lets
//! go, or sends without blocking. Not here: which certificate is shown (`certificate`).
//!
//! Used by the connection's own thread, which feeds and opens, and by the one thread at a time
//! that writes to it (see `outbox`), which seals and flushes. What the record layer itself has to
//! say, such as the answer to a key update, waits for that thread's next flush.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::{ServerConfig, ServerConnection};

/// The first byte of every TLS connection: its records begin with their type, and the first is a
/// handshake (RFC 8446 §5.1). No HTTP method begins with it.
pub const FIRST_BYTE: u8 = 22;

/// One connection's keys and buffers.
pub struct Session {
    state: Mutex<State>,
}

struct State {
    /// Keeps at most 64 KiB that are sealed and not flushed, and 16 KiB that are open and not
    /// read.
    connection: ServerConnection,
    /// Ciphertext that is not opened yet. Its own memory, given back when all is: most clients
    /// are silent most of the time.
    fed: Vec<u8>,
    /// How much of it is.
    opened: usize,
}

impl Session {
    /// A session before its handshake.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let state = State { connection, fed: Vec::new(), opened: 0 };
        Ok(Self { state: Mutex::new(state) })
    }

    /// Adds ciphertext from the socket.
    pub fn feed(&self, ciphertext: &[u8]) -> io::Result<()> {
        self.lock()?.fed.extend_from_slice(ciphertext);
        Ok(())
    }

    /// Goes on with the handshake as far as what was fed goes; `true` when it is over.
    ///
    /// # Errors
    /// The client speaks no TLS that can be agreed on. A flush tells it why.
    pub fn shakes_hands(&self) -> io::Result<bool> {
        let mut state = self.lock()?;
        while state.connection.is_handshaking() && state.open_some()? {}
        Ok(!state.connection.is_handshaking())
    }

    /// Takes plaintext out; `None` if more ciphertext is needed first, 0 if the client has said
    /// that no more comes (`close_notify`).
    ///
    /// # Errors
    /// Not what the client has sealed (RFC 8446 §5.2).
    pub fn open(&self, plaintext: &mut [u8]) -> io::Result<Option<usize>> {
        let mut state = self.lock()?;
        loop {
            match state.connection.reader().read(plaintext) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if !state.open_some()? {
                return Ok(None);
            }
        }
    }

    /// Takes plaintext in, to be flushed; answers with how much. At least a record's worth if
    /// nothing else waits for that.
    pub fn seal(&self, plaintext: &[u8]) -> io::Result<usize> {
        self.lock()?.connection.writer().write(plaintext)
    }

    /// Writes all that is sealed to `out`.
    ///
    /// # Errors
    /// Those of `out`; what it has not taken stays to be flushed.
    pub fn flush(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut state = self.lock()?;
        while state.connection.wants_write() {
            state.connection.write_tls(out)?;
        }
        Ok(())
    }

    /// Seals the last word of this side: `close_notify` (RFC 8446 §6.1).
    pub fn close(&self) -> io::Result<()> {
        self.lock()?.connection.send_close_notify();
        Ok(())
    }

    /// A panic while the lock was held is the end of this connection, not of the broadcaster.
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| io::Error::other("the record layer has failed"))
    }
}

impl State {
    /// Opens a piece of what was fed; `false` if there is none.
    fn open_some(&mut self) -> io::Result<bool> {
        if self.fed.is_empty() {
            return Ok(false);
        }
        let count = self.connection.read_tls(&mut &self.fed[self.opened..])?;
        if count == 0 {
            return Err(io::Error::other("bytes behind close_notify"));
        }
        self.opened += count;
        if self.opened == self.fed.len() {
            (self.fed, self.opened) = (Vec::new(), 0);
        }
        self.connection.process_new_packets().map_err(io::Error::other)?;
        Ok(true)
    }
}
