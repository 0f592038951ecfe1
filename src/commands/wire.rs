//! One connection of a command that is a client: its socket, its TLS, and the WebSocket on it.
//!
//! Two small threads move bytes and know nothing: `from-server` reads the socket, `to-server` writes to
//! it. The main thread, which owns the [`Line`], does all the rest, and never waits for the network: it
//! waits for [`Line::incoming`], together with what else it waits for. So a server that does not read
//! keeps nobody from listening to it. Not here: connecting again, and what is said (`member`).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use http::Uri;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// The longest time in which a server accepts, and in which it answers the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes that one read of the socket brings.
const PIECE: usize = 16 << 10;

/// The most pieces that wait for the main thread. Then the socket fills, and TCP tells the server.
const PIECES: usize = 16;

/// A connection to the server, on which its 101 has come.
pub struct Line {
    socket: WebSocket<Wire>,
}

impl Line {
    /// Connects, and shakes hands.
    ///
    /// # Errors
    /// The server is not there (an I/O error), or its answer is not 101.
    pub fn open(request: Request, tls: Option<Arc<ClientConfig>>) -> Result<Self, Error> {
        let wire = Wire::connect(request.uri(), tls)?;
        let (mut socket, _) = tungstenite::client(request, wire).map_err(|error| match error {
            HandshakeError::Failure(error) => error,
            HandshakeError::Interrupted(_) => Error::Io(ErrorKind::TimedOut.into()),
        })?;
        socket.get_mut().waits = None;
        Ok(Self { socket })
    }

    /// From now on frames of the server may have so many bytes.
    pub fn takes_frames_of(&mut self, bytes: usize) {
        self.socket.set_config(|config: &mut WebSocketConfig| {
            config.max_message_size = Some(bytes);
            config.max_frame_size = Some(bytes);
        });
    }

    /// The next message, if it has come whole; `None`: wait for [`Line::incoming`].
    ///
    /// # Errors
    /// The connection has ended.
    pub fn hears(&mut self) -> Result<Option<Message>, Error> {
        match self.socket.read() {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a message. It waits in memory until the server takes it.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn says(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message)
    }

    /// Begins the end of the connection (RFC 6455 §7.1.2). The server answers, and ends it.
    pub fn closes(&mut self) {
        let done = CloseFrame { code: 1000.into(), reason: "".into() };
        // If it has ended already, the next `hears` says so.
        let _ = self.socket.close(Some(done));
    }

    /// Ready when bytes have come, or the end.
    pub fn incoming(&self) -> &Receiver<Vec<u8>> {
        &self.socket.get_ref().incoming
    }
}

/// The stream under tungstenite. Outside of the handshake it never blocks.
struct Wire {
    socket: TcpStream,
    /// Bytes of the socket; closed at their end.
    incoming: Receiver<Vec<u8>>,
    /// Bytes for the socket.
    outgoing: Sender<Vec<u8>>,
    /// The record layer, if the address is `wss://`.
    tls: Option<ClientConnection>,
    /// What has come, and how much of it is used.
    ahead: (Vec<u8>, usize),
    /// How long a read waits; `None`: not at all.
    waits: Option<Duration>,
}

impl Wire {
    fn connect(uri: &Uri, config: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let invalid = || io::Error::new(ErrorKind::InvalidInput, "the address has no host");
        let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if config.is_some() { 443 } else { 80 });
        let name = || ServerName::try_from(host.to_owned()).map_err(io::Error::other);
        let start = |config| ClientConnection::new(config, name()?).map_err(io::Error::other);
        let tls = config.map(start).transpose()?;
        let socket = connect_to_any(host, port)?;
        socket.set_nodelay(true)?;
        let (reads, incoming) = bounded(PIECES);
        let (outgoing, writes) = unbounded();
        let (from, to) = (socket.try_clone()?, socket.try_clone()?);
        start_thread("from-server", move || read_all(from, &reads))?;
        start_thread("to-server", move || write_all(to, &writes))?;
        Ok(Self { socket, incoming, outgoing, tls, ahead: (Vec::new(), 0), waits: Some(PATIENCE) })
    }

    /// Takes the next piece that has come, once all before it is used; 0 at the end.
    fn receive(&mut self) -> io::Result<usize> {
        // No time at all is enough for what is there.
        match self.incoming.recv_timeout(self.waits.unwrap_or_default()) {
            Ok(piece) => self.ahead = (piece, 0),
            Err(RecvTimeoutError::Disconnected) => self.ahead = (Vec::new(), 0),
            Err(RecvTimeoutError::Timeout) if self.waits.is_some() => {
                return Err(io::Error::new(ErrorKind::TimedOut, "the server does not answer"));
            }
            Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::WouldBlock.into()),
        }
        Ok(self.ahead.0.len())
    }

    /// What has come and is not used.
    fn rest(&self) -> &[u8] {
        &self.ahead.0[self.ahead.1..]
    }

    /// Sends what the record layer has sealed, or has to say of its own.
    fn flush_records(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let mut records = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut records)?;
        }
        self.send(records)
    }

    fn send(&self, bytes: Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.outgoing.send(bytes).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// Gives the record layer some of what has come.
    fn open_some(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let (bytes, used) = &mut self.ahead;
        *used += tls.read_tls(&mut &bytes[*used..])?;
        let opened = tls.process_new_packets().map_err(io::Error::other);
        // An alert says to the server why this failed.
        self.flush_records()?;
        opened.map(drop)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(tls) = &mut self.tls {
                match tls.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    read => return read,
                }
            } else if !self.rest().is_empty() {
                let count = self.rest().len().min(buffer.len());
                buffer[..count].copy_from_slice(&self.rest()[..count]);
                self.ahead.1 += count;
                return Ok(count);
            }
            if self.rest().is_empty() && self.receive()? == 0 {
                return Ok(0);
            }
            self.open_some()?;
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.send(bytes.to_vec()).map(|()| bytes.len()),
            Some(tls) => {
                let count = tls.writer().write(bytes)?;
                self.flush_records().map(|()| count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_records()
    }
}

impl Drop for Wire {
    /// Wakes both threads, which end.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn connect_to_any(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "this name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Ends when the socket does, or when nobody wants its bytes.
fn read_all(mut socket: TcpStream, pieces: &Sender<Vec<u8>>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match socket.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(count) if pieces.send(buffer[..count].to_vec()).is_err() => return,
            Ok(_) => {}
        }
    }
}

/// Ends when the line is dropped, or when the socket takes no more.
fn write_all(mut socket: TcpStream, pieces: &Receiver<Vec<u8>>) {
    for piece in pieces {
        if socket.write_all(&piece).is_err() {
            // The reader ends too, and so the main thread learns of it.
            let _ = socket.shutdown(Shutdown::Both);
            return;
        }
    }
}
