//! The bytes of one connection, plain or over TLS, with what the tests use of a `TcpStream`.
//!
//! As with a `TcpStream`, one thread may read while another writes: the lock on the record layer
//! is never held while anybody waits for the socket. All counts are of plaintext. Not here: which
//! way a connection goes (`way`).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};

pub struct Stream {
    socket: TcpStream,
    session: Option<Arc<Session>>,
}

/// One side of TLS. Locks are taken in this order.
struct Session {
    inbox: Mutex<Inbox>,
    /// Ciphertext that the socket has not taken yet.
    outbox: Mutex<Vec<u8>>,
    records: Mutex<ClientConnection>,
}

#[derive(Default)]
struct Inbox {
    /// Plaintext that nobody has read yet.
    opened: VecDeque<u8>,
    /// The peer has said something.
    begun: bool,
    /// The peer has ended its side in order: see [`Session::receives`].
    over: bool,
}

impl Stream {
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket, session: None }
    }

    /// The handshake comes with the first byte that is sent or read.
    pub fn tls(socket: TcpStream, records: ClientConnection) -> Self {
        let (inbox, outbox) = (Mutex::default(), Mutex::default());
        let session = Session { inbox, outbox, records: Mutex::new(records) };
        Self { socket, session: Some(Arc::new(session)) }
    }

    /// The same connection once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, session: self.session.clone() })
    }

    /// Takes the handshake now, if one is needed.
    pub fn shakes_hands(&self) -> io::Result<()> {
        self.session.as_ref().map_or(Ok(()), |session| session.shakes_hands(&self.socket))
    }

    /// Says that no more will be sent; over TLS with its own last word (RFC 8446 §6.1).
    pub fn half_closes(&self) -> io::Result<()> {
        if let Some(session) = &self.session {
            session.says_goodbye(&self.socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    /// What could be read, left there. Over TLS the buffer is filled as far as that goes without
    /// waiting longer than a read would.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            None => self.socket.peek(buffer),
            Some(session) => session.peek(&self.socket, buffer),
        }
    }

    /// What was agreed on in the handshake: the version, and the protocol above.
    pub fn agreed(&self) -> Option<(ProtocolVersion, Option<Vec<u8>>)> {
        let records = self.session.as_ref()?.records.lock().unwrap();
        Some((records.protocol_version()?, records.alpn_protocol().map(<[u8]>::to_vec)))
    }

    /// Whether the handshake continued an earlier session. No TLS resumes nothing.
    pub fn is_resumed(&self) -> bool {
        let session = self.session.as_ref();
        let kind = session.and_then(|session| session.records.lock().unwrap().handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// The socket below, for bytes that nobody has sealed.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Of the socket: over TLS nothing is said before.
    pub fn shutdown(&self, sides: Shutdown) -> io::Result<()> {
        self.socket.shutdown(sides)
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

/// For the options of its socket.
impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            None => (&self.socket).read(buffer),
            Some(session) => session.read(&self.socket, buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.session {
            None => (&self.socket).write(bytes),
            Some(session) => session.write(&self.socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    fn is_shaking_hands(&self) -> bool {
        self.records.lock().unwrap().is_handshaking()
    }

    fn shakes_hands(&self, socket: &TcpStream) -> io::Result<()> {
        if !self.is_shaking_hands() {
            return Ok(());
        }
        let (mut inbox, mut outbox) = (self.inbox.lock().unwrap(), self.outbox.lock().unwrap());
        loop {
            self.seals(b"", &mut outbox)?;
            sends(socket, &mut outbox)?;
            if !self.is_shaking_hands() {
                return Ok(());
            }
            if inbox.over {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "no handshake"));
            }
            self.receives(socket, &mut inbox)?;
        }
    }

    fn read(&self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let agreed = self.shakes_hands(socket);
        let mut inbox = self.inbox.lock().unwrap();
        if !inbox.over {
            agreed?;
        }
        while inbox.opened.is_empty() && !inbox.over {
            self.receives(socket, &mut inbox)?;
        }
        inbox.opened.read(buffer)
    }

    fn peek(&self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.shakes_hands(socket)?;
        let mut inbox = self.inbox.lock().unwrap();
        while inbox.opened.len() < buffer.len() && !inbox.over {
            match self.receives(socket, &mut inbox) {
                Err(error) if inbox.opened.is_empty() => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        let count = buffer.len().min(inbox.opened.len());
        buffer.iter_mut().zip(&inbox.opened).for_each(|(place, byte)| *place = *byte);
        Ok(count)
    }

    fn write(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.shakes_hands(socket)?;
        let mut outbox = self.outbox.lock().unwrap();
        sends(socket, &mut outbox)?;
        let count = self.seals(bytes, &mut outbox)?;
        match sends(socket, &mut outbox) {
            // It is taken, and leaves before the next: sealed again it would come twice.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(count),
            outcome => outcome.map(|()| count),
        }
    }

    fn says_goodbye(&self, socket: &TcpStream) -> io::Result<()> {
        self.shakes_hands(socket)?;
        let mut outbox = self.outbox.lock().unwrap();
        self.records.lock().unwrap().send_close_notify();
        self.seals(b"", &mut outbox)?;
        sends(socket, &mut outbox)
    }

    /// Waits for bytes from the socket, and opens them. The end is in order if it is in order for
    /// both layers: `close_notify`, and then the end of the socket, without a reset. Where the peer
    /// has not said a word, there is nothing to be cut short.
    fn receives(&self, socket: &TcpStream, inbox: &mut Inbox) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        let count = (&*socket).read(&mut piece)?;
        let mut records = self.records.lock().unwrap();
        if count == 0 {
            records.read_tls(&mut io::empty())?;
            // What was wrong before still is.
            records.process_new_packets().map_err(io::Error::other)?;
            // rustls says here whether there was a close_notify.
            inbox.over = !inbox.begun || records.reader().read(&mut [0])? == 0;
            return Ok(());
        }
        inbox.begun = true;
        let mut rest = &piece[..count];
        while !rest.is_empty() {
            if records.read_tls(&mut rest)? == 0 {
                return Err(io::Error::other("bytes behind close_notify"));
            }
            records.process_new_packets().map_err(io::Error::other)?;
            match io::copy(&mut records.reader(), &mut inbox.opened) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Seals what fits, behind what the record layer has to say itself.
    fn seals(&self, bytes: &[u8], outbox: &mut Vec<u8>) -> io::Result<usize> {
        let mut records = self.records.lock().unwrap();
        let count = if bytes.is_empty() { 0 } else { records.writer().write(bytes)? };
        while records.wants_write() {
            records.write_tls(outbox)?;
        }
        Ok(count)
    }
}

fn sends(mut socket: &TcpStream, outbox: &mut Vec<u8>) -> io::Result<()> {
    while !outbox.is_empty() {
        let count = socket.write(outbox)?;
        outbox.drain(..count);
    }
    Ok(())
}
