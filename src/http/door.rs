//! The door: it reads and checks one request per connection, before any other part sees it.
//!
//! Runs on a thread `door`, one for each connection. An upgrade becomes a client, on a thread
//! `client`. Any other request goes to tiny_http, whole and written anew by the proxy. The whole
//! response comes back before its first byte goes to the client. So a slow or hostile client reaches
//! nothing but the door. Not here: the grammar of a head (`request`).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::Authority;

use super::admission::Admission;
use super::handshake;
use super::host::Hosts;
use super::outside::{self, TrustedProxies};
use super::proxy::{self, Proxy};
use super::request::Request;
use super::response::Response;
use super::scrape::{self, Scrape};
use crate::api::asked::Caller;
use crate::api::credentials::{self, Credentials};
use crate::api::invitation::BaseUrl;
use crate::api::rights::{Denial, ROOM_KEY, Rights};
use crate::api::routes::largest_body;
use crate::client::owner;
use crate::client::reading::{self, Clients};
use crate::identity::rules::Visitor;
use crate::identity::session::Session;
use crate::logging::{Limited, escaped};
use crate::metrics::labels::Unheard;
use crate::net::certificate::Certificate;
use crate::net::connection::{Connection, timed_out};
use crate::net::networks::Networks;
use crate::net::pool::Pool;
use crate::net::tls;
use crate::protocol::address::{JoinOptions, Past, Target};
use crate::protocol::dialect::Dialect;
use crate::protocol::message::MessageId;
use crate::protocol::v1::Key;
use crate::relay::events::Joining;
use crate::store::{KeptMessages, StoreError, User};

/// The time from the start of a connection to the last byte of its request. The proxy, too, has at
/// least this time to find a free upstream.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The time from the first to the last byte of a response. A client that takes it slowly would
/// otherwise keep its share of the byte budget, which all long responses have together.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A body of so many bytes leaves together with its head: to copy it costs less than a second send. And
/// a client that looks for the reason of a refusal right behind the head finds it there.
const SHORT_BODY: usize = 4 << 10;

/// Stack of a client's thread, in bytes. A client has another thread than the door, because the stack
/// pages that the handshake touched stay resident as long as the door's thread lives.
pub const CLIENT_STACK: usize = 128 << 10;

/// Everything that serves a connection.
pub struct Door {
    /// The limits and the queue of events that all clients share.
    pub clients: Clients,
    /// The history; a new client learns the id of the newest message.
    pub past: Arc<dyn KeptMessages>,
    /// The way to tiny_http.
    pub proxy: Proxy,
    /// Decides who may come in at all.
    pub admission: Admission,
    /// The threads of the clients.
    pub threads: Pool,
    /// Finds the user whose key comes with a handshake.
    pub credentials: Arc<Credentials>,
    /// Decides who may enter a room.
    pub rights: Arc<Rights>,
    /// The certificate; `None` if the server does not speak TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// The beginning of all URLs, if no proxy is in front.
    pub base: BaseUrl,
    /// `--trusted-proxy`: who may speak for others.
    pub trusted_proxies: TrustedProxies,
    /// How many connections each network has, also through proxies.
    pub networks: Arc<Networks>,
    /// `--host`: the names of this server.
    pub hosts: Hosts,
    /// `--allow-origin`, in lower case.
    pub allow_origin: Vec<String>,
    /// Answers those who read the metrics.
    pub scrape: Scrape,
    /// Limits the log lines about refused requests.
    pub refused: Limited,
    /// Limits the log lines about clients that joined.
    pub joined: Limited,
}

/// Why no request came.
pub enum NoRequest {
    /// The client has gone, or sent nothing in time: it gets no response.
    Gone,
    /// The client's bytes are refused with this response.
    Refused(Response),
}

/// Which limit on connections is reached.
#[derive(Clone, Copy)]
pub enum Crowded {
    /// `--max-clients`, or that of the system.
    Server,
    /// `--max-clients-per-ip`.
    Network,
}

/// Whose key a request carries.
enum Whose {
    /// It carries none.
    Guest,
    /// This user's.
    User(User),
    /// No user has this key. Perhaps the server has forgotten its users.
    Nobody,
}

impl From<Response> for NoRequest {
    fn from(response: Response) -> Self {
        Self::Refused(response)
    }
}

