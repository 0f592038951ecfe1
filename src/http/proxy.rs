//! The way from the door to tiny_http: a few private connections that carry the door's requests.
//!
//! tiny_http has no time limits, no header limits, and an accept loop that ends at the first
//! error. So no client's connection reaches it: it gets complete requests that are written here,
//! over connections that are all made, and used once, at the start. After that its listener has no
//! name any more: nobody can connect to it, and it has nothing left to accept.
//!
//! Each connection is an *upstream* with a thread of its own, `upstream-0` and on, from the start.
//! The thread takes an exchange, sends the request, and gives back the response. The door's thread
//! waits at most [`RESPONSE_TIMEOUT`]. The upstream's thread waits without a limit; it drops a
//! response that comes too late, and takes the next exchange. So a slow disk breaks no upstream,
//! and no thread has to be started while the server is busy.
//!
//! Not here: what a request means (`api`).

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use httparse::{EMPTY_HEADER, Status};

use super::request::Request;
use super::response::Response;
use crate::api::asked::{Caller, PEER};
use crate::api::cookies::COOKIES;
use crate::api::rights::ROOM_KEY;
use crate::api::routes::THREADS;
use crate::logging::escaped;
use crate::net::byte_budget::ByteBudget;

/// The longest wait for a response. tiny_http is in this process and its handlers do not wait for
/// clients, but they may wait for the disk.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of all long responses together that have left tiny_http and are not yet sent.
const LONG_RESPONSES_BYTES: usize = 16 << 20;

/// The longest body of a short response, in bytes. It needs no share of [`LONG_RESPONSES_BYTES`].
const SHORT_RESPONSE_BYTES: usize = 64 << 10;

/// Header fields of a request that reach tiny_http, besides its cookies.
const REQUEST_FIELDS: [&str; 6] = [
    "If-None-Match",
    "Content-Type",
    "Content-Disposition",
    "Authorization",
    "Idempotency-Key",
    ROOM_KEY,
];

/// Those of them that are refused if they cannot be passed on: without them the request would mean
/// something else.
const NEEDED_FIELDS: [&str; 5] =
    ["Content-Type", "Content-Disposition", "Authorization", "Idempotency-Key", ROOM_KEY];

/// Header fields of tiny_http's response that reach the client. The door writes its own
/// Content-Length, Connection and Date.
const RESPONSE_FIELDS: [&str; 9] = [
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

/// The door's end of the way to tiny_http.
pub struct Proxy {
    /// A queue of length 0: an exchange is taken by a free upstream, or not at all.
    exchanges: Sender<Exchange>,
    /// The outcome of each upstream's first request.
    proofs: Receiver<io::Result<()>>,
}

/// A request, and the sender for the response to it.
struct Exchange {
    head: Vec<u8>,
    body: Vec<u8>,
    is_head: bool,
    response: Sender<Response>,
}

/// Starts tiny_http and its upstreams.
///
/// # Errors
/// No socket could be made in the system's temporary directory, or no thread started.
pub fn open() -> io::Result<(tiny_http::Server, Proxy)> {
    let (listener, upstreams) = connect()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let (exchanges, queue) = bounded(0);
    let (proven, proofs) = bounded(THREADS);
    let budget = Arc::new(ByteBudget::new(LONG_RESPONSES_BYTES));
    for (number, socket) in upstreams.into_iter().enumerate() {
        let upstream = Upstream { socket, budget: Arc::clone(&budget) };
        let (queue, proven) = (queue.clone(), proven.clone());
        let thread = thread::Builder::new().name(format!("upstream-{number}"));
        thread.spawn(move || upstream.run(&queue, &proven))?;
    }
    Ok((server, Proxy { exchanges, proofs }))
}

/// Connects all upstreams. The socket's name is in a directory that only this user may enter, and
/// it is removed once the last upstream is connected.
#[cfg(unix)]
fn connect() -> io::Result<(tiny_http::Listener, Vec<Socket>)> {
    let directory = tempfile::tempdir()?;
    let name = directory.path().join("page");
    let listener = std::os::unix::net::UnixListener::bind(&name)?;
    let upstreams = (0..THREADS).map(|_| Socket::connect(&name)).collect::<io::Result<_>>()?;
    Ok((listener.into(), upstreams))
}

/// Connects all upstreams over loopback, on systems without Unix sockets. Other programs on this
/// host could connect to it too.
#[cfg(not(unix))]
fn connect() -> io::Result<(tiny_http::Listener, Vec<Socket>)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let name = listener.local_addr()?;
    let upstreams = (0..THREADS).map(|_| Socket::connect(name)).collect::<io::Result<_>>()?;
    Ok((listener.into(), upstreams))
}

impl Proxy {
    /// Waits until each upstream has carried a response, so that tiny_http has accepted all of
    /// them. Later there may be no descriptor for that, and after one error tiny_http never accepts
    /// again.
    ///
    /// # Errors
    /// tiny_http did not answer in time, or an upstream broke.
    pub fn prove(&self) -> io::Result<()> {
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        (0..THREADS)
            .try_for_each(|_| self.proofs.recv_deadline(deadline).map_err(io::Error::other)?)
    }

