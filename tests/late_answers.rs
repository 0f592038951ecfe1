//! An answer that comes late costs nobody the page: tiny_http's lines come back when it is there.
//!
//! The lines and tiny_http are real; what stalls behind them, such as a disk, is the test itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tiny_http::{Response, Server};
use wsroom::api::asked::Caller;
use wsroom::api::cookies::Cookies;
use wsroom::api::routes::THREADS;
use wsroom::http::proxy::{self, Proxy};
use wsroom::http::request::Request;

/// Only passes when a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose lines are proven.
fn opens() -> (Server, Arc<Proxy>) {
    let (server, proxy) = proxy::open().unwrap();
    let proxy = Arc::new(proxy);
    let own = Arc::clone(&proxy);
    let proves = thread::spawn(move || own.prove());
    (0..THREADS).for_each(|_| answers(next(&server)));
    proves.join().unwrap().unwrap();
    (server, proxy)
}

fn next(server: &Server) -> tiny_http::Request {
    server.recv_timeout(PATIENCE).unwrap().expect("a request")
}

/// Says what was asked for.
fn answers(request: tiny_http::Request) {
    let told = Response::from_string(request.url()).with_chunked_threshold(usize::MAX);
    let _ = request.respond(told);
}

fn caller() -> Caller {
    Caller { address: IpAddr::from([127, 0, 0, 1]), cookies: Cookies::new("http", 80, "") }
}

/// Asks on a thread of its own, as each client does.
fn asks(
    proxy: &Arc<Proxy>,
    method: &str,
    path: &str,
) -> JoinHandle<wsroom::http::response::Response> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
    let caller = caller();
    let own = Arc::clone(proxy);
    thread::spawn(move || own.ask(&request, &caller, Vec::new(), Instant::now() + PATIENCE))
}

fn is_told(answer: JoinHandle<wsroom::http::response::Response>, status: u16, text: &str) {
    let answer = answer.join().unwrap();
    let told = String::from_utf8_lossy(answer.body());
    assert_eq!(answer.status, status, "{told}");
    assert!(told.contains(text), "{told}");
}

#[test]
fn when_every_answer_is_late_the_page_comes_back_with_the_last_of_them() {
    let (server, proxy) = opens();
    let methods = ["GET", "HEAD", "POST", "DELETE"];
    let waiting = methods.map(|method| asks(&proxy, method, "/late"));
    let late = [(); THREADS].map(|()| next(&server));
    // Nobody else can be answered, and is told so at the end of their time.
    let caller = caller();
    let (request, _) = Request::parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().unwrap();
    let soon = Instant::now() + Duration::from_millis(100);
    let crowded = proxy.ask(&request, &caller, Vec::new(), soon);
    let told = String::from_utf8(crowded.bytes()).unwrap();
    assert!(crowded.status == 503 && told.contains("Retry-After: "), "{told}");
    // Who waits is told in time what may have happened.
    let sentences =
        ["try again", "try again", "before you send it again", "before you send it again"];
    for (answer, sentence) in waiting.into_iter().zip(sentences) {
        is_told(answer, 504, sentence);
    }
    // A script reads the same as a problem.
    let (request, _) = Request::parse(b"GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().unwrap();
    let soon = Instant::now() + Duration::from_millis(100);
    let crowded = proxy.ask(&request, &caller, Vec::new(), soon);
    let told = String::from_utf8(crowded.bytes()).unwrap();
    assert!(crowded.status == 503 && told.contains("Retry-After: "), "{told}");
    assert!(told.contains("application/problem+json") && told.contains("\"status\":503"), "{told}");
    // The late answers come, and are nobody's; then all lines carry what is asked of them.
    late.into_iter().for_each(answers);
    for round in 0..4 {
        let paths = [0, 1, 2, 3].map(|line| format!("/{round}/{line}"));
        let waiting = paths.each_ref().map(|path| asks(&proxy, "GET", path));
        [(); THREADS].map(|()| next(&server)).into_iter().for_each(answers);
        for (answer, path) in waiting.into_iter().zip(&paths) {
            is_told(answer, 200, path);
        }
    }
}

#[test]
fn one_late_answer_leaves_the_other_lines_alone() {
    let (server, proxy) = opens();
    let slow = asks(&proxy, "POST", "/slow");
    let late = next(&server);
    for number in 0..20 {
        let path = format!("/{number}");
        let waiting = asks(&proxy, "GET", &path);
        answers(next(&server));
        is_told(waiting, 200, &path);
    }
    answers(late);
    is_told(slow, 200, "/slow");
}