impl Door {
    /// Serves one connection, from its first byte to its response or to the thread of its client.
    pub fn receive(self: &Arc<Self>, connection: &Arc<Connection>) {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        match self
            .greet(connection, deadline)
            .and_then(|first| self.read_request(connection, first, deadline))
        {
            Ok((mut request, tail)) => match self.identify(connection, &mut request) {
                Ok(()) => self.serve(connection, &mut request, tail, deadline),
                Err(response) => self.refuse_request(connection, &request, response),
            },
            Err(NoRequest::Refused(response)) => self.refuse(connection, response, b""),
            Err(NoRequest::Gone) => {
                log::debug!("{} {} asked nothing", connection.id(), connection.peer());
                // The client may still be there: over TLS it gets a `close_notify` (RFC 8446 §6.1).
                connection.finish();
            }
        }
    }

    /// Speaks TLS with a client that begins with it. Any other client goes on in plain HTTP; on a
    /// TLS port it gets a redirect later. Returns the first bytes of the request, perhaps none.
    ///
    /// # Errors
    /// The client is gone, or no TLS could be agreed on.
    pub fn greet(&self, connection: &Connection, deadline: Instant) -> Result<Vec<u8>, NoRequest> {
        let mut first = Vec::with_capacity(1024);
        read_some(connection, &mut first, deadline)?;
        if first.first() != Some(&tls::FIRST_BYTE) {
            return Ok(first);
        }
        let outcome = match &self.certificate {
            Some(certificate) => connection.secure(certificate.config(), &first, deadline),
            None => Err(io::Error::other("it speaks TLS, and --tls-cert is not given")),
        };
        outcome.map(|()| Vec::new()).map_err(|error| {
            self.clients.metrics.turned_away(Unheard::Tls);
            let (id, peer) = (connection.id(), connection.peer());
            self.refused.line(|more| log::info!("{id} {peer} refused: {error}{more}"));
            // An alert may still be on its way to the client.
            connection.finish();
            connection.linger();
            NoRequest::Gone
        })
    }

    /// Finds out whom the request comes from, through trusted proxies, and whether it means this
    /// server.
    fn identify(&self, connection: &Connection, request: &mut Request) -> Result<(), Response> {
        if let Some(outside) = self.trusted_proxies.outside_of(connection.peer().ip(), request)? {
            let place = self.networks.admit(outside.client);
            let is_crowded = place.is_none();
            connection.speaks_for(outside.client, place);
            request.is_seen_from(outside);
            if is_crowded {
                return Err(Crowded::Network.response());
            }
        }
        self.hosts.check(&request.host)
    }

    fn serve(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: &mut Request,
        tail: Vec<u8>,
        deadline: Instant,
    ) {
        if self.certificate.is_some() && !connection.is_secure() {
            return self.refuse_request(connection, request, same_address_under_https(request));
        }
        let is_scrape = scrape::is_meant(request);
        if is_scrape && scrape::is_local(connection, request) {
            return self.show_metrics(connection, request);
        }
        if let Err(response) = self.admission.admit(
            request,
            &outside::cookies(request, self.base),
            connection.peer().ip(),
        ) {
            return self.refuse_request(connection, request, response);
        }
        if is_scrape {
            return match self.scrape.check(request) {
                Ok(()) => self.show_metrics(connection, request),
                Err(response) => self.refuse_request(connection, request, response),
            };
        }
        match Target::of(&request.path) {
            Some(Ok(Target::Owner)) => self.let_watch(connection, request, tail),
            Some(Ok(target)) => match self.agree(request, &target, connection.peer().ip()) {
                Ok(joining) => self.upgrade(connection, target, joining, tail),
                Err(response) => self.refuse_request(connection, request, response),
            },
            Some(Err(_)) => {
                let response = Response::refusal(
                    400,
                    "A room name is 1 to 64 of A-Z a-z 0-9 . _ ~ - (but not . or ..).",
                );
                self.refuse_request(connection, request, response);
            }
            None if handshake::asks_for_websocket(request) => {
                let response =
                    Response::refusal(404, "WebSockets are at /ws, /ws/ROOM, /echo and /owner.");
                self.refuse_request(connection, request, response);
            }
            None => self.pass_on(connection, request, tail, deadline),
        }
    }

