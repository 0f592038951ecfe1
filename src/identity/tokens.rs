//! The tokens of this server: whoever has one may come in.
//!
//! A token says that somebody may come in, and nothing about who they are: that is what a user's
//! key is for (`auth`). The tokens come from `--token`, or from the file of `--token-file`, which is
//! read again when it changes; the thread `tokens` looks for that. Only their hashes are kept. Not
//! here: the place of a token in a request, and the limit on guesses (`http/admission`). Asked on
//! connections' own threads and on page threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::auth::{hash, is_same};
use crate::net::watcher::Watcher;
use crate::options::{Options, is_token};
use crate::store::KeyHash;

/// The most tokens that are remembered although they are not good any more.
const MAX_RETIRED: usize = 1000;

/// The tokens that are good at the moment.
pub struct Tokens {
    known: Arc<RwLock<Known>>,
    /// `None` if there is no file.
    watcher: Option<Watcher>,
}

/// The hashes of tokens.
#[derive(Default)]
struct Known {
    good: Vec<KeyHash>,
    /// Tokens that were good while this program ran. Browsers still have them: they are refused,
    /// but they are no guesses.
    retired: Vec<KeyHash>,
}

/// What a text is that should be a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Its bearer may come in.
    Good,
    /// It was good, before the file changed.
    Retired,
    /// It never was good, as far as this program knows: perhaps a guess.
    Unknown,
}

impl Tokens {
    /// The tokens that the options name; `None` if they name none, and the server is open to
    /// everyone. Their file is read again after each `interval`, and when [`Tokens::renew`] is
    /// called.
    ///
    /// # Errors
    /// A sentence with the option, the file and the remedy.
    pub fn open(options: &Options, interval: Duration) -> Result<Option<Self>, String> {
        match (&options.token, &options.token_file) {
            (Some(token), _) => {
                let known = Known { good: vec![hash(token)], ..Known::default() };
                Ok(Some(Self { known: Arc::new(RwLock::new(known)), watcher: None }))
            }
            (None, Some(file)) => Self::watch(file.clone(), interval).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn watch(file: PathBuf, interval: Duration) -> Result<Self, String> {
        let known = Known { good: read(&file)?, ..Known::default() };
        let known = Arc::new(RwLock::new(known));
        let own = Arc::clone(&known);
        let watcher = Watcher::start("tokens", interval, move || renew(&file, &own))?;
        Ok(Self { known, watcher: Some(watcher) })
    }

    /// Whether this text is a token. All hashes are compared, each in constant time: how long it
    /// takes says nothing about the tokens.
    pub fn standing(&self, text: &str) -> Standing {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let hash = hash(text);
        let is_among = |hashes: &[KeyHash]| {
            hashes.iter().fold(false, |found, known| found | is_same(known, &hash))
        };
        match (is_among(&known.good), is_among(&known.retired)) {
            (true, _) => Standing::Good,
            (false, true) => Standing::Retired,
            (false, false) => Standing::Unknown,
        }
    }

    /// Makes the thread `tokens` look at the file now.
    pub fn renew(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.look_now();
        }
    }
}

/// How many tokens are in the file of `--token-file`.
///
/// # Errors
/// A sentence with the option, the file and the remedy.
pub fn look(file: &Path) -> Result<usize, String> {
    read(file).map(|tokens| tokens.len())
}

/// Uses the tokens in the file if it has changed and is good.
fn renew(file: &Path, known: &RwLock<Known>) {
    let good = match read(file) {
        Ok(good) => good,
        Err(sentence) => return log::error!("{sentence}; the old tokens stay"),
    };
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    if good == known.good {
        return;
    }
    log::info!("new tokens from {}: {} are good now", file.display(), good.len());
    let before = std::mem::replace(&mut known.good, good);
    let Known { good, retired } = &mut *known;
    retired.extend(before);
    retired.retain(|hash| !good.contains(hash));
    let surplus = retired.len().saturating_sub(MAX_RETIRED);
    retired.drain(..surplus);
}

/// The hashes of the tokens in a file: one in each line, apart from empty lines and those that
/// begin with `#`. An error names the line, but not what is in it.
fn read(file: &Path) -> Result<Vec<KeyHash>, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        format!("--token-file {name}: {error}; name a text file that this program may read")
    })?;
    let mut hashes = Vec::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_token(line) {
            let number = number + 1;
            return Err(format!(
                "--token-file {name}: line {number} is no token; a token is 16 to 128 of \
                 A-Z a-z 0-9 . _ ~ -, such as `openssl rand -hex 16` makes"
            ));
        }
        hashes.push(hash(line));
    }
    if hashes.is_empty() {
        return Err(format!(
            "--token-file {name}: there is no token in it; write one in each line"
        ));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const OLD: &str = "the-old-token-of-this-server";
    const NEW: &str = "the-new-token-of-this-server";

    fn tokens_in(text: &str) -> Result<Vec<KeyHash>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn a_file_has_a_token_in_each_line() {
        for text in [
            format!("{OLD}\n{NEW}\n"),
            format!("# for the class of 2026\r\n\r\n  {OLD}\r\n{NEW}"),
            format!("\n\n{OLD}\n#{OLD}\n\t{NEW}\t\n"),
        ] {
            assert_eq!(tokens_in(&text), Ok(vec![hash(OLD), hash(NEW)]), "{text:?}");
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_alone() {
        for (text, named) in [
            ("", "no token"),
            ("\n# nothing\n", "no token"),
            ("too-short", "line 1"),
            (&format!("# a\n{OLD}\n{NEW} and more"), "line 3"),
            (&"x".repeat(129), "line 1"),
        ] {
            let sentence = tokens_in(text).expect_err(text);
            assert!(sentence.contains(named), "{sentence}");
            assert!(!sentence.contains("too-short") && !sentence.contains("new"), "{sentence}");
        }
    }

    #[test]
    fn a_token_that_was_good_is_no_guess() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), OLD).unwrap();
        let known = RwLock::new(Known { good: read(file.path()).unwrap(), ..Known::default() });
        fs::write(file.path(), NEW).unwrap();
        renew(file.path(), &known);
        let tokens = Tokens { known: Arc::new(known), watcher: None };
        assert_eq!(tokens.standing(OLD), Standing::Retired);
        assert_eq!(tokens.standing(NEW), Standing::Good);
        assert_eq!(tokens.standing("the-odd-token-of-this-server"), Standing::Unknown);
        // It may become good again.
        fs::write(file.path(), format!("{NEW}\n{OLD}")).unwrap();
        renew(file.path(), &tokens.known);
        assert_eq!(tokens.standing(OLD), Standing::Good);
    }

    #[test]
    fn without_an_option_there_are_no_tokens() {
        let hour = Duration::from_secs(3600);
        let tokens = |options: &[&str]| Tokens::open(&Options::parse_from(options), hour);
        assert!(tokens(&["wsroom"]).is_ok_and(|tokens| tokens.is_none()));
        assert!(tokens(&["wsroom", "--token", OLD]).is_ok_and(|tokens| tokens.is_some()));
    }
}
