//! A limit on how often clients of one address may do something.
//!
//! Actions are counted in windows of a fixed length; a window begins with its first action. The
//! memory is bounded: when there are [`MAX_NETWORKS`] at a time, all counts start again. Not here:
//! which actions are counted (`users`, `rooms`, the door's `admission`). Called on the page's threads
//! and on connections' own threads.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most networks that are counted at a time; they take about half a megabyte.
const MAX_NETWORKS: usize = 10_000;

/// A count for each address.
pub struct PerAddress {
    /// The most actions in one window; 0 is no limit.
    most: u32,
    window: Duration,
    /// For each network the begin of its window, and the actions in it.
    counts: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl PerAddress {
    /// A limit of `most` actions in each window; 0 is no limit.
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, counts: Mutex::default() }
    }

    /// Counts one more action. A class behind one router has one address.
    ///
    /// # Errors
    /// It is over the limit. The error is the number of seconds until the next window.
    pub fn count(&self, address: IpAddr) -> Result<(), u64> {
        if self.most == 0 {
            return Ok(());
        }
        let mut counts = self.counts();
        if counts.len() >= MAX_NETWORKS {
            counts.retain(|_, (since, _)| since.elapsed() < self.window);
            if counts.len() >= MAX_NETWORKS {
                counts.clear();
            }
        }
        let (since, count) = counts.entry(network(address)).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= self.window {
            (*since, *count) = (Instant::now(), 0);
        }
        if *count < self.most {
            *count += 1;
            return Ok(());
        }
        Err(self.wait(*since))
    }

    /// Whether one more action would be within the limit. It is not counted.
    ///
    /// # Errors
    /// As [`PerAddress::count`].
    pub fn check(&self, address: IpAddr) -> Result<(), u64> {
        match self.counts().get(&network(address)) {
            Some((since, count))
                if self.most > 0 && *count >= self.most && since.elapsed() < self.window =>
            {
                Err(self.wait(*since))
            }
            _ => Ok(()),
        }
    }

    /// The number of seconds until the window that began at `since` is over.
    fn wait(&self, since: Instant) -> u64 {
        self.window.saturating_sub(since.elapsed()).as_secs() + 1
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, (Instant, u32)>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of an address that is counted. For IPv6 it is the /64 network: a household has a whole
/// one, and can use a new address of it for each request.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_counted_as_one() {
        for (one, same, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ] {
            let counts = PerAddress::new(2, HOUR);
            assert_eq!(counts.count(address(one)), Ok(()));
            assert_eq!(counts.count(address(same)), Ok(()));
            let wait = counts.count(address(one)).expect_err("two are enough");
            assert!((1..=3601).contains(&wait), "{wait}");
            assert_eq!(counts.count(address(other)), Ok(()));
        }
    }

    #[test]
    fn to_check_counts_nothing() {
        let counts = PerAddress::new(1, HOUR);
        (0..3).for_each(|_| assert_eq!(counts.check(address("192.0.2.1")), Ok(())));
        assert_eq!(counts.count(address("192.0.2.1")), Ok(()));
        assert!(counts.check(address("192.0.2.1")).is_err());
        assert_eq!(counts.check(address("192.0.2.2")), Ok(()));
    }

    #[test]
    fn a_new_window_begins_anew() {
        let counts = PerAddress::new(1, Duration::ZERO);
        (0..3).for_each(|_| assert_eq!(counts.count(address("::1")), Ok(())));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_than_its_memory() {
        let counts = PerAddress::new(1, HOUR);
        for number in 0..3 * MAX_NETWORKS as u32 {
            let _ = counts.count(IpAddr::V4(number.into()));
        }
        assert!(counts.counts.lock().unwrap().len() <= MAX_NETWORKS);
    }
}
