//! Hands: who has raised one, and since when.
//!
//! A hand belongs to the member's seat, so it stays up when the member's session comes back, also on
//! another node. Not here: who may lower the hands of others (`acts`). Runs on the broadcaster's
//! thread.

use super::broadcaster::{Broadcaster, Client, EVENT_OVERHEAD};
use super::presence::member_info;
use super::sessions::Seat;
use crate::net::connection::ClientId;
use crate::protocol::act::Hand;
use crate::protocol::address::RoomName;
use crate::protocol::message::now;
use crate::protocol::v1::{MemberId, MemberInfo};
use crate::store::shared::Entry;

impl Broadcaster {
    /// Raises a member's hand, or takes it down. Nothing is told of a hand that is so already.
    pub(super) fn raise(&mut self, id: ClientId, hand: Hand) {
        let Some(Client::Member(seat)) = self.clients.get_mut(&id) else { return };
        let hand = match hand {
            Hand::Up => seat.hand.or_else(|| Some(now())),
            Hand::Down => None,
        };
        if seat.hand == hand {
            return;
        }
        seat.hand = hand;
        let (room, info) = (seat.room.clone(), member_info(seat));
        if let Some(nodes) = &mut self.nodes {
            nodes.tell(Entry::Renamed(nodes.present(seat)));
        }
        self.tell_hand(&room, &info);
    }

    /// Takes down the hand of a member, or (`None`) of all. Each node does so for its own members, and
    /// knows of the others that their nodes do.
    pub(super) fn lower(&mut self, room: &RoomName, member: Option<MemberId>) {
        let is_meant = |seat: &Seat| {
            let is_chosen = member.is_none_or(|member| seat.id == member);
            is_chosen && seat.hand.is_some() && seat.room == *room
        };
        let here = self.clients.values_mut().filter_map(|client| match client {
            Client::Member(seat) => Some(&mut **seat),
            Client::Echo(_) => None,
        });
        let mut lowered = Vec::new();
        for seat in here.chain(self.sessions.away_mut()).filter(|seat| is_meant(seat)) {
            seat.hand = None;
            lowered.push(member_info(seat));
            if let Some(nodes) = &mut self.nodes {
                nodes.tell(Entry::Renamed(nodes.present(seat)));
            }
        }
        if let Some(nodes) = &mut self.nodes {
            lowered.extend(nodes.lower(is_meant));
        }
        for info in lowered {
            self.tell_hand(room, &info);
        }
    }

    pub(super) fn tell_hand(&mut self, room: &RoomName, info: &MemberInfo) {
        // A turn that is full of hands ends, like one that is full of messages.
        self.turn.bytes += EVENT_OVERHEAD + info.name.len();
        if let Some(members) = self.rooms.get_mut(room) {
            members.rename_away(info);
            self.turn.begin(members, room);
            members.tell_hand(info);
        }
    }
}
