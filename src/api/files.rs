//! The page's files, which are part of the program's binary.
//!
//! Not here: their contents (`static/`). Runs on the page's threads.

use std::hash::{DefaultHasher, Hash, Hasher};

use tiny_http::{Request, Response};

use super::asked::header;
use super::reply::{Reply, field, whole};

/// A file of the page.
pub struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $media_type:literal) => {
        File {
            path: $path,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../static/", $name)),
        }
    };
}

/// All files. No other path leads to a file, so no file of the host can be read.
const FILES: &[File] = &[
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/alerts.js", "alerts.js", "text/javascript; charset=utf-8"),
    file!("/app.js", "app.js", "text/javascript; charset=utf-8"),
    file!("/connection.js", "connection.js", "text/javascript; charset=utf-8"),
    file!("/dom.js", "dom.js", "text/javascript; charset=utf-8"),
    file!("/earlier.js", "earlier.js", "text/javascript; charset=utf-8"),
    file!("/echo.js", "echo.js", "text/javascript; charset=utf-8"),
    file!("/experiments.js", "experiments.js", "text/javascript; charset=utf-8"),
    file!("/files.js", "files.js", "text/javascript; charset=utf-8"),
    file!("/frame.js", "frame.js", "text/javascript; charset=utf-8"),
    file!("/handshake.js", "handshake.js", "text/javascript; charset=utf-8"),
    file!("/history.js", "history.js", "text/javascript; charset=utf-8"),
    file!("/key.js", "key.js", "text/javascript; charset=utf-8"),
    file!("/lead.js", "lead.js", "text/javascript; charset=utf-8"),
    file!("/log.js", "log.js", "text/javascript; charset=utf-8"),
    file!("/looks.js", "looks.js", "text/javascript; charset=utf-8"),
    file!("/members.js", "members.js", "text/javascript; charset=utf-8"),
    file!("/messages.css", "messages.css", "text/css; charset=utf-8"),
    file!("/owner.css", "owner.css", "text/css; charset=utf-8"),
    file!("/owner.html", "owner.html", "text/html; charset=utf-8"),
    file!("/owner.js", "owner.js", "text/javascript; charset=utf-8"),
    file!("/panels.css", "panels.css", "text/css; charset=utf-8"),
    file!("/panels.html", "panels.html", "text/html; charset=utf-8"),
    file!("/panels.js", "panels.js", "text/javascript; charset=utf-8"),
    file!("/payload.js", "payload.js", "text/javascript; charset=utf-8"),
    file!("/people.js", "people.js", "text/javascript; charset=utf-8"),
    file!("/photos.js", "photos.js", "text/javascript; charset=utf-8"),
    file!("/places.js", "places.js", "text/javascript; charset=utf-8"),
    file!("/presence.js", "presence.js", "text/javascript; charset=utf-8"),
    file!("/projector.js", "projector.js", "text/javascript; charset=utf-8"),
    file!("/protocol.css", "protocol.css", "text/css; charset=utf-8"),
    file!("/protocol.html", "protocol.html", "text/html; charset=utf-8"),
    file!("/refusal.js", "refusal.js", "text/javascript; charset=utf-8"),
    file!("/rules.js", "rules.js", "text/javascript; charset=utf-8"),
    file!("/save.js", "save.js", "text/javascript; charset=utf-8"),
    file!("/room.js", "room.js", "text/javascript; charset=utf-8"),
    file!("/slow.js", "slow.js", "text/javascript; charset=utf-8"),
    file!("/texts.js", "texts.js", "text/javascript; charset=utf-8"),
    file!("/token.js", "token.js", "text/javascript; charset=utf-8"),
    file!("/wire.js", "wire.js", "text/javascript; charset=utf-8"),
    file!("/writing.js", "writing.js", "text/javascript; charset=utf-8"),
    file!("/style.css", "style.css", "text/css; charset=utf-8"),
    file!("/favicon.svg", "favicon.svg", "image/svg+xml"),
];

/// The file at a path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// The file in a 200, or a 304 for a client that has the same bytes (RFC 9110 §13.1.2).
    pub fn answer(&self, request: &Request) -> Reply {
        let tag = self.entity_tag();
        let known = header(request, "If-None-Match").is_some_and(|tags| {
            let mut tags = tags.split(',').map(str::trim);
            tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        });
        let reply = if known {
            Response::from_data(Vec::new()).with_status_code(304)
        } else {
            whole(200, self.media_type, self.bytes.to_vec())
        };
        // Browsers ask each time and mostly get a 304, so a new version is used at once.
        reply.with_header(field("ETag", &tag)).with_header(field("Cache-Control", "no-cache"))
    }

    /// A hash of the bytes. It need not be cryptographic: the files are our own.
    fn entity_tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}
