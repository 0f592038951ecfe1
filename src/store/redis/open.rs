//! The shared store itself: its settings, its start, and the handing over of entries.
//!
//! [`open`] runs on the thread that starts the program; the broadcaster hands over entries. Not here:
//! which servers are refused (`check`), and what the threads do (`append`, `read`, `node`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::append::{Appender, Context, Order};
use super::batch::Waiting;
use super::check::{Start, client, find_start};
use super::connect::Server;
use super::health::Health;
use super::keys::Keys;
use super::node::NodeKeeper;
use super::pool::Pool;
use super::read::{Reader, Seen};
use crate::metrics::meters::Metrics;
use crate::options::RedisUrl;
use crate::protocol::address::RoomName;
use crate::protocol::message::MessageId;
use crate::store::Bounds;
use crate::store::shared::{Entry, Node, Shard, SharedLog, Tell};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

/// The most bytes of all entries that wait to be appended.
const MAX_WAITING: usize = 8 << 20;

/// Bytes that a waiting entry takes besides its content, about.
const WAITING_OVERHEAD: usize = 512;

/// A node is dead if its count of heartbeats has stood still for so many looks.
pub const MISSED_BEATS: u32 = 5;

/// The longest time for which [`SharedLog::leave`] waits.
const GOODBYE: Duration = Duration::from_secs(3);

/// How the store is used. All nodes should have the same settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What all keys begin with (`--redis-prefix`).
    pub prefix: String,
    /// The number of shards (`--redis-shards`), from 1 to 64.
    pub shards: Shard,
    /// The most messages of a room, and the time after which a silent room is forgotten. The bytes of
    /// all rooms are bounded by Redis itself (`maxmemory`).
    pub bounds: Bounds,
    /// The longest time for which an entry waits to be appended.
    pub patience: Duration,
    /// The time between two heartbeats.
    pub heartbeat: Duration,
    /// Where the time is counted in which Redis takes a batch.
    pub metrics: Arc<Metrics>,
}

impl Settings {
    /// The usual settings.
    pub fn new(prefix: &str, shards: Shard, bounds: Bounds) -> Self {
        Self {
            prefix: prefix.to_owned(),
            shards,
            bounds,
            patience: Duration::from_secs(30),
            heartbeat: Duration::from_secs(2),
            metrics: Arc::default(),
        }
    }

    /// The time until all nodes have brought their members again, after Redis has lost its data.
    pub fn until_known_again(&self) -> Duration {
        self.heartbeat * (MISSED_BEATS + 1)
    }
}

/// The store that several nodes share.
pub struct Redis {
    /// What the threads share.
    context: Context,
    /// The newest message of each shard when this node began.
    began_behind: Vec<MessageId>,
    /// The threads that append, by shard; none after this node has left.
    appenders: RwLock<Vec<Sender<Order>>>,
    /// Ends when all threads that append have ended.
    appenders_end: Receiver<()>,
    /// Dropped when this node leaves.
    node_keeper: Mutex<Option<Sender<()>>>,
    stopping: Arc<AtomicBool>,
    pool: Pool,
}

/// Opens the store. Waits until Redis answers. `told` is called as soon as the threads run, perhaps
/// before this returns.
///
/// # Errors
/// This server or these settings can never do; the error is a sentence with the option and the remedy.
pub fn open(url: &RedisUrl, settings: Settings, told: Tell) -> Result<Redis, String> {
    let named = |why: String| format!("--data {url}: {why}");
    let client = client(url).map_err(named)?;
    let keys = Keys::new(&settings.prefix, settings.shards);
    let server = Arc::new(Server { client, url: url.clone(), keys });
    let Start { node, lasts, clock } = find_start(&server).map_err(named)?;
    let (tell, clock) = (Arc::new(told), Arc::new(clock));
    let health = Arc::new(Health::new(Arc::clone(&tell)));
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let context = Context { server, settings, node, clock, tell, health, waiting_bytes };
    Redis::start(context, &lasts).map_err(|error| named(format!("no thread: {error}; free memory")))
}

impl Redis {
    fn start(context: Context, lasts: &[MessageId]) -> std::io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (end, appenders_end) = bounded(0);
        let mut appenders = Vec::new();
        for (shard, &last) in (0..).zip(lasts) {
            let (orders, inbox) = unbounded();
            let seen = Arc::new(Seen::new(last));
            let reader =
                Reader::new(context.clone(), shard, Arc::clone(&seen), Arc::clone(&stopping));
            spawn(format!("redis-read-{shard}"), move || reader.run())?;
            let appender = Appender::new(context.clone(), shard, inbox, seen);
            let end = end.clone();
            spawn(format!("redis-append-{shard}"), move || {
                appender.run();
                drop(end);
            })?;
            appenders.push(orders);
        }
        let (node_keeper, stop) = bounded(0);
        let keeper = NodeKeeper::new(context.clone(), appenders.clone(), stop);
        spawn("redis-node".to_owned(), move || keeper.run())?;
        Ok(Self {
            pool: Pool::new(Arc::clone(&context.server)),
            began_behind: lasts.to_vec(),
            context,
            appenders: appenders.into(),
            appenders_end,
            node_keeper: Some(node_keeper).into(),
            stopping,
        })
    }

    /// The names of the keys.
    pub(super) fn keys(&self) -> &Keys {
        &self.context.server.keys
    }

    /// The connections for calls that wait for their answers.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name).spawn(work).map(drop)
}

/// The room of an entry, and the bytes that it counts while it waits.
fn measure(entry: &Entry) -> (&RoomName, usize) {
    let (room, size) = match entry {
        Entry::Message(draft, _) => {
            let origin = draft.origin.as_ref().map_or(0, |origin| origin.size());
            (&draft.room, draft.content.size() + draft.author.name.len() + origin)
        }
        Entry::Joined(present) | Entry::Renamed(present) => (&present.room, 0),
        Entry::Left { room, .. } | Entry::Typing { room, .. } => (room, 0),
    };
    (room, size + WAITING_OVERHEAD)
}

impl SharedLog for Redis {
    fn node(&self) -> Node {
        self.context.node
    }

    fn began_behind(&self, shard: Shard) -> MessageId {
        self.began_behind[usize::from(shard)]
    }

    fn now(&self) -> i64 {
        self.context.clock.at(Instant::now())
    }

    fn shard_of(&self, room: &RoomName) -> Shard {
        self.keys().shard_of(room)
    }

    fn append(&self, own: u64, entry: Entry) -> Result<(), String> {
        let (room, bytes) = measure(&entry);
        let shard = usize::from(self.shard_of(room));
        let waiting_bytes = &self.context.waiting_bytes;
        let waiting = Waiting { own, entry, since: Instant::now(), bytes };
        let is_message = waiting.is_message();
        if waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING && is_message {
            waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err("too many messages wait for the store".to_owned());
        }
        let appenders = self.appenders.read().unwrap_or_else(PoisonError::into_inner);
        let order = Order::Append(Box::new(waiting));
        let is_sent = appenders.get(shard).is_some_and(|orders| orders.send(order).is_ok());
        // Members need not be told that they leave: all of them are taken away.
        if is_sent || !is_message { Ok(()) } else { Err("this server is stopping".to_owned()) }
    }

    fn leave(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(self.node_keeper.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.appenders.write().unwrap_or_else(PoisonError::into_inner).clear();
        let _ = self.appenders_end.recv_timeout(GOODBYE);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.leave();
    }
}
