//! Deeds: what an act does in a room when it has been kept.
//!
//! Each node does this for its own members when it sends them the act, in the order of all messages.
//! Not here: who may do what (`acts`), hands (`hands`), and removing messages from the history
//! (`store`). Runs on the broadcaster's thread.

use std::collections::HashMap;

use tungstenite::protocol::frame::coding::CloseCode;

use super::acts::marks_of;
use super::broadcaster::{Broadcaster, Client};
use super::events::{Parting, Rank};
use super::presence::member_info;
use super::room::Room;
use super::sessions::{Seat, Silence};
use crate::identity::rulebook::Rulebook;
use crate::identity::rules::Rules;
use crate::net::connection::ClientId;
use crate::protocol::act::{Deed, Person};
use crate::protocol::address::RoomName;
use crate::protocol::dialect::Dialect;
use crate::protocol::frame;
use crate::protocol::message::{Content, Draft, Message, Stay};
use crate::protocol::rules::{Mark, Mode};
use crate::protocol::v1::{Code, Complaint};
use crate::store::Fields;
use crate::store::shared::Shard;

impl Silence {
    /// Why, for programs and in words.
    pub fn in_words(self) -> (Code, &'static str) {
        match self {
            Self::Muted => (Code::Muted, "a leader of this room has muted you"),
            Self::ReadOnly => (Code::ReadOnly, "only leaders speak in this room"),
        }
    }
}

/// Brings up to date what the rules of its room say about a member: whether it may speak (leaders
/// always may), and whether what it says stays.
pub(super) fn obey(rulebook: &Rulebook, seat: &mut Seat) {
    let rules = rulebook.get(&seat.room);
    seat.stay = stay_in(rules.as_deref());
    seat.silence = rules.as_deref().and_then(|rules| silence_in(rules, seat));
}

fn silence_in(rules: &Rules, seat: &Seat) -> Option<Silence> {
    if rules.leads(seat.user_id()) {
        return None;
    }
    let muted = rules.is_muted(marks_of(seat)).then_some(Silence::Muted);
    muted.or((rules.mode == Mode::ReadOnly).then_some(Silence::ReadOnly))
}

/// Whether what is said in a room stays.
pub(super) fn stay_in(rules: Option<&Rules>) -> Stay {
    if rules.is_some_and(|rules| rules.forgets) { Stay::Passing } else { Stay::Kept }
}

impl Broadcaster {
    /// Why somebody who is not a client may not speak. (A guest is only known by an address, and
    /// whoever takes the request has that.)
    pub(super) fn silence_of_post(&self, draft: &Draft, rank: Rank) -> Option<Silence> {
        let rules = self.rulebook.get(&draft.room)?;
        let user = draft.author.user;
        if rank == Rank::Owner || rules.leads(user) {
            return None;
        }
        let muted = rules.is_muted(user.map(Mark::User)).then_some(Silence::Muted);
        muted.or((rules.mode == Mode::ReadOnly).then_some(Silence::ReadOnly))
    }

    /// Refuses a message of a member that may not speak. No frame could tell a plain client, so a Close
    /// does.
    pub(super) fn refuse(&mut self, id: ClientId, silence: Silence, reference: Option<String>) {
        let (code, detail) = silence.in_words();
        match self.find(id).map(|member| member.dialect) {
            Some(Dialect::V1) => {
                let complaint = Complaint { code, detail: detail.to_owned(), reference };
                self.answer(id, complaint.event().frame().into());
            }
            // "An endpoint ... has received a message that violates its policy" (RFC 6455 §7.4.1).
            Some(Dialect::Plain) => {
                self.send_away(id, frame::close(CloseCode::Policy, detail), detail);
            }
            None => {}
        }
    }

    /// Does what an act says.
    pub(super) fn done(&mut self, message: &Message) {
        let Content::Act(act) = &message.content else { return };
        let room = &message.room;
        self.log_deed(room, &act.deed);
        self.rulebook.change(room, &act.changes);
        match &act.deed {
            Deed::PutOut { person, minutes, reason } => {
                let words = put_out_words(&message.author.name, *minutes, reason);
                self.put_out(room, person, words);
                self.admit_everyone(room);
            }
            Deed::Set { mode: Mode::Closed, .. } => self.admit_everyone(room),
            Deed::End => {
                self.rulebook.dismiss(room);
                self.send_class_away(room);
            }
            Deed::Lower { member } => self.lower(room, *member),
            _ => {}
        }
        if !act.changes.is_empty() {
            self.obey_rules(room);
        }
    }