    fn agree(
        &self,
        request: &Request,
        target: &Target,
        address: IpAddr,
    ) -> Result<Joining, Response> {
        let upgrade = handshake::check(request, target, &self.allow_origin)?;
        let JoinOptions { past, files, session, slow, key: room_key } = &upgrade.options;
        let (past, files, slow, dialect) = (*past, *files, *slow, upgrade.dialect);
        let user = self.user_of(request)?;
        let key = matches!(user, Whose::Nobody).then_some(Key::Unknown);
        // The cookie is removed: the browser would send it for ever, and its page cannot change
        // that.
        let no_cookie = key.map(|_| credentials::no_cookie(&outside::cookies(request, self.base)));
        if key.is_some() && dialect != Dialect::V1 {
            let sentence = "This key is nobody's: leave it out, or get a new one.";
            return Err(Response::refusal(401, sentence)
                .with("WWW-Authenticate", "Bearer")
                .with("Set-Cookie", &no_cookie.unwrap_or_default()));
        }
        let response_101 = upgrade.response_101(no_cookie.as_deref())?;
        let user = if let Whose::User(user) = user { Some(user) } else { None };
        let id = user.as_ref().map(|user| user.id);
        let session = session.as_deref().map(|name| Session::new(name, id));
        if let Target::Room(room) = target {
            let key = room_key.as_deref().or_else(|| request.value(ROOM_KEY));
            let visitor = Visitor { user: id, session, address, key };
            self.rights.check(room, &visitor).map_err(denied)?;
        }
        let last = self.last_in(target, dialect, past)?;
        let limit = self.clients.limits.message_size;
        let experiment = upgrade.experiment(&request.head, &response_101, limit).map(Box::new);
        Ok(Joining {
            response_101,
            dialect,
            past,
            files,
            slow,
            user,
            session,
            key,
            last,
            experiment,
        })
    }

    /// Whose key a request carries.
    fn user_of(&self, request: &Request) -> Result<Whose, Response> {
        let authorization = request.value("Authorization");
        if authorization.is_none() && request.values("Authorization").next().is_some() {
            let sentence = "Authorization must be there once, in printable ASCII.";
            return Err(Response::refusal(400, sentence));
        }
        let cookies = outside::cookies(request, self.base);
        let key = self.credentials.key(authorization, &cookies, request.cookies());
        let Some(key) = key else { return Ok(Whose::Guest) };
        match self.credentials.auth.user_with(key) {
            Ok(user) => Ok(user.map_or(Whose::Nobody, Whose::User)),
            Err(error) => {
                log::error!("the directory cannot be read: {error}");
                Err(Response::refusal(503, "The directory cannot be read at the moment."))
            }
        }
    }

    /// The id of the newest message in a room, for a client of `wsroom.v1` that wants no past, and for
    /// one that goes on behind a message. For any other it is 0: with a replay the id comes later.
    fn last_in(
        &self,
        target: &Target,
        dialect: Dialect,
        past: Option<Past>,
    ) -> Result<MessageId, Response> {
        let Target::Room(room) = target else { return Ok(0) };
        match (dialect, past) {
            (Dialect::V1, None) | (_, Some(Past::Since(_))) => {}
            _ => return Ok(0),
        }
        self.past.last_in(room).or_else(|error| {
            log::error!("the history of room {room} cannot be read: {error}");
            match error {
                StoreError::Away(_) => {
                    Err(Response::refusal(503, "The history cannot be read at the moment."))
                }
                _ => Ok(0),
            }
        })
    }

    fn upgrade(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        target: Target,
        joining: Joining,
        tail: Vec<u8>,
    ) {
        // Logged here, not on the client's thread: formatting touches stack pages, and these would
        // stay resident.
        self.clients.metrics.handshakes.inc();
        let (id, peer) = (connection.id(), connection.peer());
        self.joined.line(|more| log::info!("{id} {peer} joined {target}{more}"));
        // The thread holds the door: what all clients share is not copied for each. And it holds what it
        // is started with, so the result of the handshake is in a box, which the broadcaster frees.
        let (own, door) = (Arc::clone(connection), Arc::clone(self));
        let joining = Box::new(joining);
        let thread =
            self.threads.run(move || reading::run(&own, &target, joining, tail, &door.clients));
        self.refuse_without_thread(connection, thread);
    }

    /// Lets somebody watch the server, if they then send the admin token: see `client/owner`. No cookie
    /// counts here, nor another field: a page cannot choose which ones its WebSocket brings.
    fn let_watch(self: &Arc<Self>, connection: &Arc<Connection>, request: &Request, tail: Vec<u8>) {
        let upgrade = handshake::check(request, &Target::Owner, &self.allow_origin);
        let response_101 = match upgrade.and_then(|upgrade| upgrade.response_101(None)) {
            Ok(response_101) => response_101,
            Err(response) => return self.refuse_request(connection, request, response),
        };
        let (own, door) = (Arc::clone(connection), Arc::clone(self));
        let thread = self.threads.run(move || {
            let check = |token: &str| door.rights.check_owner(token, own.peer());
            owner::run(&own, &response_101, tail, &door.clients, check);
        });
        self.refuse_without_thread(connection, thread);
    }

