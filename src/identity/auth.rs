//! Authentication: it finds the user that a key belongs to.
//!
//! A user's key has 256 random bits. The store keeps only its hash. Not here: the place of the key in
//! a request (`api`). Called by page threads and by connections' own threads.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::store::{Directory, KeyHash, Result, User};

/// The bytes of a key before they become text: 256 bits, which nobody guesses.
const KEY_BYTES: usize = 32;

/// Checks the keys of users, and the admin token.
pub struct Auth {
    directory: Arc<dyn Directory>,
    /// SHA-256 of `--admin-token`.
    admin: Option<KeyHash>,
}

impl Auth {
    /// For the users in `directory`, and for the admin, who may change everything.
    pub fn new(directory: Arc<dyn Directory>, admin_token: Option<&str>) -> Self {
        Self { directory, admin: admin_token.map(hash) }
    }

    /// Finds the user that has this key.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn user_with(&self, key: &str) -> Result<Option<User>> {
        self.directory.user_with_key(&hash(key))
    }

    /// Whether there is an `--admin-token`.
    pub fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// Whether this is `--admin-token`. Hashes are compared, so that the time that this takes says
    /// nothing about the token.
    pub fn is_admin(&self, key: &str) -> bool {
        self.admin.is_some_and(|admin| is_same(&admin, &hash(key)))
    }
}

/// Makes a new key, in characters that a header field can carry.
///
/// # Errors
/// The system gives no random numbers.
pub fn new_key() -> std::result::Result<String, Unspecified> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash of a key, which is what the store keeps.
pub fn hash(key: &str) -> KeyHash {
    digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether two hashes are equal. It takes the same time wherever they differ.
pub fn is_same(one: &KeyHash, other: &KeyHash) -> bool {
    one.ct_eq(other).into()
}
