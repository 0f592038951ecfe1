//! Acts: who may do what in a room, and what becomes of the room's rules by it.
//!
//! A wish is checked here, and becomes an act: a message like all others, which is kept first. Not
//! here: what an act does when it is kept (`deeds`), what the rules mean (`identity`), and whether a
//! message is there that a wish is about (whoever asks has looked). Runs on the broadcaster's thread.

use super::broadcaster::{Broadcaster, Client};
use super::encoding::Speaker;
use super::events::{ActRequest, By, Rank};
use super::presence::{author, member_info};
use super::sessions::Seat;
use super::turn::Waiting;
use crate::identity::rules::{Rules, marks};
use crate::protocol::act::{Act, Deed, Person, Wish};
use crate::protocol::address::RoomName;
use crate::protocol::message::{Author, Content, Draft, Origin, SessionId, Stay, UserId, now};
use crate::protocol::rules::{Change, LeaderInfo, Mark, Settings};
use crate::protocol::v1::{Code, Complaint, MemberId};

/// Somebody who asks for an act.
struct Asker {
    room: RoomName,
    author: Author,
    origin: Option<Box<Origin>>,
    as_guest: Option<SessionId>,
    rank: Rank,
    waiting: Waiting,
}

/// Why an act is not done: for programs, and in words.
type Refusal = (Code, String);

/// Stands for the address of a member of which that is not known. It is nobody's.
const NOWHERE: Mark = Mark::Address([0; 16]);

impl Broadcaster {
    /// Adds an act to the turn, or tells whoever asked why not.
    pub(super) fn act(&mut self, request: ActRequest) {
        let ActRequest { by, wish, is_author } = request;
        let Some(asker) = self.asker(by) else { return };
        let is_own = is_author && matches!(wish, Wish::Remove(_));
        let outcome = match self.check_right(&asker, &wish) {
            Err(refusal) if !is_own => Err(refusal),
            right => {
                // The acts of this turn are done first, because this one builds on their rules. Authors
                // have no rules to change, and may not end turns as they like.
                if right.is_ok() {
                    self.end_turn();
                }
                self.resolve(&asker.room, wish)
            }
        };
        let Asker { room, author, origin, as_guest, waiting, .. } = asker;
        match outcome {
            Ok(act) => {
                let content = Content::Act(Box::new(act));
                self.submit(
                    Draft { room, author, content, origin, as_guest, stay: Stay::Kept },
                    waiting,
                );
            }
            Err(refusal) => self.refuse_act(refusal, waiting),
        }
    }

    /// `None`: the client has left, or nobody waits any more.
    fn asker(&self, by: By) -> Option<Asker> {
        match by {
            By::Client(client, reference) => {
                let Some(Client::Member(seat)) = self.clients.get(&client) else { return None };
                let origin = seat.session.zip(reference.clone());
                let speaker = Some(Speaker { client: Some(client), member: seat.id });
                Some(Asker {
                    room: seat.room.clone(),
                    author: author(Some(seat.guest), seat.user.as_deref()),
                    origin: origin.map(|(session, reference)| {
                        Box::new(Origin { session: session.id, reference })
                    }),
                    as_guest: seat.session.and_then(|session| session.as_guest),
                    rank: Rank::Visitor,
                    waiting: Waiting { speaker, reference, ..Waiting::default() },
                })
            }
            By::Api { room, author, rank, waiter } => {
                let waiting = Waiting { reply: Some(waiter.begin()?), ..Waiting::default() };
                Some(Asker { room, author, origin: None, as_guest: None, rank, waiting })
            }
        }
    }

    fn check_right(&self, asker: &Asker, wish: &Wish) -> Result<(), Refusal> {
        let refusal = |detail: &str| Err((Code::NotLeader, detail.to_owned()));
        if asker.rank == Rank::Owner {
            return Ok(());
        }
        if matches!(wish, Wish::Lead(_) | Wish::Unlead(_)) {
            return refusal("only the owner of this server makes leaders");
        }
        if !self.rulebook.leads(&asker.room, asker.author.user) {
            return refusal("only a leader of this room may do this");
        }
        Ok(())
    }

    fn refuse_act(&mut self, (code, detail): Refusal, waiting: Waiting) {
        let Waiting { speaker, reference, reply, .. } = waiting;
        let complaint = Complaint { code, detail, reference };
        if let Some(client) = speaker.and_then(|speaker| speaker.client) {
            self.answer(client, complaint.event().frame().into());
        }
        // The asking thread may have given up. Then the answer is dropped.
        if let Some(reply) = reply {
            let _ = reply.try_send(Err(complaint));
        }
    }

