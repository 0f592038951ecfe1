//! Servers on one Redis die, and Redis itself stops, and nobody loses a message or hears one twice.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::redis::{RedisServer, signal};
use support::{Program, Traveller, V1, Way, is_whole, until};

/// The servers, each a process of its own.
struct Nodes {
    redis: RedisServer,
    programs: Vec<Program>,
}

impl Nodes {
    fn start(count: usize) -> Self {
        let redis = RedisServer::start();
        let programs = (0..count).map(|_| start(&redis)).collect();
        Self { redis, programs }
    }

    /// Where the servers are now.
    fn places(&self) -> Vec<SocketAddr> {
        self.programs.iter().map(Program::address).collect()
    }

    /// A server dies without a word, and another one takes its place.
    fn one_dies(&mut self, number: usize) {
        let process = &mut self.programs[number].process;
        process.kill().unwrap();
        process.wait().unwrap();
        self.programs[number] = start(&self.redis);
    }
}

fn start(redis: &RedisServer) -> Program {
    let url = redis.url().secret().to_owned();
    Program::start_plainly(&["-q", "--history", "100000", "--data", &url])
}

#[test]
fn a_server_that_is_killed_costs_nobody_a_message() {
    const TIMES: usize = 10;
    const EACH: usize = 20;
    let mut nodes = Nodes::start(2);
    let (mut ada, mut bob) = (Traveller::new("ada", 0), Traveller::new("bob", 1));
    ada.comes_back(&nodes.places());
    bob.comes_back(&nodes.places());
    for round in 0..TIMES {
        for number in round * EACH..(round + 1) * EACH {
            ada.says(format!("ada {number}"));
            bob.says(format!("bob {number}"));
        }
        // Somewhere in the middle of all that.
        let enough = ada.heard.len() + round * 3;
        ada.hears_until(&nodes.places(), |ada| {
            ada.heard.len() >= enough || ada.unanswered.is_empty()
        });
        nodes.one_dies(round % 2);
        ada.hears_until(&nodes.places(), |ada| ada.unanswered.is_empty());
        bob.hears_until(&nodes.places(), |bob| bob.unanswered.is_empty());
    }
    ada.says("the end".to_owned());
    ada.hears_the_end(&nodes.places(), "the end");
    bob.hears_the_end(&nodes.places(), "the end");
    let mut eve = Traveller::new("eve", 0);
    eve.hears_the_end(&nodes.places(), "the end");
    is_whole(&[&ada, &bob, &eve], &["ada", "bob"], TIMES * EACH);
}

#[test]
fn a_server_that_is_killed_takes_its_members_away() {
    let mut nodes = Nodes::start(2);
    let joins = |nodes: &Nodes, number: usize| {
        V1::over(Way::Plain.connects(nodes.programs[number].address()), "/ws/a")
    };
    let (mut ada, _) = joins(&nodes, 0);
    let (mut bob, welcome) = joins(&nodes, 1);
    bob.says("here");
    ada.hears("here");
    nodes.one_dies(1);
    ada.hears_of_somebody("left", |id| *id == welcome["you"]["id"]);
}

#[test]
fn redis_may_be_killed_and_come_back() {
    const EACH: usize = 50;
    let mut nodes = Nodes::start(2);
    let (mut ada, mut bob) = (Traveller::new("ada", 0), Traveller::new("bob", 1));
    ada.comes_back(&nodes.places());
    bob.comes_back(&nodes.places());
    for round in 0..3 {
        for number in round * EACH..(round + 1) * EACH {
            ada.says(format!("ada {number}"));
            bob.says(format!("bob {number}"));
            if number % EACH == EACH / 2 {
                nodes.redis.dies();
                nodes.redis.comes_back();
            }
        }
        ada.hears_until(&nodes.places(), |ada| ada.unanswered.is_empty());
        bob.hears_until(&nodes.places(), |bob| bob.unanswered.is_empty());
    }
    ada.says("the end".to_owned());
    ada.hears_the_end(&nodes.places(), "the end");
    bob.hears_the_end(&nodes.places(), "the end");
    is_whole(&[&ada, &bob], &["ada", "bob"], 3 * EACH);
}