    fn refuse_without_thread(&self, connection: &Connection, started: io::Result<()>) {
        if let Err(error) = started {
            let response = Response::refusal(503, "No thread could be started: try again soon.");
            let response = response.with("Retry-After", "5");
            self.refuse(connection, response, error.to_string().as_bytes());
        }
    }

    fn pass_on(
        &self,
        connection: &Connection,
        request: &Request,
        tail: Vec<u8>,
        deadline: Instant,
    ) {
        // A page of another origin may not change anything here. Browsers send the user's cookies
        // with its requests, and only the Origin field tells them apart.
        if !matches!(request.method.as_str(), "GET" | "HEAD")
            && let Err(response) = handshake::check_origin(request, &self.allow_origin)
        {
            return self.refuse_request(connection, request, response);
        }
        if let Some(name) = proxy::lost_field(request) {
            let sentence = format!("{name} must be there once, in printable ASCII.");
            return self.refuse_request(connection, request, Response::refusal(400, &sentence));
        }
        let largest = largest_body(&request.path, self.clients.limits.message_size);
        if request.body_length > largest {
            let response = Response::refusal(413, &format!("The body is over {largest} bytes."));
            return self.refuse_request(connection, request, response);
        }
        let body = match read_body(connection, request, tail, deadline) {
            Ok(body) => body,
            Err(NoRequest::Refused(response)) => {
                return self.refuse_request(connection, request, response);
            }
            Err(NoRequest::Gone) => return connection.finish(),
        };
        let deadline = deadline.max(Instant::now() + REQUEST_TIMEOUT);
        let cookies = outside::cookies(request, self.base);
        let caller = Caller { address: connection.peer().ip(), cookies };
        let response = self.proxy.ask(request, &caller, body, deadline);
        let path = escaped(request.path.as_bytes());
        log::debug!("{} {} {} {path}", connection.id(), response.status, request.method);
        self.clients.metrics.answered(response.status);
        respond(connection, &request.method, response);
    }

    /// Sends a 503 or a 429, because a limit on connections is reached. Reads from the request first: a close with unread
    /// bytes is a reset, and the response would be lost in it.
    pub fn turn_away(&self, connection: &Connection, crowded: Crowded) {
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut head = match self.greet(connection, deadline) {
            Ok(first) => first,
            Err(_) if self.certificate.is_some() => return,
            Err(_) => Vec::new(),
        };
        if head.is_empty() {
            // Nothing came in time: it gets the response all the same.
            let _ = read_some(connection, &mut head, deadline);
        }
        let request = Request::parse(&head).ok().flatten();
        let path = request.map(|(request, _)| request.path).unwrap_or_default();
        if connection.send_all(&crowded.response().for_path(&path).bytes()).is_ok() {
            connection.finish();
            connection.linger();
        }
    }

    /// As [`Door::turn_away`], but waits for nothing. The response may be lost if the client has
    /// sent bytes already.
    pub fn turn_away_without_waiting(&self, connection: &Connection, crowded: Crowded) {
        // Over TLS a response needs a handshake first, and a thread would have to wait for that.
        if self.certificate.is_none() {
            let _ = connection.send_now(&crowded.response().bytes());
        }
        connection.shutdown(Shutdown::Both);
    }

    /// Reads one request head, of which the first bytes are read already. Returns it with the bytes
    /// that came behind it.
    pub(super) fn read_request(
        &self,
        connection: &Connection,
        mut bytes: Vec<u8>,
        deadline: Instant,
    ) -> Result<(Request, Vec<u8>), NoRequest> {
        loop {
            // Every piece parses the head again from its beginning, so that the first wrong byte is
            // refused at once. The limit on the head bounds this work.
            if let Some((mut request, length)) = Request::parse(&bytes)? {
                let tail = bytes.split_off(length);
                request.head = bytes;
                return Ok((request, tail));
            }
            if !read_some(connection, &mut bytes, deadline)? {
                return Err(NoRequest::Gone);
            }
        }
    }

    pub(super) fn refuse_request(
        &self,
        connection: &Connection,
        request: &Request,
        response: Response,
    ) {
        if handshake::asks_for_websocket(request) {
            self.clients.metrics.handshake_refused(response.status);
        } else {
            self.clients.metrics.answered(response.status);
        }
        let what = format!("{} {}", request.method, request.path);
        self.log_refusal(connection, &response, what.as_bytes());
        respond(connection, &request.method, response.for_path(&request.path));
    }

