//! The names of the keys, and the shard of a room. Pure functions, on any thread.

use crate::protocol::address::RoomName;
use crate::store::shared::Shard;

/// The names of all keys: see the table of the folder.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
    shards: Shard,
}

impl Keys {
    /// The keys that begin with `prefix`, of so many shards.
    pub fn new(prefix: &str, shards: Shard) -> Self {
        Self { prefix: prefix.to_owned(), shards }
    }

    /// The number of shards.
    pub fn shards(&self) -> Shard {
        self.shards
    }

    /// A key of a shard. Only the part in braces is hashed by a Cluster, so the keys of a shard stay
    /// together.
    pub fn of(&self, shard: Shard, name: &str) -> String {
        format!("{}{{{shard}}}:{name}", self.prefix)
    }

    /// The shard of a room: FNV-1a of its name, in 64 bits, modulo the number of shards. This must
    /// never change, or rooms would lose their history.
    pub fn shard_of(&self, room: &RoomName) -> Shard {
        let hash = room.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let shard = hash % u64::from(self.shards);
        Shard::try_from(shard).expect("it is less than the number of shards")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_stays_in_its_shard_for_ever() {
        let shard = |name, shards| {
            Keys::new("wsroom:", shards).shard_of(&RoomName::parse(name).expect("a good name"))
        };
        assert_eq!(shard("lobby", 1), 0);
        // FNV-1a of "a" is 0xaf63dc4c8601ec8c, of "foobar" 0x85944171f73967e8.
        assert_eq!(u64::from(shard("a", 64)), 0xaf63_dc4c_8601_ec8c_u64 % 64);
        assert_eq!(u64::from(shard("foobar", 7)), 0x8594_4171_f739_67e8_u64 % 7);
    }

    #[test]
    fn the_keys_of_a_shard_have_its_tag() {
        assert_eq!(Keys::new("wsroom:", 4).of(3, "log"), "wsroom:{3}:log");
    }
}
