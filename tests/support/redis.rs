//! A real redis-server of the test's own, in a directory of its own, and nodes that share its store.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Client, Connection, FromRedisValue};
use tempfile::TempDir;
use wsroom::options::RedisUrl;
use wsroom::protocol::address::RoomName;
use wsroom::protocol::message::{Author, Content, Draft, MessageId, Origin, SessionId, Stay};
use wsroom::store::Bounds;
use wsroom::store::redis::{Redis, Settings, open};
use wsroom::store::shared::{Entry, Present, SharedLog, Told};

use super::{PATIENCE, until};

/// A redis-server on a Unix socket; killed when dropped.
pub struct RedisServer {
    place: TempDir,
    options: Vec<String>,
    process: Child,
}

impl RedisServer {
    /// Each write is on the disk before it is answered.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more options, as on its command line.
    pub fn with(options: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let process = Self::spawn(place.path(), &options);
        let server = Self { place, options, process };
        server.is_up();
        server
    }

    fn spawn(place: &Path, options: &[String]) -> Child {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--unixsocket", "redis.sock", "--dir"]).arg(place);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().expect("redis-server is installed")
    }

    fn is_up(&self) {
        until("redis-server to start", || {
            self.client().get_connection().is_ok_and(|mut connection| {
                // A server that wants a password, or loads, is up all the same.
                let pong: redis::RedisResult<String> = redis::cmd("PING").query(&mut connection);
                !pong.is_err_and(|error| error.code() == Some("LOADING"))
            })
        });
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("redis.sock")
    }

    fn client(&self) -> Client {
        Client::open(self.url().secret()).expect("a good URL")
    }

    pub fn url(&self) -> RedisUrl {
        self.url_with("")
    }

    /// With a query, such as `?pass=secret`.
    pub fn url_with(&self, query: &str) -> RedisUrl {
        RedisUrl::new(&format!("redis+unix://{}{query}", self.socket().display()))
    }

    pub fn connects(&self) -> Connection {
        self.client().get_connection().expect("it is up")
    }

    /// What it answers to a command, written in one line.
    pub fn answers<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        cmd.arg(words.collect::<Vec<_>>());
        cmd.query(&mut self.connects()).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Sends a signal, by name.
    pub fn gets_signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// `kill -9`.
    pub fn dies(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// With the data of the last time.
    pub fn comes_back(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.process = Self::spawn(self.place.path(), &self.options);
        self.is_up();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A stopped process dies of this signal too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal to a process of the test's own.
pub fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
    assert!(sent.success());
}

/// The bounds of most tests.
pub const PLENTY: Bounds = Bounds { messages: 100, bytes: 1 << 30, idle: None };

/// The usual settings, but a heartbeat that tests have the time for.
pub fn settings() -> Settings {
    Settings { heartbeat: Duration::from_millis(200), ..Settings::new("wsroom:", 1, PLENTY) }
}

/// All that a node was told, and not yet asked for.
#[derive(Default)]
struct Inbox {
    told: Mutex<VecDeque<Told>>,
    more: Condvar,
}

/// A node of the shared store; it leaves when dropped.
pub struct Node {
    pub store: Arc<Redis>,
    inbox: Arc<Inbox>,
    last_own: AtomicU64,
    last_member: AtomicU64,
}

impl Node {
    pub fn on(server: &RedisServer) -> Self {
        Self::with(&server.url(), settings())
    }

    pub fn with(url: &RedisUrl, settings: Settings) -> Self {
        Self::try_on(url, settings).expect("the store opens")
    }

    pub fn try_on(url: &RedisUrl, settings: Settings) -> Result<Self, String> {
        let inbox = Arc::new(Inbox::default());
        let told = Arc::clone(&inbox);
        let store = open(
            url,
            settings,
            Box::new(move |news| {
                told.told.lock().unwrap_or_else(PoisonError::into_inner).extend(news);
                told.more.notify_all();
            }),
        )?;
        let (last_own, last_member) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { store: Arc::new(store), inbox, last_own, last_member })
    }

    /// Hands over an entry, and answers its number.
    pub fn appends(&self, entry: Entry) -> u64 {
        self.tries(entry).expect("not too much waits")
    }

    /// The same, if not too much waits.
    pub fn tries(&self, entry: Entry) -> Result<u64, String> {
        let own = self.last_own.fetch_add(1, Ordering::Relaxed) + 1;
        self.store.append(own, entry).map(|()| own)
    }

    /// A guest says this in a room.
    pub fn says_in(&self, place: &str, what: &str) -> u64 {
        self.appends(Entry::Message(text(place, what), None))
    }

    pub fn says(&self, what: &str) -> u64 {
        self.says_in("a", what)
    }

    /// Says this, and waits until it is kept.
    pub fn keeps(&self, draft: Draft) -> MessageId {
        let own = self.appends(Entry::Message(draft, None));
        self.is_told("its message", |told| match told {
            Told::Message { message, own: Some(number), .. } if *number == own => Some(message.id),
            _ => None,
        })
    }

    /// A guest of this node comes into a room.
    pub fn joins(&self, place: &str) -> Present {
        let number = self.last_member.fetch_add(1, Ordering::Relaxed) + 1;
        let node = self.store.node();
        let present = Present {
            room: room(place),
            member: (u64::from(node) << 32) + number,
            node,
            since: self.store.now(),
            guest: number,
            user: None,
            session: Some(SessionId([7; 16])),
            address: None,
            hand: None,
        };
        self.appends(Entry::Joined(present.clone()));
        present
    }

    /// Waits until it is told something of this kind. All that comes before is dropped.
    pub fn is_told<T>(&self, what: &str, find: impl Fn(&Told) -> Option<T>) -> T {
        let mut before = Vec::new();
        loop {
            let Some(told) = self.next_within(PATIENCE) else {
                panic!("waited in vain for {what}; it was told {before:?}")
            };
            if let Some(found) = find(&told) {
                return found;
            }
            before.push(told);
        }
    }

    /// The next thing that it is told.
    pub fn next_within(&self, patience: Duration) -> Option<Told> {
        let until = Instant::now() + patience;
        let mut told = self.inbox.told.lock().unwrap();
        while told.is_empty() {
            let left = until.checked_duration_since(Instant::now())?;
            told = self.inbox.more.wait_timeout(told, left).unwrap().0;
        }
        told.pop_front()
    }

    /// All messages up to one that says this, as ids and texts; the last one not included.
    pub fn hears_until(&self, last: &str) -> Vec<(MessageId, String)> {
        let mut heard = Vec::new();
        loop {
            let next = self.is_told(last, |told| match told {
                Told::Message { message, .. } => Some((message.id, said(&message.content))),
                _ => None,
            });
            if next.1 == last {
                return heard;
            }
            heard.push(next);
        }
    }
}

/// A room of this name.
pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a good name")
}

/// What a guest says.
pub fn text(place: &str, what: &str) -> Draft {
    Draft {
        room: room(place),
        author: Author { user: None, name: "guest-1".to_owned() },
        content: Content::Text(what.to_owned().into()),
        origin: None,
        as_guest: None,
        stay: Stay::Kept,
    }
}

/// What somebody with a session says, with a `ref`.
pub fn text_of(session: u8, reference: &str, place: &str, what: &str) -> Draft {
    let origin = Origin { session: SessionId([session; 16]), reference: reference.to_owned() };
    Draft { origin: Some(Box::new(origin)), ..text(place, what) }
}

/// The text of a message; nothing for bytes.
pub fn said(content: &Content) -> String {
    match content {
        Content::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Content::Binary { .. } | Content::Act(_) => String::new(),
    }
}
