//! How many connections there are, which, and the end of all of them.
//!
//! Counted from `accept` on, not from the handshake: one that says nothing costs a thread and a
//! descriptor too. Not here: who is in which room; only the broadcaster knows that. The lock is
//! taken when a connection comes or goes, never for a message.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::Instant;

use crate::net::connection::{ClientId, Connection};

/// All open connections.
pub struct Slots {
    /// `--max-clients`, clipped to what this host can hold.
    limit: usize,
    open: Mutex<Open>,
    /// Told whenever a slot becomes free.
    freed: Condvar,
}

#[derive(Default)]
struct Open {
    /// Numbers given out so far.
    numbers: u64,
    /// Weak: a connection lives as long as its own threads and the broadcaster need it. It is
    /// dangling between the counting and the first byte.
    connections: HashMap<ClientId, Weak<Connection>>,
}

impl Slots {
    /// Room for `limit` connections.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default(), freed: Condvar::new() })
    }

    /// A slot for one more connection, or `None` when the house is full.
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

    /// Makes `connection` known, so that the end of the server can reach it.
    pub fn enter(&self, connection: &Arc<Connection>) {
        self.open().connections.insert(connection.id(), Arc::downgrade(connection));
    }

    /// Ends every connection that is still before its handshake: what it asked for will not
    /// come.
    pub fn end_unjoined(&self) {
        for connection in self.connections().iter().filter(|connection| !connection.is_client()) {
            connection.shutdown(Shutdown::Read);
        }
    }

    /// Ends every connection, whatever it is doing.
    pub fn end_all(&self) {
        for connection in self.connections() {
            connection.shutdown(Shutdown::Both);
        }
    }

    /// Waits until the last connection is gone; `false` if some are left at `deadline`.
    pub fn wait_until_empty(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait =
            self.freed.wait_timeout_while(self.open(), left, |open| !open.connections.is_empty());
        wait.expect("nothing panics while holding it").0.connections.is_empty()
    }

    /// Copied out of the lock: dropping the last reference to a connection takes the lock again.
    fn connections(&self) -> Vec<Arc<Connection>> {
        self.open().connections.values().filter_map(Weak::upgrade).collect()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while holding it")
    }
}

/// One connection's slot among `--max-clients`. It is the last thing its socket lets go of,
/// so a free slot is also a free descriptor.
pub struct Slot {
    id: ClientId,
    slots: Arc<Slots>,
}

impl Slot {
    /// The number that came with the slot.
    pub fn id(&self) -> ClientId {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open().connections.remove(&self.id);
        self.slots.freed.notify_all();
    }
}
