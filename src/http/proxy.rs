//! The way from the door to tiny_http: a few private connections over which the door asks.
//!
//! tiny_http has no time limits, no header limits, and an accept loop that ends at the first
//! error. So it never meets a client: the door hands it complete requests that the door wrote
//! itself, over connections that are all made, and used once, at the start. After that its
//! listener has no name any more: nobody can reach it, and it has nothing left to accept.
//!
//! Each of them is an *upstream* with a thread of its own, `upstream-0` and on, which is there from the start: it takes a
//! exchange, asks, and gives back the answer. Whoever asked waits only so long; the upstream's
//! thread waits as long as it takes, drops an answer for which nobody waits any more, and takes the next
//! exchange. So a disk that stalls costs no upstream, and nothing need be started at a bad moment.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use httparse::{EMPTY_HEADER, Status};

use super::request::Request;
use super::response::Response;
use crate::api::asked::PEER;
use crate::api::routes::THREADS;
use crate::logging::escaped;
use crate::net::byte_budget::ByteBudget;

/// How long an answer is waited for. tiny_http is in this process and its handlers do not wait for
/// clients, but the disk may keep them.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of all long answers together that have left tiny_http and are not yet sent.
const RESPONSES: usize = 16 << 20;

/// Up to here an answer is short: a client may have one without a share of [`RESPONSES`].
const SHORT: usize = 64 << 10;

/// Fields of a request that the page may see, beside its cookies.
const ASKED: [&str; 3] = ["If-None-Match", "Content-Type", "Authorization"];

/// Fields of its answer that reach the client. Length, connection and date are the door's own.
const ANSWERED: [&str; 9] = [
    "Content-Type",
    "Content-Disposition",
    "ETag",
    "Cache-Control",
    "Allow",
    "Location",
    "Set-Cookie",
    "WWW-Authenticate",
    "Retry-After",
];

#[cfg(unix)]
type Socket = std::os::unix::net::UnixStream;
#[cfg(not(unix))]
type Socket = std::net::TcpStream;

/// Where the door asks.
pub struct Proxy {
    /// Without room: a exchange is taken by a free upstream, or not at all.
    exchanges: Sender<Exchange>,
    /// Each upstream's first answer.
    proofs: Receiver<io::Result<()>>,
}

/// A request, and who waits for the answer to it.
struct Exchange {
    head: Vec<u8>,
    body: Vec<u8>,
    is_head: bool,
    answer: Sender<Response>,
}

/// Starts tiny_http behind upstreams of its own.
///
/// # Errors
/// No socket could be made in the system's temporary directory, or no thread started.
pub fn open() -> io::Result<(tiny_http::Server, Proxy)> {
    let (listener, upstreams) = connect()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let (exchanges, asked) = bounded(0);
    let (proven, proofs) = bounded(THREADS);
    let budget = Arc::new(ByteBudget::new(RESPONSES));
    for (number, socket) in upstreams.into_iter().enumerate() {
        let upstream = Upstream { socket, budget: Arc::clone(&budget) };
        let (asked, proven) = (asked.clone(), proven.clone());
        let thread = thread::Builder::new().name(format!("upstream-{number}"));
        thread.spawn(move || upstream.run(&asked, &proven))?;
    }
    Ok((server, Proxy { exchanges, proofs }))
}

/// The socket's name lives in a directory that only this user may enter, and only until the last
/// upstream is connected.
#[cfg(unix)]
fn connect() -> io::Result<(tiny_http::Listener, Vec<Socket>)> {
    let directory = tempfile::tempdir()?;
    let name = directory.path().join("page");
    let listener = std::os::unix::net::UnixListener::bind(&name)?;
    let upstreams = (0..THREADS).map(|_| Socket::connect(&name)).collect::<io::Result<_>>()?;
    Ok((listener.into(), upstreams))
}

/// Where there are no such sockets, loopback: other programs on this host could reach it.
#[cfg(not(unix))]
fn connect() -> io::Result<(tiny_http::Listener, Vec<Socket>)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let name = listener.local_addr()?;
    let upstreams = (0..THREADS).map(|_| Socket::connect(name)).collect::<io::Result<_>>()?;
    Ok((listener.into(), upstreams))
}

impl Proxy {
    /// Waits until each upstream has carried an answer, so that tiny_http has accepted all of them:
    /// later there may be no descriptors left for that, and it would never accept again.
    ///
    /// # Errors
    /// tiny_http did not answer.
    pub fn prove(&self) -> io::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        (0..THREADS)
            .try_for_each(|_| self.proofs.recv_deadline(deadline).map_err(io::Error::other)?)
    }

    /// Asks tiny_http, once a upstream is free before `deadline`; blocks until its whole answer is
    /// here, but not for ever.
    pub fn ask(
        &self,
        request: &Request,
        peer: SocketAddr,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Response {
        let (answer, answered) = bounded(1);
        let head = written_anew(request, peer, body.len());
        let is_head = request.method == "HEAD";
        let exchange = Exchange { head, body, is_head, answer };
        if self.exchanges.send_deadline(exchange, deadline).is_err() {
            return crowded("Too many pages are being asked for: try again soon.");
        }
        match answered.recv_timeout(TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => late(&request.method),
            Err(RecvTimeoutError::Disconnected) => {
                Response::refusal(500, "The page did not answer.")
            }
        }
    }
}

