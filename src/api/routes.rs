//! The table of routes, and the threads that answer requests.
//!
//! tiny_http hands requests to a few threads, `page-0` and on. The requests come from the proxy
//! alone, so nothing here waits for a client. Not here: security headers and the connection itself
//! (`http`), and WebSocket addresses (`protocol`).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use serde_json::json;
use tiny_http::{Method, Request, Server};

use super::credentials::Credentials;
use super::files;
use super::health::Health;
use super::invitation::BaseUrl;
use super::leading::Leading;
use super::reply::{Reply, field, json, problem, sentence};
use super::rooms::Rooms;
use super::users::Users;
use crate::protocol::experiment::PLAYS;

/// Threads that answer requests, which is also the most requests at a time. tiny_http always has
/// the same number of threads for its connections.
pub const THREADS: usize = 4;

/// The longest body of a request that posts no message, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The threads that answer requests.
pub struct Api {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

impl Api {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(server: Server, routes: Routes) -> io::Result<Self> {
        let (server, routes) = (Arc::new(server), Arc::new(routes));
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let (server, routes) = (Arc::clone(&server), Arc::clone(&routes));
            let thread = thread::Builder::new().name(format!("page-{number}"));
            threads.push(thread.spawn(move || serve(&server, &routes))?);
        }
        Ok(Self { server, threads })
    }

    /// Ends the threads. tiny_http's own accept thread stays blocked until the process ends: its
    /// listener has no name any more, so nothing can wake it. It holds no client.
    pub fn stop(self) {
        self.threads.iter().for_each(|_| self.server.unblock());
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn serve(server: &Server, routes: &Routes) {
    while let Ok(mut request) = server.recv() {
        // A panic costs one response, not one of these few threads.
        let reply = catch_unwind(AssertUnwindSafe(|| routes.answer(&mut request)));
        let reply = reply.unwrap_or_else(|_| {
            refusal(path_of(&request), 500, "Something broke while answering.")
        });
        let _ = request.respond(reply);
    }
}

/// The parts that answer the requests, by path.
pub struct Routes {
    /// `/users`.
    pub users: Users,
    /// `/rooms`: what is said in them.
    pub rooms: Rooms,
    /// `/rooms`: who leads them, and how.
    pub leading: Leading,
    /// `/healthz`.
    pub health: Health,
    /// `/invitation`.
    pub base: BaseUrl,
    /// `/token`.
    pub credentials: Arc<Credentials>,
}

impl Routes {
    fn answer(&self, request: &mut Request) -> Reply {
        self.find(request).unwrap_or_else(|refusal| refusal)
    }

    /// The route table.
    fn find(&self, request: &mut Request) -> Result<Reply, Reply> {
        let path = path_of(request).to_owned();
        let steps: Vec<_> = path.split('/').skip(1).collect();
        let method = match request.method() {
            Method::Head => Method::Get,
            other => other.clone(),
        };
        let file = files::find(&path);
        match (method, steps.as_slice(), file) {
            (Method::Get, _, Some(file)) => Ok(file.answer(request)),
            (Method::Get, ["healthz"], _) => Ok(self.health.answer()),
            (Method::Get, ["invitation"], _) => self.base.invite(request.url()),
            (Method::Get, ["experiments"], _) => Ok(json(200, &json!({"plays": PLAYS}))),
            (Method::Get, ["token"], _) => Ok(self.credentials.token_state()),
            (Method::Post, ["token"], _) => Ok(self.credentials.keep_token(request)),
            (Method::Get, ["users"], _) => self.users.list(request.url()),
            (Method::Post, ["users"], _) => self.users.create(request),
            (Method::Get, ["users", "me"], _) => self.users.me(request),
            (Method::Get, ["users", id], _) => self.users.show(id),
            (Method::Put, ["users", id], _) => self.users.rename(id, request),
            (Method::Delete, ["users", id], _) => self.users.remove(id, request),
            (Method::Get, ["rooms"], _) => self.rooms.list(request.url()),
            (Method::Post, ["rooms", room], _) => self.rooms.post(room, request),
            (Method::Get, ["rooms", room], _) => self.leading.show(room, request),
            (Method::Put, ["rooms", room], _) => self.leading.set(room, request),
            (Method::Post, ["rooms", room, "acts"], _) => self.leading.act(room, request),
            (Method::Put, ["rooms", room, "leaders", id], _) => {
                self.leading.appoint(room, id, request)
            }
            (Method::Delete, ["rooms", room, "leaders", id], _) => {
                self.leading.dismiss(room, id, request)
            }
            (Method::Delete, ["rooms", room, "messages"], _) => self.leading.clear(room, request),
            (Method::Delete, ["rooms", room, "messages", id], _) => {
                self.leading.remove(room, id, request)
            }
            (Method::Get, ["rooms", room, "members"], _) => self.rooms.members(room, request),
            (Method::Get, ["rooms", room, "messages"], _) => self.rooms.messages(room, request),
            (Method::Get, ["rooms", room, "messages", id], _) => {
                self.rooms.message(room, id, request)
            }
            (_, steps, file) => Err(no_route(&path, steps, file.is_some())),
        }
    }
}

/// The longest body at a path, in bytes. A posted message may have `message_size` bytes.
pub fn largest_body(path: &str, message_size: usize) -> usize {
    if path.starts_with("/rooms/") { message_size } else { MAX_BODY_BYTES }
}

/// Whether a path is open to those who have no token: the page's files, which ask for one, what a
/// monitor looks at, and the owner's WebSocket, which asks for the admin token. Everything else is not,
/// so that no new address is open by mistake.
pub fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/owner") || files::find(path).is_some()
}

/// Whether a path belongs to the API. There, refusals are problems for programs (RFC 9457); at any other
/// path they are one sentence for people.
pub fn has_problems(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    matches!(
        first,
        "users" | "rooms" | "healthz" | "metrics" | "invitation" | "token" | "experiments"
    )
}

fn path_of(request: &Request) -> &str {
    request.url().split('?').next().unwrap_or_default()
}

fn refusal(path: &str, status: u16, text: &str) -> Reply {
    if has_problems(path) { problem(status, text) } else { sentence(status, text) }
}

/// The refusal of a request without a route: a 405 if its address has other methods, else a 404.
fn no_route(path: &str, steps: &[&str], is_file: bool) -> Reply {
    let methods = match steps {
        ["users"] | ["token"] => "GET, HEAD, POST",
        ["users", _] => "GET, HEAD, PUT, DELETE",
        ["rooms", _] => "GET, HEAD, POST, PUT",
        ["rooms", _, "acts"] => "POST",
        ["rooms", _, "leaders", _] => "PUT, DELETE",
        ["rooms", _, "messages"] | ["rooms", _, "messages", _] => "GET, HEAD, DELETE",
        ["healthz" | "invitation" | "experiments" | "rooms"] | ["rooms", _, "members"] => {
            "GET, HEAD"
        }
        _ if is_file => "GET, HEAD",
        _ => return refusal(path, 404, "There is nothing at this address. The page is at /."),
    };
    let names = match methods.rsplit_once(", ") {
        Some((most, last)) => format!("{most} and {last}"),
        None => methods.to_owned(),
    };
    refusal(path, 405, &format!("This address takes {names}.")).with_header(field("Allow", methods))
}
