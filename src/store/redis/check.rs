//! The first connection: whether this server can do, and where a node begins.
//!
//! Until Redis answers, [`find_start`] tries again, and says so in the log. A server that can never do
//! is refused at once, with the remedy. Runs on the thread that starts the program. Not here: what
//! every connection needs (`connect`).

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use redis::{Client, cmd};

use super::clock::Clock;
use super::connect::{Failure, Link, Server, pause};
use super::keys::Keys;
use super::open::Settings;
use super::scripts::Script;
use crate::options::RedisUrl;
use crate::protocol::message::MessageId;
use crate::store::shared::Node;

/// The time between two lines that say that Redis is still away.
const REMINDER: Duration = Duration::from_secs(30);

/// Reads the URL.
///
/// # Errors
/// It is not one of a server; the error is a sentence with the remedy.
pub fn client(url: &RedisUrl) -> Result<Client, String> {
    let remedy = "give redis://[:PASSWORD@]HOST[:PORT], or rediss:// for TLS";
    if url.secret().contains("sentinel") {
        return Err(format!("Sentinel is not supported; {remedy} of the master"));
    }
    Client::open(url.secret()).map_err(|error| format!("{error}; {remedy}"))
}

/// Where a node begins.
pub struct Start {
    /// Its number.
    pub node: Node,
    /// The newest id of each shard.
    pub lasts: Vec<MessageId>,
    /// Redis's time.
    pub clock: Clock,
}

/// Connects for the first time, however long that takes, and takes a number for the node.
///
/// # Errors
/// This server can never do; the error is a sentence with the remedy.
pub fn find_start(server: &Server) -> Result<Start, String> {
    let (mut failures, mut said) = (0, None::<Instant>);
    loop {
        let why =
            match server.connect_to_any().and_then(|mut link| check_and_start(server, &mut link)) {
                Ok(outcome) => return outcome,
                Err(Failure::Refused(why)) if !passes(&why) => return Err(refused(&why)),
                Err(failure) => failure.to_string(),
            };
        if said.is_none_or(|said| said.elapsed() > REMINDER) {
            said = Some(Instant::now());
            log::warn!("--data {}: {why}; trying again until Redis answers", server.url);
        }
        failures += 1;
        thread::sleep(pause(failures));
    }
}

/// The inner error is for ever.
fn check_and_start(server: &Server, link: &mut Link) -> Result<Result<Start, String>, Failure> {
    let info: String = link.ask(&cmd("INFO"))?;
    match check(&info) {
        Ok(report) => report.losses.iter().for_each(|loss| log::warn!("{loss}")),
        Err(why) => return Ok(Err(why)),
    }
    server.claim(link)?;
    let node = link.run(Script::TakeNode, 0, |_| {})?;
    let mut lasts = Vec::new();
    for shard in 0..server.keys.shards() {
        let last: Option<MessageId> =
            link.ask(cmd("HGET").arg(server.keys.of(shard, "head")).arg("last"))?;
        lasts.push(last.unwrap_or_default());
    }
    let (seconds, micros): (i64, i64) = link.ask(&cmd("TIME"))?;
    let clock = Clock::new(seconds * 1_000_000 + micros);
    Ok(Ok(Start { node, lasts, clock }))
}

/// Whether what Redis says passes with time.
fn passes(why: &str) -> bool {
    ["LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "OOM", "MISCONF", "NOREPLICAS"]
        .iter()
        .any(|code| why.starts_with(code))
}

fn refused(why: &str) -> String {
    let remedy = if ["WRONGPASS", "NOAUTH", "ERR AUTH", "Password authentication failed"]
        .iter()
        .any(|sign| why.contains(sign))
        || why.to_lowercase().contains("authentication")
    {
        "; give the right user and password, as in redis://USER:PASSWORD@HOST"
    } else if why.starts_with("NOPERM") {
        "; allow this user all commands on these keys, and INFO, EVALSHA and SCRIPT"
    } else if why.starts_with("READONLY") {
        "; it is a replica: name the master"
    } else {
        ""
    };
    format!("{why}{remedy}")
}

/// What a server says of itself.
struct Report {
    version: String,
    /// Its settings that may lose messages.
    losses: Vec<String>,
}

/// Looks at the server: its version, and its settings that may lose messages. Writes nothing.
///
/// # Errors
/// It does not answer, or can never do; the error is a sentence with the remedy.
pub fn look(url: &RedisUrl, settings: &Settings) -> Result<(String, Vec<String>), String> {
    let named = |why: String| format!("--data {url}: {why}");
    let client = client(url).map_err(named)?;
    let keys = Keys::new(&settings.prefix, settings.shards);
    let server = Server { client, url: url.clone(), keys };
    let said = server.visit().and_then(|mut link| {
        let info: String = link.ask(&cmd("INFO"))?;
        server.check_layout(&mut link)?;
        Ok(info)
    });
    let info = said.map_err(|failure| match failure {
        Failure::Refused(why) => named(refused(&why)),
        Failure::Lost(why) => named(format!("{why}; start Redis, or name another one")),
    })?;
    let report = check(&info).map_err(named)?;
    Ok((report.version, report.losses))
}

/// Checks what the server says of itself.
fn check(info: &str) -> Result<Report, String> {
    let facts: HashMap<_, _> =
        info.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let fact = |name| facts.get(name).copied().unwrap_or_default();
    let version = fact("redis_version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    match () {
        () if fact("redis_mode") == "sentinel" => {
            Err("this is a Sentinel, which is not supported: name the master itself".to_owned())
        }
        () if fact("cluster_enabled") == "1" => {
            Err("this server is part of a Cluster, which is not supported: name a server with \
                 cluster-enabled no"
                .to_owned())
        }
        () if major < 7 => {
            Err(format!("this is Redis {version}: it must be 7 or newer, or Valkey"))
        }
        () if fact("role") == "slave" => Err(format!(
            "this is a read-only replica: name its master, {}:{}",
            fact("master_host"),
            fact("master_port")
        )),
        () => Ok(Report {
            version: version.to_owned(),
            losses: losses(fact("aof_enabled"), fact("maxmemory"), fact("maxmemory_policy")),
        }),
    }
}

fn losses(aof: &str, memory: &str, policy: &str) -> Vec<String> {
    let restarted = "Redis loses messages when it is restarted: set appendonly yes".to_owned();
    let full = format!(
        "Redis deletes messages and users when it is full ({policy}): set maxmemory-policy noeviction"
    );
    let restarted = (aof == "0").then_some(restarted);
    let full = (memory != "0" && policy != "noeviction").then_some(full);
    restarted.into_iter().chain(full).collect()
}
