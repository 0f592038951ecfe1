//! The page and the small REST API: what each address answers.
//!
//! Served by tiny_http on a few threads, `page-0` and on, for the door alone: no client reaches
//! them, nothing here waits for one. Not here: security headers and the connection itself
//! (`answer`, `door`), and WebSocket addresses (`handshake`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::handover::LINES;
use crate::inbox::Events;

/// How long the broadcaster may take to answer a health check.
const HEALTHY: Duration = Duration::from_secs(2);

type Answer = Response<Cursor<Vec<u8>>>;

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
const FILES: [File; 7] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/app.js", "app.js", "text/javascript; charset=utf-8"),
    file!("/connection.js", "connection.js", "text/javascript; charset=utf-8"),
    file!("/messages.js", "messages.js", "text/javascript; charset=utf-8"),
    file!("/view.js", "view.js", "text/javascript; charset=utf-8"),
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
    pub fn start(server: Server, events: &Events) -> io::Result<Self> {
        let server = Arc::new(server);
        let routes = Arc::new(Routes { events: events.clone(), began: Instant::now() });
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
    began: Instant,
}

impl Routes {
    /// The route table.
    fn answer(&self, request: &mut Request) -> Answer {
        let path = request.url().split('?').next().unwrap_or_default();
        let file = FILES.iter().find(|file| file.path == path);
        match (request.method(), path, file) {
            (Method::Get | Method::Head, _, Some(file)) => file.answer(request),
            (Method::Get | Method::Head, "/healthz", _) => self.health(),
            (_, "/healthz", _) | (_, _, Some(_)) => {
                sentence(405, "This address takes GET and HEAD.")
                    .with_header(field("Allow", "GET, HEAD"))
            }
            _ => sentence(404, "There is nothing at this address. The page is at /."),
        }
    }

    /// Asks the broadcaster itself: a server that does not relay is not healthy.
    fn health(&self) -> Answer {
        let Some(census) = self.events.ask(HEALTHY) else {
            return json(503, &json!({"status": "busy", "version": env!("CARGO_PKG_VERSION")}));
        };
        json(
            200,
            &json!({
                "status": "ok",
                "version": env!("CARGO_PKG_VERSION"),
                "uptime_s": self.began.elapsed().as_secs(),
                "clients": census.clients,
                "rooms": census.rooms,
            }),
        )
    }
}

impl File {
    /// 200, or 304 to a client that has these very bytes (RFC 9110 §13.1.2).
    fn answer(&self, request: &Request) -> Answer {
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

fn sentence(status: u16, text: &str) -> Answer {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
}

fn json(status: u16, value: &serde_json::Value) -> Answer {
    whole(status, "application/json", value.to_string().into_bytes())
        .with_header(field("Cache-Control", "no-store"))
}

fn whole(status: u16, media_type: &str, body: Vec<u8>) -> Answer {
    Response::from_data(body)
        .with_status_code(status)
        // Always with a length, never chunked: the door reads by it.
        .with_chunked_threshold(usize::MAX)
        .with_header(field("Content-Type", media_type))
}

fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("our own fields are ASCII")
}
