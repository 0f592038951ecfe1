//! The end of the program when a thread panics that it cannot do without.
//!
//! A panic in a client's thread ends that client alone. But without the broadcaster, the accept thread
//! or the threads of a shared log, a server would accept clients, and nobody would hear anybody. It is
//! better to end, so that whoever watches over the program (systemd) starts it again. Not here: the
//! orderly end (`server`), and the log line of a panic (`logging`). Runs on the thread that panics.

use std::{panic, process, thread};

use crate::logging;

/// The exit status, which Rust programs have when their main thread panics.
const STATUS: i32 = 101;

/// From now on a panic of a thread that is needed ends the program. Call this after the log was started.
pub fn when_a_needed_thread_panics() {
    let log = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        log(panic);
        if thread::current().name().is_some_and(is_needed) {
            logging::flush();
            process::exit(STATUS);
        }
    }));
}

/// Whether a thread of this name is needed. The others belong to one client or to one request.
fn is_needed(name: &str) -> bool {
    matches!(name, "broadcaster" | "accept") || name.starts_with("redis-")
}
