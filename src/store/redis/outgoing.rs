//! The entries that a node has handed over for a shard, until it is known what became of them.
//!
//! An entry first waits, then it is in the one batch that is on its way, and then, if it is a message
//! that was kept, it stays here until this node itself was told of it: Redis may lose it until then.
//! The order of the entries never changes. Used by the `redis-append-N` threads. Not here: sending
//! them (`append`), and what a batch looks like (`batch`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::batch::{Batch, Waiting, is_kept, too_late};
use super::connect::Failure;
use crate::store::shared::{Entry, Told};

/// See the file.
pub struct Outgoing {
    /// Entries that were not sent yet.
    waiting: VecDeque<Waiting>,
    /// The batch that was sent and not answered.
    batch: Option<Batch>,
    /// Messages that Redis has kept, and that this node was not told yet.
    kept: VecDeque<Waiting>,
    /// The number of the last batch.
    batches: u64,
    /// The number of the last batch that was answered.
    answered: u64,
    /// Bytes of all entries here, and of those of other shards.
    bytes: Arc<AtomicUsize>,
}

impl Outgoing {
    /// Nothing was handed over yet. `bytes` counts the bytes of what is here; whoever hands over an
    /// entry has added its own.
    pub fn new(bytes: Arc<AtomicUsize>) -> Self {
        Self {
            waiting: VecDeque::new(),
            batch: None,
            kept: VecDeque::new(),
            batches: 0,
            answered: 0,
            bytes,
        }
    }

    /// Whether nothing is to be sent.
    pub fn is_idle(&self) -> bool {
        self.batch.is_none() && self.waiting.is_empty()
    }

