//! One connection's socket, plain or TLS: blocking reads, non-blocking sends, and its end.
//!
//! Shared by the connection's own thread (which reads), the broadcaster (which sends and never
//! waits) and, while the client is behind, its writer thread. Not here: what the bytes mean,
//! and who may write when (see `outbox`).

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::SockRef;

use crate::net::tls::Session;

/// How long a client may take no byte of what is sent to it before it is gone.
pub const STALLED: Duration = Duration::from_secs(10);

/// What the kernel may hold for a client that does not read, in bytes. The system's own choice
/// grows to megabytes, and tells a writer that there is room again only when a third of it is
/// free: somebody who reads 40 KB a second would seem stalled for a minute.
const SEND_BUFFER: usize = 256 << 10;

/// How long the peer's last bytes are awaited after our last: see [`Connection::linger`].
const LINGER: Duration = Duration::from_secs(2);

/// How long a client that is behind may take to fetch what waits for it once it has left.
const FAREWELL: Duration = Duration::from_secs(30);

/// The number of one connection, in the log and in the names of its threads: `client-7`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(u64);

impl ClientId {
    /// The `number`th connection since the start.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Which it is, counted from the start of the program.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client-{}", self.0)
    }
}

/// A connection's socket.
pub struct Connection {
    id: ClientId,
    socket: TcpStream,
    peer: SocketAddr,
    /// Where TLS is spoken: set before the first byte is read. Boxed: on plain sockets it is small.
    session: OnceLock<Box<Session>>,
    /// Past the handshake: from then on the broadcaster says goodbye to it.
    client: AtomicBool,
    /// Our last byte is with the kernel and the writing side is shut.
    finished: AtomicBool,
    /// Why this server ended it, if it did. Set once, before the shutdown that shows it.
    cut: OnceLock<&'static str>,
    /// Its slot among `--max-clients`, whatever that is made of. Dropped last, so that the
    /// descriptor is free before the slot is.
    _slot: Box<dyn Any + Send + Sync>,
}

