//! Whether anything can be kept now: what the threads report becomes one [`Told::State`]. Any of the
//! threads of this folder reports, each for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::connect::Failure;
use crate::store::shared::{Shard, Tell, Told};

/// A thread that may have trouble.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// `redis-append-N`.
    Append(Shard),
    /// `redis-read-N`.
    Read(Shard),
    /// `redis-node`.
    Node,
}

/// The trouble of all threads.
pub struct Health {
    tell: Arc<Tell>,
    troubles: Mutex<BTreeMap<Part, String>>,
}

impl Health {
    /// All is well.
    pub fn new(tell: Arc<Tell>) -> Self {
        Self { tell, troubles: Mutex::default() }
    }

    /// Reports that a part works.
    pub fn is_well(&self, part: Part) {
        self.change(|troubles| drop(troubles.remove(&part)));
    }

    /// Reports that a part has failed so often in a row. Once is nothing: a connection may be cut, and
    /// made again at once.
    pub fn has_failed(&self, part: Part, failures: u32, failure: &Failure) {
        log::debug!("{part:?}: {failure}");
        if failures > 1 {
            self.change(|troubles| drop(troubles.insert(part, failure.to_string())));
        }
    }

    /// The lock is held while the state is told, so that the last one told is the true one.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Part, String>)) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let before = troubles.values().next().cloned();
        change(&mut troubles);
        let now = troubles.values().next().cloned();
        if now == before {
            return;
        }
        match &now {
            Some(why) => log::warn!("nothing can be kept: {why}"),
            None => log::info!("messages can be kept again"),
        }
        (self.tell)(vec![Told::State(now.map_or(Ok(()), Err))]);
    }
}
