//! All open connections: their number, its limit, and how to end them.
//!
//! A connection counts from `accept` on, not from its handshake: a silent one also costs a thread
//! and a descriptor. Not here: the members of rooms; only the broadcaster knows them. Used by the
//! threads `accept`, `door`, `client` and main. They take the lock when a connection comes or goes, never
//! for a message.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::net::connection::{ClientId, Connection};

/// While the server stops: the pause between two looks at who has no answer yet. A notification would cost
/// every connection that ends a system call.
const LOOKING_AGAIN: Duration = Duration::from_millis(5);

/// All open connections.
pub struct Slots {
    /// `--max-clients`, clipped to what this host can hold.
    limit: usize,
    open: Mutex<Open>,
    /// Notified when the last connection is gone.
    emptied: Condvar,
}

#[derive(Default)]
struct Open {
    /// Numbers given out so far.
    numbers: u64,
    /// Weak references: a connection lives as long as its threads and the broadcaster hold it. The
    /// reference is empty between [`Slots::admit`] and [`Slots::enter`].
    connections: HashMap<ClientId, Weak<Connection>>,
}

impl Slots {
    /// Slots for `limit` connections.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default(), emptied: Condvar::new() })
    }

    /// A slot for one more connection, or `None` if all slots are taken.
    pub fn admit(self: &Arc<Self>) -> Option<Slot> {
        let mut open = self.open();
        if open.connections.len() >= self.limit {
            return None;
        }
        open.numbers += 1;
        let id = ClientId::new(open.numbers);
        open.connections.insert(id, Weak::new());
        Some(Slot { id, slots: Arc::clone(self) })
    }

    /// Enters `connection` in its slot, so that it can be ended when the server stops.
    pub fn enter(&self, connection: &Arc<Connection>) {
        self.open().connections.insert(connection.id(), Arc::downgrade(connection));
    }

    /// The number of connections that are open.
    pub fn count(&self) -> usize {
        self.open().connections.len()
    }

    /// Waits until every connection is a WebSocket or gone, at most until `deadline`.
    pub fn wait_until_all_joined(&self, deadline: Instant) {
        let all_joined = || self.connections().iter().all(|connection| connection.is_client());
        while !all_joined() && Instant::now() < deadline {
            thread::sleep(LOOKING_AGAIN);
        }
    }

    /// Ends every connection that is not a WebSocket yet, unless its request has come: then that is
    /// still answered.
    pub fn end_unjoined(&self) {
        for connection in self.connections().iter().filter(|connection| !connection.is_client()) {
            connection.shutdown(Shutdown::Read);
        }
    }

    /// Ends every connection.
    pub fn end_all(&self) {
        for connection in self.connections() {
            connection.shutdown(Shutdown::Both);
        }
    }

    /// Waits until the last connection is gone; `false` if some are left at `deadline`.
    pub fn wait_until_empty(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait =
            self.emptied.wait_timeout_while(self.open(), left, |open| !open.connections.is_empty());
        wait.expect("nothing panics while holding it").0.connections.is_empty()
    }

    /// A copy of the references, made under the lock and used without it: dropping the last
    /// reference to a connection takes the lock again.
    fn connections(&self) -> Vec<Arc<Connection>> {
        self.open().connections.values().filter_map(Weak::upgrade).collect()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while holding it")
    }
}

/// One connection's slot among `--max-clients`. It is dropped after the connection's socket, so a
/// free slot is also a free descriptor.
pub struct Slot {
    id: ClientId,
    slots: Arc<Slots>,
}

impl Slot {
    /// The id of the connection in this slot.
    pub fn id(&self) -> ClientId {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open();
        open.connections.remove(&self.id);
        // A notification costs a system call, even if nobody waits for it.
        if open.connections.is_empty() {
            self.slots.emptied.notify_all();
        }
    }
}
