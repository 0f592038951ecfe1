//! The rules of rooms in Redis: a hash for each room that has any, and the set of these rooms.
//!
//! The script that appends an act changes them. Not here: what they mean (`identity`). Called at the
//! start, and by the `redis-read-N` threads when they may have missed an act.

use std::collections::HashMap;

use redis::{cmd, pipe};

use super::connect::{Failure, Link};
use super::keys::Keys;
use crate::protocol::address::RoomName;
use crate::store::Fields;
use crate::store::shared::Shard;

/// So many rooms are read at once.
const CHUNK: usize = 100;

/// Reads the rules of all rooms of a shard. This takes several calls, and rules change meanwhile: the
/// log says so behind the place where it was before the first call.
///
/// # Errors
/// Redis fails.
pub fn read_rules(
    link: &mut Link,
    keys: &Keys,
    shard: Shard,
) -> Result<Vec<(RoomName, Fields)>, Failure> {
    let names: Vec<String> = link.ask(cmd("SMEMBERS").arg(keys.of(shard, "ruled")))?;
    let rooms: Vec<_> = names.iter().filter_map(|name| RoomName::parse(name)).collect();
    let mut rules = Vec::new();
    for some in rooms.chunks(CHUNK) {
        let mut commands = pipe();
        for room in some {
            commands.cmd("HGETALL").arg(keys.of(shard, &format!("rules:{room}")));
        }
        let fields: Vec<HashMap<String, String>> = link.ask_all(&commands)?;
        let fields = fields.into_iter().map(|fields| fields.into_iter().collect());
        rules.extend(some.iter().cloned().zip(fields));
    }
    Ok(rules)
}
