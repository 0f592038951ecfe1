//! A limit on bytes that several threads have in memory at a time; each thread takes a share of it.
//!
//! Not here: what the bytes are. Used on any thread. The broadcaster never calls
//! [`ByteBudget::take`], because it must never wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A limit in bytes, and the bytes that are taken of it.
#[derive(Debug)]
pub struct ByteBudget {
    most: usize,
    used: Mutex<Used>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    /// Numbers given out so far. A thread that takes bytes draws a number and waits for its turn.
    /// Otherwise a large share could wait for ever while small ones pass it.
    drawn: u64,
    /// The number that is next.
    turn: u64,
}

/// A part of a [`ByteBudget`], returned to it on drop.
#[derive(Debug)]
pub struct Share {
    bytes: usize,
    budget: Arc<ByteBudget>,
}

impl ByteBudget {
    /// A budget of `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, used: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a share of `bytes` bytes; blocks until there is room for them. A share that is larger
    /// than the whole budget is given while no other share is taken.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Share {
        let mut used = self.used();
        let number = used.drawn;
        used.drawn += 1;
        let must_wait = |used: &mut Used| number != used.turn || !self.fits(used, bytes);
        let wait = self.changed.wait_while(used, must_wait);
        let mut used = wait.expect("nothing panics while holding it");
        used.bytes += bytes;
        used.turn += 1;
        self.changed.notify_all();
        Share { bytes, budget: Arc::clone(self) }
    }

    /// As [`ByteBudget::take`], but without waiting: `None` if there is no room now, or if another
    /// thread waits for room.
    pub fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut used = self.used();
        if used.turn < used.drawn || !self.fits(&used, bytes) {
            return None;
        }
        used.bytes += bytes;
        Some(Share { bytes, budget: Arc::clone(self) })
    }

    fn fits(&self, used: &Used, bytes: usize) -> bool {
        used.bytes == 0 || used.bytes + bytes <= self.most
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().expect("nothing panics while holding it")
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used().bytes -= self.bytes;
        self.budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_budget_is_never_overdrawn_but_by_one_alone() {
        let budget = Arc::new(ByteBudget::new(100));
        let (one, two) = (budget.try_take(60).unwrap(), budget.try_take(40).unwrap());
        assert!(budget.try_take(1).is_none());
        drop(one);
        assert!(budget.try_take(61).is_none());
        drop(two);
        let alone = budget.try_take(1000).unwrap();
        assert!(budget.try_take(1).is_none());
        drop(alone);
        assert!(budget.try_take(100).is_some());
    }

    /// Otherwise the large share could wait for ever, because a small one always fits.
    #[test]
    fn a_large_share_is_not_passed_by_small_ones() {
        let budget = Arc::new(ByteBudget::new(100));
        let order = Mutex::new(Vec::new());
        let takes = |name, bytes| {
            let share = budget.take(bytes);
            order.lock().unwrap().push(name);
            drop(share);
        };
        let all_have_drawn = |count| {
            while budget.used().drawn < count {
                thread::yield_now();
            }
        };
        let first = budget.take(1);
        thread::scope(|scope| {
            scope.spawn(|| takes("large", 101));
            all_have_drawn(2);
            scope.spawn(|| takes("small", 1));
            all_have_drawn(3);
            assert!(budget.try_take(1).is_none(), "nobody passes by");
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), ["large", "small"]);
    }
}
