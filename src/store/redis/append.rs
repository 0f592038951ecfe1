//! The `redis-append-N` threads: what this node wants to be appended to a shard goes to Redis here, in
//! order, and each entry once.
//!
//! One batch is on its way at a time. If its answer is lost, nobody knows whether it was appended; so
//! the same batch is sent again until there is an answer, and Redis knows it by its number. Only then
//! the next one is sent. An entry that has not been sent for too long is not sent any more. A batch
//! that arrives too late in Redis's own time is not appended. So what is told is always true: in
//! doubt, the node waits until Redis is back.
//!
//! News of members are never lost: if some could not be sent, or Redis has forgotten this node, the
//! thread compares its own members with those that Redis knows, and sends what differs. Not here: the
//! script (`lua/append.lua`), and reading what was appended (`read`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use redis::{cmd, pipe};

use super::batch::{Batch, Waiting, too_late};
use super::connect::{Failure, Link, Server, pause};
use super::health::{Health, Part};
use super::open::Settings;
use super::presence::read_members;
use super::read::{Seen, read_log};
use super::scripts::Script;
use super::told::{self, Says};
use crate::protocol::message::MessageId;
use crate::protocol::v1::MemberId;
use crate::store::ROOM_BYTES;
use crate::store::shared::{Entry, Node, Present, Shard, Tell, Told};

/// The most members that are taken away in one call.
const REMOVED_AT_ONCE: usize = 256;

/// The longest time for the last entries when the program ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the thread is asked to do.
pub enum Order {
    /// To append an entry.
    Append(Box<Waiting>),
    /// To make this node known again, because Redis has forgotten it.
    Register,
}

/// What all threads of this node share.
#[derive(Clone)]
pub struct Context {
    /// Where Redis is.
    pub server: Arc<Server>,
    /// The bounds.
    pub settings: Settings,
    /// This node.
    pub node: Node,
    /// Receives what is told.
    pub tell: Arc<Tell>,
    /// Receives what does not work.
    pub health: Arc<Health>,
    /// Bytes of all entries that wait.
    pub waiting_bytes: Arc<AtomicUsize>,
}

/// The state of the thread.
pub struct Appender {
    context: Context,
    shard: Shard,
    inbox: Receiver<Order>,
    /// What the thread that reads this shard has seen.
    seen: Arc<Seen>,
    link: Option<Link>,
    clock: Clock,
    /// Entries that were not sent yet.
    waiting: VecDeque<Waiting>,
    /// The batch that was sent and not answered.
    batch: Option<Batch>,
    /// The number of the last batch.
    batches: u64,
    /// The members of this node, as Redis should know them when nothing waits any more.
    members: HashMap<MemberId, Present>,
    /// Redis may know other members of this node.
    is_presence_stale: bool,
    /// Attempts that have failed in a row.
    failures: u32,
}

/// Redis's time, from what it said last.
struct Clock {
    said: i64,
    at: Instant,
}

impl Clock {
    /// That time in Redis, in microseconds since 1970.
    fn at(&self, time: Instant) -> i64 {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let later = time.saturating_duration_since(self.at);
        let earlier = self.at.saturating_duration_since(time);
        self.said.saturating_add(micros(later)).saturating_sub(micros(earlier))
    }
}

impl Appender {
    /// A thread for this shard that has done nothing yet.
    pub fn new(context: Context, shard: Shard, inbox: Receiver<Order>, seen: Arc<Seen>) -> Self {
        Self {
            context,
            shard,
            inbox,
            seen,
            link: None,
            clock: Clock { said: 0, at: Instant::now() },
            waiting: VecDeque::new(),
            batch: None,
            batches: 0,
            members: HashMap::new(),
            is_presence_stale: false,
            // The node makes itself known at once.
            failures: 1,
        }
    }

    /// Runs until nobody can hand over entries any more; then takes this node's members away.
    pub fn run(mut self) {
        while self.take() {
            self.attempt();
        }
        self.leave();
    }

