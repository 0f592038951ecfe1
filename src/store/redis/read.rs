//! The `redis-read-N` threads: each follows the log of a shard, and tells what it says, in its order.
//!
//! The thread has a connection of its own, because it waits on it most of the time. It knows the id of
//! the last entry that it has told, so after any trouble it connects again and goes on from there. Each
//! entry names the one before it: so it is seen if some are missing. A connection may be healthy and
//! yet lead to a server that is no longer the one that is written to. So when the log was silent for
//! long, the thread appends an entry itself, and must see it. Not here: what the entries mean (`told`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Cmd, cmd};

use super::append::Context;
use super::connect::{CALL_TIMEOUT, Failure, Link, pause};
use super::health::Part;
use super::presence::read_everyone;
use super::scripts::Script;
use super::told::{self, LogEntry, Says};
use crate::protocol::message::MessageId;
use crate::store::shared::{Shard, Told};

/// The time for which Redis waits for an entry before it answers that there is none.
const BLOCK: Duration = Duration::from_secs(5);

/// After so long without an entry, the thread appends one itself.
const SILENCE: Duration = Duration::from_secs(30);

/// The most entries that are read at once.
const MAX_ENTRIES: usize = 1024;

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
    /// What all threads of this node share.
    pub context: Context,
    /// The shard.
    pub shard: Shard,
    /// The place in the log.
    pub seen: Arc<Seen>,
    /// Set when the thread should end.
    pub stopping: Arc<AtomicBool>,
}

/// The state of a connection.
struct Following {
    link: Link,
    /// The number of entries that are read at once.
    count: usize,
    /// When the last entry came.
    heard: Instant,
    /// When the presence is to be read anew.
    rebuild: Option<Instant>,
}

impl Reader {
    /// Runs until it should end, which it notices when the next entry comes or [`BLOCK`] is over.
    pub fn run(self) {
        let (mut failures, mut rebuild, mut is_first) = (0, None, true);
        while !self.stopping.load(Ordering::Acquire) {
            let outcome = self.connect(&mut is_first, rebuild).and_then(|mut following| {
                failures = 0;
                self.context.health.is_well(Part::Read(self.shard));
                let outcome = self.follow(&mut following);
                rebuild = following.rebuild;
                outcome
            });
            if let Err(failure) = outcome {
                failures += 1;
                self.context.health.has_failed(Part::Read(self.shard), failures, &failure);
                thread::sleep(pause(failures));
            }
        }
    }

    /// Connects; the first time, tells who is there.
    fn connect(&self, is_first: &mut bool, rebuild: Option<Instant>) -> Result<Following, Failure> {
        let mut link = self.context.server.connect()?;
        if *is_first {
            self.tell_everyone(&mut link)?;
            *is_first = false;
        } else {
            self.probe(&mut link)?;
        }
        link.wait_at_most(BLOCK + CALL_TIMEOUT)?;
        Ok(Following { link, count: 1, heard: Instant::now(), rebuild })
    }

    fn tell_everyone(&self, link: &mut Link) -> Result<(), Failure> {
        let members = read_everyone(link, &self.context.server.keys, self.shard)?;
        (self.context.tell)(vec![Told::Everyone { shard: self.shard, members }]);
        Ok(())
    }

    fn probe(&self, link: &mut Link) -> Result<(), Failure> {
        let seen = self.seen.last();
        link.run::<String>(Script::Probe, self.shard, |command| {
            command.arg(seen);
        })?;
        Ok(())
    }

    fn follow(&self, following: &mut Following) -> Result<(), Failure> {
        while !self.stopping.load(Ordering::Acquire) {
            let entries = self.read(following)?;
            if !entries.is_empty() {
                following.heard = Instant::now();
                self.tell(entries, following);
            } else if following.heard.elapsed() > SILENCE + 2 * BLOCK {
                return Err(Failure::Lost("Redis does not show what was appended".to_owned()));
            } else if following.heard.elapsed() > SILENCE {
                self.probe(&mut following.link)?;
            }
            if following.rebuild.is_some_and(|due| due <= Instant::now()) {
                following.rebuild = None;
                self.tell_everyone(&mut following.link)?;
            }
        }
        Ok(())
    }

    /// Waits for entries, and reads them: as many as are a MiB if they are like the last ones.
    fn read(&self, following: &mut Following) -> Result<Vec<LogEntry>, Failure> {
        let until_rebuild =
            following.rebuild.map(|due| due.saturating_duration_since(Instant::now()));
        let block = until_rebuild.map_or(BLOCK, |time| time.clamp(Duration::from_millis(1), BLOCK));
        let log = self.context.server.keys.of(self.shard, "log");
        let mut command = cmd("XREAD");
        command.arg("BLOCK").arg(block.as_millis() as u64).arg("COUNT").arg(following.count);
        command.arg("STREAMS").arg(log).arg(self.seen.last());
        let entries = read_streams(&mut following.link, &command)?;
        let bytes: usize = entries.iter().flat_map(|(_, fields)| fields).map(Vec::len).sum();
        if let Some(mean) = bytes.checked_div(entries.len()) {
            following.count = (MAX_BYTES / mean.max(1)).clamp(1, MAX_ENTRIES);
        }
        let read = |(id, fields): (String, _)| told::read(&id, fields, self.context.node);
        Ok(entries.into_iter().map(read).collect())
    }

    fn tell(&self, entries: Vec<LogEntry>, following: &mut Following) {
        let mut told = Vec::with_capacity(entries.len());
        for LogEntry { id, previous, says } in entries {
            let last = self.seen.last.swap(id, Ordering::AcqRel);
            if previous > last {
                told.push(Told::Gap { shard: self.shard });
            }
            match says {
                Says::Told(entry) => {
                    if let Told::Message { own: Some(own), .. } = entry {
                        self.seen.own.store(own, Ordering::Release);
                    }
                    told.push(entry);
                }
                // At the very start there was nobody. Later, the nodes bring their members again.
                Says::Began if last > 0 => {
                    following.rebuild =
                        Some(Instant::now() + self.context.settings.until_known_again());
                }
                Says::Began | Says::Nothing => {}
            }
        }
        if !told.is_empty() {
            (self.context.tell)(told);
        }
    }
}

/// An entry of a stream: its id, then names and values of its fields.
pub type Entries = Vec<(String, Vec<Vec<u8>>)>;

/// Reads a part of one stream.
///
/// # Errors
/// Redis fails.
pub fn read_log(link: &mut Link, command: &Cmd) -> Result<Entries, Failure> {
    link.ask(command)
}

/// Reads one stream of a command that may read several.
fn read_streams(link: &mut Link, command: &Cmd) -> Result<Entries, Failure> {
    let streams: Option<Vec<(String, Entries)>> = link.ask(command)?;
    Ok(streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect())
}
