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
//! entries that wait (`outgoing`), the script (`lua/append.lua`), and reading what was appended
//! (`read`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, after, never, select};
use redis::pipe;

use super::batch::Waiting;
use super::clock::Clock;
use super::connect::{Failure, Link, Server, pause};
use super::health::{Health, Part};
use super::node::remove;
use super::open::Settings;
use super::outgoing::Outgoing;
use super::presence::differences;
use super::read::{Seen, newest_own};
use super::scripts::Script;
use crate::protocol::v1::MemberId;
use crate::store::ROOM_BYTES;
use crate::store::shared::{Entry, Node, Present, Shard, Tell, Told};

/// While messages are not told yet, the thread looks so often whether they were.
const LOOK: Duration = Duration::from_secs(1);

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
    /// Redis's time.
    pub clock: Arc<Clock>,
    /// Receives what is told.
    pub tell: Arc<Tell>,
    /// Receives what does not work.
    pub health: Arc<Health>,
    /// Bytes of all entries that were handed over, and are not done yet.
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
    outgoing: Outgoing,
    /// The members of this node, as Redis should know them when nothing waits any more.
    members: HashMap<MemberId, Present>,
    /// Redis may know other members of this node.
    is_presence_stale: bool,
    /// Attempts that have failed in a row.
    failures: u32,
}

impl Appender {
    /// A thread for this shard that has done nothing yet.
    pub fn new(context: Context, shard: Shard, inbox: Receiver<Order>, seen: Arc<Seen>) -> Self {
        Self {
            outgoing: Outgoing::new(Arc::clone(&context.waiting_bytes)),
            context,
            shard,
            inbox,
            seen,
            link: None,
            members: HashMap::new(),
            is_presence_stale: false,
            // So the node makes itself known at once.
            failures: 1,
        }
    }

    /// Runs until nobody can hand over entries any more; then takes this node's members away, so that
    /// the others need not wait until they miss it.
    pub fn run(mut self) {
        while self.take() {
            self.attempt();
        }
        if let Some(mut link) = self.link.or_else(|| self.context.server.connect().ok()) {
            let _ = remove(&mut link, self.shard, self.context.node, None);
        }
    }

    /// Takes all that was handed over, and waits for something if there is nothing to do. `false`:
    /// nothing will come any more, and what came is sent or cannot be sent.
    fn take(&mut self) -> bool {
        while self.outgoing.is_idle() && self.failures == 0 {
            let look = if self.outgoing.awaits_messages() { after(LOOK) } else { never() };
            select! {
                recv(self.inbox) -> order => match order {
                    Ok(order) => self.accept(order),
                    Err(_) => return false,
                },
                recv(look) -> _ => {}
            }
            self.outgoing.told_up_to(self.seen.own());
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
        self.outgoing.push(*entry);
    }

    /// One attempt to send a batch; after a failure there is a pause.
    fn attempt(&mut self) {
        self.outgoing.told_up_to(self.seen.own());
        let (told, had_news) = self.outgoing.drop_overdue(self.context.settings.patience);
        self.is_presence_stale |= had_news;
        self.tell(told);
        let (part, outcome) = (Part::Append(self.shard), self.send());
        let Err(failure) = outcome else {
            self.failures = 0;
            self.context.health.is_well(part);
            return;
        };
        self.outgoing.give_back(&failure);
        self.failures += 1;
        self.context.health.has_failed(part, self.failures, &failure);
        // What is handed over meanwhile is taken, but the pause is not shorter for it.
        let until = Instant::now() + pause(self.failures);
        while let Ok(order) = self.inbox.recv_deadline(until) {
            self.accept(order);
        }
    }

    /// Sends a batch, and settles what Redis answers. After a failure there is no connection.
    fn send(&mut self) -> Result<(), Failure> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        if self.is_presence_stale {
            let known = (&self.context.server.keys, self.shard, self.context.node);
            let news = differences(&mut link, known, &self.members)?;
            self.outgoing.replace_news(news);
            self.is_presence_stale = false;
        }
        let mut answer = self.append(&mut link)?.into_iter();
        if let Some(now) = answer.next().and_then(|now| now.parse().ok()) {
            self.context.clock.hear(now);
        }
        let forgotten = || Failure::Refused("Redis has forgotten this node".to_owned());
        let told = self.outgoing.settle(&answer.next().ok_or_else(forgotten)?);
        self.tell(told);
        self.link = Some(link);
        Ok(())
    }

    fn append(&mut self, link: &mut Link) -> Result<Vec<String>, Failure> {
        let Settings { patience, bounds, .. } = self.context.settings;
        let (batch, clock) = (self.outgoing.next_batch(), &self.context.clock);
        let began = Instant::now();
        let answer = link.run(Script::Append, self.shard, |command| {
            command.arg(self.context.node).arg(batch.number);
            command.arg(bounds.messages).arg(ROOM_BYTES);
            batch.add_to(command, |entry| clock.at(entry.since + patience));
        })?;
        self.context.settings.metrics.append_seconds.count_time(began.elapsed());
        Ok(answer)
    }

    /// Connects, and asks what Redis knows of this node: of a batch in doubt, or nothing at all.
    fn connect(&mut self) -> Result<Link, Failure> {
        let Context { server, node, .. } = &self.context;
        let mut link = server.connect()?;
        let mut ask = pipe();
        ask.cmd("TIME").cmd("HGET").arg(server.keys.of(self.shard, "runs")).arg(node);
        let ((seconds, micros), run): ((i64, i64), Option<String>) = link.ask_all(&ask)?;
        self.context.clock.set(seconds * 1_000_000 + micros);
        let is_all_known = run.is_some_and(|run| {
            let (done, answers) = run.split_once(' ').unwrap_or((&run, ""));
            let (told, is_all) = self.outgoing.compare(done.parse().unwrap_or(0), answers);
            self.tell(told);
            is_all
        });
        if !is_all_known {
            self.register(&mut link)?;
        }
        Ok(link)
    }

    /// Makes this node known, for the first time, or after Redis has lost data or the others took this
    /// node for dead. What Redis has lost is sent again.
    fn register(&mut self, link: &mut Link) -> Result<(), Failure> {
        let Context { server, node, .. } = &self.context;
        server.claim(link)?;
        let seen = self.seen.last();
        link.run::<Vec<String>>(Script::Register, self.shard, |command| {
            command.arg(node).arg(seen);
        })?;
        // The thread that reads may not have come so far yet.
        let newest = newest_own(link, &server.keys.of(self.shard, "log"), seen, *node)?;
        let own = self.seen.own().max(newest);
        self.outgoing.told_up_to(own);
        self.outgoing.send_again(own);
        self.is_presence_stale = true;
        Ok(())
    }

    fn tell(&self, told: Vec<Told>) {
        if !told.is_empty() {
            (self.context.tell)(told);
        }
    }
}
