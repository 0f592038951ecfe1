//! The time in Redis, as this node reckons it from what Redis said: one clock for all nodes. So the
//! clocks of their hosts are never compared. Any thread may ask.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// See the file. Times are in microseconds since 1970.
pub struct Clock {
    /// When this node began.
    began: Instant,
    /// That time in Redis.
    origin: AtomicI64,
}

impl Clock {
    /// Redis has just said what time it is.
    pub fn new(said: i64) -> Self {
        Self { began: Instant::now(), origin: AtomicI64::new(said) }
    }

    /// Redis has said what time it is, a moment ago: the answer that came fastest is the best one.
    pub fn hear(&self, said: i64) {
        let origin = said.saturating_sub(micros(self.began.elapsed()));
        self.origin.fetch_max(origin, Ordering::Relaxed);
    }

    /// Redis has said what time it is, and it may be another Redis, or its clock may have been set.
    pub fn set(&self, said: i64) {
        let origin = said.saturating_sub(micros(self.began.elapsed()));
        self.origin.store(origin, Ordering::Relaxed);
    }

    /// This time in Redis.
    pub fn at(&self, time: Instant) -> i64 {
        let later = micros(time.saturating_duration_since(self.began));
        self.origin.load(Ordering::Relaxed).saturating_add(later)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_that_came_fastest_counts() {
        let clock = Clock::new(1_000_000_000);
        let time = clock.began + Duration::from_secs(7);
        assert_eq!(clock.at(time), 1_007_000_000);
        // This one is later than it says.
        clock.hear(999_000_000);
        assert_eq!(clock.at(time), 1_007_000_000);
        clock.hear(2_000_000_000);
        assert!(clock.at(time) > 2_006_000_000);
        clock.set(1_000_000_000);
        assert!(clock.at(time) < 1_008_000_000);
    }
}