    /// Sends a request to tiny_http and blocks until the whole response is here, at most
    /// [`RESPONSE_TIMEOUT`]. The response is a 503 if no upstream is free before `deadline`.
    pub fn ask(
        &self,
        request: &Request,
        caller: &Caller,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Response {
        self.carry(request, caller, body, deadline).for_path(&request.path)
    }

    fn carry(
        &self,
        request: &Request,
        caller: &Caller,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Response {
        let (response, responses) = bounded(1);
        let head = written_anew(request, caller, body.len());
        let is_head = request.method == "HEAD";
        let exchange = Exchange { head, body, is_head, response };
        if self.exchanges.send_deadline(exchange, deadline).is_err() {
            return crowded("Too many pages are being asked for: try again soon.");
        }
        match responses.recv_timeout(RESPONSE_TIMEOUT) {
            Ok(response) => response,
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

/// A 504. The request may still be carried out after it.
fn late(method: &str) -> Response {
    log::warn!("the response to {} is late: is the disk slow?", escaped(method.as_bytes()));
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
    /// Runs the upstream's thread until the proxy is dropped. It takes exchanges only after
    /// tiny_http has answered a first request.
    fn run(mut self, exchanges: &Receiver<Exchange>, proven: &Sender<io::Result<()>>) {
        let proof = self.ask(b"HEAD / HTTP/1.1\r\nHost: wsroom\r\n\r\n", b"", true).map(drop);
        let sound = proof.is_ok();
        let _ = proven.send(proof);
        if sound {
            self.serve(exchanges);
        }
    }

    /// Carries one exchange after the other. A broken upstream is not replaced: for that
    /// tiny_http's listener would need a name, and others could connect to it. No request is known
    /// that breaks an upstream, because tiny_http reads only what is written here, and answers even
    /// when a handler panics. If one breaks, the others go on.
    fn serve(&mut self, exchanges: &Receiver<Exchange>) {
        for Exchange { head, body, is_head, response: door } in exchanges {
            match self.ask(&head, &body, is_head) {
                // If the response is late, nobody waits for it, and this fails.
                Ok(response) => drop(door.send(response)),
                Err(error) => {
                    return log::error!("an upstream to the page broke for good: {error}");
                }
            }
        }
    }

    fn ask(&mut self, head: &[u8], body: &[u8], is_head: bool) -> io::Result<Response> {
        self.socket.write_all(head)?;
        self.socket.write_all(body)?;
        self.read_response(is_head)
    }

    fn read_response(&mut self, is_head: bool) -> io::Result<Response> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let count = self.socket.read(&mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&piece[..count]);
            if let Some((response, length, start)) = parse_head(&bytes)? {
                // These have no body, whatever their Content-Length says (RFC 9112 §6.3).
                if is_head || matches!(response.status, 204 | 304) {
                    return Ok(response.with_body_of(length));
                }
                let here = &bytes[start..bytes.len().min(start + length)];
                return self.read_body(response, here, length);
            }
        }
    }

    /// Reads the body, of which the bytes `here` have come already. A long body needs a share of
    /// the byte budget. Without one it is dropped as it comes, because an upstream never waits for
    /// a client.
    fn read_body(
        &mut self,
        response: Response,
        here: &[u8],
        length: usize,
    ) -> io::Result<Response> {
        let mut rest = (&mut self.socket).take((length - here.len()) as u64);
        if length <= SHORT_RESPONSE_BYTES {
            return Ok(response.with_body(whole(here, length, &mut rest)?));
        }
        match self.budget.try_take(length) {
            Some(share) => {
                Ok(response.with_body(whole(here, length, &mut rest)?).with_share(share))
            }
            None => {
                io::copy(&mut rest, &mut io::sink())?;
                Ok(crowded("Too many long answers are under way: try again soon."))
            }
        }
    }
}

/// A whole body of `length` bytes: the bytes `here`, then those of `rest`.
fn whole(here: &[u8], length: usize, rest: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    let (begun, missing) = body.split_at_mut(here.len());
    begun.copy_from_slice(here);
    rest.read_exact(missing)?;
    Ok(body)
}

/// A field of the request that it needs, and that cannot be passed on: it is there twice, or not
/// printable ASCII.
pub fn lost_field(request: &Request) -> Option<&'static str> {
    let is_lost =
        |name: &&str| request.value(name).is_none() && request.values(name).next().is_some();
    NEEDED_FIELDS.into_iter().find(is_lost)
}

/// The head of the request for tiny_http. Of the client's bytes it contains only the checked path
/// and query, a method that is a token, and the values of known fields in printable ASCII.
fn written_anew(request: &Request, caller: &Caller, body_length: usize) -> Vec<u8> {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!(
        "{} {}{query} HTTP/1.1\r\nHost: wsroom\r\n{PEER}: {}\r\n{COOKIES}: {}\r\n\
         Content-Length: {body_length}\r\n",
        request.method, request.path, caller.address, caller.cookies,
    );
    for name in REQUEST_FIELDS {
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

/// The response without its body, the length of the body, and the offset at which the body begins.
/// `None` if the head is not complete yet.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Response, usize, usize)>> {
    let mut fields = [EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Status::Complete(start) = head.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let mut response = Response::new(head.code.unwrap_or(500));
    let mut length = 0;
    for field in head.headers.iter() {
        let value = str::from_utf8(field.value).map_err(io::Error::other)?;
        if field.name.eq_ignore_ascii_case("Content-Length") {
            length = value.parse().map_err(io::Error::other)?;
        } else if let Some(name) =
            RESPONSE_FIELDS.iter().find(|n| n.eq_ignore_ascii_case(field.name))
        {
            response = response.with(name, value);
        }
    }
    Ok(Some((response, length, start)))
}
