//! One connection's socket, plain or TLS: blocking reads, non-blocking sends, and its end.
//!
//! Three threads share it: its own thread, which reads; the broadcaster, which sends and never
//! waits; and, while the client is behind, its writer thread. Not here: what the bytes mean, and
//! which thread may write when (see `outbox`).

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::{SockRef, Socket};

use crate::net::networks::Place;
use crate::net::tls::Session;

/// A client that takes no byte for this time counts as gone.
pub const STALLED: Duration = Duration::from_secs(10);

/// The size in bytes of the kernel's send buffer for one client. The system's own choice grows to
/// megabytes, and a blocked writer wakes only when a third of it is free: a client that reads
/// 40 KB a second would seem stalled for a minute.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// The longest wait for the peer's last bytes after our last byte: see [`Connection::linger`].
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest time in which a client that is behind may read its last messages and its Close
/// frame.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of one connection, in the log: `client-7`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(u64);

impl ClientId {
    /// The id of the `number`th connection since the start of the program.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, counted from the start of the program.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client-{}", self.0)
    }
}

/// Who is at the other end of a connection, as the log shows it.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    socket: SocketAddr,
    /// The client for whom a trusted proxy at `socket` speaks.
    client: Option<IpAddr>,
}

impl Peer {
    /// The address of the client: the one to which limits apply.
    pub fn ip(self) -> IpAddr {
        self.client.unwrap_or(self.socket.ip())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Some(client) => write!(f, "{client} (through {})", self.socket),
            None => write!(f, "{}", self.socket),
        }
    }
}

/// A connection: its socket, its TLS session and its slot.
pub struct Connection {
    id: ClientId,
    socket: TcpStream,
    /// When it was accepted.
    began: Instant,
    /// The other end of the socket.
    peer: SocketAddr,
    /// The client for whom that one speaks, if it is a trusted proxy, and its place among those of
    /// its network. Set once, by the door.
    client_behind: OnceLock<(IpAddr, Option<Place>)>,
    /// The TLS session, set before the first byte is read; empty on a plain connection. Boxed, so
    /// that it takes little memory there.
    session: OnceLock<Box<Session>>,
    /// Whether it is a WebSocket. If so, the broadcaster closes it when the server stops.
    client: AtomicBool,
    /// Whether the kernel has our last byte and the writing side is shut.
    finished: AtomicBool,
    /// Why this server ends the connection. Set once, before the reader notices.
    ended: OnceLock<&'static str>,
    /// Its slot among `--max-clients`, of any type. Dropped last, so that the descriptor is free
    /// before the slot is.
    _slot: Box<dyn Any + Send + Sync>,
}

impl Connection {
    /// Takes over an accepted socket.
    ///
    /// # Errors
    /// The socket cannot be set up, for example because the peer has reset it.
    pub fn new(
        id: ClientId,
        socket: TcpStream,
        peer: SocketAddr,
        slot: impl Any + Send + Sync,
    ) -> io::Result<Arc<Self>> {
        // On Linux the listener has handed these options on to the socket.
        if cfg!(not(target_os = "linux")) {
            set_options(&SockRef::from(&socket))?;
        }
        Ok(Arc::new(Self {
            id,
            socket,
            began: Instant::now(),
            peer,
            client_behind: OnceLock::new(),
            session: OnceLock::new(),
            client: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            ended: OnceLock::new(),
            _slot: Box::new(slot),
        }))
    }

