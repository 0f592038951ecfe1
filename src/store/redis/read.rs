//! The `redis-read-N` threads: each follows the log of a shard, and tells what it says, in its order.
//!
//! The thread has a connection of its own, because it waits on it most of the time. It knows the id of
//! the last entry that it has told, so after any trouble it connects again and goes on from there. Each
//! entry names the one before it: so it is seen if some are missing. A connection may be healthy and
//! yet lead to a server that is no longer the one that is written to. So when the log was silent for
//! long, the thread appends an entry itself, and must see it. Not here: what the entries mean (`told`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redis::cmd;

use super::append::Context;
use super::connect::{CALL_TIMEOUT, Failure, Link, pause};
use super::health::Part;
use super::presence::read_everyone;
use super::rules::read_rules;
use super::scripts::Script;
use super::told::{self, LogEntry, Says};
use crate::protocol::message::MessageId;
use crate::store::shared::{Node, Shard, Told};

/// The time for which Redis waits for an entry before it answers that there is none.
const BLOCK: Duration = Duration::from_secs(5);

/// After so long without an entry, the thread appends one itself.
const SILENCE: Duration = Duration::from_secs(30);

/// The most entries that are read at once.
const MAX_ENTRIES: usize = 1024;

/// So many entries are read at once to find something in them.
const CHUNK: usize = 64;

/// About the most bytes that are read at once.
const MAX_BYTES: usize = 1 << 20;

/// The place in the log up to which this node was told.
pub struct Seen {
    last: AtomicI64,
    own: AtomicU64,
}

impl Seen {
    /// A place in the log, before this node has appended anything: so it is told all of that.
    pub fn new(last: MessageId) -> Self {
        Self { last: AtomicI64::new(last), own: AtomicU64::new(0) }
    }

    /// The id of the last entry.
    pub fn last(&self) -> MessageId {
        self.last.load(Ordering::Acquire)
    }

    /// The number of the last message that this node itself has appended.
    pub fn own(&self) -> u64 {
        self.own.load(Ordering::Acquire)
    }
}

/// The state of the thread.
pub struct Reader {
    context: Context,
    shard: Shard,
    seen: Arc<Seen>,
    /// Set when the thread should end.
    stopping: Arc<AtomicBool>,
    /// The members that Redis knows were told.
    has_begun: bool,
    /// When they must be told again: after a loss the nodes bring their members again, but some may
    /// have died meanwhile.
    rebuild: Option<Instant>,
    /// The number of the newest message of each node.
    newest: HashMap<Node, u64>,
    /// The number of entries that are read at once.
    count: usize,
    /// When the last entry came.
    heard: Instant,
}

impl Reader {
    /// A thread for this shard that has read nothing yet.
    pub fn new(context: Context, shard: Shard, seen: Arc<Seen>, stopping: Arc<AtomicBool>) -> Self {
        Self {
            context,
            shard,
            seen,
            stopping,
            has_begun: false,
            rebuild: None,
            newest: HashMap::new(),
            count: 1,
            heard: Instant::now(),
        }
    }

    /// Runs until it should end, which it notices when the next entry comes or [`BLOCK`] is over.
    pub fn run(mut self) {
        let mut failures = 0;
        while !self.stopping.load(Ordering::Acquire) {
            let Err(failure) = self.connect_and_follow(&mut failures) else { continue };
            failures += 1;
            self.context.health.has_failed(Part::Read(self.shard), failures, &failure);
            thread::sleep(pause(failures));
        }
    }

    fn connect_and_follow(&mut self, failures: &mut u32) -> Result<(), Failure> {
        let mut link = self.context.server.connect()?;
        if self.has_begun {
            self.probe(&mut link)?;
        } else {
            self.tell_everyone(&mut link)?;
            self.has_begun = true;
        }
        link.wait_at_most(BLOCK + CALL_TIMEOUT)?;
        *failures = 0;
        self.context.health.is_well(Part::Read(self.shard));
        self.heard = Instant::now();
        self.follow(&mut link)
    }

    fn follow(&mut self, link: &mut Link) -> Result<(), Failure> {
        while !self.stopping.load(Ordering::Acquire) {
            let entries = self.read(link)?;
            if !entries.is_empty() {
                self.heard = Instant::now();
                self.tell(entries);
            } else if self.heard.elapsed() > SILENCE + 2 * BLOCK {
                return Err(Failure::Lost("Redis does not show what was appended".to_owned()));
            } else if self.heard.elapsed() > SILENCE {
                self.probe(link)?;
            }
            if self.rebuild.is_some_and(|due| due <= Instant::now()) {
                self.tell_everyone(link)?;
                self.rebuild = None;
            }
        }
        Ok(())
    }

