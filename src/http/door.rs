//! The door: one request per connection, whole and checked, before anything else sees it.
//!
//! Runs on the connection's own thread. An upgrade becomes a client, on a thread of its own;
//! anything else is handed to tiny_http as a complete request that the door wrote itself, and the
//! whole answer is taken back before the first byte of it goes to the client. So a slow or
//! hostile client meets nothing but this. Not here: the grammar of a head (`request`).

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use http::uri::Authority;

use super::handshake;
use super::proxy::Proxy;
use super::request::Request;
use super::response::Response;
use crate::api::credentials::Credentials;
use crate::api::routes::largest_body;
use crate::client::reading;
use crate::client::reading::Clients;
use crate::logging::{Limited, escaped};
use crate::net::certificate::Certificate;
use crate::net::connection::{Connection, timed_out};
use crate::net::tls;
use crate::protocol::address::{JoinOptions, Target};
use crate::protocol::dialect::Dialect;
use crate::protocol::message::MessageId;
use crate::relay::events::Joining;
use crate::store::{MessageLog, User};

/// From connecting to the last byte of the request, however slowly it comes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// From the first to the last byte of an answer, however slowly it is taken: what all answers may
/// take together is not for a few to keep.
const SENDING: Duration = Duration::from_secs(30);

/// Stack of a client's thread, in bytes. A thread of its own, because pages that the handshake
/// has touched would stay resident for as long as the thread lives.
const CLIENT_STACK: usize = 128 << 10;

/// Everything that a connection may be given.
pub struct Door {
    /// What all clients share.
    pub clients: Clients,
    /// What was said; a newcomer is told the newest id.
    pub log: Arc<dyn MessageLog>,
    /// The way to tiny_http.
    pub proxy: Proxy,
    /// The keys that come with a handshake.
    pub credentials: Arc<Credentials>,
    /// Where TLS is spoken.
    pub certificate: Option<Arc<Certificate>>,
    /// `--allow-origin`, in lower case.
    pub allow_origin: Vec<String>,
    /// Requests that were refused.
    pub refused: Limited,
    /// Clients that joined.
    pub joined: Limited,
}

/// Why no request came.
pub enum NoRequest {
    /// The client has gone, or said nothing at all in time: there is nobody to answer.
    Gone,
    /// What it sent is refused.
    Refused(Response),
}

impl From<Response> for NoRequest {
    fn from(answer: Response) -> Self {
        Self::Refused(answer)
    }
}

impl Door {
    /// One connection, from its first byte to its answer or to its own client thread.
    pub fn receive(self: &Arc<Self>, connection: &Arc<Connection>) {
        let deadline = Instant::now() + TIMEOUT;
        match self
            .greet(connection, deadline)
            .and_then(|()| self.read_request(connection, deadline))
        {
            Ok((request, tail)) => self.serve(connection, &request, tail, deadline),
            Err(NoRequest::Refused(answer)) => self.refuse(connection, answer, b""),
            Err(NoRequest::Gone) => {
                log::debug!("{} {} asked nothing", connection.id(), connection.peer());
                // It may still be there, and over TLS it is told that nothing comes (RFC 8446
                // §6.1).
                connection.finish();
            }
        }
    }

    /// Speaks TLS with whoever begins with it. A plain request goes on, to be told where to ask.
    pub fn greet(&self, connection: &Connection, deadline: Instant) -> Result<(), NoRequest> {
        let first = connection.first_byte(deadline).map_err(|_| NoRequest::Gone)?;
        if first != Some(tls::FIRST_BYTE) {
            return Ok(());
        }
        let outcome = match &self.certificate {
            Some(certificate) => connection.secure(certificate.config(), deadline),
            None => Err(io::Error::other("it speaks TLS, and --tls-cert is not given")),
        };
        outcome.map_err(|error| {
            let (id, peer) = (connection.id(), connection.peer());
            self.refused.line(|more| log::info!("{id} {peer} refused: {error}{more}"));
            // An alert may be under way to it.
            connection.finish();
            connection.linger();
            NoRequest::Gone
        })
    }

    fn serve(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: &Request,
        tail: Vec<u8>,
        deadline: Instant,
    ) {
        if self.certificate.is_some() && !connection.is_secure() {
            return self.refuse_request(connection, request, over_there(request));
        }
        match Target::of(&request.path) {
            Some(Ok(target)) => match self.agree(request, &target) {
                Ok(joining) => self.upgrade(connection, target, joining, tail),
                Err(answer) => self.refuse_request(connection, request, answer),
            },
            Some(Err(_)) => {
                let answer = Response::refusal(
                    400,
                    "A room name is 1 to 64 of A-Z a-z 0-9 . _ ~ - (but not . or ..).",
                );
                self.refuse_request(connection, request, answer);
            }
            None if handshake::asks_for_websocket(request) => {
                let answer = Response::refusal(404, "WebSockets are at /ws, /ws/ROOM and /echo.");
                self.refuse_request(connection, request, answer);
            }
            None => self.pass_on(connection, request, tail, deadline),
        }
    }

