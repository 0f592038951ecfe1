//! Whatever fails, in whatever order: everyone hears exactly what the log holds, the log holds once what
//! each has said, and in the end all see each other.
//!
//! This is a model test: real servers on a real Redis, and clients that follow the rules of `wsroom.v1`,
//! have bad luck by the throw of dice, and the log is the model. `WSROOM_TEST_SEED`, which is printed
//! when it fails, throws the same dice again; but no two runs have the same timing. Single faults, one
//! by one, are in `node_faults`.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::redis::{RedisServer, signal};
use support::roamer::{Roamer, Seen, Stage, World};
use support::{Answer, PATIENCE, Program, Visitor, request, request_with_json};

const ROOMS: [&str; 3] = ["a", "b", "c"];
const CLIENTS: usize = 15;
const SERVERS: usize = 3;
const ROUNDS: usize = 12;

/// One fault in so many lasts until the others may take a server that stands still for dead.
const LONG: u8 = 12;

/// Something that fails, and is mended.
#[derive(Clone, Copy, Debug)]
enum Fault {
    ServerDies(usize),
    ServerStandsStill(usize),
    RedisStandsStill,
    RedisDies,
    ConnectionsAreCut,
}

struct Servers {
    redis: RedisServer,
    programs: Vec<Program>,
    world: Arc<World>,
}

fn start(redis: &RedisServer) -> Program {
    let url = redis.url().secret().to_owned();
    Program::start_plainly(&["-q", "--history", "100000", "--data", &url])
}

impl Servers {
    fn start() -> Self {
        let redis = RedisServer::start();
        let programs = (0..SERVERS).map(|_| start(&redis)).collect();
        let servers = Self { redis, programs, world: Arc::default() };
        servers.are_known();
        servers
    }

    fn are_known(&self) {
        self.world.has_servers_at(self.programs.iter().map(Program::address).collect());
    }

    fn begins(&mut self, fault: Fault) {
        match fault {
            Fault::ServerDies(number) => {
                self.programs[number].process.kill().unwrap();
                self.programs[number].process.wait().unwrap();
            }
            Fault::ServerStandsStill(number) => signal(&self.programs[number].process, "STOP"),
            Fault::RedisStandsStill => self.redis.gets_signal("STOP"),
            Fault::RedisDies => self.redis.dies(),
            Fault::ConnectionsAreCut => {
                self.redis.answers::<usize>("CLIENT KILL TYPE normal SKIPME yes");
            }
        }
    }

    fn ends(&mut self, fault: Fault) {
        match fault {
            Fault::ServerDies(number) => {
                self.programs[number] = start(&self.redis);
                self.are_known();
            }
            Fault::ServerStandsStill(number) => signal(&self.programs[number].process, "CONT"),
            Fault::RedisStandsStill => self.redis.gets_signal("CONT"),
            Fault::RedisDies => self.redis.comes_back(),
            Fault::ConnectionsAreCut => self.begins(fault),
        }
    }

    /// One or two of them fail for a while. A new server would wait for Redis, so that is mended first.
    fn have_bad_luck(&mut self, luck: &mut Rng) {
        let number = luck.usize(0..SERVERS);
        let of_server = luck.choice([Fault::ServerDies(number), Fault::ServerStandsStill(number)]);
        let of_redis =
            luck.choice([Fault::RedisStandsStill, Fault::RedisDies, Fault::ConnectionsAreCut]);
        let which = luck.u8(0..3);
        let (of_server, of_redis) =
            (of_server.filter(|_| which != 0), of_redis.filter(|_| which != 1));
        for fault in of_server.into_iter().chain(of_redis) {
            eprintln!("{fault:?}");
            self.begins(fault);
            passes(luck, 1500);
        }
        if luck.u8(0..LONG) == 0 {
            passes(luck, 20_000);
        }
        for fault in of_redis.into_iter().chain(of_server) {
            self.ends(fault);
            passes(luck, 1500);
        }
    }

    /// The whole log of a room, as a server tells it.
    fn log(&self, number: usize, room: &str) -> Vec<(i64, String)> {
        let mut log = Vec::new();
        loop {
            let since = log.last().map_or(0, |(id, _)| *id);
            let path = format!("/rooms/{room}/messages?since={since}&limit=1000");
            let page = self.ask(number, request("GET", &path, &[], "")).tells(200);
            assert_eq!(page["complete"], true, "{room} behind {since}");
            log.extend(page["messages"].as_array().unwrap().iter().map(|message| {
                let text = message["text"].as_str().expect("a text");
                (message["id"].as_i64().expect("an id"), text.to_owned())
            }));
            if page["more"] == false {
                return log;
            }
        }
    }

    /// The ids of those who are in a room, as a server tells it.
    fn members(&self, number: usize, room: &str) -> BTreeSet<u64> {
        let path = format!("/rooms/{room}/members?limit=1000");
        let page = self.ask(number, request("GET", &path, &[], "")).tells(200);
        let members = page["members"].as_array().unwrap().iter();
        members.map(|member| member["id"].as_u64().expect("an id")).collect()
    }

    fn ask(&self, number: usize, request: Vec<u8>) -> Answer {
        Visitor::connect(self.programs[number].address()).asks(request)
    }

