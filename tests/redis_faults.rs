//! Redis is slow, gone, full, emptied or the wrong one, and nodes die: what was told stays true, nothing
//! is told twice, and whoever starts the program is told what to do.

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::redis::{Node, PLENTY, RedisServer, room, said, settings, signal, text};
use support::{Direction, Program, Proxy, Way, until};
use wsroom::options::RedisUrl;
use wsroom::protocol::message::MessageId;
use wsroom::store::redis::Settings;
use wsroom::store::shared::{Entry, SharedLog, Told};
use wsroom::store::{Bounds, Directory, KeptMessages, Range};

/// Settings of a node that soon gives up.
fn impatient() -> Settings {
    Settings { patience: Duration::from_secs(1), ..settings() }
}

/// Whether a node is told that nothing can be kept, and why.
fn trouble(told: &Told) -> Option<String> {
    match told {
        Told::State(Err(why)) => Some(why.clone()),
        _ => None,
    }
}

fn well(told: &Told) -> Option<()> {
    matches!(told, Told::State(Ok(()))).then_some(())
}

fn not_kept(told: &Told) -> Option<u64> {
    match told {
        Told::NotKept { own, .. } => Some(*own),
        _ => None,
    }
}

#[test]
fn a_message_that_came_too_late_is_never_kept() {
    let redis = RedisServer::start();
    let (node, other) = (Node::with(&redis.url(), impatient()), Node::on(&redis));
    node.keeps(text("a", "before"));
    redis.gets_signal("STOP");
    let stopped = Instant::now();
    // One of these is on its way to Redis when the others begin to wait.
    let late = [node.says("late 1"), node.says("late 2"), node.says("late 3")];
    // Redis itself must see that it is too late, so it stands still for longer than that.
    until("patience is over", || stopped.elapsed() > Duration::from_millis(1500));
    redis.gets_signal("CONT");
    let mut told: Vec<_> = late.iter().map(|_| node.is_told("not kept", not_kept)).collect();
    told.sort_unstable();
    assert_eq!(told, late);
    node.keeps(text("a", "after"));
    assert_eq!(
        other.hears_until("after").iter().map(|(_, text)| text).collect::<Vec<_>>(),
        ["before"]
    );
    let page = other.store.page(&room("a"), Range::behind(0)).unwrap();
    assert_eq!(page.messages.len(), 2);
}

#[test]
fn what_waits_is_bounded_and_told_in_the_end() {
    let mut redis = RedisServer::start();
    let node = Node::with(&redis.url(), impatient());
    node.keeps(text("a", "before"));
    redis.dies();
    let large = "x".repeat(1 << 20);
    let taken: Vec<_> =
        (0..20).map_while(|_| node.tries(Entry::Message(text("a", &large), None)).ok()).collect();
    assert!((6..8).contains(&taken.len()), "{} MiB wait", taken.len());
    assert!(node.tries(Entry::Message(text("a", &large), None)).is_err());
    // Members are not refused.
    let ada = node.joins("a");
    node.is_told("trouble", trouble);
    redis.comes_back();
    node.is_told("all is well", well);
    until("room for more", || node.tries(Entry::Message(text("a", "after"), None)).is_ok());
    let third = Node::on(&redis);
    until("Ada is known", || {
        redis.answers::<usize>(&format!("HLEN wsroom:{{0}}:members:{}", ada.node)) == 1
    });
    drop(third);
}

#[test]
fn a_restart_loses_nothing_that_was_told_and_doubles_nothing() {
    let mut redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    let done = AtomicBool::new(false);
    let said = thread::scope(|scope| {
        let speakers = nodes.each_ref().map(|node| {
            let done = &done;
            scope.spawn(move || {
                let mut said = 0;
                while !done.load(Ordering::Relaxed) {
                    node.says(&format!("{} {said}", node.store.node()));
                    said += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                said
            })
        });
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(300));
            redis.dies();
            redis.comes_back();
        }
        done.store(true, Ordering::Relaxed);
        speakers.map(|speaker| speaker.join().unwrap())
    });
    for node in &nodes {
        node.says("end");
    }
    let heard = each_hears_all(&nodes, 2);
    assert_eq!(heard.len(), said.iter().sum::<usize>() + 2);
    // All of it is still there.
    let page = nodes[0].store.page(&room("a"), Range::behind(0)).unwrap();
    let newest: Vec<_> = page.messages.iter().map(|message| message.id).collect();
    let heard: Vec<_> = heard.iter().map(|(id, _)| *id).collect();
    assert!(heard.ends_with(&newest));
}

