//! The page, as any HTTP client sees it: its files, their fields, `/healthz`, and nothing else.

mod support;

use std::collections::BTreeSet;

use support::{Answer, Client, Server, request};

/// `GET path` with one more field.
fn get_with(server: &Server, path: &str, field: &str) -> Answer {
    server.is_visited().asks(request("GET", path, &[field], ""))
}

fn asks(server: &Server, method: &str, path: &str) -> Answer {
    server.is_visited().asks(request(method, path, &[], ""))
}

/// The page and every file that it names, and those that its scripts name in turn.
fn files(server: &Server) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut next = vec!["/".to_owned()];
    while let Some(path) = next.pop() {
        if path == "/" || path == "/owner.html" || path.ends_with(".js") {
            let text = server.get(&path).body;
            let new = named_in(&text).filter(|file| !files.contains(file));
            next.extend(new);
        }
        files.insert(path);
    }
    files
}

/// The files that a text names: `href="…"`, `src="…"`, `from "…"`, `import "…"`, `import("…")`, `fetch("…")`,
/// `looks("…")`, `location.replace("…")`.
fn named_in(text: &str) -> impl Iterator<Item = String> {
    // The types that a comment names are for the checker alone.
    let text: String = text.lines().filter(|line| !line.contains("@import")).collect();
    let text: &'static str = text.leak();
    let behind = |word| text.split(word).skip(1).filter_map(|rest| rest.split('"').next());
    let names = [
        "href=\"",
        "href = \"",
        "src=\"",
        "from \"",
        "import \"",
        "import(\"",
        "fetch(\"",
        "looks(\"",
        "location.replace(\"",
    ]
    .into_iter()
    .flat_map(behind);
    names.map(|name| format!("/{}", name.trim_start_matches("./")))
}

