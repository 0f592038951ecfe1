//! How many connections there are, which, and the end of all of them.
//!
//! Counted from `accept` on, not from the handshake: one that says nothing costs a thread and a
//! descriptor too. Not here: who is in which room; only the broadcaster knows that. The lock is
//! taken when a connection comes or goes, never for a message.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::Instant;

use crate::wire::{ClientId, Wire};

/// All open connections.
pub struct Connections {
    /// `--max-clients`, clipped to what this host can hold.
    limit: usize,
    open: Mutex<Open>,
    /// Told whenever a place becomes free.
    freed: Condvar,
}

#[derive(Default)]
struct Open {
    /// Numbers given out so far.
    numbers: u64,
    /// Weak: a connection lives as long as its own threads and the broadcaster need it. It is
    /// dangling between the counting and the first byte.
    wires: HashMap<ClientId, Weak<Wire>>,
}

impl Connections {
    /// Room for `limit` connections.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default(), freed: Condvar::new() })
    }

    /// A place for one more connection, or `None` when the house is full.
    pub fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        if open.wires.len() >= self.limit {
            return None;
        }
        open.numbers += 1;
        let id = ClientId::new(open.numbers);
        open.wires.insert(id, Weak::new());
        Some(Place { id, connections: Arc::clone(self) })
    }

    /// Makes `wire` known, so that the end of the server can reach it.
    pub fn enter(&self, wire: &Arc<Wire>) {
        self.open().wires.insert(wire.id(), Arc::downgrade(wire));
    }

    /// Ends every connection that is still before its handshake: what it asked for will not
    /// come.
    pub fn end_unjoined(&self) {
        for wire in self.wires().iter().filter(|wire| !wire.is_client()) {
            wire.shutdown(Shutdown::Read);
        }
    }

    /// Ends every connection, whatever it is doing.
    pub fn end_all(&self) {
        for wire in self.wires() {
            wire.shutdown(Shutdown::Both);
        }
    }

    /// Waits until the last connection is gone; `false` if some are left at `deadline`.
    pub fn wait_until_empty(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = self.freed.wait_timeout_while(self.open(), left, |open| !open.wires.is_empty());
        wait.expect("nothing panics while holding it").0.wires.is_empty()
    }

    /// Copied out of the lock: dropping the last reference to a wire takes the lock again.
    fn wires(&self) -> Vec<Arc<Wire>> {
        self.open().wires.values().filter_map(Weak::upgrade).collect()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while holding it")
    }
}

/// One connection's place among `--max-clients`. It is the last thing its socket lets go of,
/// so a free place is also a free descriptor.
pub struct Place {
    id: ClientId,
    connections: Arc<Connections>,
}

impl Place {
    /// The number that came with the place.
    pub fn id(&self) -> ClientId {
        self.id
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().wires.remove(&self.id);
        self.connections.freed.notify_all();
    }
}
