//! `--max-rate` and `--max-bytes-rate`: how many messages and bytes a second a client may send.
//!
//! [`Pace`] only computes the pause. Not here: the pause itself, in which the client is not read
//! (`reading` for messages, `stream` for bytes). Used by the client's own thread.

use std::time::{Duration, Instant};

/// A client that was silent may send this much time's worth of messages or bytes at once.
const BURST: Duration = Duration::from_secs(1);

/// The pace of one client: the time that each message or byte takes, apart from a [`BURST`].
pub struct Pace {
    /// In messages or bytes a second; 0 is no limit.
    rate: u32,
    /// The time at which the next one is due at the allowed rate.
    due: Instant,
}

impl Pace {
    /// A pace for a client that joins at `now`; a `rate` of 0 is no limit.
    pub fn new(rate: u32, now: Instant) -> Self {
        Self { rate, due: earliest(now) }
    }

    /// Counts what was read at `now`. `Some`: the client is too fast, and no more may be read before
    /// this time has passed. Then TCP holds the client back.
    pub fn pause(&mut self, amount: u64, now: Instant) -> Option<Duration> {
        if self.rate == 0 {
            return None;
        }
        self.due = self.due.max(earliest(now)) + Duration::from_secs(amount) / self.rate;
        Some(self.due.saturating_duration_since(now)).filter(|pause| !pause.is_zero())
    }

    /// The most that may be read at once out of `most`, so that no pause is much longer than a second:
    /// nothing wakes the thread in it.
    pub fn most_at_once(&self, most: usize) -> usize {
        if self.rate == 0 { most } else { most.min(self.rate as usize) }
    }
}

/// The earliest time at which a message may count as due: silence saves up one [`BURST`], no more.
/// (A clock that began less than that ago has no such time.)
fn earliest(now: Instant) -> Instant {
    now.checked_sub(BURST).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well after the clock began, so that a burst before it can be computed.
    fn start() -> Instant {
        Instant::now() + 10 * BURST
    }

    /// Messages that pass at `now` without a pause; the next one has a pause.
    fn passes_at_once(pace: &mut Pace, now: Instant) -> usize {
        (0..1000).take_while(|_| pace.pause(1, now).is_none()).count()
    }

    #[test]
    fn a_burst_is_one_second_of_the_rate() {
        for rate in [1, 2, 20, 500] {
            let now = start();
            let mut pace = Pace::new(rate, now);
            assert_eq!(passes_at_once(&mut pace, now), rate as usize, "{rate} a second");
        }
    }

    #[test]
    fn behind_a_burst_each_message_waits_one_interval_longer() {
        let now = start();
        let mut pace = Pace::new(4, now);
        assert_eq!([(); 4].map(|()| pace.pause(1, now)), [None; 4]);
        for quarters in 1..=8 {
            assert_eq!(pace.pause(1, now), Some(quarters * BURST / 4));
        }
    }

    #[test]
    fn a_client_that_keeps_its_rate_never_waits() {
        let start = start();
        let mut pace = Pace::new(10, start);
        passes_at_once(&mut pace, start);
        for tenths in 2..100 {
            assert_eq!(pace.pause(1, start + tenths * BURST / 10), None, "after {tenths} tenths");
        }
        let too_soon = start + 100 * BURST / 10 - BURST / 20;
        assert_eq!(pace.pause(1, too_soon), Some(BURST / 20));
    }

    #[test]
    fn silence_saves_up_one_burst_and_no_more() {
        let start = start();
        let mut pace = Pace::new(10, start);
        passes_at_once(&mut pace, start);
        for (seconds, messages) in [(60, 10), (3600, 10)] {
            let later = start + Duration::from_secs(seconds);
            assert_eq!(passes_at_once(&mut pace, later), messages, "after {seconds} s");
        }
    }

    #[test]
    fn many_bytes_take_as_long_as_they_must() {
        let now = start();
        let mut pace = Pace::new(1 << 20, now);
        assert_eq!(pace.pause(1 << 20, now), None);
        assert_eq!(pace.pause(1 << 19, now), Some(BURST / 2));
        assert_eq!((pace.most_at_once(32 << 10), Pace::new(0, now).most_at_once(9)), (32 << 10, 9));
        assert_eq!(Pace::new(1024, now).most_at_once(32 << 10), 1024);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let now = start();
        assert_eq!(passes_at_once(&mut Pace::new(0, now), now), 1000);
    }
}
