//! The words that the tests are written in: a server, the clients that join it, visitors that say
//! what no client would, and the program as its user starts it.
//!
//! Everything here is real: real sockets on a port that the system picks, tungstenite's own
//! client, the real binary; plain or over TLS, see `way`. A word that waits has a generous deadline
//! and panics with what it waited for; nothing sleeps to make something true.
#![allow(dead_code, unused_imports, reason = "each test file uses the words that it needs")]

mod axe;
mod browser;
mod client;
mod devtools;
mod http;
mod leading;
mod line;
mod nginx;
mod owner;
mod person;
mod program;
mod proxy;
mod python;
pub mod redis;
pub mod roamer;
mod scrape;
mod schema;
pub mod school;
mod slow_line;
mod stream;
mod tool;
mod traveller;
mod v1;
mod visitor;
mod way;
mod wire;

pub use axe::{axe, has_no_barrier};
pub use browser::{Browser, Network, Tab};
pub use client::Client;
pub use http::{Answer, handshake, request, request_with_json};
pub use leading::OWNED;
pub use line::{Line, Swallowed};
pub use nginx::{Nginx, PROXY};
pub use owner::Watcher;
pub use person::{Person, bearer, named};
pub use program::Program;
pub use proxy::{Direction, Proxy};
pub use python::{PythonClient, python};
pub use schema::{SCHEMA, Side};
pub use scrape::Scrape;
pub use slow_line::slow_line;
pub use stream::Stream;
pub use tool::Tool;
pub use traveller::{Traveller, is_whole};
pub use v1::V1;
pub use visitor::{Visitor, masked};
pub use way::{Papers, Way};
pub use wire::follow_each_other;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Parser;
use wsroom::options::Options;

/// How long anything may take that should happen. It only passes when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server in this process, on a port of its own; it stops when dropped.
pub struct Server {
    running: Option<wsroom::server::Server>,
    address: SocketAddr,
    way: Way,
    _papers: Papers,
}

impl Server {
    /// With default options.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With options as on the command line.
    pub fn with(options: &[&str]) -> Self {
        Self::over(Way::of_this_run(), options)
    }

    /// Whatever way this run goes.
    pub fn over(way: Way, options: &[&str]) -> Self {
        let papers = way.papers();
        let fixed = ["wsroom", "--listen", "127.0.0.1:0"].iter().chain(options);
        let all = fixed.map(|option| (*option).to_owned()).chain(papers.options());
        let running = wsroom::server::Server::start(&Options::parse_from(all));
        let running = running.expect("the server starts");
        Self { address: running.address(), running: Some(running), way, _papers: papers }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client in a room.
    pub fn joins(&self, room: &str) -> Client {
        Client::over(self.way.connects(self.address), &format!("/ws/{room}"))
    }

    /// A client of the echo.
    pub fn calls_into_the_echo(&self) -> Client {
        Client::over(self.way.connects(self.address), "/echo")
    }

    /// A connection on which nothing was said yet.
    pub fn connects(&self) -> Stream {
        self.way.connects(self.address)
    }

    /// A bare connection.
    pub fn is_visited(&self) -> Visitor {
        Visitor::over(self.way.connects(self.address))
    }

    /// What `GET path` answers.
    pub fn get(&self, path: &str) -> Answer {
        self.is_visited().asks(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    /// What the metrics are now.
    pub fn is_scraped(&self) -> Scrape {
        Scrape::of(&self.get("/metrics"))
    }

    /// The address of `--metrics-listen`.
    pub fn metrics_address(&self) -> SocketAddr {
        let running = self.running.as_ref().expect("it runs");
        running.metrics_address().expect("it was started with --metrics-listen")
    }

    /// A number that `/healthz` tells: `clients` or `rooms`.
    pub fn count_of(&self, what: &str) -> u64 {
        let health = self.get("/healthz").tells(200);
        health[what].as_u64().unwrap_or_else(|| panic!("no {what} in {health}"))
    }

    /// Waits until `/healthz` tells so many.
    pub fn comes_to_have(&self, count: u64, what: &str) {
        until(&format!("{count} {what}"), || self.count_of(what) == count);
    }

    /// Stops now, and answers when it has.
    pub fn stops(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks again and again until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Not to make it true, only to leave the processor to those who do.
        std::thread::sleep(Duration::from_millis(5));
    }
}
