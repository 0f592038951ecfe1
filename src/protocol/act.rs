//! Acts: what the leader of a room does to it, and what an author does to an own message.
//!
//! An act is the content of a message. So it has a place in the order of all messages, is kept and
//! replayed as they are, and is done once. A [`Wish`] is what somebody asks for, a [`Deed`] is what
//! clients are told, and the [`Change`]s are what becomes of the room's rules. Not here: who may do
//! what (`relay`), and what the rules mean (`identity`). Values and pure functions, on any thread.

use serde::{Deserialize, Serialize};

use super::message::{MessageId, UserId};
use super::rules::{Change, LeaderInfo, Mode, Settings};
use super::v1::MemberId;

/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 255;

/// The time for which a member is put out if nothing else is said, in minutes.
const OUT_MINUTES: u32 = 10;

/// The longest time for which a member is put out: a day, in minutes.
const MAX_OUT_MINUTES: u32 = 1440;

/// What was done, and what becomes of the room's rules by it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Act {
    /// What clients are told.
    #[serde(flatten)]
    pub deed: Deed,
    /// The changes of the room's rules. They are never sent to clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// What was done, as clients are told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Deed {
    /// A message was removed: it is gone from the history, and should go from every page.
    Remove {
        /// That message.
        message: MessageId,
    },
    /// All messages before this act were removed.
    Clear,
    /// A message is pinned, in the place of the one before.
    Pin {
        /// That message.
        message: MessageId,
    },
    /// No message is pinned any more.
    Unpin,
    /// A member may not speak.
    Mute(Person),
    /// A member may speak again.
    Unmute(Person),
    /// A member was put out of the room.
    PutOut {
        /// Who.
        #[serde(flatten)]
        person: Person,
        /// For so many minutes they may not come back.
        minutes: u32,
        /// Why, in the leader's words; may be empty.
        reason: String,
    },
    /// The rules of the room are these now.
    Set {
        /// What the room is about; may be empty.
        topic: String,
        /// Who may come in and speak.
        mode: Mode,
        /// Whoever comes in needs the room's key.
        has_key: bool,
        /// Messages are kept.
        history: bool,
    },
    /// A user now leads the room.
    Lead(LeaderInfo),
    /// A user leads the room no longer.
    Unlead(LeaderInfo),
    /// The class is over: everyone but the leaders is sent away, and nobody new comes in.
    End,
    /// Hands were lowered.
    Lower {
        /// Whose; `None`: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
    },
}

/// A member that something was done to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Person {
    /// The member's number.
    pub member: MemberId,
    /// The name at that time.
    pub name: String,
    /// The member's user; guests have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

/// What somebody asks for, as it was said: not checked against the room.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// To remove a message.
    Remove(MessageId),
    /// To remove all messages.
    Clear,
    /// To pin a message.
    Pin(MessageId),
    /// To pin none.
    Unpin,
    /// To let a member speak no longer.
    Mute(MemberId),
    /// To let a member speak again.
    Unmute(MemberId),
    /// To put a member out.
    PutOut {
        /// Who.
        member: MemberId,
        /// For so many minutes they may not come back.
        minutes: u32,
        /// Why; may be empty.
        reason: String,
    },
    /// To change some of the rules; what is `None` stays as it is.
    Set(Settings),
    /// To make a user a leader.
    Lead(LeaderInfo),
    /// To make a user a leader no longer.
    Unlead(UserId),
    /// To end the class.
    End,
    /// To lower one hand, or all.
    Lower(Option<MemberId>),
}

/// A hand that a member raises or lowers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hand {
    /// It is raised.
    Up,
    /// It is down.
    Down,
}

/// The fields of all wishes, as JSON has them. (`flatten` would first build a tree of the unknown
/// ones.)
#[derive(Deserialize)]
struct Fields {
    act: String,
    message: Option<MessageId>,
    member: Option<MemberId>,
    minutes: Option<u32>,
    reason: Option<String>,
    topic: Option<String>,
    key: Option<String>,
    mode: Option<Mode>,
    history: Option<bool>,
}