    pub(super) fn refuse(&self, connection: &Connection, response: Response, what: &[u8]) {
        self.clients.metrics.answered(response.status);
        self.log_refusal(connection, &response, what);
        respond(connection, "GET", response);
    }

    fn log_refusal(&self, connection: &Connection, response: &Response, what: &[u8]) {
        let (id, peer, status) = (connection.id(), connection.peer(), response.status);
        self.refused.line(|more| {
            log::info!(
                "{id} {peer} refused: {status} {} {}{more}",
                response.sentence(),
                escaped(what)
            );
        });
    }
}

/// The response to somebody who may not enter a room. It tells in words only: a browser does not show
/// it to its page, which asks `GET /rooms/ROOM` for the reason.
fn denied(denial: Denial) -> Response {
    let refusal = Response::refusal(denial.status(), &denial.sentence());
    match denial {
        Denial::Rules(_) => refusal,
        Denial::TooManyKeys(wait) => refusal.with("Retry-After", &wait.to_string()),
    }
}

impl Crowded {
    fn response(self) -> Response {
        let (status, sentence) = match self {
            Self::Server => (503, "This server is full: try again soon."),
            Self::Network => (429, "Too many connections come from your address: close some."),
        };
        Response::refusal(status, sentence).with("Retry-After", "5")
    }
}

/// Redirects to the same address under https. Browsers may not cache that: the next server on this
/// port may speak plain HTTP.
fn same_address_under_https(request: &Request) -> Response {
    // With any other Host, or with a user name in it, the redirect would lead elsewhere or nowhere.
    let host = request.host.parse::<Authority>().ok().filter(|host| !host.as_str().contains('@'));
    let Some(host) = host else {
        return Response::refusal(
            400,
            "This port speaks https, and the Host field is not a host and a port.",
        );
    };
    let (scheme, prefix) = match &request.outside {
        Some(outside) => (outside.scheme, outside.prefix.as_str()),
        None => (None, ""),
    };
    if scheme == Some("https") {
        // The client is there already: it is the proxy that must change.
        return Response::refusal(400, "This port speaks https, and the proxy plain http with it.");
    }
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    Response::refusal(308, "This port speaks https.")
        .with("Location", &format!("https://{host}{prefix}{}{query}", request.path))
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
        // The client does not send the body before it gets a 100 (RFC 9110 §10.1.1).
        if request.is_http11 && body.len() < request.body_length {
            let _ = connection.send_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }
    while body.len() < request.body_length {
        if !read_some(connection, &mut body, deadline)? {
            return Err(NoRequest::Gone);
        }
    }
    // One request per connection: a pipelined request gets no response.
    body.truncate(request.body_length);
    Ok(body)
}

/// Adds the next bytes from the connection; `false` at the end of the stream.
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

pub(super) fn respond(connection: &Connection, method: &str, response: Response) {
    respond_before(Instant::now() + SEND_TIMEOUT, connection, method, response);
}

fn respond_before(deadline: Instant, connection: &Connection, method: &str, response: Response) {
    let body = if method == "HEAD" { b"" } else { response.body() };
    let head = response.head();
    let sent = if body.len() <= SHORT_BODY {
        connection.send_all_before(deadline, &[&head, body].concat())
    } else {
        let head = connection.send_all_before(deadline, &head);
        head.and_then(|()| connection.send_all_before(deadline, body))
    };
    // The kernel has the body now, or will never have it: freed before this thread lingers.
    drop(response);
    if sent.is_ok() {
        connection.finish();
        connection.linger();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::net::connection::ClientId;

    /// Progress alone is not enough: else a client that takes a byte now and then would keep a
    /// response, and its share of what all may take, for ever.
    #[test]
    fn a_response_ends_at_its_deadline_although_its_client_takes_a_little_all_the_time() {
        const LENGTH: usize = 100 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let connection = Connection::new(ClientId::new(1), socket, peer, ()).unwrap();
        let client = thread::spawn(move || {
            let (mut taken, mut piece) = (0, [0; 16 << 10]);
            while let Ok(count @ 1..) = client.read(&mut piece) {
                taken += count;
                // Its pace: a minute for all of it.
                thread::sleep(Duration::from_millis(10));
            }
            taken
        });
        let response = Response::new(200).with_body(vec![0; LENGTH]);
        respond_before(Instant::now() + Duration::from_secs(1), &connection, "GET", response);
        connection.cut("its time is over");
        assert!(client.join().unwrap() < LENGTH, "it got all of it");
    }
}
