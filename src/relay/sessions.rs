//! Sessions: which connection each session has, and the seats of those that were lost.
//!
//! A client that comes back is the same member as before. If its line broke without a Close, its
//! seat is kept for a short time, so that the others are told nothing of a short break. Not here:
//! what a session is (`identity`), and telling the others (`broadcaster`). Used by the broadcaster
//! alone.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::identity::session::Session;
use crate::net::connection::ClientId;
use crate::protocol::address::RoomName;
use crate::protocol::message::{SessionId, Stay, UserId};
use crate::protocol::rules::Mark;
use crate::protocol::v1::MemberId;
use crate::store::User;

/// How long the seat of a lost session is kept.
const ABSENCE: Duration = Duration::from_secs(10);

/// The most seats that are kept for lost sessions. Any more are given up at once: each connection
/// may bring a new session.
const MAX_AWAY: usize = 4096;

/// The most sessions whose guest number is remembered; the oldest are forgotten first.
const MAX_GUESTS: usize = 16_384;

/// A member's seat in a room: what stays the same when its session comes back.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The room.
    pub room: RoomName,
    /// The member's number.
    pub id: MemberId,
    /// The number in the member's name while it is a guest.
    pub guest: u64,
    /// The member's user; `None`: a guest. Boxed, because most clients are guests.
    pub user: Option<Box<User>>,
    /// The member's session, if it has brought one.
    pub session: Option<Session>,
    /// When the member connected last, in the time of the log that several nodes share; else 0.
    pub since: i64,
    /// The mark of the member's address; `None`: it is not known.
    pub address: Option<Mark>,
    /// Why the member may not speak; `None`: it may. Brought up to date whenever the rules of the room
    /// change, so that a message costs no look at them.
    pub silence: Option<Silence>,
    /// Whether what the member says stays in the history. It is brought up to date likewise.
    pub stay: Stay,
    /// When the member has raised a hand, in microseconds since 1970; `None`: it is down.
    pub hand: Option<i64>,
}

/// Why a member may not speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Silence {
    /// A leader has muted it.
    Muted,
    /// Only leaders speak in the room.
    ReadOnly,
}

impl Seat {
    /// The seat of a new guest without a session.
    pub fn new(room: RoomName, number: u64) -> Self {
        Self {
            room,
            id: number,
            guest: number,
            user: None,
            session: None,
            since: 0,
            address: None,
            silence: None,
            stay: Stay::Kept,
            hand: None,
        }
    }

    /// The number of the member's user; `None`: a guest.
    pub fn user_id(&self) -> Option<UserId> {
        self.user.as_deref().map(|user| user.id)
    }
}

/// What a session was before it comes back.
#[derive(Debug)]
pub enum Earlier {
    /// It still has this connection.
    Connected(ClientId),
    /// It was lost, and this seat was kept for it.
    Away(Box<Seat>),
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    connected: HashMap<SessionId, ClientId>,
    away: HashMap<SessionId, Box<Seat>>,
    /// When each absence is over, in that order. The member's number tells whether it is still the
    /// same absence.
    ends: VecDeque<(Instant, SessionId, MemberId)>,
    /// The numbers in the names of guests.
    guests: HashMap<SessionId, u64>,
    /// The sessions in `guests`, in the order in which they came.
    oldest_guests: VecDeque<SessionId>,
}

impl Sessions {
    /// What the session was before, if it is known. It is no longer that.
    pub fn take(&mut self, session: &Session) -> Option<Earlier> {
        session.ids().find_map(|id| {
            let connected = self.connected.remove(&id).map(Earlier::Connected);
            connected.or_else(|| self.away.remove(&id).map(Earlier::Away))
        })
    }

    /// The seats that are kept.
    pub fn away(&self) -> impl Iterator<Item = &Seat> {
        self.away.values().map(|seat| &**seat)
    }

    /// Notes that the session has this connection.
    pub fn connect(&mut self, session: &Session, client: ClientId) {
        self.connected.insert(session.id, client);
    }

    /// The connection that a session has.
    pub fn connection_of(&self, session: SessionId) -> Option<ClientId> {
        self.connected.get(&session).copied()
    }

    /// Notes that the session has this connection no longer.
    pub fn disconnect(&mut self, session: &Session, client: ClientId) {
        if self.connected.get(&session.id) == Some(&client) {
            self.connected.remove(&session.id);
        }
    }

    /// The number in the name of a guest: the one that the session had before, or else `new`.
    pub fn guest_number(&mut self, session: &Session, new: u64) -> u64 {
        if let Some(number) = self.guests.get(&session.id) {
            return *number;
        }
        if self.oldest_guests.len() >= MAX_GUESTS
            && let Some(oldest) = self.oldest_guests.pop_front()
        {
            self.guests.remove(&oldest);
        }
        self.oldest_guests.push_back(session.id);
        self.guests.insert(session.id, new);
        new
    }

