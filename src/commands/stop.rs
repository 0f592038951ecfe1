//! The end of a command by its user: Ctrl-C, or SIGTERM.
//!
//! The first signal is told to the command, which takes its leave; the second ends the program at once. Not
//! here: the signals of the server (`main`). A thread of its own, `signals`, waits.

use crossbeam_channel::Receiver;

/// Receives once, when the user ends the program.
///
/// # Errors
/// A sentence: the system does not give the signals.
#[cfg(unix)]
pub fn listen() -> Result<Receiver<()>, String> {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::{flag, iterator};

    let failed = |error: io::Error| format!("signals cannot be handled: {error}");
    let at_once = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&at_once)).map_err(failed)?;
    }
    // Behind the above: the handler does both in this order, and the thread below may be faster than it.
    let mut signals = iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let (stop, stopped) = crossbeam_channel::bounded(1);
    let wait = move || {
        let _first = signals.forever().next();
        at_once.store(true, Ordering::Release);
        let _ = stop.send(());
        // A channel without its sender would be ready for ever.
        loop {
            thread::park();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(stopped)
}

/// Without Unix signals the system ends the program by itself.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn listen() -> Result<Receiver<()>, String> {
    Ok(crossbeam_channel::never())
}
