//! How many connections each network has open, and the limit on them: `--max-clients-per-ip`.
//!
//! An IPv4 address is a network of its own here. For IPv6 it is the /64 network: a household has a
//! whole one, and can use a new address of it for each connection. A connection counts from `accept`
//! on. Not here: the limit on all connections together (`slots`). Used by the thread `accept` and by
//! connections' own threads; the lock is taken when a connection comes or goes, never for a message.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part of an address that is counted as one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// The networks that have connections. There are at most as many as connections.
pub struct Networks {
    /// The most connections of one network; 0 is no limit.
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Networks {
    /// A limit of `most` connections for each network; 0 is no limit.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Counts one more connection from this address, until the place is dropped. `None` if its network
    /// has too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        if self.most == 0 {
            return Some(Place::uncounted());
        }
        let network = network(address);
        let mut open = self.open();
        let count = open.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { of: Some((network, Arc::clone(self))) })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place among those of its network.
pub struct Place {
    /// `None` if nothing is counted.
    of: Option<(IpAddr, Arc<Networks>)>,
}

impl Place {
    /// The place of a trusted proxy's connection, which does not count. Its client's may.
    pub fn uncounted() -> Self {
        Self { of: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((network, networks)) = &self.of else { return };
        let mut open = networks.open();
        if let Some(count) = open.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                open.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_its_places_and_gets_them_back() {
        for (one, same, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ] {
            let networks = Networks::new(2);
            let admit = |text| networks.admit(address(text));
            let (first, second) = (admit(one), admit(same));
            assert!(first.is_some() && second.is_some());
            assert!(admit(one).is_none(), "{one} has two");
            assert!(admit(other).is_some(), "{other} has none");
            drop(first);
            assert!(admit(same).is_some());
            drop(second);
            assert!(networks.open().is_empty(), "nobody is left");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let networks = Networks::new(0);
        let places: Vec<_> = (0..100).map(|_| networks.admit(address("::1"))).collect();
        assert!(places.iter().all(Option::is_some) && networks.open().is_empty());
    }
}