/// Waits until both nodes were told so many messages `end`: both the same, in one order, each once and
/// in the order in which its node said it.
fn each_hears_all(nodes: &[Node; 2], ends: usize) -> Vec<(MessageId, String)> {
    let [one, other] = nodes.each_ref().map(|node| {
        let (mut heard, mut ended) = (Vec::new(), 0);
        while ended < ends {
            let next = node.is_told("a message", |told| match told {
                Told::Message { message, .. } => Some((message.id, said(&message.content))),
                Told::Gap { .. } | Told::NotKept { .. } => panic!("{told:?}"),
                _ => None,
            });
            ended += usize::from(next.1 == "end");
            heard.push(next);
        }
        heard
    });
    assert_eq!(one, other);
    assert!(one.is_sorted_by(|a, b| a.0 < b.0));
    for node in nodes {
        let of_node = format!("{} ", node.store.node());
        let numbers: Vec<usize> =
            one.iter().filter_map(|(_, text)| text.strip_prefix(&of_node)?.parse().ok()).collect();
        assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
    }
    one
}

#[test]
fn cut_connections_change_nothing() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    let said = thread::scope(|scope| {
        let speakers = nodes.each_ref().map(|node| {
            scope.spawn(|| {
                for n in 0..1500 {
                    node.says(&format!("{} {n}", node.store.node()));
                    thread::sleep(Duration::from_millis(1));
                }
                1500
            })
        });
        while !speakers.iter().all(thread::ScopedJoinHandle::is_finished) {
            redis.answers::<usize>("CLIENT KILL TYPE normal SKIPME yes");
            thread::sleep(Duration::from_millis(100));
        }
        speakers.map(|speaker| speaker.join().unwrap())
    });
    for node in &nodes {
        node.says("end");
    }
    assert_eq!(each_hears_all(&nodes, 2).len(), said.iter().sum::<usize>() + 2);
}

#[test]
fn an_emptied_redis_is_filled_again() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    let present = [nodes[0].joins("a"), nodes[1].joins("a")];
    let before = nodes[0].keeps(text("a", "before"));
    nodes[1].hears_until("before");
    for node in &nodes {
        until("both are known", || {
            redis.answers::<usize>(&format!("HLEN wsroom:{{0}}:members:{}", node.store.node())) == 1
        });
    }
    redis.answers::<String>("FLUSHALL");
    // Nobody has to say anything for it. No node can know whether it was told all that was lost.
    nodes[0].is_told("a gap", |told| matches!(told, Told::Gap { .. }).then_some(()));
    let mut members = nodes[0].is_told("everyone", |told| match told {
        Told::Everyone { members, .. } if members.len() == 2 => Some(members.clone()),
        _ => None,
    });
    members.sort_by_key(|present| present.member);
    let mut present = present.to_vec();
    present.sort_by_key(|present| present.member);
    assert_eq!(members, present);
    let after = nodes[0].keeps(text("a", "after"));
    assert!(after > before);
    let heard = nodes[1].hears_until("after");
    assert!(heard.is_empty(), "{heard:?}");
    // The room may have existed before.
    assert!(!nodes[0].store.page(&room("a"), Range::behind(before)).unwrap().complete);
}