    /// Makes an act of a wish.
    fn resolve(&self, room: &RoomName, wish: Wish) -> Result<Act, Refusal> {
        wish.check().map_err(|why| (Code::BadEvent, why))?;
        let rules = self.rulebook.get(room).unwrap_or_default();
        let now = now() / 1000;
        let (deed, changes) = match wish {
            Wish::Remove(message) => (Deed::Remove { message }, rules.remove(Some(message), now)),
            Wish::Clear => (Deed::Clear, rules.remove(None, now)),
            Wish::Pin(message) => (Deed::Pin { message }, rules.pin(Some(message), now)),
            Wish::Unpin => (Deed::Unpin, rules.pin(None, now)),
            Wish::Set(settings) => set(room, &rules, &settings, now)?,
            Wish::Lead(leader) => {
                let changes = rules.lead(leader.user, Some(&leader.name), now);
                (Deed::Lead(leader), changes)
            }
            Wish::Unlead(user) => {
                (Deed::Unlead(leader(&rules, user)?), rules.lead(user, None, now))
            }
            Wish::End => (Deed::End, rules.end(now)),
            Wish::Lower(member) => {
                member.map(|member| self.member_of(room, member)).transpose()?;
                (Deed::Lower { member }, Vec::new())
            }
            Wish::Mute(member) => mute(&rules, &self.member_of(room, member)?, now),
            Wish::Unmute(member) => {
                let seat = self.member_of(room, member)?;
                (Deed::Unmute(person(&seat)), rules.unmute(marks_of(&seat), now))
            }
            Wish::PutOut { member, minutes, reason } => {
                put_out(&rules, &self.member_of(room, member)?, minutes, reason, now)
            }
        };
        let space = self.rulebook.check_space(room, &changes);
        space.map_err(|why| (Code::BadEvent, why.to_owned()))?;
        Ok(Act { deed, changes })
    }

    /// The seat of a member of the room, on whatever node.
    fn member_of(&self, room: &RoomName, member: MemberId) -> Result<Seat, Refusal> {
        let client = self.rooms.get(room).and_then(|members| members.client_of(member));
        let here = client.and_then(|client| match self.clients.get(&client) {
            Some(Client::Member(seat)) => Some((**seat).clone()),
            _ => None,
        });
        let is_meant = |seat: &&Seat| seat.id == member && seat.room == *room;
        let away = || self.sessions.away().find(is_meant).cloned();
        let elsewhere = || self.nodes.as_ref()?.seat(member).filter(|seat| is_meant(&seat));
        here.or_else(away).or_else(elsewhere).ok_or_else(|| {
            (Code::Unknown, "no member of this room has this id: perhaps it has left".to_owned())
        })
    }
}

fn set(
    room: &RoomName,
    rules: &Rules,
    settings: &Settings,
    now: i64,
) -> Result<(Deed, Vec<Change>), Refusal> {
    let changes = rules.set(room, settings, now);
    let changes = changes.map_err(|why| (Code::BadEvent, why.to_owned()))?;
    let mut rules = rules.clone();
    rules.change(&changes);
    let info = rules.info();
    let (topic, mode, has_key, history) = (info.topic, info.mode, info.has_key, info.history);
    Ok((Deed::Set { topic, mode, has_key, history }, changes))
}

fn mute(rules: &Rules, seat: &Seat, now: i64) -> (Deed, Vec<Change>) {
    let person = person(seat);
    let changes = rules.mute(marks_of(seat), &person.name, now);
    (Deed::Mute(person), changes)
}

fn put_out(
    rules: &Rules,
    seat: &Seat,
    minutes: u32,
    reason: String,
    now: i64,
) -> (Deed, Vec<Change>) {
    let out = if minutes > 0 { marks_to_put_out(seat) } else { Vec::new() };
    let changes = rules.put_out(out, now + i64::from(minutes) * 60_000, now);
    (Deed::PutOut { person: person(seat), minutes, reason }, changes)
}

fn leader(rules: &Rules, user: UserId) -> Result<LeaderInfo, Refusal> {
    let leader = rules.info().leaders.into_iter().find(|leader| leader.user == user);
    leader.ok_or_else(|| (Code::Unknown, "this user does not lead this room".to_owned()))
}

fn person(seat: &Seat) -> Person {
    let info = member_info(seat);
    Person { member: info.id, name: info.name, user: info.user }
}

/// The marks by which a member is muted: see [`marks`].
pub(super) fn marks_of(seat: &Seat) -> impl Iterator<Item = Mark> {
    marks(seat.user_id(), seat.session, seat.address.unwrap_or(NOWHERE))
}

/// The marks by which a member is put out. In a moment it is a new guest, with a new session, so nobody
/// new from the same address may come in either.
fn marks_to_put_out(seat: &Seat) -> Vec<Mark> {
    marks_of(seat).chain(seat.address).collect()
}
