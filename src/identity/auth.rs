//! Whose key this is.
//!
//! A user is known by a key of 256 random bits, of which only a hash is kept. Not here: where a
//! request carries its key (`api`). Called on the page's threads and the connections' own.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

use crate::store::{Directory, KeyHash, Result, User};

/// Bytes of a key before they become text: 256 bits, which nobody guesses.
const KEY_BYTES: usize = 32;

/// Knows keys.
pub struct Auth {
    directory: Arc<dyn Directory>,
    /// SHA-256 of `--admin-token`.
    admin: Option<KeyHash>,
}

impl Auth {
    /// Keys of those in `directory`, and the token of whoever may change everything.
    pub fn new(directory: Arc<dyn Directory>, admin_token: Option<&str>) -> Self {
        Self { directory, admin: admin_token.map(hash) }
    }

    /// The user whose key this is.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn user_with(&self, key: &str) -> Result<Option<User>> {
        self.directory.user_with_key(&hash(key))
    }

    /// Whether this is `--admin-token`. Hashes are compared: how long that takes tells nothing of
    /// the token.
    pub fn is_admin(&self, key: &str) -> bool {
        self.admin.is_some_and(|admin| admin == hash(key))
    }
}

/// A new key, in characters that a header field carries.
///
/// # Errors
/// The system gives no random numbers.
pub fn new_key() -> std::result::Result<String, Unspecified> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a key.
pub fn hash(key: &str) -> KeyHash {
    digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}