    /// Takes all that was handed over, and waits for something if there is nothing to do. `false`:
    /// nothing will come any more, and what came is sent or cannot be sent.
    fn take(&mut self) -> bool {
        let is_idle = self.batch.is_none() && self.waiting.is_empty() && self.failures == 0;
        if is_idle {
            let Ok(order) = self.inbox.recv() else { return false };
            self.accept(order);
        }
        loop {
            match self.inbox.try_recv() {
                Ok(order) => self.accept(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return self.failures == 0,
            }
        }
    }

    fn accept(&mut self, order: Order) {
        let Order::Append(entry) = order else {
            self.link = None;
            self.failures = self.failures.max(1);
            return;
        };
        match &entry.entry {
            Entry::Joined(present) | Entry::Renamed(present) => {
                self.members.insert(present.member, present.clone());
            }
            Entry::Left { member, .. } => drop(self.members.remove(member)),
            Entry::Message(..) | Entry::Typing { .. } => {}
        }
        self.waiting.push_back(*entry);
    }

    /// One attempt to send a batch; after a failure there is a pause.
    fn attempt(&mut self) {
        self.drop_what_waited_too_long();
        match self.send() {
            Ok(()) => {
                self.failures = 0;
                self.context.health.is_well(Part::Append(self.shard));
            }
            Err(failure) => {
                self.give_back(&failure);
                self.link = None;
                self.failures += 1;
                let part = Part::Append(self.shard);
                self.context.health.has_failed(part, self.failures, &failure);
                self.wait(pause(self.failures));
            }
        }
    }

    /// Nothing of these was ever sent, so it is known that they are not kept.
    fn drop_what_waited_too_long(&mut self) {
        let patience = self.context.settings.patience;
        let mut told = Vec::new();
        while self.waiting.front().is_some_and(|entry| entry.since.elapsed() > patience) {
            let Some(entry) = self.waiting.pop_front() else { break };
            self.free(entry.bytes);
            if entry.is_message() {
                told.push(too_late(entry.own));
            } else {
                self.is_presence_stale = true;
            }
        }
        self.tell(told);
    }

    /// Sends a batch, and settles what Redis answers.
    fn send(&mut self) -> Result<(), Failure> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        if self.is_presence_stale {
            self.compare_members(&mut link)?;
        }
        if self.batch.is_none() {
            self.batches += 1;
            self.batch = Some(Batch::take(self.batches, &mut self.waiting));
        }
        let (now, answers) = self.append(&mut link)?;
        self.clock = Clock { said: now, at: Instant::now() };
        match answers {
            Some(answers) => self.settle(&answers),
            None => return Err(Failure::Refused("Redis has forgotten this node".to_owned())),
        }
        self.link = Some(link);
        Ok(())
    }

    fn append(&mut self, link: &mut Link) -> Result<(i64, Option<String>), Failure> {
        let Some(batch) = &self.batch else { return Ok((self.clock.said, Some(String::new()))) };
        let Settings { patience, bounds, .. } = self.context.settings;
        let said: Vec<String> = link.run(Script::Append, self.shard, |command| {
            command.arg(self.context.node).arg(batch.number);
            command.arg(bounds.messages).arg(ROOM_BYTES);
            batch.add_to(command, |entry| self.clock.at(entry.since + patience));
        })?;
        let mut said = said.into_iter();
        let now = said.next().and_then(|now| now.parse().ok()).unwrap_or(self.clock.said);
        Ok((now, said.next()))
    }

    /// Connects, and asks what Redis knows of this node: of a batch in doubt, or nothing at all.
    fn connect(&mut self) -> Result<Link, Failure> {
        let Context { server, node, .. } = self.context.clone();
        let mut link = server.connect()?;
        let mut ask = pipe();
        ask.cmd("TIME").cmd("HGET").arg(server.keys.of(self.shard, "runs")).arg(node);
        let ((seconds, micros), run): ((i64, i64), Option<String>) = link.ask_all(&ask)?;
        self.clock = Clock { said: seconds * 1_000_000 + micros, at: Instant::now() };
        let Some(run) = run else {
            self.register(&mut link)?;
            return Ok(link);
        };
        let (done, answers) = run.split_once(' ').unwrap_or((&run, ""));
        let is_done = |batch: &Batch| done.parse() == Ok(batch.number);
        if self.batch.as_ref().is_some_and(is_done) {
            self.settle(answers);
        }
        Ok(link)
    }

