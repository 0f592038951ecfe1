//! The page and the small REST API: what each address answers.
//!
//! Served by tiny_http on a few threads, `page-0` and on, for the door alone: no client reaches
//! them, nothing here waits for one. Not here: security headers and the connection itself
//! (`answer`, `door`), and WebSocket addresses (`handshake`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use tiny_http::{Method, Request, Response, Server};

use crate::handover::LINES;
use crate::invitation::Place;
use crate::relay::events::Events;
use crate::reply::{Reply, field, json, sentence, whole};
use crate::rooms::Rooms;
use crate::users::Users;

/// How long the broadcaster may take to answer a health check.
const HEALTHY: Duration = Duration::from_secs(2);

/// A file of the page, inside the program.
struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $media_type:literal) => {
        File {
            path: $path,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../static/", $name)),
        }
    };
}

/// All there is: no path leads to anything else.
const FILES: [File; 14] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/app.js", "app.js", "text/javascript; charset=utf-8"),
    file!("/connection.js", "connection.js", "text/javascript; charset=utf-8"),
    file!("/dom.js", "dom.js", "text/javascript; charset=utf-8"),
    file!("/log.js", "log.js", "text/javascript; charset=utf-8"),
    file!("/panels.css", "panels.css", "text/css; charset=utf-8"),
    file!("/panels.html", "panels.html", "text/html; charset=utf-8"),
    file!("/panels.js", "panels.js", "text/javascript; charset=utf-8"),
    file!("/people.js", "people.js", "text/javascript; charset=utf-8"),
    file!("/places.js", "places.js", "text/javascript; charset=utf-8"),
    file!("/room.js", "room.js", "text/javascript; charset=utf-8"),
    file!("/wire.js", "wire.js", "text/javascript; charset=utf-8"),
    file!("/style.css", "style.css", "text/css; charset=utf-8"),
    file!("/favicon.svg", "favicon.svg", "image/svg+xml"),
];

/// The running page.
pub struct Page {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

impl Page {
    /// Starts one thread for each line of the door.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        server: Server,
        events: &Events,
        users: Arc<Users>,
        rooms: Rooms,
        place: Place,
    ) -> io::Result<Self> {
        let server = Arc::new(server);
        let began = Instant::now();
        let routes = Arc::new(Routes { events: events.clone(), users, rooms, place, began });
        let mut threads = Vec::new();
        for number in 0..LINES {
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

struct Routes {
    events: Events,
    users: Arc<Users>,
    rooms: Rooms,
    place: Place,
    began: Instant,
}

impl Routes {
    /// The route table.
    fn answer(&self, request: &mut Request) -> Reply {
        let path = request.url().split('?').next().unwrap_or_default().to_owned();
        let steps: Vec<_> = path.split('/').skip(1).collect();
        let file = FILES.iter().find(|file| file.path == path);
        match (request.method(), steps.as_slice(), file) {
            (Method::Get | Method::Head, _, Some(file)) => file.answer(request),
            (Method::Get | Method::Head, ["healthz"], _) => self.health(),
            (Method::Get | Method::Head, ["invitation"], _) => self.place.invite(request.url()),
            (Method::Get | Method::Head, ["users"], _) => self.users.list(request.url()),
            (Method::Post, ["users"], _) => self.users.create(request),
            (Method::Get | Method::Head, ["users", "me"], _) => self.users.me(request),
            (_, ["users", "me"], _) => not_allowed("GET, HEAD"),
            (Method::Get | Method::Head, ["users", id], _) => self.users.show(id),
            (Method::Put, ["users", id], _) => self.users.rename(id, request),
            (Method::Delete, ["users", id], _) => self.users.remove(id, request),
            (Method::Get | Method::Head, ["rooms"], _) => self.rooms.list(request.url()),
            (Method::Post, ["rooms", room], _) => self.rooms.post(room, request),
            (Method::Get | Method::Head, ["rooms", room, "messages"], _) => {
                self.rooms.messages(room, request.url())
            }
            (Method::Get | Method::Head, ["rooms", room, "messages", id], _) => {
                self.rooms.message(room, id)
            }
            (_, ["users"], _) => not_allowed("GET, HEAD, POST"),
            (_, ["users", _], _) => not_allowed("GET, HEAD, PUT, DELETE"),
            (_, ["rooms", _], _) => not_allowed("POST"),
            (
                _,
                ["healthz" | "invitation" | "rooms"]
                | ["rooms", _, "messages"]
                | ["rooms", _, "messages", _],
                _,
            )
            | (_, _, Some(_)) => not_allowed("GET, HEAD"),
            _ => sentence(404, "There is nothing at this address. The page is at /."),
        }
    }

    /// Asks the broadcaster itself: a server that does not relay is not healthy.
    fn health(&self) -> Reply {
        let Some(counts) = self.events.ask(HEALTHY) else {
            return json(503, &json!({"status": "busy", "version": env!("CARGO_PKG_VERSION")}));
        };
        json(
            200,
            &json!({
                "status": "ok",
                "version": env!("CARGO_PKG_VERSION"),
                "uptime_s": self.began.elapsed().as_secs(),
                "clients": counts.clients,
                "rooms": counts.rooms,
            }),
        )
    }
}

impl File {
    /// 200, or 304 to a client that has these very bytes (RFC 9110 §13.1.2).
    fn answer(&self, request: &Request) -> Reply {
        let tag = self.entity_tag();
        let known = request.headers().iter().any(|header| {
            let tags = header.value.as_str();
            header.field.equiv("If-None-Match")
                && tags
                    .split(',')
                    .map(str::trim)
                    .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        });
        let answer = if known {
            Response::from_data(Vec::new()).with_status_code(304)
        } else {
            whole(200, self.media_type, self.bytes.to_vec())
        };
        // Asked again each time, answered mostly by a 304: a new version shows at once.
        answer.with_header(field("ETag", &tag)).with_header(field("Cache-Control", "no-cache"))
    }

    /// Changes when the bytes do; it need not withstand an attacker.
    fn entity_tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

fn not_allowed(methods: &str) -> Reply {
    let names = match methods.rsplit_once(", ") {
        Some((most, last)) => format!("{most} and {last}"),
        None => methods.to_owned(),
    };
    sentence(405, &format!("This address takes {names}.")).with_header(field("Allow", methods))
}
