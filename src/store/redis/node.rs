//! The `redis-node` thread: shows the other nodes that this one lives, takes away nodes that died, and
//! forgets rooms that were silent for too long.
//!
//! A heartbeat is a count that grows. A node is dead if its count has stood still while this node's own
//! grew several times. So no clocks are compared; and if Redis stood still, or this node, or if nothing
//! could be written, then nobody counts as dead for that. Not here: this node's own members (`append`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::append::{Context, Order};
use super::connect::{Failure, Link, pause};
use super::health::Part;
use super::open::MISSED_BEATS;
use super::scripts::Script;
use crate::protocol::message::now;
use crate::store::shared::{Node, Shard};

/// The most members that are taken away in one call.
const REMOVED_AT_ONCE: usize = 256;

/// The most rooms of a shard that are forgotten in one call.
const FORGOTTEN_AT_ONCE: usize = 16;

/// The state of the thread.
pub struct NodeKeeper {
    context: Context,
    /// The threads that append, by shard.
    appenders: Vec<Sender<Order>>,
    /// Ends when the thread should end.
    stopping: Receiver<()>,
    link: Option<Link>,
    watch: Watch,
}

/// What this node has seen of the others' heartbeats.
#[derive(Default)]
struct Watch {
    /// The last count, and how many looks it has stood still for.
    seen: HashMap<(Shard, Node), (u64, u32)>,
    looked: Option<Instant>,
}

impl Watch {
    /// Begins a look at all shards. If the last one was long ago, this node itself stood still: then
    /// nothing counts that was seen before.
    fn begin(&mut self, interval: Duration) {
        if self.looked.is_none_or(|looked| looked.elapsed() > 2 * interval) {
            self.seen.clear();
        }
        self.looked = Some(Instant::now());
    }

    /// Forgets what was seen: something has failed.
    fn forget(&mut self) {
        self.looked = None;
    }

    /// Looks at the heartbeats of a shard; answers the nodes that are dead, and their counts.
    fn look(&mut self, shard: Shard, beats: &[(Node, u64)]) -> Vec<(Node, u64)> {
        let mut dead = Vec::new();
        for &(node, beat) in beats {
            let missed = match self.seen.get(&(shard, node)) {
                Some(&(last, missed)) if last == beat => missed + 1,
                _ => 0,
            };
            self.seen.insert((shard, node), (beat, missed));
            if missed >= MISSED_BEATS {
                dead.push((node, beat));
            }
        }
        self.seen
            .retain(|(of, node), _| *of != shard || beats.iter().any(|(known, _)| known == node));
        dead
    }
}

impl NodeKeeper {
    /// A thread that has done nothing yet.
    pub fn new(context: Context, appenders: Vec<Sender<Order>>, stopping: Receiver<()>) -> Self {
        Self { context, appenders, stopping, link: None, watch: Watch::default() }
    }

    /// Runs until it should end.
    pub fn run(mut self) {
        let interval = self.context.settings.heartbeat;
        let (mut failures, mut wait) = (0, interval);
        while self.stopping.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            match self.beat_everywhere() {
                Ok(()) => {
                    (failures, wait) = (0, interval);
                    self.context.health.is_well(Part::Node);
                }
                Err(failure) => {
                    self.link = None;
                    self.watch.forget();
                    failures += 1;
                    wait = pause(failures).min(interval);
                    self.context.health.has_failed(Part::Node, failures, &failure);
                }
            }
        }
    }

    fn beat_everywhere(&mut self) -> Result<(), Failure> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.context.server.connect()?,
        };
        self.watch.begin(self.context.settings.heartbeat);
        for shard in 0..self.context.server.keys.shards() {
            // First, because a Redis that is full takes nothing, but lets rooms be forgotten.
            self.forget_rooms(&mut link, shard)?;
            self.beat(&mut link, shard)?;
        }
        self.link = Some(link);
        Ok(())
    }

    fn beat(&mut self, link: &mut Link, shard: Shard) -> Result<(), Failure> {
        let node = self.context.node;
        let beats: HashMap<Node, u64> = link.run(Script::Beat, shard, |command| {
            command.arg(node);
        })?;
        if beats.is_empty() {
            // Redis has forgotten this node, and who the others are.
            self.watch.forget();
            let _ = self.appenders[usize::from(shard)].send(Order::Register);
            return Ok(());
        }
        let beats: Vec<_> = beats.into_iter().filter(|(other, _)| *other != node).collect();
        for (dead, beat) in self.watch.look(shard, &beats) {
            log::warn!("node {dead} shows no sign of life: its members are taken away");
            remove(link, shard, dead, Some(beat))?;
        }
        Ok(())
    }

    fn forget_rooms(&self, link: &mut Link, shard: Shard) -> Result<(), Failure> {
        let Some(idle) = self.context.settings.bounds.idle else { return Ok(()) };
        let idle = i64::try_from(idle.as_micros()).unwrap_or(i64::MAX);
        let silent_since = now().saturating_sub(idle).max(0);
        link.run::<usize>(Script::Forget, shard, |command| {
            command.arg(silent_since).arg(FORGOTTEN_AT_ONCE);
        })?;
        Ok(())
    }
}

/// Takes a node away from a shard, a part of its members in each call; unless its count of heartbeats
/// is another one than `beat` by now.
///
/// # Errors
/// Redis fails.
pub fn remove(link: &mut Link, shard: Shard, node: Node, beat: Option<u64>) -> Result<(), Failure> {
    let beat = beat.map_or_else(String::new, |beat| beat.to_string());
    loop {
        let rest: usize = link.run(Script::RemoveNode, shard, |command| {
            command.arg(node).arg(&beat).arg(REMOVED_AT_ONCE);
        })?;
        if rest == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_dead_only_if_its_count_stands_still_while_this_one_looks() {
        let mut watch = Watch::default();
        let interval = Duration::from_secs(3600);
        let mut look = |beat| {
            watch.begin(interval);
            watch.look(0, &[(7, beat)])
        };
        for _ in 0..MISSED_BEATS {
            assert_eq!(look(1), []);
        }
        assert_eq!(look(1), [(7, 1)]);
        for _ in 0..MISSED_BEATS {
            assert_eq!(look(2), []);
        }
        // What was seen before a failure does not count.
        watch.forget();
        watch.begin(interval);
        assert_eq!(watch.look(0, &[(7, 2)]), []);
    }
}
