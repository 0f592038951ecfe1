//! The directory of people, as a trait.

use crate::protocol::message::UserId;

use super::Result;

/// A person in the directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Given by the store.
    pub id: UserId,
    /// As they wrote it.
    pub name: String,
    /// Seconds since 1970.
    pub created_at: i64,
}

/// SHA-256 of a user's key; the key itself is kept by nobody but the user.
pub type KeyHash = [u8; 32];

/// The directory of people. Called by the page's threads and the connections' own.
pub trait Directory: Send + Sync {
    /// A new user; `folded` is the name without regard to case.
    fn add_user(&self, name: &str, folded: &str, key: &KeyHash) -> Result<User>;
    /// The user with this number.
    fn user(&self, id: UserId) -> Result<Option<User>>;
    /// The user whose key this is.
    fn user_with_key(&self, key: &KeyHash) -> Result<Option<User>>;
    /// Users behind `after`, in order of their numbers.
    fn users(&self, after: UserId, limit: usize) -> Result<Vec<User>>;
    /// Gives a user another name; `None` if there is no such user.
    fn rename_user(&self, id: UserId, name: &str, folded: &str) -> Result<Option<User>>;
    /// Forgets a user; `false` if there is none.
    fn remove_user(&self, id: UserId) -> Result<bool>;
}