    /// Whether this node should soon be told of some messages.
    pub fn awaits_messages(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Takes an entry.
    pub fn push(&mut self, entry: Waiting) {
        self.waiting.push_back(entry);
    }

    /// The batch to send: the last one again if it was not answered; it may have no entries.
    pub fn next_batch(&mut self) -> &Batch {
        self.batch.get_or_insert_with(|| {
            self.batches += 1;
            Batch::take(self.batches, &mut self.waiting)
        })
    }

    /// Drops what waited for longer than `patience`. None of it was ever sent, so it is known that it is
    /// not kept. `true`: there was news of members among it.
    pub fn drop_overdue(&mut self, patience: Duration) -> (Vec<Told>, bool) {
        let (mut told, mut had_news) = (Vec::new(), false);
        while self.waiting.front().is_some_and(|entry| entry.since.elapsed() > patience) {
            let Some(entry) = self.waiting.pop_front() else { break };
            if entry.is_message() {
                told.push(too_late(entry.own));
            } else {
                had_news = true;
            }
            self.free(&entry);
        }
        (told, had_news)
    }

    /// Redis has answered the batch.
    pub fn settle(&mut self, answers: &str) -> Vec<Told> {
        let Some(batch) = self.batch.take() else { return Vec::new() };
        self.answered = batch.number;
        let told = batch.outcome(answers);
        for (entry, answer) in batch.entries.into_iter().zip(answers.split(' ')) {
            if is_kept(answer) {
                self.kept.push_back(entry);
            } else {
                self.free(&entry);
            }
        }
        told
    }

    /// Redis says that it has done this node's batches up to `done`, with these answers to the last one.
    /// `false`: it has lost some that it had answered.
    pub fn compare(&mut self, done: u64, answers: &str) -> (Vec<Told>, bool) {
        if self.batch.as_ref().is_some_and(|batch| batch.number == done) {
            return (self.settle(answers), true);
        }
        (Vec::new(), done >= self.answered)
    }

    /// The batch has failed: it is in doubt, or its entries wait again.
    pub fn give_back(&mut self, failure: &Failure) {
        let Some(mut batch) = self.batch.take() else { return };
        batch.is_in_doubt |= matches!(failure, Failure::Lost(_));
        if batch.is_in_doubt {
            self.batch = Some(batch);
        } else {
            self.wait_again(batch.entries);
        }
    }

    /// This node was told of its messages up to the number `own`.
    pub fn told_up_to(&mut self, own: u64) {
        while self.kept.front().is_some_and(|entry| entry.own <= own) {
            let Some(entry) = self.kept.pop_front() else { break };
            self.free(&entry);
        }
    }

    /// Redis has lost what it knew of this node. What the log has told is done; all else is sent again.
    /// Call [`told_up_to`](Self::told_up_to) with the same number before.
    pub fn send_again(&mut self, own: u64) {
        let batch = self.batch.take().map(|batch| batch.entries).unwrap_or_default();
        let all = self.kept.drain(..).chain(batch);
        let (again, done) =
            all.partition::<Vec<_>, _>(|entry| !entry.is_message() || entry.own > own);
        done.iter().for_each(|entry| self.free(entry));
        self.wait_again(again);
    }

    /// Puts news of members in the place of all news that wait.
    pub fn replace_news(&mut self, news: Vec<Entry>) {
        let (messages, old) = self.waiting.drain(..).partition::<Vec<_>, _>(Waiting::is_message);
        old.iter().for_each(|entry| self.free(entry));
        let since = Instant::now();
        let news = news.into_iter().map(|entry| Waiting { own: 0, entry, since, bytes: 0 });
        self.waiting = news.chain(messages).collect();
    }

    fn wait_again(&mut self, entries: Vec<Waiting>) {
        for entry in entries.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }

    fn free(&self, entry: &Waiting) {
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::address::RoomName;
    use crate::protocol::message::{Author, Content, Draft, Stay};

    /// Messages with these numbers, of a byte each.
    fn outgoing(numbers: std::ops::RangeInclusive<u64>) -> Outgoing {
        let mut outgoing = Outgoing::new(Arc::new(AtomicUsize::new(numbers.clone().count())));
        for own in numbers {
            let draft = Draft {
                room: RoomName::lobby(),
                author: Author { user: None, name: String::new() },
                content: Content::Text("x".into()),
                origin: None,
                as_guest: None,
                stay: Stay::Kept,
            };
            let entry = Entry::Message(draft, None);
            outgoing.push(Waiting { own, entry, since: Instant::now(), bytes: 1 });
        }
        outgoing
    }

    fn sent(outgoing: &mut Outgoing) -> (u64, Vec<u64>) {
        let batch = outgoing.next_batch();
        (batch.number, batch.entries.iter().map(|entry| entry.own).collect())
    }

    fn lost() -> Failure {
        Failure::Lost(String::new())
    }

    fn refused() -> Failure {
        Failure::Refused(String::new())
    }

    #[test]
    fn a_batch_in_doubt_stays_as_it_is() {
        let mut outgoing = outgoing(1..=2);
        assert_eq!(sent(&mut outgoing), (1, vec![1, 2]));
        outgoing.give_back(&lost());
        // It is in doubt even if it is refused when it is sent again.
        outgoing.give_back(&refused());
        assert!(outgoing.drop_overdue(Duration::ZERO).0.is_empty());
        assert_eq!(sent(&mut outgoing), (1, vec![1, 2]));
        let (told, is_all) = outgoing.compare(1, "=7 -");
        assert!(is_all && outgoing.is_idle() && !outgoing.awaits_messages());
        assert!(matches!(told[..], [Told::Before { own: 1, id: 7 }, Told::NotKept { own: 2, .. }]));
        assert_eq!(outgoing.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_refused_waits_again() {
        let mut outgoing = outgoing(1..=2);
        sent(&mut outgoing);
        outgoing.give_back(&refused());
        assert_eq!(sent(&mut outgoing), (2, vec![1, 2]));
        outgoing.give_back(&refused());
        let (told, _) = outgoing.drop_overdue(Duration::ZERO);
        assert!(matches!(told[..], [Told::NotKept { own: 1, .. }, Told::NotKept { own: 2, .. }]));
        assert_eq!(outgoing.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_redis_has_lost_is_sent_again_unless_it_was_told() {
        let mut outgoing = outgoing(1..=3);
        sent(&mut outgoing);
        assert!(outgoing.settle("+10 +11 +12").is_empty());
        assert!(outgoing.is_idle() && outgoing.awaits_messages());
        let (_, is_all) = outgoing.compare(0, "");
        assert!(!is_all);
        outgoing.told_up_to(1);
        outgoing.send_again(1);
        assert_eq!(sent(&mut outgoing), (2, vec![2, 3]));
        outgoing.settle("+13 +14");
        outgoing.told_up_to(3);
        assert!(!outgoing.awaits_messages());
        assert_eq!(outgoing.bytes.load(Ordering::Relaxed), 0);
    }
}
