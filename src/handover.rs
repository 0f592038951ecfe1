//! The way from the door to tiny_http: a few private connections over which the door asks.
//!
//! tiny_http has no time limits, no header limits, and an accept loop that ends at the first
//! error. So it never meets a client: the door hands it complete requests that the door wrote
//! itself, over connections that are all made, and used once, at the start. After that its
//! listener has no name any more: nobody can reach it, and it has nothing left to accept. Each
//! request waits for a free line, so at most [`LINES`] are under way. Called on the connections'
//! own threads.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use httparse::{EMPTY_HEADER, Status};

use crate::answer::Answer;
use crate::request::Request;

/// Connections to tiny_http, one each for the threads that it always has (its pool starts with
/// four), so it never has to start another.
pub const LINES: usize = 4;

/// tiny_http is in this process and its handlers do not wait for clients: this long it never
/// takes unless something is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fields of a request that the page may see.
const ASKED: [&str; 4] = ["If-None-Match", "Content-Type", "Authorization", "Cookie"];

/// The field in which the page is told who asks. No client's own field of that name passes.
pub const PEER: &str = "Peer";

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
type Line = std::os::unix::net::UnixStream;
#[cfg(not(unix))]
type Line = std::net::TcpStream;

/// The free lines.
pub struct Handover {
    free: Receiver<Line>,
    back: Sender<Line>,
}

/// Starts tiny_http behind lines of its own.
///
/// # Errors
/// No socket could be made in the system's temporary directory.
pub fn open() -> io::Result<(tiny_http::Server, Handover)> {
    let (listener, lines) = connect()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let (back, free) = bounded(LINES);
    for line in lines {
        line.set_read_timeout(Some(PATIENCE))?;
        let _ = back.send(line);
    }
    Ok((server, Handover { free, back }))
}

/// The socket's name lives in a directory that only this user may enter, and only until the last
/// line is connected.
#[cfg(unix)]
fn connect() -> io::Result<(tiny_http::Listener, Vec<Line>)> {
    let directory = tempfile::tempdir()?;
    let name = directory.path().join("page");
    let listener = std::os::unix::net::UnixListener::bind(&name)?;
    let lines = (0..LINES).map(|_| Line::connect(&name)).collect::<io::Result<_>>()?;
    Ok((listener.into(), lines))
}

/// Where there are no such sockets, loopback: other programs on this host could reach it.
#[cfg(not(unix))]
fn connect() -> io::Result<(tiny_http::Listener, Vec<Line>)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let name = listener.local_addr()?;
    let lines = (0..LINES).map(|_| Line::connect(name)).collect::<io::Result<_>>()?;
    Ok((listener.into(), lines))
}

impl Handover {
    /// Asks once over each line, so that tiny_http has accepted all of them: later there may be
    /// no descriptors left for that, and it would never accept again.
    ///
    /// # Errors
    /// tiny_http did not answer.
    pub fn prove(&self) -> io::Result<()> {
        for mut line in self.free.try_iter().collect::<Vec<_>>() {
            line.write_all(b"HEAD / HTTP/1.1\r\nHost: wsroom\r\n\r\n")?;
            read_answer(&mut line, "HEAD")?;
            let _ = self.back.send(line);
        }
        Ok(())
    }

    /// Asks tiny_http; blocks until its whole answer is here.
    pub fn ask(
        &self,
        request: &Request,
        peer: SocketAddr,
        body: &[u8],
        deadline: Instant,
    ) -> Answer {
        let Ok(mut line) = self.free.recv_deadline(deadline) else {
            return Answer::refusal(503, "Too many pages are being asked for: try again soon.")
                .with("Retry-After", "2");
        };
        let asked = line.write_all(&written_anew(request, peer, body));
        match asked.and_then(|()| read_answer(&mut line, &request.method)) {
            Ok(answer) => {
                let _ = self.back.send(line);
                answer
            }
            // The line is dropped: what is still on it would be the answer to the next one.
            Err(error) => {
                log::error!("the page did not answer: {error}");
                Answer::refusal(500, "The page did not answer.")
            }
        }
    }
}

/// The request in the door's own words: nothing of the client's bytes but a checked path, a
/// method that is a token, and the values of known fields in visible ASCII.
fn written_anew(request: &Request, peer: SocketAddr, body: &[u8]) -> Vec<u8> {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!(
        "{} {}{query} HTTP/1.1\r\nHost: wsroom\r\n{PEER}: {}\r\nContent-Length: {}\r\n",
        request.method,
        request.path,
        peer.ip(),
        body.len()
    );
    for name in ASKED {
        if let Some(value) = request.value(name) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

fn read_answer(line: &mut Line, method: &str) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = line.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..count]);
        if let Some((answer, length, start)) = parse_head(&bytes)? {
            // No body follows these, whatever length they name (RFC 9112 §6.3).
            if method == "HEAD" || matches!(answer.status, 204 | 304) {
                return Ok(answer.with_body_of(length));
            }
            let mut body = bytes.split_off(start);
            let here = body.len();
            body.resize(length, 0);
            line.read_exact(&mut body[here..])?;
            return Ok(answer.with_body(body));
        }
    }
}

/// The answer without its body, the length of that, and where it begins.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Answer, usize, usize)>> {
    let mut fields = [EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Status::Complete(start) = head.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let mut answer = Answer::new(head.code.unwrap_or(500));
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
