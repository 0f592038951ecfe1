//! The floor: the least that a server must do to relay, as a process of its own.
//!
//! One thread, one epoll loop, and non-blocking sends of the same bytes to each member. It takes
//! the same upgrade, parses the same frames and builds the same ones as the program, and the same
//! load drives it, so that the ratio between the two is the cost of everything else. It sends each
//! message to each member at once, or joins all that were waiting and sends them together
//! ([`Manner`]). Not here: limits, time-outs, checks, a slow client's bound; it is not a server
//! that anyone could use.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::TcpListener;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::Socket;

use super::peer::{Home, Peer};
use crate::relay::messages::frame;

/// When what was heard is sent on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Each message at once: one send per message and member.
    OneSendEach,
    /// All that were waiting together: one send per turn and member.
    Joined,
}

impl Manner {
    pub fn name(self) -> &'static str {
        match self {
            Self::OneSendEach => "one-send-each",
            Self::Joined => "joined",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::OneSendEach, Self::Joined].into_iter().find(|manner| manner.name() == name)
    }
}

/// Sockets that are read in one turn.
const EVENTS: usize = 1024;

/// One read takes up to this much, and so does each sender's part of a turn.
const SCRATCH: usize = 64 << 10;

/// Marks in events; peers are marked with their places.
const LISTENER: u64 = u64::MAX;
const PARENT: u64 = u64::MAX - 1;

/// Runs a floor until standard input ends: with whoever started it, it ends too.
pub fn serve(manner: Manner) -> io::Result<()> {
    let listener = Socket::from(TcpListener::bind("127.0.0.1:0")?);
    listener.listen(4096)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.as_socket().ok_or(ErrorKind::AddrNotAvailable)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(io::stdin(), EpollEvent::new(EpollFlags::EPOLLIN, PARENT))?;
    println!("http://{address}/");
    Floor::new(manner, listener, epoll).run()
}

struct Floor {
    manner: Manner,
    listener: Socket,
    epoll: Epoll,
    /// Everyone connected, at the place that marks their events.
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// The room of each path that was asked for, and its place in `rooms`.
    places: HashMap<String, usize>,
    rooms: Vec<Room>,
    /// Rooms that have frames to send at the end of this turn.
    talking: Vec<usize>,
    scratch: Vec<u8>,
    /// The frame that is just being relayed.
    frame: Vec<u8>,
    /// Answers to the echo that is just being read.
    answers: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    /// What was said in this turn.
    frames: Vec<u8>,
}

impl Floor {
    fn new(manner: Manner, listener: Socket, epoll: Epoll) -> Self {
        Self {
            manner,
            listener,
            epoll,
            peers: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            rooms: Vec::new(),
            talking: Vec::new(),
            scratch: vec![0; SCRATCH],
            frame: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        loop {
            let count = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    PARENT => return Ok(()),
                    place => self.serve_peer(usize::try_from(place).unwrap_or(0), event.events()),
                }
            }
            self.end_turn();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_tcp_nodelay(true)?;
            let place = self.free.pop().unwrap_or(self.peers.len());
            self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
            self.peers.resize_with(self.peers.len().max(place + 1), || None);
            self.peers[place] = Some(Peer::new(socket, place));
        }
        Ok(())
    }

    fn serve_peer(&mut self, place: usize, events: EpollFlags) {
        let Some(Some(peer)) = self.peers.get_mut(place) else { return };
        if events.contains(EpollFlags::EPOLLOUT) {
            peer.flush(&self.epoll);
        }
        // Anything else: bytes, the end, or an error, which reading tells.
        if events != EpollFlags::EPOLLOUT && self.hear(place).is_err() {
            self.remove(place);
        }
    }

    /// Reads once and takes all that is complete. An error is the end of this peer.
    fn hear(&mut self, place: usize) -> io::Result<()> {
        let Some(peer) = &mut self.peers[place] else { return Ok(()) };
        peer.read(&mut self.scratch)?;
        if peer.home == Home::Door {
            let Some(path) = peer.upgrade(&self.epoll)? else { return Ok(()) };
            self.settle(path, place);
        }
        let mut frame = std::mem::take(&mut self.frame);
        while let Some(opcode) = self.peers[place].as_mut().and_then(|peer| peer.next(&mut frame)) {
            match opcode {
                frame::PING | frame::PONG => {}
                frame::CLOSE => return self.say_goodbye(place, &frame),
                _ => self.relay(place, &frame),
            }
        }
        self.frame = frame;
        self.answer(place);
        Ok(())
    }

    /// Lets a peer into the room of its path.
    fn settle(&mut self, path: String, place: usize) {
        let mut home = Home::Echo;
        if path != "/echo" {
            let room = *self.places.entry(path).or_insert(self.rooms.len());
            self.rooms.resize_with(self.rooms.len().max(room + 1), Room::default);
            // What was said before it came goes out before it is a member.
            self.send_frames(room);
            self.rooms[room].members.push(place);
            home = Home::Room(room);
        }
        if let Some(peer) = &mut self.peers[place] {
            peer.home = home;
        }
    }

    fn relay(&mut self, sender: usize, frame: &[u8]) {
        match self.home(sender) {
            Home::Door => {}
            Home::Echo => self.answers.extend_from_slice(frame),
            Home::Room(room) => {
                if self.rooms[room].frames.is_empty() {
                    self.talking.push(room);
                }
                self.rooms[room].frames.extend_from_slice(frame);
                if self.manner == Manner::OneSendEach {
                    self.send_frames(room);
                }
            }
        }
    }

    /// Echoes what one read brought with one send, in either manner.
    fn answer(&mut self, place: usize) {
        if let Some(peer) = self.peers[place].as_mut().filter(|_| !self.answers.is_empty()) {
            peer.send(&self.answers, &self.epoll);
            self.answers.clear();
        }
    }

    fn end_turn(&mut self) {
        while let Some(room) = self.talking.pop() {
            self.send_frames(room);
        }
    }

    fn send_frames(&mut self, room: usize) {
        let Room { members, frames } = &mut self.rooms[room];
        if frames.is_empty() {
            return;
        }
        for &member in members.iter() {
            if let Some(peer) = &mut self.peers[member] {
                peer.send(frames, &self.epoll);
            }
        }
        frames.clear();
    }

    fn say_goodbye(&mut self, place: usize, close: &[u8]) -> io::Result<()> {
        self.answer(place);
        if let Home::Room(room) = self.home(place) {
            self.send_frames(room);
        }
        if let Some(peer) = &mut self.peers[place] {
            peer.send(close, &self.epoll);
        }
        Err(ErrorKind::ConnectionAborted.into())
    }

    fn remove(&mut self, place: usize) {
        if let Home::Room(room) = self.home(place) {
            self.rooms[room].members.retain(|&member| member != place);
        }
        // Its socket is closed, and so leaves the epoll set.
        self.peers[place] = None;
        self.free.push(place);
    }

    fn home(&self, place: usize) -> Home {
        self.peers[place].as_ref().map_or(Home::Door, |peer| peer.home)
    }
}
