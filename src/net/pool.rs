//! Threads that are used again: to start one and to let it end costs more than a whole handshake.
//!
//! A thread that has nothing to do rests for a while, and takes the next task. If no thread rests, a
//! new one is started, so a task never waits for another one. Not here: what the tasks do, and how
//! many there may be (`slots`). Runs on the threads that give tasks, and on its own.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// The time after which a resting thread ends.
const REST: Duration = Duration::from_secs(5);

/// The most threads that rest in one pool.
const MOST_RESTING: usize = 64;

type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads that have the same name and the same size of stack. Its drop ends those that
/// rest.
pub struct Pool {
    name: &'static str,
    /// In bytes. Only touched pages are real memory.
    stack: usize,
    resting: Arc<Resting>,
}

/// Where threads wait for their next task.
#[derive(Default)]
struct Resting {
    state: Mutex<State>,
    /// Notified when there is a task for one of them, or when the pool ends.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of threads that rest.
    threads: usize,
    /// Tasks for threads that rest; at most one for each.
    tasks: VecDeque<Task>,
    has_ended: bool,
}

impl Pool {
    /// A pool without threads. `stack` is in bytes.
    pub fn new(name: &'static str, stack: usize) -> Self {
        Self { name, stack, resting: Arc::default() }
    }

    /// Runs a task, on a thread that rests or on a new one. If the task panics, its thread ends, and
    /// no other task is concerned.
    ///
    /// # Errors
    /// No thread rests, and none can be started. The task is dropped.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let first = Box::new(task);
        let mut state = self.resting.state();
        if state.threads > state.tasks.len() {
            state.tasks.push_back(first);
            drop(state);
            self.resting.changed.notify_one();
            return Ok(());
        }
        drop(state);
        let resting = Arc::clone(&self.resting);
        let thread = thread::Builder::new().name(self.name.to_owned()).stack_size(self.stack);
        thread.spawn(move || resting.work(first)).map(drop)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.resting.state().has_ended = true;
        self.resting.changed.notify_all();
    }
}

impl Resting {
    fn work(&self, first: Task) {
        first();
        while let Some(task) = self.next() {
            task();
        }
    }

    /// Rests until there is a task; `None` if the thread is not needed any more.
    fn next(&self) -> Option<Task> {
        let mut state = self.state();
        if state.threads >= MOST_RESTING {
            return None;
        }
        state.threads += 1;
        let rests = |state: &mut State| state.tasks.is_empty() && !state.has_ended;
        let wait = self.changed.wait_timeout_while(state, REST, rests);
        let (mut state, _) = wait.expect(UNPOISONED);
        state.threads -= 1;
        state.tasks.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics while it holds the lock";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    /// Runs a task, and tells on which thread it has run.
    fn runs(pool: &Pool) -> ThreadId {
        let (told, id) = mpsc::channel();
        pool.run(move || told.send(thread::current().id()).unwrap()).unwrap();
        id.recv().unwrap()
    }

    #[test]
    fn a_thread_is_used_again_and_a_panic_ends_its_own_alone() {
        let pool = Pool::new("test", 64 << 10);
        // The thread may not rest yet when the next task is given, but in the end one is found there.
        let mut seen = HashSet::new();
        while seen.insert(runs(&pool)) {}
        pool.run(|| panic!("this one ends")).unwrap();
        while seen.insert(runs(&pool)) {}
    }

    #[test]
    fn a_task_never_waits_for_another() {
        let pool = Pool::new("test", 64 << 10);
        let (go, gone) = mpsc::channel();
        let (told, heard) = mpsc::channel();
        pool.run(move || {
            gone.recv().unwrap();
            told.send("first").unwrap();
        })
        .unwrap();
        runs(&pool);
        go.send(()).unwrap();
        assert_eq!(heard.recv(), Ok("first"));
    }
}