fn crowded(sentence: &str) -> Response {
    Response::refusal(503, sentence).with("Retry-After", "2")
}

/// Nobody knows what becomes of a request whose answer is late.
fn late(method: &str) -> Response {
    log::warn!("an answer to {} is late: is the disk slow?", escaped(method.as_bytes()));
    Response::refusal(
        504,
        match method {
            "GET" | "HEAD" => "The answer takes too long: try again soon.",
            _ => {
                "The answer takes too long, and what you asked for may be done or not: look \
                  before you send it again."
            }
        },
    )
}

/// A connection to tiny_http, used by its own thread alone.
struct Upstream {
    socket: Socket,
    budget: Arc<ByteBudget>,
}

impl Upstream {
    /// The upstream's thread, until the door is no more. It takes exchanges only when tiny_http has
    /// answered once.
    fn run(mut self, exchanges: &Receiver<Exchange>, proven: &Sender<io::Result<()>>) {
        let proof = self.ask(b"HEAD / HTTP/1.1\r\nHost: wsroom\r\n\r\n", b"", true).map(drop);
        let sound = proof.is_ok();
        let _ = proven.send(proof);
        if sound {
            self.serve(exchanges);
        }
    }

    /// A upstream that breaks is not made anew: for that tiny_http's listener would have to keep a name
    /// by which others could reach it. No request is known that breaks one, for tiny_http reads
    /// nothing but what is written here, and answers even when a handler panics. If one does
    /// break, the others go on.
    fn serve(&mut self, exchanges: &Receiver<Exchange>) {
        for Exchange { head, body, is_head, answer } in exchanges {
            match self.ask(&head, &body, is_head) {
                // Nobody waits for it any more if it is late.
                Ok(told) => drop(answer.send(told)),
                Err(error) => return log::error!("a upstream to the page broke for good: {error}"),
            }
        }
    }

    fn ask(&mut self, head: &[u8], body: &[u8], is_head: bool) -> io::Result<Response> {
        self.socket.write_all(head)?;
        self.socket.write_all(body)?;
        self.read_answer(is_head)
    }

    fn read_answer(&mut self, is_head: bool) -> io::Result<Response> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let count = self.socket.read(&mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&piece[..count]);
            if let Some((answer, length, start)) = parse_head(&bytes)? {
                // No body follows these, whatever length they name (RFC 9112 §6.3).
                if is_head || matches!(answer.status, 204 | 304) {
                    return Ok(answer.with_body_of(length));
                }
                let here = &bytes[start..bytes.len().min(start + length)];
                return self.read_body(answer, here, length);
            }
        }
    }

    /// A long body is read only if it gets a share of what all may take, and else dropped as it
    /// comes: the upstream never waits for a client.
    fn read_body(&mut self, answer: Response, here: &[u8], length: usize) -> io::Result<Response> {
        let mut rest = (&mut self.socket).take((length - here.len()) as u64);
        if length <= SHORT {
            return Ok(answer.with_body(whole(here, length, &mut rest)?));
        }
        match self.budget.try_take(length) {
            Some(share) => Ok(answer.with_body(whole(here, length, &mut rest)?).with_share(share)),
            None => {
                io::copy(&mut rest, &mut io::sink())?;
                Ok(crowded("Too many long answers are under way: try again soon."))
            }
        }
    }
}

/// What is here of a body, and the rest of it.
fn whole(here: &[u8], length: usize, rest: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    let (begun, missing) = body.split_at_mut(here.len());
    begun.copy_from_slice(here);
    rest.read_exact(missing)?;
    Ok(body)
}

/// The request in the door's own words: nothing of the client's bytes but a checked path, a
/// method that is a token, and the values of known fields in visible ASCII.
fn written_anew(request: &Request, peer: SocketAddr, body_length: usize) -> Vec<u8> {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!(
        "{} {}{query} HTTP/1.1\r\nHost: wsroom\r\n{PEER}: {}\r\nContent-Length: {body_length}\r\n",
        request.method,
        request.path,
        peer.ip(),
    );
    for name in ASKED {
        if let Some(value) = request.value(name) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    let cookies: Vec<_> = request.cookies().collect();
    if !cookies.is_empty() {
        head.extend(["Cookie: ", &cookies.join("; "), "\r\n"]);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The answer without its body, the length of that, and where it begins.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Response, usize, usize)>> {
    let mut fields = [EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Status::Complete(start) = head.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let mut answer = Response::new(head.code.unwrap_or(500));
    let mut length = 0;
    for field in head.headers.iter() {
        let value = str::from_utf8(field.value).map_err(io::Error::other)?;
        if field.name.eq_ignore_ascii_case("Content-Length") {
            length = value.parse().map_err(io::Error::other)?;
        } else if let Some(name) = ANSWERED.iter().find(|n| n.eq_ignore_ascii_case(field.name)) {
            answer = answer.with(name, value);
        }
    }
    Ok(Some((answer, length, start)))
}
