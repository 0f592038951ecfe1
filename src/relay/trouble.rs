//! Trouble with keeping messages: why the last ones could not be kept, until some can be.
//!
//! Nobody may speak for a long time after a disk was full. So whoever asks about the server's health
//! makes the log try to write. Not here: keeping messages (`history`), and telling their senders
//! (`room`). Runs on the broadcaster's thread.

use std::time::{Duration, Instant};

use crate::logging::Limited;
use crate::store::{MessageLog, StoreError};

/// The time between two attempts to write. A broken disk may be slow to fail, and the broadcaster waits
/// for it.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);

/// The trouble that there is, if there is any.
#[derive(Default)]
pub struct Trouble {
    /// Why the last attempt failed, and when that was. `None`: messages can be kept.
    failed: Option<(String, Instant)>,
    /// The log lines about the end of the trouble, limited in number.
    over: Limited,
}

impl Trouble {
    /// Notes the outcome of an attempt to write; `None`: it went well.
    pub fn note(&mut self, error: Option<&StoreError>) {
        let failed = error.map(|error| (error.to_string(), Instant::now()));
        if failed.is_none() && self.failed.is_some() {
            self.over.line(|more| log::warn!("messages can be kept again{more}"));
        }
        self.failed = failed;
    }

    /// Why messages cannot be kept at the moment; `None`: they can be. While there is trouble, the log
    /// tries to write.
    pub fn look(&mut self, log: &dyn MessageLog) -> Option<String> {
        if self.failed.as_ref().is_some_and(|(_, at)| at.elapsed() >= ATTEMPT_INTERVAL) {
            self.note(log.probe().err().as_ref());
        }
        self.failed.as_ref().map(|(reason, _)| reason.clone())
    }
}
