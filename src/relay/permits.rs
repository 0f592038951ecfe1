//! Permits to work on a replay: so many writers may read and send the past at a time, and the others
//! wait.
//!
//! When a thousand clients come back at once, each has a writer thread with much to do. Without
//! permits all of them would want the processor, and the broadcaster would be one among a thousand. A
//! writer gives its permit back after each piece that it has sent, and does not hold it while its
//! client takes nothing. So all of them go on, and a slow client keeps nobody waiting. Not here: the replay itself (`replay`). Used by the writer threads.

use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

/// The permits that are free. Writers get them in the order in which they ask.
#[derive(Clone)]
pub struct Permits {
    free: Receiver<()>,
    back: Sender<()>,
}

/// A permit; it is free again when this is dropped.
pub struct Permit(Permits);

impl Permits {
    /// One for each processor but one, which is left to the broadcaster and to the clients' threads.
    pub fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let count = processors.saturating_sub(1).max(1);
        let (back, free) = bounded(count);
        for _ in 0..count {
            back.send(()).expect("the channel has room for all permits");
        }
        Self { free, back }
    }

    /// Waits for a permit.
    pub fn wait(&self) -> Permit {
        self.free.recv().expect("this holds the other end of the channel");
        Permit(self.clone())
    }
}

impl Permit {
    /// Frees the permit, and answers where another one may be had.
    pub fn give_back(self) -> Permits {
        self.0.clone()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.back.send(()).expect("the channel has room for all permits");
    }
}
