//! What each address answers, and the threads that do so.
//!
//! tiny_http hands requests to a few threads, `page-0` and on. They come from the door alone: no
//! client reaches them, and nothing here waits for one. Not here: security headers and the
//! connection itself (`http`), and WebSocket addresses (`protocol`).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiny_http::{Method, Request, Server};

use super::files;
use super::health::Health;
use super::invitation::BaseUrl;
use super::reply::{Reply, field, sentence};
use super::rooms::Rooms;
use super::users::Users;

/// Threads that answer, and so the requests that are under way at a time: as many as tiny_http
/// always has for its connections.
pub const THREADS: usize = 4;

/// The longest body, in bytes, but for a message.
const LARGEST_BODY: usize = 64 << 10;

/// The threads that answer.
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

    /// Ends the threads. tiny_http's own accept thread stays parked until the process ends: its
    /// listener has lost its name, so nothing can wake it, and it holds no client.
    pub fn stop(self) {
        self.threads.iter().for_each(|_| self.server.unblock());
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn serve(server: &Server, routes: &Routes) {
    while let Ok(mut request) = server.recv() {
        // A panic costs one answer, not this thread: there are only so many.
        let answer = catch_unwind(AssertUnwindSafe(|| routes.answer(&mut request)));
        let answer = answer.unwrap_or_else(|_| sentence(500, "Something broke while answering."));
        let _ = request.respond(answer);
    }
}

/// What answers where.
pub struct Routes {
    /// `/users`.
    pub users: Users,
    /// `/rooms`.
    pub rooms: Rooms,
    /// `/healthz`.
    pub health: Health,
    /// `/invitation`.
    pub base: BaseUrl,
}

impl Routes {
    fn answer(&self, request: &mut Request) -> Reply {
        self.find(request).unwrap_or_else(|refusal| refusal)
    }

    /// The route table.
    fn find(&self, request: &mut Request) -> Result<Reply, Reply> {
        let path = request.url().split('?').next().unwrap_or_default().to_owned();
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
            (Method::Get, ["users"], _) => self.users.list(request.url()),
            (Method::Post, ["users"], _) => self.users.create(request),
            (Method::Get, ["users", "me"], _) => self.users.me(request),
            (_, steps @ ["users", "me"], _) => Err(not_here(steps, false)),
            (Method::Get, ["users", id], _) => self.users.show(id),
            (Method::Put, ["users", id], _) => self.users.rename(id, request),
            (Method::Delete, ["users", id], _) => self.users.remove(id, request),
            (Method::Get, ["rooms"], _) => self.rooms.list(request.url()),
            (Method::Post, ["rooms", room], _) => self.rooms.post(room, request),
            (Method::Get, ["rooms", room, "messages"], _) => {
                self.rooms.messages(room, request.url())
            }
            (Method::Get, ["rooms", room, "messages", id], _) => self.rooms.message(room, id),
            (_, steps, file) => Err(not_here(steps, file.is_some())),
        }
    }
}

/// The longest body that is taken at a path, in bytes: a message may be as long as messages are.
pub fn largest_body(path: &str, message_size: usize) -> usize {
    if path.starts_with("/rooms/") { message_size } else { LARGEST_BODY }
}

/// No route: the method is not one of this address, or there is no such address.
fn not_here(steps: &[&str], is_file: bool) -> Reply {
    match steps {
        ["users"] => not_allowed("GET, HEAD, POST"),
        ["users", "me"] => not_allowed("GET, HEAD"),
        ["users", _] => not_allowed("GET, HEAD, PUT, DELETE"),
        ["rooms", _] => not_allowed("POST"),
        ["healthz" | "invitation" | "rooms"]
        | ["rooms", _, "messages"]
        | ["rooms", _, "messages", _] => not_allowed("GET, HEAD"),
        _ if is_file => not_allowed("GET, HEAD"),
        _ => sentence(404, "There is nothing at this address. The page is at /."),
    }
}

fn not_allowed(methods: &str) -> Reply {
    let names = match methods.rsplit_once(", ") {
        Some((most, last)) => format!("{most} and {last}"),
        None => methods.to_owned(),
    };
    sentence(405, &format!("This address takes {names}.")).with_header(field("Allow", methods))
}
