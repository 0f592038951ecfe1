//! What the owner of the server sees while watching it: a snapshot of this server's rooms and clients,
//! and how much was said and sent since the start.
//!
//! A snapshot is made only when somebody asks, once a second for each owner who watches. It takes time
//! linear in the clients, and its lists are bounded: only the rows that are shown are described. With
//! several servers it has those of this one. Not here: who may watch (`api`), and how the snapshot is
//! sent (`client`). Runs on the broadcaster's thread.

use std::cmp::Reverse;
use std::collections::HashSet;

use serde::Serialize;

use super::broadcaster::{Broadcaster, Client};
use super::room::{Member, Room};
use crate::metrics::meters::Traffic;
use crate::protocol::message::UserId;
use crate::protocol::v1::MemberId;

/// The most rooms, and the most clients, in one snapshot.
pub const MAX_LISTED: usize = 200;

/// What is so in the server at one moment.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// Messages since the start.
    pub messages: u64,
    /// Deliveries of messages since the start.
    pub deliveries: u64,
    /// Bytes of frames for members, since the start.
    pub bytes: u64,
    /// Different users among the members.
    pub users: usize,
    /// The rooms that have members, the largest first.
    pub rooms: Listed<RoomRow>,
    /// The members of rooms that are connected, those who are most behind first.
    pub clients: Listed<ClientRow>,
    /// Clients that are in no room: those of the echo, and owners who watch.
    pub roomless: usize,
}

/// A list that has at most [`MAX_LISTED`] rows, and the number of all.
#[derive(Debug, Serialize)]
pub struct Listed<T> {
    /// How many there are.
    pub count: usize,
    /// The first of them.
    pub list: Vec<T>,
}

/// A room.
#[derive(Debug, Serialize)]
pub struct RoomRow {
    /// Its name.
    pub room: String,
    /// How many are in it.
    pub members: usize,
}

/// A member of a room.
#[derive(Debug, Serialize)]
pub struct ClientRow {
    /// Its room.
    pub room: String,
    /// Its number there, by which it can be put out.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// Its user; `None`: a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Its address.
    pub address: String,
    /// For how many seconds it has been connected.
    pub seconds: u64,
    /// Bytes that wait for it.
    pub waiting: usize,
}

impl Broadcaster {
    pub(super) fn snapshot(&self) -> Snapshot {
        let clients = self.slowest_clients();
        let Traffic { messages, deliveries, bytes } = self.metrics.traffic();
        Snapshot {
            messages,
            deliveries,
            bytes,
            users: self.users(),
            rooms: self.largest_rooms(),
            roomless: self.clients.len().saturating_sub(clients.count),
            clients,
        }
    }

    fn users(&self) -> usize {
        let users = self.clients.values().filter_map(|client| match client {
            Client::Member(seat) => seat.user_id(),
            Client::Echo(_) => None,
        });
        users.collect::<HashSet<_>>().len()
    }

    fn largest_rooms(&self) -> Listed<RoomRow> {
        let rooms: Vec<_> =
            self.occupied().map(|(room, members)| (room, members.count())).collect();
        let count = rooms.len();
        let first = first(rooms, |&(room, members)| (Reverse(members), room));
        let rows =
            first.into_iter().map(|(room, members)| RoomRow { room: room.to_string(), members });
        Listed { count, list: rows.collect() }
    }

    fn slowest_clients(&self) -> Listed<ClientRow> {
        let members = self.rooms.values().flat_map(Room::members);
        // Read once: a writer takes from it meanwhile, and an order must not change while it is sorted.
        let members = members.map(|member| (member.outbox.waiting().unwrap_or(0), member));
        let members: Vec<_> = members.collect();
        let count = members.len();
        let first = first(members, |(waiting, member)| (Reverse(*waiting), member.id));
        let rows = first.into_iter().filter_map(|(waiting, member)| self.row(member, waiting));
        Listed { count, list: rows.collect() }
    }

    fn row(&self, member: &Member, waiting: usize) -> Option<ClientRow> {
        let Client::Member(seat) = self.clients.get(&member.id)? else { return None };
        let info = self.member_info(member.id);
        let connection = member.outbox.connection();
        Some(ClientRow {
            room: seat.room.to_string(),
            member: info.id,
            name: info.name,
            user: info.user,
            address: connection.peer().ip().to_string(),
            seconds: connection.age().as_secs(),
            waiting,
        })
    }
}

/// The first [`MAX_LISTED`] rows in the order of their keys. Only these are sorted.
fn first<T, K: Ord>(mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    if rows.len() > MAX_LISTED {
        rows.select_nth_unstable_by_key(MAX_LISTED, &key);
        rows.truncate(MAX_LISTED);
    }
    rows.sort_unstable_by_key(key);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_chosen_in_order() {
        for count in [0, 1, MAX_LISTED, MAX_LISTED + 1, 10 * MAX_LISTED] {
            // In an order in which nobody has come: 37 has no divisor in common with these counts.
            let rows: Vec<_> = (0..count).map(|number| number * 37 % count).collect();
            let chosen: Vec<_> = (0..count.min(MAX_LISTED)).collect();
            assert_eq!(first(rows, |row| *row), chosen, "of {count}");
        }
    }
}