#[test]
fn every_file_that_the_page_names_is_served_as_what_it_is() {
    let server = Server::start();
    let files = files(&server);
    assert_eq!(files.len(), 42, "{files:?}");
    for path in &files {
        let media_type = match path.rsplit('.').next().unwrap() {
            "/" | "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "webmanifest" => "application/manifest+json",
            other => panic!("the page names {path}: which type is .{other}?"),
        };
        let answer = server.get(path);
        assert_eq!(answer.is_sound().status, 200, "{path}");
        assert_eq!(answer.field("Content-Type"), Some(media_type), "{path}");
        let length: usize = answer.field("Content-Length").expect("a length").parse().unwrap();
        assert!(length > 0 && (length == answer.body.len() || media_type == "image/png"), "{path}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let server = Server::start();
    let page = server.get("/").body;
    assert!(page.starts_with("<!doctype html>"), "{page}");
    for elsewhere in ["http://", "https://", "=\"//", "<script>", "<style", " style=", " onclick="]
    {
        assert!(!page.contains(elsewhere), "the page has {elsewhere}");
    }
    let answer = server.get("/");
    let policy = answer.field("Content-Security-Policy").unwrap();
    for directive in policy.split("; ") {
        let (name, sources) = directive.split_once(' ').expect("a name and sources");
        let own = ["'self'", "'none'"];
        let known = |source| own.contains(&source) || (name == "img-src" && !source.contains('/'));
        assert!(sources.split(' ').all(|s| known(s) && s != "*"), "{directive}");
    }
}

#[test]
fn a_file_that_the_client_has_is_not_sent_again() {
    let server = Server::start();
    for path in files(&server) {
        let whole = server.get(&path);
        let tag = whole.field("ETag").expect("a tag").to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        for known in [&tag, &format!("W/{tag}"), &format!("\"x\", W/\"y\",{tag}"), "*"] {
            let answer = get_with(&server, &path, &format!("If-None-Match: {known}"));
            assert_eq!((answer.is_sound().status, answer.body.as_str()), (304, ""), "{known}");
            assert_eq!(answer.field("ETag"), Some(tag.as_str()));
            assert_eq!(answer.field("Cache-Control"), whole.field("Cache-Control"));
        }
    }
}

#[test]
fn a_file_that_the_client_has_not_is_sent() {
    let server = Server::start();
    let whole = server.get("/style.css");
    let tag = whole.field("ETag").unwrap();
    let other = server.get("/app.js").field("ETag").unwrap().to_owned();
    let inner = tag.trim_matches('"');
    for unknown in
        ["\"x\"", "", "\"\"", inner, &other, &format!("\"{inner}x\""), &format!("W/{inner}")]
    {
        let answer = get_with(&server, "/style.css", &format!("If-None-Match: {unknown}"));
        assert_eq!(answer.is_sound().status, 200, "{unknown}");
        assert_eq!(answer.body, whole.body);
    }
    get_with(&server, "/nothing", "If-None-Match: *").refuses_with(404);
}

#[test]
fn a_file_has_the_same_tag_after_a_restart() {
    let tag = |server: &Server| server.get("/").field("ETag").map(str::to_owned);
    let (first, second) = (Server::start(), Server::start());
    assert_eq!(tag(&first), tag(&second));
}

#[test]
fn head_gets_the_fields_of_get_and_no_body() {
    let server = Server::start();
    for path in ["/", "/app.js", "/style.css", "/favicon.svg", "/healthz", "/nothing", "/ws/a%20b"]
    {
        let (whole, head) = (server.get(path), asks(&server, "HEAD", path));
        let fields = |answer: &Answer| {
            let lasting = answer.fields.iter().filter(|(name, _)| name != "Date");
            lasting.cloned().collect::<Vec<_>>()
        };
        assert_eq!((head.status, head.body.as_str()), (whole.status, ""), "{path}");
        assert_eq!(fields(&head), fields(&whole), "{path}");
        assert!(whole.field("Content-Length") != Some("0"), "{path}");
    }
}

#[test]
fn every_answer_has_a_date() {
    let server = Server::start();
    for path in ["/", "/nothing", "/ws"] {
        let answer = server.get(path);
        let date = answer.field("Date").expect("a date");
        assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    }
}

#[test]
fn an_unknown_address_is_answered_404() {
    let server = Server::start();
    for path in ["/nothing", "/index.html", "/app.js/", "/APP.JS", "/app.js.map", "/roomsx"] {
        server.get(path).refuses_with(404);
        asks(&server, "DELETE", path).refuses_with(404);
    }
    server.get("/healthz/").has_a_problem(404);
}

#[test]
fn a_query_does_not_matter_to_a_file() {
    let server = Server::start();
    for target in
        ["/style.css?", "/style.css?v=1", "/style.css?/../../etc/passwd", "/style.css?a?b"]
    {
        assert_eq!(server.get(target).body, server.get("/style.css").body);
    }
}

#[test]
fn another_method_is_answered_405_and_told_which() {
    let server = Server::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "BREW"] {
        for path in ["/", "/app.js"] {
            let answer = asks(&server, method, path);
            assert_eq!(answer.refuses_with(405).field("Allow"), Some("GET, HEAD"), "{method}");
        }
        let answer = asks(&server, method, "/healthz");
        assert_eq!(answer.has_a_problem(405).field("Allow"), Some("GET, HEAD"), "{method}");
    }
}

#[test]
fn no_path_leads_out_of_the_page() {
    let server = Server::start();
    for path in [
        "/../Cargo.toml",
        "/../../../../../../etc/passwd",
        "/./../Cargo.toml",
        "/app.js/../../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/%2e%2e%2fCargo.toml",
        "/..%2fCargo.toml",
        "/..%5cCargo.toml",
        "/..\\Cargo.toml",
        "/%252e%252e/Cargo.toml",
        "/%c0%ae%c0%ae/Cargo.toml",
        "//etc/passwd",
        "///etc/passwd",
        "/etc/passwd%00.js",
        "/file:///etc/passwd",
        "/static/index.html",
        "/static/../Cargo.toml",
        "/./app.js",
        "/%61pp.js",
        "/app.js%00",
        "/app.js;x",
        "/.git/config",
        "/Cargo.toml",
    ] {
        server.get(path).refuses_with(404);
    }
    asks(&server, "GET", "../Cargo.toml").refuses_with(400);
    asks(&server, "GET", "http://localhost/../Cargo.toml").refuses_with(404);
    asks(&server, "GET", "file:///etc/passwd").refuses_with(400);
}

#[test]
fn healthz_is_json_that_nobody_keeps() {
    let server = Server::start();
    let answer = server.get("/healthz");
    answer.is_sound();
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    let health = answer.tells(200);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptime_s"].is_u64(), "{health}");
    assert_eq!((health["clients"].as_u64(), health["rooms"].as_u64()), (Some(0), Some(0)));
}

#[test]
fn healthz_counts_clients_and_rooms() {
    let server = Server::start();
    let physics = [(); 2].map(|()| server.joins("physics"));
    let chemistry = server.joins("chemistry");
    let mut echo = server.calls_into_the_echo();
    // The room's members have their 101 from the broadcaster; the echo has spoken.
    echo.says("here");
    echo.hears("here");
    server.comes_to_have(4, "clients");
    assert_eq!(server.count_of("rooms"), 2);
    chemistry.leaves();
    server.comes_to_have(1, "rooms");
    assert_eq!(server.count_of("clients"), 3);
    physics.into_iter().for_each(Client::leaves);
    echo.leaves();
    server.comes_to_have(0, "clients");
    assert_eq!(server.count_of("rooms"), 0);
}