    fn agree(&self, request: &Request, target: &Target) -> Result<Joining, Response> {
        let joining = handshake::accept(request, target, &self.allow_origin)?;
        let user = self.user_of(request)?;
        let last = self.last_in(target, joining.dialect, joining.options);
        Ok(Joining { user, last, ..joining })
    }

    /// Whose key a request carries; `None`: it carries none.
    fn user_of(&self, request: &Request) -> Result<Option<User>, Response> {
        let key = self.credentials.key(request.value("Authorization"), request.cookies());
        let Some(key) = key else { return Ok(None) };
        match self.credentials.auth.user_with(key) {
            Ok(Some(user)) => Ok(Some(user)),
            // A browser's is taken back: its page would be refused for ever, and could not help it.
            Ok(None) => {
                let sentence = "This key is nobody's: leave it out, or get a new one.";
                Err(Response::refusal(401, sentence)
                    .with("WWW-Authenticate", "Bearer")
                    .with("Set-Cookie", &self.credentials.no_cookie()))
            }
            Err(error) => {
                log::error!("the directory cannot be read: {error}");
                Err(Response::refusal(503, "The directory cannot be read at the moment."))
            }
        }
    }

    /// The newest message, for those who are told of it now: with the past it comes later.
    fn last_in(&self, target: &Target, dialect: Dialect, options: JoinOptions) -> MessageId {
        match target {
            Target::Room(room) if dialect == Dialect::V1 && options.since.is_none() => {
                self.log.last_in(room).unwrap_or_else(|error| {
                    log::error!("the history of room {room} cannot be read: {error}");
                    0
                })
            }
            _ => 0,
        }
    }

    fn upgrade(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        target: Target,
        joining: Joining,
        tail: Vec<u8>,
    ) {
        // Not by the client's own thread: the pages that formatting a line touches would stay.
        let (id, peer) = (connection.id(), connection.peer());
        self.joined.line(|more| log::info!("{id} {peer} joined {target}{more}"));
        // What all clients share is not copied for each.
        let (own, door) = (Arc::clone(connection), Arc::clone(self));
        let thread = thread::Builder::new()
            .name(connection.id().to_string())
            .stack_size(CLIENT_STACK)
            .spawn(move || reading::run(&own, &target, joining, tail, &door.clients));
        if let Err(error) = thread {
            let answer = Response::refusal(503, "No thread could be started: try again soon.");
            self.refuse(connection, answer.with("Retry-After", "5"), error.to_string().as_bytes());
        }
    }

    fn pass_on(
        &self,
        connection: &Connection,
        request: &Request,
        tail: Vec<u8>,
        deadline: Instant,
    ) {
        // A page from elsewhere may not change anything here: browsers send its user's cookies
        // along, and tell only where it came from.
        if !matches!(request.method.as_str(), "GET" | "HEAD")
            && let Err(answer) = handshake::check_origin(request, &self.allow_origin)
        {
            return self.refuse_request(connection, request, answer);
        }
        let largest = largest_body(&request.path, self.clients.limits.message_size);
        if request.body_length > largest {
            let answer = Response::refusal(413, &format!("The body is over {largest} bytes."));
            return self.refuse_request(connection, request, answer);
        }
        let body = match read_body(connection, request, tail, deadline) {
            Ok(body) => body,
            Err(NoRequest::Refused(answer)) => {
                return self.refuse_request(connection, request, answer);
            }
            Err(NoRequest::Gone) => return connection.finish(),
        };
        let deadline = deadline.max(Instant::now() + TIMEOUT);
        let answer = self.proxy.ask(request, connection.peer(), body, deadline);
        let path = escaped(request.path.as_bytes());
        log::debug!("{} {} {} {path}", connection.id(), answer.status, request.method);
        respond(connection, &request.method, answer);
    }

    /// Tells a client that there is no room for it. Reads what it asks before answering, so that the
    /// answer is not lost in a reset.
    pub fn turn_away(&self, connection: &Connection) {
        let deadline = Instant::now() + Duration::from_secs(1);
        if self.greet(connection, deadline).is_err() && self.certificate.is_some() {
            return;
        }
        let _ = connection.read_before(deadline, &mut [0; 4096]);
        if connection.send_all(&full()).is_ok() {
            connection.finish();
            connection.linger();
        }
    }

