//! A line to a server that can fail as networks do: bytes are swallowed, and then the connections
//! break without a word; or what is heard comes slowly. Not here: a line on which what is said goes
//! slowly (`slow_line`).

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// Pieces in a second.
const PIECES: usize = 100;

/// A line to a server, as many connections as people like.
pub struct Line {
    address: SocketAddr,
    state: Arc<State>,
}

/// Which bytes a line swallows.
#[derive(Clone, Copy, Debug)]
pub enum Swallowed {
    /// What clients say.
    Words,
    /// What they would hear.
    Answers,
}

#[derive(Default)]
struct State {
    words: AtomicBool,
    answers: AtomicBool,
    /// Bytes a second that clients hear; 0: all at once.
    pace: AtomicUsize,
    /// Both ends of each connection so far.
    ends: Mutex<Vec<TcpStream>>,
}

impl Line {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let known = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that is not there refuses, and so does its line.
                if let Ok(server) = TcpStream::connect(server) {
                    known.joins(client, server);
                }
            }
        });
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, on all connections.
    pub fn swallows(&self, what: Swallowed) {
        self.state.flag(what).store(true, Ordering::SeqCst);
    }

    /// From now on its clients hear so many bytes a second, on each connection.
    pub fn is_slow_to_answer(&self, bytes_a_second: usize) {
        self.state.pace.store(bytes_a_second, Ordering::SeqCst);
    }

    /// All connections break, with a reset. The next ones are sound.
    pub fn breaks(&self) {
        let ends = std::mem::take(&mut *self.state.ends.lock().unwrap());
        for end in &ends {
            let _ = SockRef::from(end).set_linger(Some(Duration::ZERO));
        }
        for end in ends {
            let _ = end.shutdown(Shutdown::Both);
        }
        self.is_sound();
    }

    /// Nothing is swallowed any more.
    pub fn is_sound(&self) {
        for what in [Swallowed::Words, Swallowed::Answers] {
            self.state.flag(what).store(false, Ordering::SeqCst);
        }
    }
}

impl State {
    fn flag(&self, what: Swallowed) -> &AtomicBool {
        match what {
            Swallowed::Words => &self.words,
            Swallowed::Answers => &self.answers,
        }
    }

    fn joins(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let ends = [&client, &server].map(|end| end.try_clone().unwrap());
        self.ends.lock().unwrap().extend(ends);
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        for (what, (from, to)) in [(Swallowed::Words, (client, server)), (Swallowed::Answers, back)]
        {
            let state = Arc::clone(self);
            thread::spawn(move || state.carries(what, from, to));
        }
    }

    fn carries(&self, what: Swallowed, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut piece[..self.size_of_piece(what)]) {
            let is_swallowed = self.flag(what).load(Ordering::SeqCst);
            if !is_swallowed && to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// How much may pass now.
    fn size_of_piece(&self, what: Swallowed) -> usize {
        match (what, self.pace.load(Ordering::SeqCst)) {
            (Swallowed::Words, _) | (Swallowed::Answers, 0) => 16 << 10,
            (Swallowed::Answers, pace) => {
                // The line is slow: nothing waits for this to come true.
                thread::sleep(Duration::from_secs(1) / PIECES as u32);
                pace / PIECES
            }
        }
    }
}