    /// Keeps the seat of a session that was lost at `now`.
    ///
    /// # Errors
    /// The seat is not kept: it has no session, or too many are away already.
    pub fn keep_seat(&mut self, seat: Box<Seat>, now: Instant) -> Result<(), Box<Seat>> {
        let Some(session) = seat.session.filter(|_| self.away.len() < MAX_AWAY) else {
            return Err(seat);
        };
        self.ends.push_back((now + ABSENCE, session.id, seat.id));
        self.away.insert(session.id, seat);
        Ok(())
    }

    /// The seats of all that are away.
    pub fn away_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.away.values_mut().map(|seat| &mut **seat)
    }

    /// When the next absence is over.
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.front().map(|(end, ..)| *end)
    }

    /// Gives up a seat whose session did not come back in time.
    pub fn give_up_seat(&mut self, now: Instant) -> Option<Box<Seat>> {
        while self.ends.front().is_some_and(|(end, ..)| *end <= now) {
            let (_, session, member) = self.ends.pop_front()?;
            if self.away.get(&session).is_some_and(|seat| seat.id == member) {
                return self.away.remove(&session);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "ada-0123456789-ada";

    fn seat(id: MemberId, session: Option<Session>) -> Box<Seat> {
        Box::new(Seat { session, ..Seat::new(RoomName::lobby(), id) })
    }

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_has_one_connection_at_a_time() {
        let (mut sessions, ada) = (Sessions::default(), Session::new(ADA, None));
        assert!(sessions.take(&ada).is_none());
        sessions.connect(&ada, ClientId::new(1));
        assert!(matches!(sessions.take(&ada), Some(Earlier::Connected(id)) if id.number() == 1));
        sessions.connect(&ada, ClientId::new(2));
        sessions.disconnect(&ada, ClientId::new(1));
        assert!(sessions.take(&ada).is_some(), "the old connection's end changes nothing");
        assert!(sessions.take(&ada).is_none());
    }

    #[test]
    fn a_guest_who_takes_a_name_is_known_and_a_user_without_the_key_is_not() {
        let (guest, user) = (Session::new(ADA, None), Session::new(ADA, Some(7)));
        let mut sessions = Sessions::default();
        sessions.connect(&guest, ClientId::new(1));
        assert!(sessions.take(&user).is_some());
        sessions.connect(&user, ClientId::new(1));
        assert!(sessions.take(&guest).is_none());
    }

    #[test]
    fn a_lost_session_keeps_its_seat_for_a_while() {
        let (mut sessions, ada) = (Sessions::default(), Session::new(ADA, None));
        sessions.keep_seat(seat(1, Some(ada)), Instant::now()).unwrap();
        assert!(sessions.give_up_seat(later(9)).is_none());
        assert_eq!(sessions.give_up_seat(later(11)).unwrap().id, 1);
        assert!(sessions.give_up_seat(later(11)).is_none());
        assert!(sessions.keep_seat(seat(2, None), Instant::now()).is_err(), "it has no session");
    }

    #[test]
    fn the_end_of_an_earlier_absence_does_not_end_a_later_one() {
        let (mut sessions, ada) = (Sessions::default(), Session::new(ADA, None));
        sessions.keep_seat(seat(1, Some(ada)), Instant::now()).unwrap();
        assert!(matches!(sessions.take(&ada), Some(Earlier::Away(seat)) if seat.id == 1));
        sessions.keep_seat(seat(2, Some(ada)), later(8)).unwrap();
        assert!(sessions.give_up_seat(later(11)).is_none());
        assert_eq!(sessions.give_up_seat(later(19)).unwrap().id, 2);
    }

    #[test]
    fn seats_and_guest_numbers_are_bounded() {
        let mut sessions = Sessions::default();
        let numbered = |number| Session::new(&format!("session-{number:010}"), None);
        for number in 0..MAX_AWAY as u64 {
            sessions.keep_seat(seat(number, Some(numbered(number))), Instant::now()).unwrap();
        }
        let one_more = seat(0, Some(Session::new(ADA, None)));
        assert!(sessions.keep_seat(one_more, Instant::now()).is_err());
        for number in 0..=MAX_GUESTS as u64 {
            assert_eq!(sessions.guest_number(&numbered(number), number), number);
        }
        assert_eq!(sessions.guests.len(), MAX_GUESTS);
        assert_eq!(sessions.guest_number(&numbered(1), 7), 1);
        assert_eq!(sessions.guest_number(&numbered(0), 7), 7, "the oldest is forgotten");
    }
}