    fn tell_everyone(&self, link: &mut Link) -> Result<(), Failure> {
        let members = read_everyone(link, &self.context.server.keys, self.shard)?;
        let rules = read_rules(link, &self.context.server.keys, self.shard)?;
        let (members, rules) = (
            Told::Everyone { shard: self.shard, members },
            Told::Rules { shard: self.shard, rules },
        );
        (self.context.tell)(vec![members, rules]);
        Ok(())
    }

    fn probe(&self, link: &mut Link) -> Result<(), Failure> {
        let seen = self.seen.last();
        link.run::<String>(Script::Probe, self.shard, |command| {
            command.arg(seen);
        })?;
        Ok(())
    }

    /// Waits for entries, and reads them: as many as are a MiB if they are like the last ones.
    fn read(&mut self, link: &mut Link) -> Result<Vec<LogEntry>, Failure> {
        let until_rebuild = self.rebuild.map(|due| due.saturating_duration_since(Instant::now()));
        // Redis would wait for ever for 0.
        let block = until_rebuild.map_or(BLOCK, |time| time.clamp(Duration::from_millis(1), BLOCK));
        let log = self.context.server.keys.of(self.shard, "log");
        let mut command = cmd("XREAD");
        command.arg("BLOCK").arg(block.as_millis() as u64).arg("COUNT").arg(self.count);
        command.arg("STREAMS").arg(log).arg(self.seen.last());
        let streams: Option<Vec<(String, Entries)>> = link.ask(&command)?;
        let entries: Entries =
            streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect();
        let bytes: usize = entries.iter().flat_map(|(_, fields)| fields).map(Vec::len).sum();
        if let Some(mean) = bytes.checked_div(entries.len()) {
            self.count = (MAX_BYTES / mean.max(1)).clamp(1, MAX_ENTRIES);
        }
        let read = |(id, fields): (String, _)| told::read(&id, fields, self.context.node);
        Ok(entries.into_iter().map(read).collect())
    }

    fn tell(&mut self, entries: Vec<LogEntry>) {
        let mut told = Vec::with_capacity(entries.len());
        for LogEntry { id, previous, from, says } in entries {
            let last = self.seen.last();
            if previous > last {
                told.push(Told::Gap { shard: self.shard, upto: previous });
                // Acts may be missing too.
                self.rebuild.get_or_insert_with(Instant::now);
            }
            match says {
                Says::Told(_) if from.is_some_and(|from| self.is_known(from)) => {}
                Says::Told(entry) => told.push(entry),
                // At the very start there was nobody. Later, Redis has lost its data, and nobody knows
                // whether this node was told all of it.
                Says::Began if last > 0 => {
                    self.rebuild = Some(Instant::now() + self.context.settings.until_known_again());
                    told.push(Told::Gap { shard: self.shard, upto: id });
                }
                Says::Began | Says::Nothing => {}
            }
            // Last of all: whoever looks for this node's messages behind that id misses none.
            self.seen.last.store(id, Ordering::Release);
        }
        if !told.is_empty() {
            (self.context.tell)(told);
        }
    }

    /// Notes a message by its node and number; `true` if it was told before. A node whose message was
    /// lost with the log appends it again, but may not know yet that it was told after all.
    fn is_known(&mut self, (node, number): (Node, u64)) -> bool {
        let newest = self.newest.entry(node).or_default();
        let is_known = number <= *newest;
        *newest = number.max(*newest);
        if node == self.context.node {
            self.seen.own.store(*newest, Ordering::Release);
        }
        is_known
    }
}

/// An entry of a stream: its id, then names and values of its fields.
pub type Entries = Vec<(String, Vec<Vec<u8>>)>;

/// The number of the newest message in the log, behind `after`, that this node has appended.
///
/// # Errors
/// Redis fails.
pub fn newest_own(
    link: &mut Link,
    log: &str,
    after: MessageId,
    node: Node,
) -> Result<u64, Failure> {
    let (mut newest, mut after) = (0, after);
    loop {
        let mut range = cmd("XRANGE");
        range.arg(log).arg(after + 1).arg("+").arg("COUNT").arg(CHUNK);
        let entries: Entries = link.ask(&range)?;
        let Some((id, _)) = entries.last() else { return Ok(newest) };
        after = told::message_id(id);
        for (id, fields) in entries {
            if let Some((from, number)) = told::read(&id, fields, node).from
                && from == node
            {
                newest = number.max(newest);
            }
        }
    }
}