impl Wish {
    /// Reads a wish from JSON such as `{"act":"remove","message":7}`; unknown fields are ignored. Only
    /// the owner makes leaders, and in another way, so that cannot be asked for here.
    ///
    /// # Errors
    /// It is no wish, or is not a valid one; the error is a sentence for its sender.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let fields = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let Fields { act, message, member, minutes, reason, topic, key, mode, history } = fields;
        let message = message.ok_or("this act names a message, by its id");
        let someone = member.ok_or("this act names a member, by its id");
        let wish = match act.as_str() {
            "remove" => Self::Remove(message?),
            "clear" => Self::Clear,
            "pin" => Self::Pin(message?),
            "unpin" => Self::Unpin,
            "mute" => Self::Mute(someone?),
            "unmute" => Self::Unmute(someone?),
            "put-out" => {
                let minutes = minutes.unwrap_or(OUT_MINUTES);
                Self::PutOut { member: someone?, minutes, reason: reason.unwrap_or_default() }
            }
            "set" => Self::Set(Settings { topic, key, mode, history }),
            "end" => Self::End,
            "lower" => Self::Lower(member),
            _ => return Err(KINDS.to_owned()),
        };
        wish.check().map(|()| wish)
    }

    /// Checks the values, but those of the rules: these are checked where they are changed.
    ///
    /// # Errors
    /// One is not valid; the error is a sentence for the sender.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::PutOut { minutes, .. } if *minutes > MAX_OUT_MINUTES => {
                Err(format!("minutes is 0 to {MAX_OUT_MINUTES}, a day"))
            }
            Self::PutOut { reason, .. } => check_reason(reason),
            Self::Set(settings) if *settings == Settings::default() => {
                Err("set names at least one of topic, key, mode and history".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The message that this wish is about.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Remove(message) | Self::Pin(message) => Some(*message),
            _ => None,
        }
    }
}

const KINDS: &str = "act is remove, clear, pin, unpin, mute, unmute, put-out, set, end or lower";

/// A reason is read by people, in one line.
fn check_reason(reason: &str) -> Result<(), String> {
    if reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        return Err(format!("reason is one line of {MAX_REASON_BYTES} bytes at most"));
    }
    Ok(())
}

impl Act {
    /// The form in which it is kept.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are always JSON")
    }

    /// Reads the form in which it is kept; `None`: a later version of this program has made it.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

impl Deed {
    /// The kind of the deed in one word, as in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Remove { .. } => "remove",
            Self::Clear => "clear",
            Self::Pin { .. } => "pin",
            Self::Unpin => "unpin",
            Self::Mute(_) => "mute",
            Self::Unmute(_) => "unmute",
            Self::PutOut { .. } => "put-out",
            Self::Set { .. } => "set",
            Self::Lead(_) => "lead",
            Self::Unlead(_) => "unlead",
            Self::End => "end",
            Self::Lower { .. } => "lower",
        }
    }

    /// Tells of the deed in a sentence; `who` is the name of the one who did it.
    pub fn sentence(&self, who: &str) -> String {
        match self {
            Self::Remove { .. } => format!("{who} removed a message."),
            Self::Clear => format!("{who} cleared the room."),
            Self::Pin { .. } => format!("{who} pinned a message."),
            Self::Unpin => format!("{who} unpinned the message."),
            Self::Mute(person) => format!("{who} muted {}.", person.name),
            Self::Unmute(person) => format!("{who} let {} speak again.", person.name),
            Self::PutOut { person, minutes, reason } => {
                let (name, time) = (&person.name, for_minutes(*minutes));
                format!("{who} put {name} out{time}{}.", behind_colon(reason))
            }
            Self::Set { topic, mode, has_key, history } => {
                let key = if *has_key { ", with a key" } else { "" };
                let history = if *history { "" } else { ", and messages are not kept" };
                let topic = behind_colon(topic);
                format!("{who} set the room: {}{key}{history}{topic}.", in_words(*mode))
            }
            Self::Lead(leader) => format!("{who} made {} a leader of this room.", leader.name),
            Self::Unlead(leader) => format!("{} no longer leads this room.", leader.name),
            Self::End => format!("{who} ended the class."),
            Self::Lower { member: Some(_) } => format!("{who} lowered a hand."),
            Self::Lower { member: None } => format!("{who} lowered all hands."),
        }
    }
}

fn in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Open => "open",
        Mode::ReadOnly => "only leaders speak",
        Mode::Closed => "closed to newcomers",
    }
}

