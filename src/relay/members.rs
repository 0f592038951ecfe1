//! A page of a room's members, for those who ask over HTTP.
//!
//! A crowd has thousands of members, and is not sorted for each request: only the ids of the page are
//! chosen, in time linear in the members, and only these members are described. Not here: who is in
//! which room (`broadcaster`), and the news that members get of each other (`presence`). Runs on the
//! broadcaster's thread.

use crossbeam_channel::Sender;

use crate::protocol::address::RoomName;
use crate::protocol::v1::{MemberId, MemberInfo};

/// A request for a page of members.
pub struct MembersQuery {
    /// The room.
    pub room: RoomName,
    /// Only members with ids above this one.
    pub after: MemberId,
    /// The most members on the page, at least 1.
    pub limit: usize,
    /// Receives the page.
    pub reply: Sender<MembersPage>,
}

/// A page of members.
#[derive(Debug, Default)]
pub struct MembersPage {
    /// The number of all members of the room.
    pub count: usize,
    /// The members of this page, in order of their ids.
    pub members: Vec<MemberInfo>,
    /// The room has members with higher ids.
    pub more: bool,
}

/// Chooses the `limit` lowest ids above `after`, in order. `true`: there are higher ones.
pub fn choose(
    ids: impl Iterator<Item = MemberId>,
    after: MemberId,
    limit: usize,
) -> (Vec<MemberId>, bool) {
    let mut ids: Vec<_> = ids.filter(|&id| id > after).collect();
    let more = ids.len() > limit;
    if more {
        ids.select_nth_unstable(limit);
        ids.truncate(limit);
    }
    ids.sort_unstable();
    (ids, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_all_members_in_order_and_nobody_twice() {
        // In an order in which nobody has come.
        let ids = || (1..=100).map(|number| number * 37 % 101);
        for limit in [1, 7, 10, 99, 100, 1000] {
            let (mut seen, mut after) = (Vec::new(), 0);
            loop {
                let (page, more) = choose(ids(), after, limit);
                assert!(page.len() <= limit, "{limit}");
                seen.extend(page);
                after = *seen.last().expect("somebody is there");
                if !more {
                    break;
                }
            }
            assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "{limit} on a page");
        }
        assert_eq!(choose(ids(), 100, 10), (vec![], false));
        assert_eq!(choose(std::iter::empty(), 0, 10), (vec![], false));
    }
}