#[test]
fn connections_to_redis_may_be_cut_again_and_again() {
    const TIMES: usize = 30;
    let nodes = Nodes::start(2);
    let (mut ada, mut bob) = (Traveller::new("ada", 0), Traveller::new("bob", 1));
    ada.comes_back(&nodes.places());
    bob.comes_back(&nodes.places());
    let mut said = 0;
    for _ in 0..TIMES {
        nodes.redis.answers::<usize>("CLIENT KILL TYPE normal SKIPME yes");
        let next = Instant::now() + Duration::from_millis(100);
        while Instant::now() < next {
            ada.says(format!("ada {said}"));
            bob.says(format!("bob {said}"));
            said += 1;
            ada.hears_until(&nodes.places(), |ada| ada.unanswered.len() < 5);
            bob.hears_until(&nodes.places(), |bob| bob.unanswered.len() < 5);
        }
    }
    ada.says("the end".to_owned());
    ada.hears_the_end(&nodes.places(), "the end");
    bob.hears_until(&nodes.places(), |bob| bob.unanswered.is_empty());
    ada.hears_until(&nodes.places(), |ada| ada.heard.len() == 2 * said + 1);
    bob.hears_until(&nodes.places(), |bob| bob.heard.len() == 2 * said + 1);
    is_whole(&[&ada, &bob], &["ada", "bob"], said);
    assert!(ada.line.is_some() && bob.line.is_some(), "nobody was sent away");
}

/// Who comes back must not be told that this was all.
#[test]
fn who_comes_back_while_redis_is_away_misses_nothing() {
    let mut nodes = Nodes::start(2);
    let (mut ada, mut bob) = (Traveller::new("ada", 0), Traveller::new("bob", 1));
    ada.comes_back(&nodes.places());
    bob.comes_back(&nodes.places());
    ada.says("before".to_owned());
    ada.hears_the_end(&nodes.places(), "before");
    bob.hears_the_end(&nodes.places(), "before");
    bob.line = None;
    ada.says("missed".to_owned());
    ada.hears_the_end(&nodes.places(), "missed");
    nodes.redis.dies();
    // Behind a message, the newest ones, or none: in each case it would not be known what is missing.
    for past in ["&since=1", "&last=5", ""] {
        let path = format!("/ws/a?session={}{past}", bob.session);
        let field = "\r\nSec-WebSocket-Protocol: wsroom.v1\r\n\r\n";
        let handshake = support::handshake(&path).replace("\r\n\r\n", field);
        let mut line = support::Visitor::connect(nodes.programs[1].address());
        let told = line.sends(handshake).reads_to_the_end();
        assert!(!String::from_utf8_lossy(&told).contains(r#""live""#), "{past}");
    }
    nodes.redis.comes_back();
    bob.hears_the_end(&nodes.places(), "missed");
    is_whole(&[&ada, &bob], &[], 0);
}

/// It may wait for ever, so whoever started it must be able to end it.
#[test]
fn a_server_that_waits_for_redis_can_be_stopped() {
    let mut command = Program::command();
    command.args(["--listen", "127.0.0.1:0", "--data", "redis+unix:///nowhere/redis.sock"]);
    let mut waiting = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut log = BufReader::new(waiting.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("trying again until Redis answers")));
    signal(&waiting, "TERM");
    assert!(!waiting.wait().unwrap().success());
}

/// Everyone stays connected, and is told in the end.
#[test]
fn while_redis_stands_still_everyone_waits() {
    let nodes = Nodes::start(2);
    let (mut ada, mut bob) = (Traveller::new("ada", 0), Traveller::new("bob", 1));
    ada.comes_back(&nodes.places());
    bob.comes_back(&nodes.places());
    nodes.redis.gets_signal("STOP");
    for number in 0..20 {
        ada.says(format!("ada {number}"));
    }
    // What needs no Redis goes on, and the owner is told.
    let mut echo = support::Client::over(Way::Plain.connects(nodes.programs[0].address()), "/echo");
    echo.says("still here");
    echo.hears("still here");
    until("the trouble to be told", || {
        let request = support::request("GET", "/healthz", &[], "");
        let health = support::Visitor::connect(nodes.programs[0].address()).asks(request);
        health.status == 503
    });
    nodes.redis.gets_signal("CONT");
    ada.says("the end".to_owned());
    ada.hears_the_end(&nodes.places(), "the end");
    bob.hears_the_end(&nodes.places(), "the end");
    is_whole(&[&ada, &bob], &["ada"], 20);
    assert!(ada.line.is_some() && bob.line.is_some(), "nobody was sent away");
}
