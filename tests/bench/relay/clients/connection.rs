//! One client: a non-blocking socket, plain or TLS, that can say and hear WebSocket frames.
//!
//! Not here: when to read and what the messages mean. It is cheap on purpose: one `recv` into a
//! buffer that all clients share, and payloads are looked at where they lie.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::session::Session;
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame::{self, Frame};

/// How far a client has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The answer to the upgrade is not complete.
    Greeting,
    Open,
    /// The server has said Close.
    Closing,
    /// The server has ended the connection.
    Ended,
}

pub struct Connection {
    pub socket: TcpStream,
    pub stage: Stage,
    /// Pings answered so far.
    pub pings: u64,
    /// Where TLS is spoken. Boxed: it is large, and mostly there is none.
    session: Option<Box<Session>>,
    /// The beginning of a frame whose end has not come.
    held: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Connection {
    /// Connects and asks for the upgrade; the answer comes with the first reads.
    pub fn open(
        server: &Destination,
        path: &str,
        protocol: Option<&str>,
        buffer: Option<usize>,
    ) -> io::Result<Self> {
        let mut connection = Self {
            socket: connect(server.address, buffer)?,
            stage: Stage::Greeting,
            pings: 0,
            session: server.session()?,
            held: Vec::new(),
            unsent: Vec::new(),
        };
        connection.send(request(server.address, path, protocol).as_bytes())?;
        Ok(connection)
    }

    /// Sends, and keeps what the socket does not take for [`Connection::flush`].
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(session) = &mut self.session else { return self.pass(bytes) };
        let mut sealed = Vec::new();
        session.seal(bytes, &mut sealed)?;
        self.pass(&sealed)
    }

    /// As [`Connection::send`], for bytes that are ready for the socket.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { self.send_now(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Tries again to send what was kept; whether nothing is kept any more.
    pub fn flush(&mut self) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.pass(&unsent)?;
        }
        Ok(self.unsent.is_empty())
    }

    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match (&self.socket).write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Reads once, and shows every message that is complete.
    pub fn receive(&mut self, scratch: &mut [u8], hear: impl FnMut(&[u8])) -> io::Result<()> {
        let count = self.read(scratch)?;
        let Some(session) = &mut self.session else { return self.hear(&scratch[..count], hear) };
        let mut plaintext = Vec::new();
        session.open(&scratch[..count], &mut plaintext)?;
        // What the handshake has to say next.
        self.send(&[])?;
        self.hear(&plaintext, hear)
    }

    /// Reads once, and looks at nothing; the number of bytes of frames.
    pub fn count(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let count = self.read(scratch)?;
        match &mut self.session {
            Some(session) => session.count(&scratch[..count]),
            None => Ok(count),
        }
    }

    /// Encrypted records that have come.
    pub fn records(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.records())
    }

    fn hear(&mut self, bytes: &[u8], hear: impl FnMut(&[u8])) -> io::Result<()> {
        if self.held.is_empty() {
            let rest = self.take(bytes, hear)?;
            self.held.extend_from_slice(&bytes[bytes.len() - rest..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            let rest = self.take(&held, hear)?;
            held.drain(..held.len() - rest);
            self.held = held;
        }
        Ok(())
    }

    /// Reads once; 0 if nothing is there, or if the server has ended the connection.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        match (&self.socket).read(scratch) {
            Ok(0) => {
                self.stage = Stage::Ended;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Takes what is complete from the front of `bytes`; answers with how many are left.
    fn take(&mut self, bytes: &[u8], mut hear: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut place = 0;
        if self.stage == Stage::Greeting {
            place = greeting(bytes)?;
            if place == 0 {
                return Ok(bytes.len());
            }
            self.stage = Stage::Open;
        }
        while let Some(frame) = Frame::first(&bytes[place..]) {
            let payload = &bytes[place + frame.start..place + frame.end];
            match frame.opcode {
                frame::PING => self.answer(payload)?,
                frame::CLOSE => self.stage = Stage::Closing,
                _ => hear(payload),
            }
            place += frame.end;
        }
        Ok(bytes.len() - place)
    }

    fn answer(&mut self, ping: &[u8]) -> io::Result<()> {
        let mut pong = Vec::new();
        frame::push_masked(frame::PONG, ping, &mut pong);
        self.pings += 1;
        self.send(&pong)
    }
}

fn connect(server: SocketAddr, buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    if let Some(bytes) = buffer {
        // Before connecting: the window that the server is offered depends on it.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(&server.into())?;
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The key is the one of the RFC's example: nobody looks at the answer to it here.
fn request(server: SocketAddr, path: &str, protocol: Option<&str>) -> String {
    let offer = protocol.map(|protocol| format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
    let offer = offer.unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
}

/// Where the answer to the upgrade ends; 0 if its end has not come.
fn greeting(bytes: &[u8]) -> io::Result<usize> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(0);
    };
    let first = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    if first.starts_with(b"HTTP/1.1 101") {
        return Ok(end + 4);
    }
    Err(io::Error::other(format!("no upgrade: {}", String::from_utf8_lossy(first))))
}
