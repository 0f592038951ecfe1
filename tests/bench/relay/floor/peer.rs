//! One connection of the floor: its upgrade, its frames, and its non-blocking sends.
//!
//! Not here: who hears what (see `server`). Runs on the floor's only thread.

use std::io::{self, ErrorKind};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use socket2::Socket;
use tungstenite::handshake::derive_accept_key;

use crate::relay::messages::frame::{self, Frame};

/// Where a peer's messages go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Home {
    /// It has not asked for its path yet.
    Door,
    Echo,
    Room(usize),
}

pub struct Peer {
    pub home: Home,
    socket: Socket,
    /// Its mark in events.
    place: usize,
    /// Bytes that came, from `taken` on not looked at yet.
    input: Vec<u8>,
    taken: usize,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Peer {
    pub fn new(socket: Socket, place: usize) -> Self {
        let (input, unsent) = (Vec::new(), Vec::new());
        Self { home: Home::Door, socket, place, input, taken: 0, unsent }
    }

    /// Reads once; the end of the stream is an error.
    pub fn read(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        self.input.drain(..std::mem::take(&mut self.taken));
        match io::Read::read(&mut &self.socket, scratch) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend_from_slice(&scratch[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Answers the upgrade once its head is complete, and tells the path.
    pub fn upgrade(&mut self, epoll: &Epoll) -> io::Result<Option<String>> {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Request::new(&mut fields);
        let status = head.parse(&self.input).map_err(io::Error::other)?;
        let httparse::Status::Complete(end) = status else { return Ok(None) };
        let path = head.path.unwrap_or_default().to_owned();
        let key = head.headers.iter().find(|field| field.name == "Sec-WebSocket-Key");
        let accept = derive_accept_key(key.map_or(&[], |field| field.value));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.taken = end;
        self.send(answer.as_bytes(), epoll);
        Ok(Some(path))
    }

    /// Turns the next complete frame that came into the frame that goes out; its opcode.
    pub fn next(&mut self, frame: &mut Vec<u8>) -> Option<u8> {
        let input = &mut self.input[self.taken..];
        let next = Frame::first(input)?;
        next.unmask(input);
        frame.clear();
        frame::push(next.opcode, &input[next.start..next.end], frame);
        self.taken += next.end;
        Some(next.opcode)
    }

    /// Sends without waiting; what the socket does not take is sent when it has room.
    pub fn send(&mut self, frames: &[u8], epoll: &Epoll) {
        if !self.unsent.is_empty() {
            return self.unsent.extend_from_slice(frames);
        }
        let sent = self.send_now(frames);
        if sent < frames.len() {
            self.unsent.extend_from_slice(&frames[sent..]);
            self.watch(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT, epoll);
        }
    }

    /// The socket has room again.
    pub fn flush(&mut self, epoll: &Epoll) {
        let sent = self.send_now(&self.unsent);
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.watch(EpollFlags::EPOLLIN, epoll);
        }
    }

    fn send_now(&self, bytes: &[u8]) -> usize {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // A broken connection takes nothing either; the next read tells that it is gone.
        self.socket.send_with_flags(bytes, flags).unwrap_or(0)
    }

    fn watch(&self, events: EpollFlags, epoll: &Epoll) {
        // It fails only for a socket that is not in the set, and all are.
        let _ = epoll.modify(&self.socket, &mut EpollEvent::new(events, self.place as u64));
    }
}
