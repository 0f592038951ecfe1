//! The directory of people, as a trait. Not here: the database behind it (`sqlite`).

use crate::protocol::message::UserId;

use super::Result;

/// A person in the directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// The user's number, given by the store.
    pub id: UserId,
    /// The name, as it is shown.
    pub name: String,
    /// The time at which the user was added, in seconds since 1970.
    pub created_at: i64,
}

/// SHA-256 of a user's key. The key itself is known to the user alone.
pub type KeyHash = [u8; 32];

/// The directory of people. Called by page threads and by connections' own threads.
///
/// # Errors
/// Every function fails if the database does.
pub trait Directory: Send + Sync {
    /// Adds a user; `folded` is the form by which names are compared.
    ///
    /// # Errors
    /// The name is taken, or the directory is full.
    fn add_user(&self, name: &str, folded: &str, key: &KeyHash) -> Result<User>;
    /// Finds the user with this number.
    fn user(&self, id: UserId) -> Result<Option<User>>;
    /// Finds the user that has this key.
    fn user_with_key(&self, key: &KeyHash) -> Result<Option<User>>;
    /// Lists at most `limit` users with a number above `after`, in order of their numbers.
    fn users(&self, after: UserId, limit: usize) -> Result<Vec<User>>;
    /// Gives a user another name; `None` if there is no such user.
    ///
    /// # Errors
    /// The name is taken.
    fn rename_user(&self, id: UserId, name: &str, folded: &str) -> Result<Option<User>>;
    /// Removes a user; `false` if there is no such user.
    fn remove_user(&self, id: UserId) -> Result<bool>;
}
