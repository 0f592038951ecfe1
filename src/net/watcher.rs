//! A thread that looks at files now and then, and when it is told to: a certificate, a list of
//! tokens.
//!
//! Not here: what is in the files. The thread has the name of what it looks at; it ends when its
//! handle is dropped.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// The handle of the thread.
pub struct Watcher {
    calls: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts a thread that calls `look` after each `interval`, and after [`Watcher::look_now`].
    ///
    /// # Errors
    /// A sentence: the thread could not be started.
    pub fn start(
        name: &str,
        interval: Duration,
        mut look: impl FnMut() + Send + 'static,
    ) -> Result<Self, String> {
        let (calls, called) = bounded(1);
        let watch = move || {
            while wait(&called, interval) {
                look();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(watch);
        let thread = thread.map_err(|error| format!("no thread for the {name}: {error}"))?;
        Ok(Self { calls, thread: Some(thread) })
    }

    /// Makes the thread look now. Does not wait for it.
    pub fn look_now(&self) {
        // If a call waits already, it is enough.
        let _ = self.calls.try_send(());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Drops the sender, which ends the thread's wait.
        self.calls = bounded(0).0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until it is time to look; `false` if the handle is dropped.
fn wait(called: &Receiver<()>, interval: Duration) -> bool {
    !matches!(called.recv_timeout(interval), Err(RecvTimeoutError::Disconnected))
}
