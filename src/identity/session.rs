//! A session: a client's own name for its visits, as a hash.
//!
//! A client makes its session itself, and brings it each time it connects. So the server knows a
//! client that comes back, and a message that it sends again. Whoever knows a session could end its
//! connection and claim its messages, so only the hash is kept, and the hash depends on the user
//! whose key came with it. Not here: which connection a session has (`relay`). Pure functions, on a
//! connection's own thread and on the page's threads.

use ring::digest::{Context, SHA256};

use crate::protocol::message::{SessionId, UserId};

/// A client's session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The session of this user, or of this guest.
    pub id: SessionId,
    /// For a user: the session of the same name that a guest would have. A guest who takes a name
    /// goes on with it.
    pub as_guest: Option<SessionId>,
}

impl Session {
    /// The session that this user (`None`: a guest) calls `name`.
    pub fn new(name: &str, user: Option<UserId>) -> Self {
        Self { id: hash(name, user), as_guest: user.map(|_| hash(name, None)) }
    }

    /// Both ids that belong to the client.
    pub fn ids(&self) -> impl Iterator<Item = SessionId> {
        std::iter::once(self.id).chain(self.as_guest)
    }
}

/// The first half of a SHA-256. No user has the number 0, which stands for guests.
fn hash(name: &str, user: Option<UserId>) -> SessionId {
    let mut context = Context::new(&SHA256);
    context.update(&user.unwrap_or(0).to_be_bytes());
    context.update(name.as_bytes());
    let digest = context.finish();
    let half = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    SessionId(*half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_the_user_whose_key_came_with_it() {
        let name = "0123456789abcdef";
        let (guest, ada, bob) =
            (Session::new(name, None), Session::new(name, Some(1)), Session::new(name, Some(2)));
        assert_eq!(guest.id, Session::new(name, None).id);
        assert_ne!(guest.id, ada.id);
        assert_ne!(ada.id, bob.id);
        assert_ne!(guest.id, Session::new("0123456789abcdeg", None).id);
    }

    #[test]
    fn a_guest_who_takes_a_name_goes_on() {
        let name = "0123456789abcdef";
        let (guest, ada) = (Session::new(name, None), Session::new(name, Some(1)));
        assert_eq!(ada.as_guest, Some(guest.id));
        assert_eq!(ada.ids().collect::<Vec<_>>(), [ada.id, guest.id]);
        assert_eq!(guest.ids().collect::<Vec<_>>(), [guest.id]);
    }
}