#[test]
fn messages_on_their_way_are_kept_once_when_redis_is_emptied() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(|| {
                for n in 0..1000 {
                    node.says(&format!("{} {n}", node.store.node()));
                    thread::sleep(Duration::from_millis(1));
                }
                node.says("end");
            });
        }
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(250));
            redis.answers::<String>("FLUSHALL");
        }
    });
    let mut gaps = 0;
    let [one, other] = nodes.each_ref().map(|node| {
        let (mut heard, mut ended) = (Vec::new(), 0);
        while ended < 2 {
            match node.next_within(support::PATIENCE).expect("more to come") {
                Told::Message { message, .. } => {
                    ended += usize::from(said(&message.content) == "end");
                    heard.push((message.id, said(&message.content)));
                }
                Told::Gap { .. } => gaps += 1,
                _ => {}
            }
        }
        heard
    });
    for heard in [&one, &other] {
        assert!(heard.is_sorted_by(|a, b| a.0 < b.0), "ids go on");
        let texts: HashSet<_> = heard.iter().map(|(_, text)| text).collect();
        assert_eq!(texts.len() + 1, heard.len(), "each is told once, but `end` twice");
    }
    assert!(gaps >= 2, "each node was told that something may be missing");
    // None of a node's own messages is missing to itself.
    for (node, heard) in nodes.iter().zip([&one, &other]) {
        let of_node = format!("{} ", node.store.node());
        let own = heard.iter().filter(|(_, text)| text.starts_with(&of_node)).count();
        assert_eq!(own, 1000);
    }
}

#[test]
fn a_full_redis_refuses_and_recovers() {
    let redis = RedisServer::with(&["--maxmemory-policy", "noeviction"]);
    let node = Node::with(&redis.url(), impatient());
    node.keeps(text("a", "before"));
    redis.answers::<String>("CONFIG SET maxmemory 1");
    let own = node.says("too much");
    let why = node.is_told("trouble", trouble);
    assert!(why.starts_with("OOM"), "{why}");
    assert_eq!(node.is_told("not kept", not_kept), own);
    assert!(node.store.add_user("Ada", "ada", &[1; 32]).unwrap_err().to_string().contains("OOM"));
    redis.answers::<String>("CONFIG SET maxmemory 0");
    node.is_told("all is well", well);
    node.keeps(text("a", "after"));
}

#[test]
fn a_full_redis_forgets_silent_rooms() {
    let redis = RedisServer::with(&["--maxmemory-policy", "noeviction"]);
    let bounds = Bounds { idle: Some(Duration::from_secs(5)), ..PLENTY };
    let node = Node::with(&redis.url(), Settings { bounds, ..settings() });
    let large = "x".repeat(1 << 20);
    for _ in 0..6 {
        node.keeps(text("old", &large));
    }
    // The log has the large messages too, but it is no history.
    redis.answers::<usize>("XTRIM wsroom:{0}:log MAXLEN 0");
    let memory: String = redis.answers("INFO memory");
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let limit = used.trim().parse::<usize>().unwrap() - (3 << 20);
    redis.answers::<String>(&format!("CONFIG SET maxmemory {limit}"));
    node.says("it waits for room");
    let why = node.is_told("trouble", trouble);
    assert!(why.starts_with("OOM"), "{why}");
    node.hears_until("it waits for room");
    assert_eq!(node.store.last_in(&room("old")).unwrap(), 0, "it is forgotten");
}

/// Wherever the answer is lost, whoever has removed a user is not told that there was none.
#[test]
fn a_removal_whose_answer_is_lost_is_a_removal() {
    let port = Program::free_address().port().to_string();
    let redis = RedisServer::with(&["--port", &port]);
    let proxy = Proxy::to(format!("127.0.0.1:{port}").parse().unwrap());
    let node = Node::with(&RedisUrl::new(&format!("redis://{}", proxy.address())), settings());
    node.keeps(text("a", "it has all its own connections"));
    // Calls take turns on four connections: the last one of these is the newest.
    (0..4).for_each(|_| drop(node.store.user(1).unwrap()));
    for lost_after in 0..12 {
        let name = format!("User {lost_after}");
        let user = node.store.add_user(&name, &name, &[lost_after; 32]).unwrap();
        (0..2).for_each(|_| drop(node.store.user(user.id).unwrap()));
        proxy.breaks_after(lost_after.into(), Direction::ToClient);
        assert!(node.store.remove_user(user.id).unwrap(), "{lost_after}");
        proxy.is_mended();
        assert!(!node.store.remove_user(user.id).unwrap(), "there is none any more");
        (0..3).for_each(|_| drop(node.store.user(1).unwrap()));
    }
    drop(redis);
}

