//! What a service manager such as systemd hands over to the server, and what it is told of it.
//!
//! By sd_listen_fds(3) a socket is listened on before the server starts and after it has ended, so a restart
//! refuses nobody. By sd_notify(3) the manager is told when the server is ready, that it is alive, and
//! when it stops. Both are found in variables of the environment; without these nothing here has an effect.
//! Not here: starting and stopping (`main`, `server`). Runs on the main thread, and on `watchdog`.

use std::net::TcpListener;
use std::time::Duration;

use crate::net::watcher::Watcher;

/// Parts of `WatchdogSec=`: one to wait for the inbox, one for the answer, one between two questions, and
/// one to spare.
const PARTS: u32 = 4;

/// The socket that the manager listens on; `None`: it hands none over.
///
/// # Errors
/// A sentence for the person who wrote the socket's unit.
#[cfg(unix)]
pub fn socket() -> Result<Option<TcpListener>, String> {
    let mut handed = listenfd::ListenFd::from_env();
    if handed.len() > 1 {
        return Err(format!(
            "LISTEN_FDS: {} sockets are handed over; give one ListenStream=",
            handed.len()
        ));
    }
    let remedy = "hand over a listening TCP socket, by ListenStream= without Accept=yes";
    let socket = handed.take_tcp_listener(0);
    let socket = socket.map_err(|error| format!("LISTEN_FDS: {error}; {remedy}"))?;
    let listens = |socket: &TcpListener| socket2::SockRef::from(socket).is_listener();
    match socket {
        Some(socket) if !listens(&socket).unwrap_or(false) => {
            Err(format!("LISTEN_FDS: the socket does not listen; {remedy}"))
        }
        socket => Ok(socket),
    }
}

/// Whether a service manager wants to be told.
pub fn has_manager() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells the manager that clients can connect.
pub fn is_ready() {
    tell("READY=1");
}

/// Tells the manager that the server stops.
pub fn is_stopping() {
    tell("STOPPING=1");
}

/// Starts the thread that tells the manager that the server is alive: whenever the broadcaster has taken a
/// question out of its inbox in time (`pulse`). A server whose broadcaster hangs is started anew. The
/// thread ends when its handle is dropped; there is none if the manager does not ask for it.
///
/// # Errors
/// A sentence: the thread could not be started.
pub fn feed_watchdog(
    mut pulse: impl FnMut(Duration) -> bool + Send + 'static,
) -> Result<Option<Watcher>, String> {
    let Some(limit) = watchdog_limit() else { return Ok(None) };
    let part = limit / PARTS;
    let look = move || {
        if pulse(part) {
            tell("WATCHDOG=1");
        } else {
            log::error!(
                "the broadcaster does not answer, so the watchdog is not told that it lives"
            );
        }
    };
    Watcher::start("watchdog", part, look).map(Some)
}

#[cfg(unix)]
fn tell(state: &str) {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]) {
        log::warn!("the service manager was not told {state}: {error}");
    }
}

/// `WatchdogSec=`: without a word for so long, the manager ends the server.
#[cfg(unix)]
fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

// Elsewhere there is no such manager.

#[cfg(not(unix))]
pub fn socket() -> Result<Option<TcpListener>, String> {
    Ok(None)
}

#[cfg(not(unix))]
fn tell(_: &str) {}

#[cfg(not(unix))]
fn watchdog_limit() -> Option<Duration> {
    None
}