    /// The id of this connection.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// How long ago it was accepted.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        Peer { socket: self.peer, client: self.client_behind.get().map(|(client, _)| *client) }
    }

    /// From now on the other end is a proxy that speaks for the client with this address. The place is
    /// kept as long as the connection; `None` if the network of that address has no more.
    pub fn speaks_for(&self, client: IpAddr, place: Option<Place>) {
        // A connection carries one request, so nobody else can have set it.
        let _ = self.client_behind.set((client, place));
    }

    /// Marks the connection as a WebSocket.
    pub fn becomes_client(&self) {
        self.client.store(true, Ordering::Release);
    }

    /// Whether the connection is a WebSocket.
    pub fn is_client(&self) -> bool {
        self.client.load(Ordering::Acquire)
    }

    /// Lets each blocking read fail after `timeout` (see [`timed_out`]). Zero becomes a
    /// millisecond, because for the system zero means "never".
    ///
    /// # Errors
    /// The system refuses it.
    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))
    }

    /// Starts TLS, which began with the bytes `first`, and blocks until the handshake is over. Called
    /// before any other thread sends.
    ///
    /// # Errors
    /// The two sides cannot agree, and the peer has got an alert; or the handshake was not over at
    /// `deadline`.
    pub fn secure(
        &self,
        config: Arc<ServerConfig>,
        first: &[u8],
        deadline: Instant,
    ) -> io::Result<()> {
        let session = Box::new(Session::new(config)?);
        let session = self.session.get_or_init(|| session);
        session.feed(first)?;
        let mut piece = [0; 4096];
        loop {
            let over = session.continue_handshake();
            session.flush(&mut &self.socket)?;
            if over? {
                return Ok(());
            }
            match self.receive_before(deadline, &mut piece)? {
                0 => return Err(cut_short()),
                count => session.feed(&piece[..count])?,
            }
        }
    }

    /// Whether the connection speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.session.get().is_some()
    }

    /// Blocks until bytes come; 0 is the end of the stream.
    ///
    /// # Errors
    /// Those of the socket. Under TLS, an end without `close_notify` is an error too: an attacker
    /// may have cut the stream short (RFC 8446 §6.1).
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_from(|buffer| (&self.socket).read(buffer), buffer)
    }

    /// As [`Connection::read`], but waits at most until `deadline`.
    ///
    /// # Errors
    /// As [`Connection::read`], and a timeout at `deadline`.
    pub fn read_before(&self, deadline: Instant, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_from(|buffer| self.receive_before(deadline, buffer), buffer)
    }

    /// Reads bytes that have come already; 0 if there are none. 0 may also be the end of the
    /// stream, which the next blocking read shows.
    ///
    /// # Errors
    /// As [`Connection::read`].
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

    /// Whether the peer has ended the connection, and all that it has sent was read. Over TLS its last
    /// word is something to be read too, so this may be `false` for a moment longer.
    pub fn has_ended(&self) -> bool {
        match NoWait(&self.socket).peek() {
            Ok(count) => count == 0,
            Err(error) => !timed_out(&error),
        }
    }

    /// Whether no byte waits to be read, and none is to come if the peer has said its last word. Under
    /// TLS a `close_notify` is to come (RFC 8446 §6.1).
    pub fn is_read_to_the_end(&self) -> bool {
        !self.is_secure() && matches!(or_nothing(NoWait(&self.socket).read(&mut [0])), Ok(0))
    }

    /// Reads, and gets the bytes of the socket from `receive`. One read of plaintext may take many of
    /// these.
    fn read_from(
        &self,
        receive: impl Fn(&mut [u8]) -> io::Result<usize>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let Some(session) = self.session.get() else { return receive(buffer) };
        loop {
            if let Some(count) = session.open(buffer)? {
                return Ok(count);
            }
            // The buffer holds ciphertext for a moment, so that an idle client needs no second one.
            match receive(buffer)? {
                0 => return Err(cut_short()),
                count => session.feed(&buffer[..count])?,
            }
        }
    }

    /// Receives bytes from the socket, at most until `deadline`. Mostly they are there already. Only a
    /// wait needs a timeout, and setting that costs a system call: the system's timeout starts again
    /// with every read.
    fn receive_before(&self, deadline: Instant, buffer: &mut [u8]) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match NoWait(&self.socket).read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.set_read_timeout(left)?;
                (&self.socket).read(buffer)
            }
            received => received,
        }
    }

    /// Sends as many bytes as the kernel takes at once, and never waits.
    ///
    /// # Errors
    /// Those of the socket.
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

    /// Blocks until some bytes are sent. Bytes that [`Sent::Part`] took and did not give to the
    /// kernel are sent first, even if `bytes` is empty.
    ///
    /// # Errors
    /// Those of the socket, and a timeout after [`STALLED`] without progress.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = self.session.get() else { return (&self.socket).write(bytes) };
        let mut sealed = Vec::new();
        let count = session.seal(bytes)?;
        session.flush(&mut sealed)?;
        (&self.socket).write_all(&sealed)?;
        Ok(count)
    }

    /// Blocks until all bytes are sent.
    ///
    /// # Errors
    /// As [`Connection::send`].
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

    /// As [`Connection::send_all`], but only until `deadline`, even if there is progress.
    ///
    /// # Errors
    /// As [`Connection::send`], and a timeout at `deadline`.
    pub fn send_all_before(&self, deadline: Instant, bytes: &[u8]) -> io::Result<()> {
        // In pieces, because the system's timeout starts again with each write.
        for piece in bytes.chunks(SEND_BUFFER_BYTES) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_write_timeout(Some(left.min(STALLED)))?;
            self.send_all(piece)?;
        }
        Ok(())
    }

    /// Ends our side: the peer sees the end of the stream after our last byte. Called by the thread
    /// that sent that byte.
    pub fn finish(&self) {
        if let Some(session) = self.session.get() {
            // Without waiting: it fails if the peer does not read any more.
            let _ = session.close().and_then(|()| session.flush(&mut NoWait(&self.socket)));
        }
        self.finished.store(true, Ordering::Release);
        self.shutdown(Shutdown::Write);
    }

    /// Ends the connection at once, without a Close frame, because the client's socket takes no
    /// more bytes. The reset frees the kernel's buffers; the shutdown wakes the reader and the
    /// writer.
    pub fn cut(&self, reason: &'static str) {
        let _ = self.ended.set(reason);
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        self.shutdown(Shutdown::Both);
    }

    /// Notes why this server ends the connection. The caller sends a Close; the reader stops with
    /// the next bytes that come, or when its timeout has passed.
    pub fn will_end(&self, reason: &'static str) {
        let _ = self.ended.set(reason);
    }

    /// Why this server ends the connection; `None` if it does not.
    pub fn why_ended(&self) -> Option<&'static str> {
        self.ended.get().copied()
    }

    /// Shuts one side or both, and wakes the threads that are blocked on it.
    pub fn shutdown(&self, sides: Shutdown) {
        // It fails only if the peer has ended the connection already. Then there is nothing to do.
        let _ = self.socket.shutdown(sides);
    }

    /// Reads and drops bytes until the peer has closed too. A close with unread bytes would send a
    /// reset, and the peer would lose the Close frame or the response that it has not read yet
    /// (RFC 9112 §9.6).
    pub fn linger(&self) {
        let mut until = Instant::now() + DRAIN_TIMEOUT;
        let mut sees_finished = false;
        let mut dropped = [0; 1024];
        loop {
            if !sees_finished && self.finished.load(Ordering::Acquire) {
                until = Instant::now() + LINGER_TIMEOUT;
                sees_finished = true;
            }
            // In slices of time, because the writer thread may finish while this thread is blocked.
            let slice = until.min(Instant::now() + LINGER_TIMEOUT);
            match self.read_before(slice, &mut dropped) {
                // The peer has closed. Our last bytes may still be on their way, and the thread
                // that sends the last one shuts our side.
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

/// Sets the options that all connections have. Called for the listener: on Linux each socket that it
/// accepts has them too, which saves three system calls a connection.
///
/// # Errors
/// The system refuses one.
pub fn set_options(socket: &Socket) -> io::Result<()> {
    // Each message is sent whole: Nagle's algorithm would only delay it.
    socket.set_tcp_nodelay(true)?;
    socket.set_write_timeout(Some(STALLED))?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)
}

/// The result of sending without waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// The kernel has all bytes.
    All,
    /// This number of bytes is accepted, under TLS perhaps all of them. But the kernel does not
    /// have all accepted bytes, so the next sender must block.
    Part(usize),
}

/// A socket that never blocks.
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

impl NoWait<'_> {
    /// How many bytes could be read, 0 or 1; 0 is the end of the stream.
    #[cfg(unix)]
    fn peek(&self) -> io::Result<usize> {
        use rustix::net::RecvFlags;
        Ok(rustix::net::recv(self.0, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK)?.1)
    }

    #[cfg(not(unix))]
    fn peek(&self) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Without MSG_DONTWAIT this reads nothing: only a blocking read gets bytes.
#[cfg(not(unix))]
impl Read for NoWait<'_> {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Without MSG_DONTWAIT every client is always behind, and its writer thread sends.
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

/// Whether a socket's timeout has passed. Systems report it as one kind or the other.
pub fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