#[test]
fn a_master_that_becomes_a_replica_refuses_and_recovers() {
    let redis = RedisServer::start();
    let node = Node::with(&redis.url(), impatient());
    redis.answers::<String>("REPLICAOF 127.0.0.1 1");
    let own = node.says("nowhere");
    let why = node.is_told("trouble", trouble);
    assert!(why.starts_with("READONLY"), "{why}");
    assert_eq!(node.is_told("not kept", not_kept), own);
    redis.answers::<String>("REPLICAOF NO ONE");
    node.is_told("all is well", well);
    node.keeps(text("a", "after"));
}

fn refusal(url: &RedisUrl, settings: Settings) -> String {
    Node::try_on(url, settings).err().expect("it is refused")
}

#[test]
fn a_server_that_can_never_do_is_refused_with_a_remedy() {
    let redis = RedisServer::with(&["--requirepass", "secret"]);
    for (query, sign) in [("?pass=wr0ng", "the right user and password"), ("", "PASSWORD")] {
        let why = refusal(&redis.url_with(query), settings());
        assert!(why.starts_with("--data redis+unix://") && why.contains(sign), "{why}");
        assert!(!why.contains("wr0ng"), "{why}");
    }
    let why = refusal(&RedisUrl::new("redis+sentinel://:secret@host/master"), settings());
    assert!(why.contains("Sentinel") && !why.contains("secret"), "{why}");
    for url in ["http://host", "redis://", "rediss://host:99999"] {
        let why = refusal(&RedisUrl::new(url), settings());
        assert!(why.contains("give redis://"), "{why}");
    }
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1 1"]);
    let why = refusal(&replica.url(), settings());
    assert!(why.contains("read-only replica: name its master, 127.0.0.1:1"), "{why}");
    let cluster = RedisServer::with(&["--cluster-enabled", "yes", "--port", "0"]);
    let why = refusal(&cluster.url(), settings());
    assert!(why.contains("Cluster") && why.contains("cluster-enabled no"), "{why}");
}

#[test]
fn other_keys_are_refused_with_a_remedy() {
    let redis = RedisServer::start();
    drop(Node::with(&redis.url(), Settings { shards: 2, ..settings() }));
    let why = refusal(&redis.url(), settings());
    assert!(why.contains("--redis-shards 1: the keys were made with 2"), "{why}");
    // Another prefix is another store.
    let prefix = "other:".to_owned();
    drop(Node::with(&redis.url(), Settings { prefix, ..settings() }));
    redis.answers::<usize>("HSET wsroom:{0}:layout version 2");
    let why = refusal(&redis.url(), Settings { shards: 2, ..settings() });
    assert!(why.contains("have layout 2") && why.contains("--redis-prefix"), "{why}");
}

#[test]
fn a_node_waits_for_a_redis_that_is_away() {
    let mut redis = RedisServer::start();
    redis.dies();
    let url = redis.url();
    let node = thread::spawn(move || Node::with(&url, settings()));
    redis.comes_back();
    node.join().unwrap().keeps(text("a", "at last"));
}

/// The variable that tells the process of its own where Redis is.
const URL: &str = "WSROOM_TEST_REDIS_URL";

/// A node in a process of its own. It writes a line for each thing that it is told.
struct Elsewhere {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Elsewhere {
    fn on(redis: &RedisServer) -> Self {
        Self::start(redis.url().secret(), Path::new(""))
    }

    /// It trusts the certificates in this file.
    fn start(url: &str, trusted: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "a_node_in_a_process_of_its_own", "--nocapture"]);
        command.env(URL, url).env("SSL_CERT_FILE", trusted);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("this program starts again");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits for a line that begins so, and answers with the rest.
    fn writes(&mut self, beginning: &str) -> String {
        let found = self
            .lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(beginning).map(str::to_owned));
        found.unwrap_or_else(|| panic!("it ended without {beginning}"))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "other tests start it in a process of its own"]
