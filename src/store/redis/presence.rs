//! Who is there, as Redis knows it: for each node a hash of its members.
//!
//! There is no hash for each room, because nobody asks Redis who is in a room: every node knows that.
//! So a member that comes costs one write, and a node that died is one key to clear. Not here: the
//! entries of the log that say who comes and goes (`append`, `read`).

use std::collections::HashMap;

use redis::cmd;

use super::connect::{Failure, Link};
use super::keys::Keys;
use super::records;
use crate::protocol::v1::MemberId;
use crate::store::shared::{Entry, Node, Present, Shard};

/// About so many members are read at once.
const CHUNK: usize = 1000;

/// Reads all members of a shard, on all nodes. This takes several calls, and members come and go
/// meanwhile: the log says so behind the place where it was before the first call.
///
/// # Errors
/// Redis fails.
pub fn read_everyone(link: &mut Link, keys: &Keys, shard: Shard) -> Result<Vec<Present>, Failure> {
    let nodes: Vec<Node> = link.ask(cmd("HKEYS").arg(keys.of(shard, "beats")))?;
    let mut everyone = Vec::new();
    for node in nodes {
        everyone.extend(read_members(link, keys, shard, node)?.filter_map(|(_, present)| present));
    }
    Ok(everyone)
}

/// Compares a node's members with those that Redis knows: the news that make them equal. Who came first is
/// told first.
///
/// # Errors
/// Redis fails.
pub fn differences(
    link: &mut Link,
    (keys, shard, node): (&Keys, Shard, Node),
    members: &HashMap<MemberId, Present>,
) -> Result<Vec<Entry>, Failure> {
    let known: HashMap<_, _> = read_members(link, keys, shard, node)?.collect();
    let mut news = Vec::new();
    let mut members_here: Vec<_> = members.values().collect();
    members_here.sort_by_key(|present| (present.since, present.member));
    for present in members_here {
        match known.get(&present.member.to_string()) {
            Some(Some(other)) if other == present => {}
            _ => news.push(Entry::Joined(present.clone())),
        }
    }
    let gone = known.into_values().flatten().filter(|known| !members.contains_key(&known.member));
    news.extend(gone.map(|Present { room, member, .. }| Entry::Left { room, member }));
    Ok(news)
}

/// Reads the members of one node: the ids, and what is known of each.
fn read_members(
    link: &mut Link,
    keys: &Keys,
    shard: Shard,
    node: Node,
) -> Result<impl Iterator<Item = (String, Option<Present>)> + use<>, Failure> {
    let members = keys.of(shard, &format!("members:{node}"));
    let (mut found, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut scan = cmd("HSCAN");
        scan.arg(&members).arg(cursor).arg("COUNT").arg(CHUNK);
        let (next, some): (u64, Vec<(String, Vec<u8>)>) = link.ask(&scan)?;
        found.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(found.into_iter().map(|(id, json)| (id, records::present(&json))));
        }
    }
}
