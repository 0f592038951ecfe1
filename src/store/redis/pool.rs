//! A few connections for calls that wait for their answer: pages of history, and users. Threads that
//! answer requests use them, each for one call. Not here: the log (`append`, `read`).

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::connect::{CALL_TIMEOUT, Failure, Link, Server};

/// The most connections.
const CONNECTIONS: usize = 4;

/// The connections that nobody uses at the moment. Some are not made yet.
pub struct Pool {
    server: Arc<Server>,
    free: Receiver<Option<Link>>,
    back: Sender<Option<Link>>,
}

impl Pool {
    /// A pool that has no connection yet.
    pub fn new(server: Arc<Server>) -> Self {
        let (back, free) = bounded(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let _ = back.send(None);
        }
        Self { server, free, back }
    }

    /// Makes a call, on a connection that is free. A connection that was used before may be dead by
    /// now: then the call is made once more, on a new one. So `call` may do its work twice.
    ///
    /// # Errors
    /// Redis fails, or all connections are in use for too long.
    pub fn call<T>(&self, call: impl Fn(&mut Link) -> Result<T, Failure>) -> Result<T, Failure> {
        let too_long = |_| Failure::Lost("too many calls wait for Redis".to_owned());
        let mut slot =
            Slot { link: self.free.recv_timeout(CALL_TIMEOUT).map_err(too_long)?, pool: self };
        if let Some(link) = &mut slot.link {
            match call(link) {
                Err(Failure::Lost(_)) => slot.link = None,
                outcome => return outcome,
            }
        }
        let mut link = self.server.connect()?;
        let outcome = call(&mut link);
        if !matches!(outcome, Err(Failure::Lost(_))) {
            slot.link = Some(link);
        }
        outcome
    }
}

/// A place in the pool. It is given back when this value is dropped, with its connection if that is
/// good.
struct Slot<'a> {
    link: Option<Link>,
    pool: &'a Pool,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let _ = self.pool.back.send(self.link.take());
    }
}