fn a_node_in_a_process_of_its_own() {
    let Ok(url) = std::env::var(URL) else { return };
    let node = Node::with(&RedisUrl::new(&url), settings());
    for place in ["a", "b"] {
        node.joins(place);
    }
    let write = |line: String| {
        let mut out = std::io::stdout();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("the test listens");
    };
    write(format!("\nnode {}", node.store.node()));
    while let Some(told) = node.next_within(Duration::from_secs(120)) {
        write(match told {
            Told::Message { message, .. } => format!("message {}", said(&message.content)),
            Told::Gap { .. } => "gap".to_owned(),
            Told::Joined(present) => format!("joined {}", present.node),
            Told::Left { node, .. } => format!("left {node}"),
            _ => "other".to_owned(),
        });
    }
}

#[test]
fn a_node_that_dies_takes_its_members_with_it() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    let mut elsewhere = Elsewhere::on(&redis);
    let number: u32 = elsewhere.writes("node ").parse().unwrap();
    let of_it = |told: &Told| match told {
        Told::Joined(present) if present.node == number => Some(present.room.clone()),
        _ => None,
    };
    for node in &nodes {
        let here: HashSet<_> = (0..2).map(|_| node.is_told("a member of it", of_it)).collect();
        assert_eq!(here, HashSet::from([room("a"), room("b")]));
    }
    elsewhere.process.kill().unwrap();
    for node in &nodes {
        let left = |told: &Told| match told {
            Told::Left { room, node, .. } if *node == number => Some(room.clone()),
            _ => None,
        };
        let gone: HashSet<_> = (0..2).map(|_| node.is_told("it is gone", left)).collect();
        assert_eq!(gone, HashSet::from([room("a"), room("b")]));
    }
    until("it is forgotten", || redis.answers::<usize>("HLEN wsroom:{0}:beats") == 2);
}

#[test]
fn a_node_that_was_asleep_brings_its_members_again() {
    let redis = RedisServer::start();
    let node = Node::on(&redis);
    let mut elsewhere = Elsewhere::on(&redis);
    let number: u32 = elsewhere.writes("node ").parse().unwrap();
    let left =
        |told: &Told| matches!(told, Told::Left { node, .. } if *node == number).then_some(());
    let joined =
        |told: &Told| matches!(told, Told::Joined(present) if present.node == number).then_some(());
    for _ in 0..2 {
        node.is_told("it is there", joined);
    }
    signal(&elsewhere.process, "STOP");
    for _ in 0..2 {
        node.is_told("it is gone", left);
    }
    signal(&elsewhere.process, "CONT");
    for _ in 0..2 {
        node.is_told("it is back", joined);
    }
    elsewhere.writes(&format!("left {number}"));
    elsewhere.writes(&format!("joined {number}"));
}

#[test]
fn a_node_that_has_missed_something_is_told_so() {
    let redis = RedisServer::start();
    let node = Node::on(&redis);
    let mut elsewhere = Elsewhere::on(&redis);
    elsewhere.writes("node ");
    node.keeps(text("a", "heard"));
    elsewhere.writes("message heard");
    signal(&elsewhere.process, "STOP");
    for n in 0..10 {
        node.keeps(text("a", &format!("missed {n}")));
    }
    redis.answers::<usize>("XTRIM wsroom:{0}:log MAXLEN 0");
    node.keeps(text("a", "after"));
    signal(&elsewhere.process, "CONT");
    elsewhere.writes("gap");
    elsewhere.writes("message after");
}

#[test]
fn tls_leads_to_the_same_store() {
    let papers = Way::Tls.papers();
    let chain = papers.chain().unwrap().display().to_string();
    let address = Program::free_address();
    let port = address.port().to_string();
    let redis = RedisServer::with(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        &chain,
        "--tls-cert-file",
        &chain,
        "--tls-key-file",
        &chain.replace("chain.pem", "key.pem"),
    ]);
    let node = Node::on(&redis);
    let mut elsewhere = Elsewhere::start(&format!("rediss://{address}"), Path::new(&chain));
    let number: u32 = elsewhere.writes("node ").parse().unwrap();
    node.is_told("it is there", |told| {
        matches!(told, Told::Joined(present) if present.node == number).then_some(())
    });
    node.keeps(text("a", "hello"));
    elsewhere.writes("message hello");
}
