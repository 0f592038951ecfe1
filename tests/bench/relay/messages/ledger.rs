//! What one receiver has heard: that nothing is missing, and that everyone heard one order.
//!
//! Not here: how long it took (see `latency`).

use std::collections::HashMap;
use std::ops::AddAssign;

use super::stamp::Stamp;

/// What went wrong; all zero in a server that keeps its promises.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// Deliveries that did not come within the patience of the run.
    pub lost: u64,
    /// Messages out of the sender's order or repeated, and receivers that heard another order.
    pub reordered: u64,
    /// Damaged, from another room, or more than was sent.
    pub strange: u64,
}

impl Faults {
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.reordered += other.reordered;
        self.strange += other.strange;
    }
}

/// One receiver's account. Sender and receiver `n` are client `n`, who is in room `n % rooms`.
pub struct Ledger {
    room: usize,
    rooms: usize,
    /// The next number of each sender in the room.
    next: Vec<u32>,
    /// All that was heard, folded into one number: equal for receivers that heard one order.
    order: u64,
    faults: Faults,
    /// Numbers before the first that was heard of a sender, and numbers passed over later. For
    /// those who count: in most loads it is known otherwise what is missing.
    pub missed_at_first: u64,
    pub missed_later: u64,
}

impl Ledger {
    pub fn new(room: usize, rooms: usize, senders_in_room: usize) -> Self {
        Self {
            room,
            rooms,
            next: vec![0; senders_in_room],
            order: 0,
            faults: Faults::default(),
            missed_at_first: 0,
            missed_later: 0,
        }
    }

    /// Enters what was heard; `None` is a damaged message.
    pub fn enter(&mut self, stamp: Option<&Stamp>) {
        let Some((stamp, place)) = stamp.and_then(|stamp| Some((stamp, self.place(stamp)?))) else {
            self.faults.strange += 1;
            return;
        };
        // A gap is no fault of order: what is missing is counted when the run ends.
        if stamp.number < self.next[place] {
            self.faults.reordered += 1;
        }
        let missed = u64::from(stamp.number.saturating_sub(self.next[place]));
        match self.next[place] {
            0 => self.missed_at_first += missed,
            _ => self.missed_later += missed,
        }
        self.next[place] = stamp.number + 1;
        let both = (u64::from(stamp.sender) << 32) | u64::from(stamp.number);
        // The step of FNV-1a: the order of what goes in changes what comes out.
        self.order = (self.order ^ both).wrapping_mul(0x100_0000_01b3).rotate_left(23);
    }

    /// How many messages of a sender have come, if none was lost.
    pub fn heard(&self, sender: usize) -> u32 {
        self.next[sender / self.rooms]
    }

    /// The sender's place among those in the room; `None` if it is in another.
    fn place(&self, stamp: &Stamp) -> Option<usize> {
        let sender = usize::try_from(stamp.sender).ok()?;
        let place = sender / self.rooms;
        (sender % self.rooms == self.room && place < self.next.len()).then_some(place)
    }
}

/// The faults of all receivers, and those who heard another order than most of their room. What
/// is lost for one of them makes another order too.
pub fn faults<'a>(ledgers: impl IntoIterator<Item = &'a Ledger>) -> Faults {
    let mut sum = Faults::default();
    let mut rooms: HashMap<usize, HashMap<u64, u64>> = HashMap::new();
    for ledger in ledgers {
        sum += ledger.faults;
        *rooms.entry(ledger.room).or_default().entry(ledger.order).or_default() += 1;
    }
    for orders in rooms.values() {
        sum.reordered += orders.values().sum::<u64>() - orders.values().max().unwrap_or(&0);
    }
    sum
}