    fn enters(&self, name: &str) -> String {
        let request = request_with_json("POST", "/users", &[], &support::named(name));
        self.ask(0, request).tells(201)["key"].as_str().expect("a key").to_owned()
    }
}

/// Up to so many milliseconds pass while people talk.
fn passes(luck: &mut Rng, milliseconds: u64) {
    thread::sleep(Duration::from_millis(luck.u64(0..milliseconds)));
}

/// All of them, each on a thread of its own.
fn begin_to_talk(servers: &Servers, luck: &mut Rng) -> Vec<JoinHandle<Roamer>> {
    let roamers = (0..CLIENTS).map(|number| {
        let name = format!("client{number}");
        let key = (number % 3 == 0).then(|| servers.enters(&name));
        let place = (name, ROOMS[number % ROOMS.len()]);
        Roamer::new(&servers.world, place, key, luck.fork())
    });
    let roamers: Vec<_> = roamers.collect();
    roamers.into_iter().map(|roamer| thread::spawn(|| roamer.lives())).collect()
}

/// Each client, and each server, sees exactly those who are there.
fn all_see_each_other(servers: &Servers, seen: &BTreeMap<String, Seen>) -> bool {
    ROOMS.iter().all(|room| {
        let here: Vec<_> = seen.values().filter(|seen| seen.room == *room).collect();
        let there: BTreeSet<_> = here.iter().filter_map(|seen| seen.you).collect();
        there.len() == CLIENTS / ROOMS.len()
            && here.iter().all(|seen| seen.members == there)
            && (0..SERVERS).all(|number| servers.members(number, room) == there)
    })
}

/// Waits for it, for longer than it takes until the others notice that a server is dead.
fn comes_true(what: &str, servers: &Servers, is_so: impl Fn(&BTreeMap<String, Seen>) -> bool) {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let seen = servers.world.seen();
        if is_so(&seen) {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}; {seen:#?}");
        // Not to make it true, only to leave the processor to those who do.
        thread::sleep(Duration::from_millis(100));
    }
}

/// The dice, as the environment says, or new ones.
fn dice() -> Rng {
    let seed = std::env::var("WSROOM_TEST_SEED").ok();
    let seed = seed.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    eprintln!("WSROOM_TEST_SEED={seed}");
    Rng::with_seed(seed)
}

#[test]
fn everyone_hears_what_the_log_holds_whatever_fails() {
    let mut luck = dice();
    let mut servers = Servers::start();
    let talking = begin_to_talk(&servers, &mut luck);
    for _ in 0..ROUNDS {
        servers.have_bad_luck(&mut luck);
    }
    servers.world.is_now(Stage::Listening);
    comes_true("all is answered", &servers, |seen| seen.values().all(|one| one.unanswered == 0));
    for room in ROOMS {
        let post = request("POST", &format!("/rooms/{room}"), &["Content-Type: text/plain"], "end");
        servers.ask(0, post).tells(202);
    }
    comes_true("the end is heard", &servers, |seen| seen.values().all(|one| one.last == "end"));
    comes_true("all see each other", &servers, |seen| all_see_each_other(&servers, seen));
    servers.world.is_now(Stage::Over);
    let roamers: Vec<_> =
        talking.into_iter().map(|one| one.join().expect("no complaint")).collect();
    for room in ROOMS {
        let here: Vec<_> = roamers.iter().filter(|one| one.room == room).collect();
        is_whole(&servers, room, &here);
    }
}

/// The log has what these have said, each once, and they have heard the log.
fn is_whole(servers: &Servers, room: &str, roamers: &[&Roamer]) {
    let log = servers.log(0, room);
    for other in 1..SERVERS {
        assert_eq!(servers.log(other, room), log, "the log of {room}");
    }
    let ids: BTreeMap<_, _> = log.iter().map(|(id, text)| (text, id)).collect();
    let twice: Vec<_> = log.iter().filter(|(id, text)| ids[text] != id).collect();
    assert!(twice.is_empty(), "{room} has it twice: {twice:?}");
    let said = roamers.iter().flat_map(|one| &one.said).count();
    assert_eq!(log.len(), said + 1, "all that was said, and the end");
    for one in roamers {
        for (text, id) in &one.answered {
            assert_eq!(ids[text], id, "what {} was told of {text}", one.name);
        }
        let said: BTreeSet<_> = one.said.iter().collect();
        let own = log.iter().map(|(_, text)| text).filter(|text| said.contains(text));
        assert!(one.was_refused || own.eq(&one.said), "the order of {}", one.name);
        has_heard(one, &log);
    }
}

/// A client has heard the log, from where it began.
fn has_heard(one: &Roamer, log: &[(i64, String)]) {
    let behind = one.heard_behind.expect("it was live");
    let log = &log[log.partition_point(|(id, _)| *id <= behind)..];
    let differ = one.heard.iter().zip(log).position(|(heard, kept)| heard != kept);
    let place = differ.unwrap_or(one.heard.len().min(log.len()));
    let rest =
        |all: &[(i64, String)]| format!("{:?}", all[place..].iter().take(3).collect::<Vec<_>>());
    assert_eq!(rest(&one.heard), rest(log), "at {place} of what {} has heard", one.name);
}
