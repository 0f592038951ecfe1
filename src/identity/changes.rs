//! The changes of a room's rules that acts bring: which fields get which values.
//!
//! The broadcaster makes them before an act is kept, and they take effect when it has been. Not here:
//! what the fields mean (`rules`), and what clients are told (`protocol`). Pure functions, on the
//! broadcaster's thread.

use super::name::is_hidden;
use super::rules::{Rules, hash_of_key};
use crate::protocol::address::RoomName;
use crate::protocol::message::{MessageId, UserId};
use crate::protocol::rules::{Change, Mark, Mode, Settings, hex};

/// The longest topic, in characters.
const MAX_TOPIC: usize = 200;

/// Each function also deletes the put-outs that are over: at every act, so that
/// they do not gather. `now` is in milliseconds since 1970.
impl Rules {
    /// Checks settings that somebody asks for, and makes the changes of them.
    ///
    /// # Errors
    /// A setting is not valid; the error is a sentence for whoever asked.
    pub fn set(
        &self,
        room: &RoomName,
        settings: &Settings,
        now: i64,
    ) -> Result<Vec<Change>, &'static str> {
        if *settings == Settings::default() {
            return Err("Name at least one of topic, key, mode and history.");
        }
        let mut changes = self.expired(now);
        if let Some(topic) = &settings.topic {
            changes.push(optional("topic", topic_in(topic)?));
        }
        if let Some(key) = &settings.key {
            check_key(key)?;
            let hash = (!key.is_empty()).then(|| hex(&hash_of_key(room, key)));
            changes.push(optional("key", hash));
        }
        if let Some(mode) = settings.mode {
            changes.push(mode_is(mode));
        }
        if let Some(history) = settings.history {
            changes.push(optional("history", (!history).then(|| "off".to_owned())));
            if history && self.forgets {
                // The next millisecond, in microseconds: what was said before is not missed by mistake.
                changes.push(Change::set("kept-since", ((now + 1) * 1000).to_string()));
            }
        }
        Ok(changes)
    }

    /// Closes the room, at the end of class.
    pub fn end(&self, now: i64) -> Vec<Change> {
        with(self.expired(now), mode_is(Mode::Closed))
    }

    /// Pins a message; `None`: no message is pinned.
    pub fn pin(&self, message: Option<MessageId>, now: i64) -> Vec<Change> {
        with(self.expired(now), optional("pinned", message.map(|id| id.to_string())))
    }

    /// Messages are removed: that one, or all (`None`). A pinned message that is removed is not pinned
    /// any more.
    pub fn remove(&self, message: Option<MessageId>, now: i64) -> Vec<Change> {
        let is_pinned = self.pinned.is_some() && (message.is_none() || message == self.pinned);
        let mut changes = self.expired(now);
        changes.extend(is_pinned.then(|| Change::delete("pinned")));
        changes
    }

    /// Somebody with these [`marks`](super::rules::marks) may not speak.
    pub fn mute(&self, marks: impl IntoIterator<Item = Mark>, name: &str, now: i64) -> Vec<Change> {
        let mut changes = self.expired(now);
        let mute = |mark| Change::set(format!("muted:{mark}"), name);
        changes.extend(marks.into_iter().map(mute));
        changes
    }

    /// Somebody with these [`marks`](super::rules::marks) may speak again.
    pub fn unmute(&self, marks: impl IntoIterator<Item = Mark>, now: i64) -> Vec<Change> {
        let mut changes = self.expired(now);
        // All of them: another node may have muted by one a moment ago.
        let unmute = |mark| Change::delete(format!("muted:{mark}"));
        changes.extend(marks.into_iter().map(unmute));
        changes
    }

    /// Somebody with these marks may not enter before `until`, in milliseconds since 1970.
    pub fn put_out(
        &self,
        marks: impl IntoIterator<Item = Mark>,
        until: i64,
        now: i64,
    ) -> Vec<Change> {
        let mut changes = self.expired(now);
        let put_out = |mark| Change::set(format!("out:{mark}"), until.to_string());
        changes.extend(marks.into_iter().map(put_out));
        changes
    }

    /// This user leads the room from now on, or (`None`) does not any more.
    pub fn lead(&self, user: UserId, name: Option<&str>, now: i64) -> Vec<Change> {
        let change = optional(&format!("leader:{user}"), name.map(str::to_owned));
        with(self.expired(now), change)
    }

    fn expired(&self, now: i64) -> Vec<Change> {
        let over = self.out.iter().filter(|(_, until)| **until <= now);
        over.map(|(mark, _)| Change::delete(format!("out:{mark}"))).collect()
    }
}

