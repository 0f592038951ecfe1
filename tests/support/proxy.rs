//! A line to a server that breaks at a byte of the test's choice, as a network does at any.
//!
//! It carries bytes both ways, unchanged, until it is told to break: then both sides see the end of
//! the stream, without a Close. Or the client alone sees it, and what it has sent is held back and
//! delivered later. Not here: a line that is only slow (`slow_line`), and TLS.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::until;

/// The most bytes that are carried at a time.
const PIECE: usize = 16 << 10;

pub struct Proxy {
    address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    lines: Arc<Mutex<Lines>>,
}

/// The lines of a proxy. Older ones go by themselves when both sides have ended.
#[derive(Default)]
struct Lines {
    newest: Option<Arc<Line>>,
    before: Option<Arc<Line>>,
    count: usize,
    /// For the next one.
    plan: Option<Plan>,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// A line to this server, which speaks plain TCP.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, server: Arc::new(Mutex::new(server)), lines: Arc::default() };
        let (lines, server) = (Arc::clone(&proxy.lines), Arc::clone(&proxy.server));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = *server.lock().unwrap();
                // To a server that has gone there is no line.
                let Ok(server) = TcpStream::connect(server) else { continue };
                lines.lock().unwrap().begin(client, server);
            }
        });
        proxy
    }

    /// Where clients find the server now.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections lead to this server.
    pub fn leads_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }

    /// The next connection breaks when so many bytes have passed on it in this direction.
    pub fn will_break_after(&self, after: usize, direction: Direction) {
        let plan = Plan { direction, after, seen_by: SeenBy::Both };
        self.lines.lock().unwrap().plan = Some(plan);
    }

    /// Lets so many more bytes of the newest connection pass in this direction. In place of the next
    /// one the line breaks.
    pub fn breaks_after(&self, after: usize, direction: Direction) {
        self.plans(Plan { direction, after, seen_by: SeenBy::Both });
    }

    /// Lets so many more bytes pass to the server. In place of the next one the line breaks for the
    /// client alone: the server waits on, and may be given the rest later.
    pub fn holds_back_after(&self, after: usize) {
        self.plans(Plan { direction: Direction::ToServer, after, seen_by: SeenBy::Client });
    }

    fn plans(&self, plan: Plan) {
        *self.newest().plan.lock().unwrap() = Some(plan);
    }

    /// Breaks the newest connection now, and the next one when so many bytes have passed on it.
    pub fn breaks_now_and_after(&self, after: usize, direction: Direction) {
        self.will_break_after(after, direction);
        self.newest().breaks(SeenBy::Both);
    }

    /// Takes back the break of the newest connection, if it is still to come.
    pub fn is_mended(&self) {
        *self.newest().plan.lock().unwrap() = None;
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.lines.lock().unwrap().count
    }

    /// The server is given what was held back on the connection before the newest, and lets go of
    /// that one.
    pub fn delivers_the_rest(&self) {
        let old = self.lines.lock().unwrap().before.clone().expect("an older connection");
        // A server that has let go already takes nothing any more.
        let _ = (&old.server).write_all(&old.held.lock().unwrap());
        let _ = old.server.shutdown(Shutdown::Write);
        until("the server to let go", || old.is_over.load(Ordering::Acquire));
    }

    fn newest(&self) -> Arc<Line> {
        self.lines.lock().unwrap().newest.clone().expect("a connection")
    }
}

impl Lines {
    fn begin(&mut self, client: TcpStream, server: TcpStream) {
        let line = Arc::new(Line::between(client, server, self.plan.take()));
        self.before = self.newest.replace(Arc::clone(&line));
        self.count += 1;
        for direction in [Direction::ToServer, Direction::ToClient] {
            let line = Arc::clone(&line);
            thread::spawn(move || line.carries(direction));
        }
    }
}

/// A client's connection, and the one to the server that stands for it.
struct Line {
    client: TcpStream,
    server: TcpStream,
    plan: Mutex<Option<Plan>>,
    /// The bytes in whose place the line broke.
    held: Mutex<Vec<u8>>,
    /// The server has ended its side.
    is_over: AtomicBool,
}

/// When the line breaks.
struct Plan {
    direction: Direction,
    /// So many bytes pass before.
    after: usize,
    seen_by: SeenBy,
}

/// The side, or sides, that a broken line ends for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum SeenBy {
    Both,
    Client,
}

impl Line {
    fn between(client: TcpStream, server: TcpStream, plan: Option<Plan>) -> Self {
        // Each byte leaves when it comes.
        [&client, &server].into_iter().for_each(|socket| socket.set_nodelay(true).unwrap());
        let (held, is_over) = Default::default();
        Self { client, server, plan: Mutex::new(plan), held, is_over }
    }

    fn carries(&self, direction: Direction) {
        self.carries_to_the_end(direction);
        if direction == Direction::ToClient {
            self.is_over.store(true, Ordering::Release);
        }
    }

    fn carries_to_the_end(&self, direction: Direction) {
        let (mut from, mut to) = match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        };
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let (passing, broken) = self.passes(direction, count);
            // What a client that has gone does not take is lost, as anywhere.
            let _ = to.write_all(&piece[..passing]);
            if let Some(seen_by) = broken {
                self.held.lock().unwrap().extend(&piece[passing..count]);
                return self.breaks(seen_by);
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// How many of so many bytes pass, and for whom the line breaks behind them.
    fn passes(&self, direction: Direction, count: usize) -> (usize, Option<SeenBy>) {
        let mut plan = self.plan.lock().unwrap();
        match plan.as_mut().filter(|plan| plan.direction == direction) {
            None => (count, None),
            Some(planned) if planned.after >= count => {
                planned.after -= count;
                (count, None)
            }
            Some(&mut Plan { after, seen_by, .. }) => {
                *plan = None;
                (after, Some(seen_by))
            }
        }
    }

    fn breaks(&self, seen_by: SeenBy) {
        let _ = self.client.shutdown(Shutdown::Both);
        if seen_by == SeenBy::Both {
            let _ = self.server.shutdown(Shutdown::Both);
        }
    }
}
