//! How long messages took, from the sender's stamp to the receiver's read.
//!
//! It holds what waits in the load generator itself too: with 1000 receivers on one thread the
//! last is read some milliseconds after the first. The floor is read by the same generator, so
//! compare with the floor's.

use std::time::Duration;

use super::stamp::{self, Stamp};

/// Times kept of one run; the load is sized to stay below.
const MOST: usize = 4 << 20;

#[derive(Clone, Default)]
pub struct Latency {
    /// In nanoseconds.
    times: Vec<u64>,
}

impl Latency {
    /// A message was read just now.
    pub fn enter(&mut self, stamp: &Stamp) {
        self.enter_time(stamp::now().saturating_sub(stamp.time));
    }

    pub fn enter_time(&mut self, time: Duration) {
        if self.times.len() < MOST {
            self.times.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// The time within which this share of the messages came, such as 0.99.
    pub fn within(&mut self, share: f64) -> Option<Duration> {
        let last = self.times.len().checked_sub(1)?;
        let place = (last as f64 * share).round() as usize;
        let (_, &mut nanos, _) = self.times.select_nth_unstable(place);
        Some(Duration::from_nanos(nanos))
    }
}