    /// Makes this node known, for the first time, or after Redis has lost its data or the others took
    /// this node for dead.
    fn register(&mut self, link: &mut Link) -> Result<(), Failure> {
        let Context { server, node, .. } = self.context.clone();
        server.claim(link)?;
        let seen = self.seen.last();
        link.run::<Vec<String>>(Script::Register, self.shard, |command| {
            command.arg(node).arg(seen);
        })?;
        // Redis no longer knows what became of the batch. What stands in the log of it, was kept.
        let newest = newest_own(link, &server.keys.of(self.shard, "log"), seen, node)?;
        let own = self.seen.own().max(newest);
        for entry in self.batch.take().into_iter().flat_map(|batch| batch.entries).rev() {
            if entry.is_message() && entry.own > own {
                self.waiting.push_front(entry);
            } else {
                self.free(entry.bytes);
            }
        }
        self.is_presence_stale = true;
        Ok(())
    }

    /// Makes news of all members that Redis knows otherwise. They take the place of the news that wait.
    fn compare_members(&mut self, link: &mut Link) -> Result<(), Failure> {
        let Context { server, node, .. } = &self.context;
        let known: HashMap<_, _> = read_members(link, &server.keys, self.shard, *node)?.collect();
        let mut news = Vec::new();
        for present in self.members.values() {
            match known.get(&present.member.to_string()) {
                Some(Some(other)) if other == present => {}
                Some(_) => news.push(Entry::Renamed(present.clone())),
                None => news.push(Entry::Joined(present.clone())),
            }
        }
        for present in known.into_values().flatten() {
            let Present { room, member, .. } = present;
            if !self.members.contains_key(&member) {
                news.push(Entry::Left { room, member });
            }
        }
        let freed = self.waiting.iter().filter(|entry| !entry.is_message());
        self.free(freed.map(|entry| entry.bytes).sum());
        self.waiting.retain(Waiting::is_message);
        for entry in news {
            self.waiting.push_front(Waiting { own: 0, entry, since: Instant::now(), bytes: 0 });
        }
        self.is_presence_stale = false;
        Ok(())
    }

    /// Redis has answered the batch.
    fn settle(&mut self, answers: &str) {
        let Some(batch) = self.batch.take() else { return };
        self.free(batch.entries.iter().map(|entry| entry.bytes).sum());
        self.tell(batch.outcome(answers));
    }

    /// After a failure: either the batch is in doubt, or its entries wait again.
    fn give_back(&mut self, failure: &Failure) {
        let Some(mut batch) = self.batch.take() else { return };
        batch.is_in_doubt |= matches!(failure, Failure::Lost(_));
        if batch.is_in_doubt {
            self.batch = Some(batch);
            return;
        }
        for entry in batch.entries.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }

    /// Waits; what is handed over meanwhile is taken, but changes nothing.
    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(order) = self.inbox.recv_deadline(until) {
            self.accept(order);
        }
    }

    fn free(&self, bytes: usize) {
        self.context.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn tell(&self, told: Vec<Told>) {
        if !told.is_empty() {
            (self.context.tell)(told);
        }
    }

    /// Takes the members of this node away, so that the others need not wait until they miss it.
    fn leave(&mut self) {
        let Context { node, .. } = self.context;
        let until = Instant::now() + GOODBYE;
        let Some(mut link) = self.link.take().or_else(|| self.context.server.connect().ok()) else {
            return;
        };
        while Instant::now() < until {
            let rest: Result<usize, _> = link.run(Script::RemoveNode, self.shard, |command| {
                command.arg(node).arg("").arg(REMOVED_AT_ONCE);
            });
            if rest.is_ok_and(|rest| rest > 0) {
                continue;
            }
            return;
        }
    }
}

/// The number of the newest message in the log, behind `after`, that this node has appended.
fn newest_own(link: &mut Link, log: &str, after: MessageId, node: Node) -> Result<u64, Failure> {
    let (mut newest, mut after) = (0, after);
    loop {
        let entries =
            read_log(link, cmd("XRANGE").arg(log).arg(after + 1).arg("+").arg("COUNT").arg(64))?;
        let Some((id, _)) = entries.last() else { return Ok(newest) };
        after = told::message_id(id);
        for (id, fields) in entries {
            if let Says::Told(Told::Message { own: Some(own), .. }) =
                told::read(&id, fields, node).says
            {
                newest = own.max(newest);
            }
        }
    }
}
