//! `--max-rate`: how fast a client may say things.
//!
//! Not here: whoever is too fast is read more slowly (`reading`). Used by the client's own thread.

use std::time::{Duration, Instant};

/// Who was silent may say so much of its rate at once.
const BURST: Duration = Duration::from_secs(1);

/// The time between two messages, but for a [`BURST`].
pub struct Pace {
    interval: Option<Duration>,
    /// When the next message is due at the allowed rate.
    due: Instant,
}

impl Pace {
    /// `rate` is messages a second; 0 is no limit.
    pub fn new(rate: u32) -> Self {
        let interval = (rate > 0).then(|| Duration::from_secs(1) / rate);
        let now = Instant::now();
        Self { interval, due: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// Counts one message. `Some`: the client is too fast by so much; its next read is held back,
    /// and with it, through TCP, the client.
    pub fn pause(&mut self) -> Option<Duration> {
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(BURST).unwrap_or(now)) + self.interval?;
        Some(self.due.saturating_duration_since(now)).filter(|pause| !pause.is_zero())
    }
}
