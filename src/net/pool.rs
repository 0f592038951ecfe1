//! Threads that are used again: to start one and to let it end costs more than a whole handshake.
//!
//! A thread that has nothing to do rests for a while, and takes the next task. If no thread rests, a
//! new one is started, so a task never waits for another one. Not here: what the tasks do, and how
//! many there may be (`slots`). Runs on the threads that give tasks, and on its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// The time after which a resting thread ends.
const REST: Duration = Duration::from_secs(5);

/// The most threads that rest in one pool.
const MOST_RESTING: usize = 64;

type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads that have the same name and the same size of stack.
pub struct Pool {
    name: &'static str,
    /// In bytes. Only touched pages are real memory.
    stack: usize,
    /// Has no room: a task is taken by a thread that rests at this moment, or by none. Its drop ends
    /// the threads that rest.
    tasks: Sender<Task>,
    rest: Rest,
}

/// Where threads wait for their next task.
#[derive(Clone)]
struct Rest {
    tasks: Receiver<Task>,
    /// The number of threads that rest.
    count: Arc<AtomicUsize>,
}

impl Pool {
    /// A pool without threads. `stack` is in bytes.
    pub fn new(name: &'static str, stack: usize) -> Self {
        let (tasks, waiting) = bounded(0);
        Self { name, stack, tasks, rest: Rest { tasks: waiting, count: Arc::default() } }
    }

    /// Runs a task, on a thread that rests or on a new one. If the task panics, its thread ends, and
    /// no other task is concerned.
    ///
    /// # Errors
    /// No thread rests, and none can be started. The task is dropped.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Err(refused) = self.tasks.try_send(Box::new(task)) else { return Ok(()) };
        let (first, rest) = (refused.into_inner(), self.rest.clone());
        let thread = thread::Builder::new().name(self.name.to_owned()).stack_size(self.stack);
        thread.spawn(move || rest.work(first)).map(drop)
    }
}

impl Rest {
    fn work(&self, first: Task) {
        first();
        while let Some(task) = self.next() {
            task();
        }
    }

    /// Rests until there is a task; `None` if the thread is not needed any more.
    fn next(&self) -> Option<Task> {
        let others = self.count.fetch_add(1, Ordering::Relaxed);
        let task = if others < MOST_RESTING { self.tasks.recv_timeout(REST).ok() } else { None };
        self.count.fetch_sub(1, Ordering::Relaxed);
        task
    }
}