impl Connection {
    /// Takes over an accepted socket.
    ///
    /// # Errors
    /// The socket was reset before it could be set up.
    pub fn new(
        id: ClientId,
        socket: TcpStream,
        peer: SocketAddr,
        slot: impl Any + Send + Sync,
    ) -> io::Result<Arc<Self>> {
        // A relayed message is whole: holding it back for more (Nagle) only delays it.
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(STALLED))?;
        SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER)?;
        Ok(Arc::new(Self {
            id,
            socket,
            peer,
            session: OnceLock::new(),
            client: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            cut: OnceLock::new(),
            _slot: Box::new(slot),
        }))
    }

    /// The number of this connection.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The address at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// From here on it is a WebSocket.
    pub fn becomes_client(&self) {
        self.client.store(true, Ordering::Release);
    }

    /// Whether it is a WebSocket by now.
    pub fn is_client(&self) -> bool {
        self.client.load(Ordering::Acquire)
    }

    /// Each blocking read gives up after `timeout` ([`timed_out`] tells). Zero is taken as a
    /// millisecond: for the system it would mean "never".
    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))
    }

    /// The first byte that the peer sends, which stays there to be read; `None` if it ends first.
    pub fn first_byte(&self, deadline: Instant) -> io::Result<Option<u8>> {
        let mut first = [0];
        self.wait_at_most(deadline)?;
        Ok((self.socket.peek(&mut first)? > 0).then_some(first[0]))
    }

    /// Speaks TLS from here on, and blocks until the handshake is over. Called before anybody else
    /// sends here.
    ///
    /// # Errors
    /// Nothing could be agreed on, as the peer has been told, or not before `deadline`.
    pub fn secure(&self, config: Arc<ServerConfig>, deadline: Instant) -> io::Result<()> {
        let session = Box::new(Session::new(config)?);
        let session = self.session.get_or_init(|| session);
        let mut piece = [0; 4096];
        loop {
            let over = session.shakes_hands();
            session.flush(&mut &self.socket)?;
            if over? {
                return Ok(());
            }
            self.wait_at_most(deadline)?;
            match (&self.socket).read(&mut piece)? {
                0 => return Err(cut_short()),
                count => session.feed(&piece[..count])?,
            }
        }
    }

    /// Whether TLS is spoken.
    pub fn is_secure(&self) -> bool {
        self.session.get().is_some()
    }

    /// Blocks until bytes come; 0 is the end of the stream.
    ///
    /// # Errors
    /// Under TLS also an end without `close_notify`: somebody may have cut it short (RFC 8446
    /// §6.1).
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_after(|| Ok(()), buffer)
    }

    /// As [`Connection::read`], but no longer than until `deadline`.
    pub fn read_before(&self, deadline: Instant, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_after(|| self.wait_at_most(deadline), buffer)
    }

    /// Reads what has come already, which may be nothing: 0.
    ///
    /// # Errors
    /// As [`Connection::read`]. The end of the stream is no error, and is found by a read that waits.
    pub fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = NoWait(&self.socket);
        let Some(session) = self.session.get() else {
            return or_nothing(socket.read(buffer));
        };
        match session.open(buffer)? {
            Some(count) => Ok(count),
            None => {
                // The buffer holds ciphertext for a moment.
                let count = or_nothing(socket.read(buffer))?;
                session.feed(&buffer[..count])?;
                Ok(session.open(buffer)?.unwrap_or(0))
            }
        }
    }

    /// Calls `prepare` before each read of the socket: one of plaintext may take many.
    fn read_after(
        &self,
        prepare: impl Fn() -> io::Result<()>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let Some(session) = self.session.get() else {
            prepare()?;
            return (&self.socket).read(buffer);
        };
        loop {
            if let Some(count) = session.open(buffer)? {
                return Ok(count);
            }
            prepare()?;
            // The buffer holds ciphertext for a moment: an idle client has no other.
            match (&self.socket).read(buffer)? {
                0 => return Err(cut_short()),
                count => session.feed(&buffer[..count])?,
            }
        }
    }

    /// The system's timeout begins anew with every byte, so what is left of the time is reckoned
    /// before each read.
    fn wait_at_most(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.set_read_timeout(left)
    }

    /// Sends what the kernel takes at once.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<Sent> {
        let mut socket = NoWait(&self.socket);
        let Some(session) = self.session.get() else {
            return match socket.write(bytes) {
                Ok(count) if count == bytes.len() => Ok(Sent::All),
                Ok(count) => Ok(Sent::Part(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Sent::Part(0)),
                Err(error) => Err(error),
            };
        };
        let mut count = 0;
        loop {
            match session.flush(&mut socket) {
                Ok(()) if count == bytes.len() => return Ok(Sent::All),
                Ok(()) => count += session.seal(&bytes[count..])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Sent::Part(count));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Blocks until some bytes are sent, or for [`STALLED`] without any. What [`Sent::Part`] left
    /// behind goes first, even if `bytes` are none.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = self.session.get() else { return (&self.socket).write(bytes) };
        let mut sealed = Vec::new();
        let count = session.seal(bytes)?;
        session.flush(&mut sealed)?;
        (&self.socket).write_all(&sealed)?;
        Ok(count)
    }

    /// Blocks until all is sent, as long as there is progress.
    pub fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.send(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// As [`Connection::send_all`], but no longer than until `deadline`, whatever the progress.
    pub fn send_all_before(&self, deadline: Instant, bytes: &[u8]) -> io::Result<()> {
        // In pieces, for each of which the system reckons its timeout anew.
        for piece in bytes.chunks(SEND_BUFFER) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_write_timeout(Some(left.min(STALLED)))?;
            self.send_all(piece)?;
        }
        Ok(())
    }

    /// No more will be sent: the peer sees the end of the stream behind our last byte. Called by
    /// the thread that sent it.
    pub fn finish(&self) {
        if let Some(session) = self.session.get() {
            // Without waiting: it fails if the peer takes nothing any more.
            let _ = session.close().and_then(|()| session.flush(&mut NoWait(&self.socket)));
        }
        self.finished.store(true, Ordering::Release);
        self.shutdown(Shutdown::Write);
    }

    /// Ends it at once, for a client that cannot be told: its socket takes nothing any more.
    /// Resetting frees what the kernel holds for it; the shutdown wakes its reader and writer.
    pub fn cut(&self, reason: &'static str) {
        let _ = self.cut.set(reason);
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        self.shutdown(Shutdown::Both);
    }

    /// Why this server cut it off, if it did.
    pub fn why_cut(&self) -> Option<&'static str> {
        self.cut.get().copied()
    }

    /// Shuts one side or both; a thread that is blocked on it wakes.
    pub fn shutdown(&self, sides: Shutdown) {
        // It fails only where the peer has already ended it, and then there is nothing to do.
        let _ = self.socket.shutdown(sides);
    }

    /// Reads and drops until the peer has closed too. Closing while bytes of the peer are
    /// unread would send a reset, and the peer would lose the Close frame or the answer that it
    /// is about to read (RFC 9112 §9.6).
    pub fn linger(&self) {
        let mut until = Instant::now() + FAREWELL;
        let mut last_stretch = false;
        let mut dropped = [0; 1024];
        loop {
            if !last_stretch && self.finished.load(Ordering::Acquire) {
                until = Instant::now() + LINGER;
                last_stretch = true;
            }
            // In slices: the writer thread may finish while this thread is blocked here.
            let slice = until.min(Instant::now() + LINGER);
            match self.read_before(slice, &mut dropped) {
                // Nothing is left to be dropped. What it is still owed may be under way, and
                // whoever sends the last of it shuts our side.
                Ok(0) => return,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) && Instant::now() < until => {}
                Err(_) => break,
            }
        }
        self.shutdown(Shutdown::Both);
    }
}

/// What became of bytes that were sent without waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// The kernel has them.
    All,
    /// So many are taken, under TLS perhaps all of them; but not everything is with the kernel,
    /// and who sends next must block.
    Part(usize),
}

/// A socket that takes what it can at once.
struct NoWait<'a>(&'a TcpStream);

#[cfg(unix)]
impl Write for NoWait<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(self.0).send_with_flags(bytes, libc::MSG_DONTWAIT)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(self.0).send_vectored_with_flags(pieces, libc::MSG_DONTWAIT)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
impl Read for NoWait<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.0, buffer, rustix::net::RecvFlags::DONTWAIT)?.1)
    }
}

/// Without MSG_DONTWAIT nothing is read but by waiting.
#[cfg(not(unix))]
impl Read for NoWait<'_> {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Without MSG_DONTWAIT every client is simply always behind: its writer thread sends.
#[cfg(not(unix))]
impl Write for NoWait<'_> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn or_nothing(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        read => read,
    }
}

fn cut_short() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the TLS stream was cut short (no close_notify)")
}

/// A socket's timeout has passed. The system calls it by either name.
pub fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