    /// The same without waiting for anything. The answer may be lost if the client has sent much
    /// already.
    pub fn turn_away_in_passing(&self, connection: &Connection) {
        // Over TLS nothing can be said before the handshake, and for that somebody would have to
        // wait.
        if self.certificate.is_none() {
            let _ = connection.send_now(&full());
        }
        connection.shutdown(Shutdown::Both);
    }

    /// Reads one request head; also what came behind it.
    fn read_request(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<(Request, Vec<u8>), NoRequest> {
        let mut bytes = Vec::with_capacity(1024);
        loop {
            if !read_some(connection, &mut bytes, deadline)? {
                return Err(NoRequest::Gone);
            }
            // Parsed anew with every piece, so that rubbish is refused at its first wrong byte;
            // the limit on the head bounds what that costs.
            if let Some((request, length)) = Request::parse(&bytes)? {
                let tail = bytes.split_off(length);
                return Ok((request, tail));
            }
        }
    }

    fn refuse_request(&self, connection: &Connection, request: &Request, answer: Response) {
        let what = format!("{} {}", request.method, request.path);
        self.log_refusal(connection, &answer, what.as_bytes());
        respond(connection, &request.method, answer);
    }

    fn refuse(&self, connection: &Connection, answer: Response, what: &[u8]) {
        self.log_refusal(connection, &answer, what);
        respond(connection, "GET", answer);
    }

    fn log_refusal(&self, connection: &Connection, answer: &Response, what: &[u8]) {
        let (id, peer, status) = (connection.id(), connection.peer(), answer.status);
        self.refused.line(|more| {
            log::info!(
                "{id} {peer} refused: {status} {} {}{more}",
                answer.sentence(),
                escaped(what)
            );
        });
    }
}

fn full() -> Vec<u8> {
    Response::refusal(503, "This server is full: try again soon.").with("Retry-After", "5").bytes()
}

/// The same address under https. Not to be remembered: the next server on this port may be plain.
fn over_there(request: &Request) -> Response {
    // What is no sound authority would lead elsewhere, or nowhere.
    let host = request.host.parse::<Authority>().ok().filter(|host| !host.as_str().contains('@'));
    let Some(host) = host else {
        return Response::refusal(
            400,
            "This port speaks https, and the Host field is not a host and a port.",
        );
    };
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    Response::refusal(308, "This port speaks https.")
        .with("Location", &format!("https://{host}{}{query}", request.path))
        .with("Cache-Control", "no-store")
}

fn read_body(
    connection: &Connection,
    request: &Request,
    tail: Vec<u8>,
    deadline: Instant,
) -> Result<Vec<u8>, NoRequest> {
    let mut body = tail;
    if let Some(expected) = request.values("Expect").next() {
        if !expected.eq_ignore_ascii_case(b"100-continue") {
            return Err(Response::refusal(417, "Only 100-continue can be expected.").into());
        }
        // The client holds the body back until it is asked for (RFC 9110 §10.1.1).
        if request.is_http11 && body.len() < request.body_length {
            let _ = connection.send_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }
    while body.len() < request.body_length {
        if !read_some(connection, &mut body, deadline)? {
            return Err(NoRequest::Gone);
        }
    }
    // One request per connection: what a client pipelines behind it is not answered.
    body.truncate(request.body_length);
    Ok(body)
}

/// Adds what comes next; `false` at the end of the stream.
fn read_some(
    connection: &Connection,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> Result<bool, NoRequest> {
    let mut piece = [0; 4096];
    loop {
        match connection.read_before(deadline, &mut piece) {
            Ok(count) => {
                bytes.extend_from_slice(&piece[..count]);
                return Ok(count > 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if timed_out(&error) && !bytes.is_empty() => {
                return Err(Response::refusal(408, "The request was not whole within 10 s.").into());
            }
            Err(_) => return Err(NoRequest::Gone),
        }
    }
}

fn respond(connection: &Connection, method: &str, answer: Response) {
    let deadline = Instant::now() + SENDING;
    let body = if method == "HEAD" { b"" } else { answer.body() };
    let head = connection.send_all_before(deadline, &answer.head());
    let sent = head.and_then(|()| connection.send_all_before(deadline, body));
    // It is with the kernel now, or will never be: while we linger it takes no memory.
    drop(answer);
    if sent.is_ok() {
        connection.finish();
        connection.linger();
    }
}