    /// Logs what was done, but none of its words: the topic, the reason and the names are nobody else's
    /// business. Everyone may remove own messages, so the lines about that are limited in number.
    fn log_deed(&mut self, room: &RoomName, deed: &Deed) {
        let kind = deed.kind();
        match deed {
            Deed::Remove { .. } => {
                self.removed.line(|more| log::info!("room {room}: {kind}{more}"));
            }
            _ => log::info!("room {room}: {kind}"),
        }
    }

    /// Ends the connections of somebody who is put out. A session that was lost a moment ago has none,
    /// and may not come back.
    fn put_out(&mut self, room: &RoomName, person: &Person, words: String) {
        let is_meant = |seat: &Seat| {
            let is_user = person.user.is_some() && seat.user_id() == person.user;
            seat.id == person.member || is_user
        };
        let close = frame::close_in_words(CloseCode::Policy, words);
        for id in self.clients_in(room, is_meant) {
            self.send_away(id, close.clone(), "a leader has put it out");
        }
    }

    /// Ends the connections of everyone but the leaders.
    fn send_class_away(&mut self, room: &RoomName) {
        let rules = self.rulebook.get(room).unwrap_or_default();
        let close = frame::close(CloseCode::Policy, "The class is over.");
        for id in self.clients_in(room, |seat| !rules.leads(seat.user_id())) {
            self.send_away(id, close.clone(), "The class is over.");
        }
    }

    fn send_away(&mut self, id: ClientId, close: Vec<u8>, why: &'static str) {
        if let Some(seat) = self.end_client_with(id, close, why) {
            self.depart(seat, id, Parting::Closed);
        }
    }

    fn clients_in(&self, room: &RoomName, is_meant: impl Fn(&Seat) -> bool) -> Vec<ClientId> {
        let clients = self.rooms.get(room).into_iter().flat_map(Room::clients);
        let is_meant = |id: &ClientId| match self.clients.get(id) {
            Some(Client::Member(seat)) => is_meant(seat),
            _ => false,
        };
        clients.filter(is_meant).collect()
    }

    /// Lets the members that are in the room now come back, although nobody new may come in.
    fn admit_everyone(&self, room: &RoomName) {
        let here = self.clients.values().filter_map(|client| match client {
            Client::Member(seat) => Some(&**seat),
            Client::Echo(_) => None,
        });
        let here = here.chain(self.sessions.away()).filter(|seat| seat.room == *room);
        let elsewhere = self.nodes.iter().flat_map(|nodes| nodes.seats_in(room));
        let marks = here.flat_map(marks_of).chain(elsewhere.flat_map(|seat| {
            let marks: Vec<_> = marks_of(&seat).collect();
            marks
        }));
        self.rulebook.admit(room, marks.filter(|mark| !matches!(mark, Mark::Address(_))));
    }

    /// Brings up to date what the rules of a room say about each of its members.
    fn obey_rules(&mut self, room: &RoomName) {
        for id in self.clients_in(room, |_| true) {
            if let Some(Client::Member(seat)) = self.clients.get_mut(&id) {
                obey(&self.rulebook, seat);
            }
        }
        let mut infos = HashMap::new();
        for seat in self.sessions.away_mut().filter(|seat| seat.room == *room) {
            obey(&self.rulebook, seat);
            infos.insert(seat.id, member_info(seat));
        }
        for mut seat in self.nodes.iter().flat_map(|nodes| nodes.seats_in(room)) {
            obey(&self.rulebook, &mut seat);
            infos.insert(seat.id, member_info(&seat));
        }
        if let Some(members) = self.rooms.get_mut(room) {
            members.update_away(&infos);
        }
    }

    /// Takes the rules of all rooms of a shard, as the shared log has them now: this node may have
    /// missed acts.
    pub(super) fn know_rules(&mut self, shard: Shard, rules: Vec<(RoomName, Fields)>) {
        let Some(nodes) = &self.nodes else { return };
        self.rulebook.replace(|room| nodes.shard_of(room) == shard, rules);
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.obey_rules(&room);
        }
    }
}

fn put_out_words(who: &str, minutes: u32, reason: &str) -> String {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let again = match minutes {
        0 => "You may come back.".to_owned(),
        1 => "You may come back in 1 minute.".to_owned(),
        minutes => format!("You may come back in {minutes} minutes."),
    };
    // The time is what one must know, so a long reason is cut, and not the time.
    let space = frame::MAX_REASON_BYTES.saturating_sub(again.len() + 2);
    let mut words = format!("{who} put you out{why}");
    frame::cut(&mut words, space);
    format!("{words}. {again}")
}