fn optional(field: &str, value: Option<String>) -> Change {
    Change { field: field.to_owned(), value }
}

fn mode_is(mode: Mode) -> Change {
    optional("mode", (mode != Mode::Open).then(|| mode.as_str().to_owned()))
}

fn with(mut changes: Vec<Change>, last: Change) -> Vec<Change> {
    changes.push(last);
    changes
}

fn topic_in(text: &str) -> Result<Option<String>, &'static str> {
    let topic = text.trim();
    if topic.chars().count() > MAX_TOPIC {
        return Err("A topic has 200 characters at most.");
    }
    if topic.chars().any(is_hidden) {
        return Err("A topic has no control characters, and none that hide or turn text round.");
    }
    Ok((!topic.is_empty()).then(|| topic.to_owned()))
}

/// These characters need no escape in an address or in a header field, as those of a room's name.
fn check_key(key: &str) -> Result<(), &'static str> {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._~-".contains(&c);
    let is_valid = (4..=64).contains(&key.len()) && key.bytes().all(is_allowed);
    let grammar = "The key of a room is 4 to 64 of A-Z a-z 0-9 . _ ~ -, or empty for none.";
    if is_valid || key.is_empty() { Ok(()) } else { Err(grammar) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(mut rules: Rules, changes: &[Change]) -> Rules {
        rules.change(changes);
        rules
    }

    fn set(settings: &Settings) -> Result<Rules, &'static str> {
        let room = RoomName::parse("physics").unwrap();
        let changes = Rules::default().set(&room, settings, 0)?;
        Ok(changed(Rules::default(), &changes))
    }

    #[test]
    fn settings_are_kept_and_an_empty_one_is_none() {
        let settings = Settings {
            topic: Some("  Two bodies ".to_owned()),
            key: Some("kepler".to_owned()),
            mode: Some(Mode::ReadOnly),
            history: Some(false),
        };
        let rules = set(&settings).unwrap();
        let info = rules.info();
        assert_eq!((info.topic.as_str(), info.mode), ("Two bodies", Mode::ReadOnly));
        assert!(info.has_key && !info.history);
        let room = RoomName::parse("physics").unwrap();
        let none = Settings {
            topic: Some(String::new()),
            key: Some(String::new()),
            mode: Some(Mode::Open),
            history: Some(true),
        };
        let changes = rules.set(&room, &none, 7).unwrap();
        let rules = changed(rules, &changes);
        // It stays known that not all of what was said is there.
        assert!(!rules.keeps_all_since(7999) && rules.keeps_all_since(8000));
        let nothing = Change::delete("kept-since");
        assert_eq!(changed(rules, &[nothing]), Rules::default());
    }

    #[test]
    fn bad_settings_are_refused() {
        let topic = |text: &str| Settings { topic: Some(text.to_owned()), ..Settings::default() };
        let key = |text: &str| Settings { key: Some(text.to_owned()), ..Settings::default() };
        let (long, longer) = ("x".repeat(MAX_TOPIC), "x".repeat(MAX_TOPIC + 1));
        assert!(set(&topic(&long)).is_ok());
        for bad in [
            Settings::default(),
            topic(&longer),
            topic("a\nb"),
            topic("\u{202e}adA"),
            key("two words"),
            key("ä"),
        ] {
            assert!(set(&bad).is_err());
        }
    }

    #[test]
    fn every_act_takes_away_what_is_over() {
        let bob = Mark::User(7);
        let rules = changed(Rules::default(), &Rules::default().put_out([bob], 1000, 0));
        for changes in [
            rules.pin(Some(7), 1000),
            rules.remove(Some(7), 1000),
            rules.mute([], "", 1000),
            rules.lead(8, Some("Ada"), 1000),
            rules.end(1000),
        ] {
            assert!(changes.contains(&Change::delete("out:u:7")), "{changes:?}");
        }
        assert_eq!(rules.remove(None, 999), []);
    }

    #[test]
    fn a_message_that_is_removed_is_not_pinned_any_more() {
        let rules = changed(Rules::default(), &Rules::default().pin(Some(7), 0));
        assert_eq!(changed(rules.clone(), &rules.remove(Some(8), 0)).pinned, Some(7));
        for message in [Some(7), None] {
            assert_eq!(changed(rules.clone(), &rules.remove(message, 0)), Rules::default());
        }
    }
}