fn for_minutes(minutes: u32) -> String {
    match minutes {
        0 => String::new(),
        1 => " for 1 minute".to_owned(),
        minutes => format!(" for {minutes} minutes"),
    }
}

fn behind_colon(text: &str) -> String {
    let text = text.trim_end_matches('.');
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_has_its_fields() {
        let put_out = |member, minutes, reason: &str| Wish::PutOut {
            member,
            minutes,
            reason: reason.to_owned(),
        };
        let topic = Settings { topic: Some("Kepler".to_owned()), ..Settings::default() };
        for (json, wish) in [
            (r#"{"act":"remove","message":7}"#, Wish::Remove(7)),
            (r#"{"act":"clear","x":[{}]}"#, Wish::Clear),
            (r#"{"act":"pin","message":7}"#, Wish::Pin(7)),
            (r#"{"act":"unpin"}"#, Wish::Unpin),
            (r#"{"act":"mute","member":3}"#, Wish::Mute(3)),
            (r#"{"act":"unmute","member":3}"#, Wish::Unmute(3)),
            (r#"{"act":"put-out","member":3}"#, put_out(3, 10, "")),
            (r#"{"act":"put-out","member":3,"minutes":0,"reason":"a"}"#, put_out(3, 0, "a")),
            (r#"{"act":"set","topic":"Kepler"}"#, Wish::Set(topic)),
            (r#"{"act":"end"}"#, Wish::End),
            (r#"{"act":"lower"}"#, Wish::Lower(None)),
            (r#"{"act":"lower","member":3}"#, Wish::Lower(Some(3))),
        ] {
            assert_eq!(Wish::parse(json.as_bytes()), Ok(wish), "{json}");
        }
    }

    #[test]
    fn other_wishes_are_refused_in_words() {
        let long = format!(r#"{{"act":"put-out","member":3,"reason":"{}"}}"#, "x".repeat(256));
        for json in [
            "",
            "{}",
            r#"{"act":"dance"}"#,
            r#"{"act":"lead","user":3}"#,
            r#"{"act":"remove"}"#,
            r#"{"act":"remove","message":"7"}"#,
            r#"{"act":"mute"}"#,
            r#"{"act":"mute","member":-1}"#,
            r#"{"act":"put-out","member":3,"minutes":1441}"#,
            r#"{"act":"put-out","member":3,"reason":"a\nb"}"#,
            r#"{"act":"set"}"#,
            r#"{"act":"set","mode":"shut"}"#,
            &long,
        ] {
            let why = Wish::parse(json.as_bytes()).expect_err(json);
            assert!(!why.is_empty(), "{json}");
        }
    }

    #[test]
    fn an_act_comes_back_as_it_was_and_its_changes_are_for_nobody() {
        let person = Person { member: 3, name: "Bob".to_owned(), user: Some(2) };
        let changes = vec![Change::set("muted:u:2", "Bob"), Change::delete("out:u:2")];
        for deed in [
            Deed::Mute(person.clone()),
            Deed::PutOut { person, minutes: 1, reason: "spam.".to_owned() },
            Deed::Lower { member: None },
            Deed::Clear,
        ] {
            let act = Act { deed, changes: changes.clone() };
            assert_eq!(Act::from_json(act.to_json().as_bytes()).as_ref(), Some(&act));
            let told = serde_json::to_value(&act.deed).unwrap();
            assert_eq!(told["act"], act.deed.kind());
            assert!(told.get("changes").is_none());
        }
        assert_eq!(Act::from_json(br#"{"act":"dance"}"#), None);
    }

    #[test]
    fn a_deed_is_told_in_a_sentence() {
        let bob = || Person { member: 3, name: "Bob".to_owned(), user: None };
        let put_out = |minutes, reason: &str| {
            Deed::PutOut { person: bob(), minutes, reason: reason.to_owned() }.sentence("Ada")
        };
        assert_eq!(put_out(0, ""), "Ada put Bob out.");
        assert_eq!(put_out(1, "spam."), "Ada put Bob out for 1 minute: spam.");
        assert_eq!(put_out(10, "spam"), "Ada put Bob out for 10 minutes: spam.");
        assert_eq!(Deed::Unmute(bob()).sentence("Ada"), "Ada let Bob speak again.");
    }
}
