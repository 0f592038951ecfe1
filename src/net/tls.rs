//! The record layer of one TLS connection: plaintext on one side, ciphertext on the other.
//!
//! It touches no socket (`connection` does), so no thread waits for the network while it holds the
//! lock. The reader reads ciphertext from the socket without the lock. The writer seals under the
//! lock and then sends without it, or sends without blocking. Not here: which certificate is shown
//! (`certificate`).
//!
//! Used by the connection's own thread, which feeds and opens, and by the one thread at a time that
//! writes to it (see `outbox`), which seals and flushes. The record layer's own messages, such as
//! the answer to a key update, wait for that thread's next flush.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::{ServerConfig, ServerConnection};

/// The first byte of every TLS connection. A record begins with its type, and the first record is a
/// handshake (RFC 8446 §5.1). No HTTP method begins with this byte.
pub const FIRST_BYTE: u8 = 22;

/// One connection's keys and buffers.
pub struct Session {
    state: Mutex<State>,
}

struct State {
    /// rustls's state. It keeps at most 64 KiB that are sealed and not flushed, and 16 KiB that are
    /// open and not read.
    connection: ServerConnection,
    /// Ciphertext from the socket. Its memory is freed once all of it is opened, because most
    /// clients are silent most of the time.
    fed: Vec<u8>,
    /// How many bytes of `fed` are opened already.
    opened: usize,
}

impl Session {
    /// A session before its handshake.
    ///
    /// # Errors
    /// rustls cannot start it: for example, the system has no random numbers.
    pub fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let state = State { connection, fed: Vec::new(), opened: 0 };
        Ok(Self { state: Mutex::new(state) })
    }

    /// Adds ciphertext from the socket.
    ///
    /// # Errors
    /// A thread has panicked while it held the lock; this holds for all methods here.
    pub fn feed(&self, ciphertext: &[u8]) -> io::Result<()> {
        self.lock()?.fed.extend_from_slice(ciphertext);
        Ok(())
    }

    /// Continues the handshake with the ciphertext that was fed; `true` when it is over.
    ///
    /// # Errors
    /// The two sides cannot agree. The next flush sends the client an alert with the reason.
    pub fn continue_handshake(&self) -> io::Result<bool> {
        let mut state = self.lock()?;
        while state.connection.is_handshaking() && state.open_some()? {}
        Ok(!state.connection.is_handshaking())
    }

    /// Takes plaintext out and returns its length. `None` if more ciphertext is needed first; 0 if
    /// the client has ended its side (`close_notify`).
    ///
    /// # Errors
    /// The ciphertext is not what the client has sealed (RFC 8446 §5.2).
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

    /// Seals plaintext for the next flush, and returns how many bytes it took. If nothing waits to
    /// be flushed, it takes at least as much as one record holds.
    ///
    /// # Errors
    /// Those of rustls's writer.
    pub fn seal(&self, plaintext: &[u8]) -> io::Result<usize> {
        self.lock()?.connection.writer().write(plaintext)
    }

    /// Writes all sealed bytes to `out`.
    ///
    /// # Errors
    /// Those of `out`. The bytes that `out` has not taken wait for the next flush.
    pub fn flush(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut state = self.lock()?;
        while state.connection.wants_write() {
            state.connection.write_tls(out)?;
        }
        Ok(())
    }

    /// Seals a `close_notify`, which ends this side (RFC 8446 §6.1).
    ///
    /// # Errors
    /// As [`Session::feed`].
    pub fn close(&self) -> io::Result<()> {
        self.lock()?.connection.send_close_notify();
        Ok(())
    }

    /// Takes the lock. If a thread has panicked while it held the lock, only this connection ends,
    /// not the broadcaster.
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| io::Error::other("the record layer has failed"))
    }
}

impl State {
    /// Opens a piece of the ciphertext that was fed; `false` if there is none.
    fn open_some(&mut self) -> io::Result<bool> {
        if self.fed.is_empty() {
            return Ok(false);
        }
        self.open_next()?;
        Ok(true)
    }

    #[inline(never)] // Else the thread of a silent client would keep the stack for it.
    fn open_next(&mut self) -> io::Result<()> {
        let count = self.connection.read_tls(&mut &self.fed[self.opened..])?;
        if count == 0 {
            return Err(io::Error::other("bytes behind close_notify"));
        }
        self.opened += count;
        if self.opened == self.fed.len() {
            (self.fed, self.opened) = (Vec::new(), 0);
        }
        self.connection.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }
}
