//! The messages of a room as JSON, up to a limit in bytes.
//!
//! Each message is encoded straight into the bytes of the response, so its JSON is never in memory
//! twice. The limit counts encoded bytes: a control character has one byte in the store, and six in
//! JSON. Not here: the request (`rooms`). Pure functions, on the page's threads.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::protocol::act::Deed;
use crate::protocol::address::{Files, RoomName};
use crate::protocol::message::{self, Content, Message, MessageId};
use crate::protocol::v1;
use crate::store::HistoryPage;

/// Which messages of a page are encoded if not all of them fit.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    /// The oldest ones: the reader goes on to newer messages.
    Oldest,
    /// The newest ones: the reader goes back to older messages.
    Newest,
}

/// What of a page is encoded, and how.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Only the messages that have this text, which is in lower case.
    pub sought: Option<&'a str>,
    /// Whether large files have their bytes.
    pub files: Files,
    /// Which messages if not all of them fit.
    pub keep: Keep,
}

/// Encodes as many messages as fit into `most` bytes, in order of their ids. The first one to keep is
/// always encoded. `more` in the result tells whether there are messages beyond them, in the direction
/// in which the reader goes on, and then `next` is the id from which.
pub fn encode(room: &RoomName, found: &HistoryPage, wish: Wish, most: usize) -> Vec<u8> {
    let Wish { sought, files, keep } = wish;
    let (complete, last) = (found.complete, found.last);
    let begin = format!(r#"{{"complete":{complete},"last":{last},"messages":["#);
    let most = most.saturating_sub(end(room, Some(MessageId::MAX)).len());
    let mut bytes = begin.into_bytes();
    let start = bytes.len();
    let is_sought = |message: &&Message| sought.is_none_or(|sought| has(message, sought));
    let mut messages: Vec<_> = found.messages.iter().map(|one| &**one).filter(is_sought).collect();
    let edge = match keep {
        Keep::Oldest => found.messages.last(),
        Keep::Newest => found.messages.first(),
    };
    if let Keep::Newest = keep {
        messages.reverse();
    }
    let ends = add_while_they_fit(&mut bytes, &messages, files, most);
    if let Keep::Newest = keep {
        turn_round(&mut bytes, start, &ends);
    }
    if !ends.is_empty() {
        bytes.pop().expect("a comma follows each message");
    }
    let next = match messages.get(ends.len()) {
        Some(_) => messages[..ends.len()].last().map(|message| message.id),
        None => edge.map(|message| message.id).filter(|_| found.more),
    };
    bytes.extend(end(room, next).into_bytes());
    bytes
}

/// The end of a page; `next` is the id from which the reader goes on, if there is more.
fn end(room: &RoomName, next: Option<MessageId>) -> String {
    let room = room.as_str();
    match next {
        Some(next) => format!(r#"],"more":true,"next":{next},"room":"{room}"}}"#),
        None => format!(r#"],"more":false,"room":"{room}"}}"#),
    }
}

/// Whether a text, or the name of a file, has the text `sought`, which is in lower case. An act is
/// nothing that somebody has said.
fn has(message: &Message, sought: &str) -> bool {
    match &message.content {
        Content::Text(text) => String::from_utf8_lossy(text).to_lowercase().contains(sought),
        Content::Binary { name, .. } => name.to_lowercase().contains(sought),
        Content::Act(_) => false,
    }
}

/// Adds messages in this order, each with a comma behind it, as long as `bytes` without the last comma
/// has at most `most` bytes. The first message is added whatever its length. Returns the place at
/// which each of them ends.
fn add_while_they_fit(
    bytes: &mut Vec<u8>,
    messages: &[&Message],
    files: Files,
    most: usize,
) -> Vec<usize> {
    let mut ends = Vec::new();
    for message in messages {
        let most = if ends.is_empty() { usize::MAX } else { most };
        let mark = bytes.len();
        let mut bounded = Bounded { bytes, most };
        if serde_json::to_writer(&mut bounded, &Encoded::of(message, files)).is_err() {
            bytes.truncate(mark);
            break;
        }
        bytes.push(b',');
        ends.push(bytes.len());
    }
    ends
}

/// Turns round the order of the pieces behind `start`, which end at `ends`. It needs no second copy of
/// them: when all bytes are reversed, each piece is in its place, and is then reversed by itself.
fn turn_round(bytes: &mut [u8], start: usize, ends: &[usize]) {
    let length = bytes.len();
    bytes[start..].reverse();
    let starts = std::iter::once(start).chain(ends.iter().copied());
    for (begin, end) in starts.zip(ends) {
        bytes[start + length - end..start + length - begin].reverse();
    }
}

/// Bytes that never grow beyond a limit: writing a longer message fails before its end.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    most: usize,
}

impl Write for Bounded<'_> {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.most {
            return Err(ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message as JSON.
#[derive(Serialize)]
struct Encoded<'a> {
    at: String,
    from: v1::From<'a>,
    id: MessageId,
    #[serde(flatten)]
    content: EncodedContent<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum EncodedContent<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Binary {
        name: &'a str,
        media_type: &'a str,
        size: usize,
        #[serde(serialize_with = "as_base64", skip_serializing_if = "Option::is_none")]
        base64: Option<&'a [u8]>,
    },
    Act {
        said: String,
        #[serde(flatten)]
        deed: &'a Deed,
    },
}

impl<'a> Encoded<'a> {
    fn of(message: &'a Message, files: Files) -> Self {
        let content = match &message.content {
            Content::Text(text) => EncodedContent::Text { text: String::from_utf8_lossy(text) },
            Content::Binary { name, media_type, bytes } => {
                let is_later = files == Files::Later && bytes.len() > v1::LARGE_BYTES;
                let base64 = (!is_later).then_some(&**bytes);
                EncodedContent::Binary { name, media_type, size: bytes.len(), base64 }
            }
            Content::Act(act) => {
                let said = act.deed.sentence(&message.author.name);
                EncodedContent::Act { said, deed: &act.deed }
            }
        };
        let from = v1::From { id: None, user: message.author.user, name: &message.author.name };
        Self { at: message::time(message.id), from, id: message.id, content }
    }
}

/// Encodes piece by piece, so that the base64 is whole nowhere but in the response.
fn as_base64<S: Serializer>(bytes: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.expect("a file without its bytes has no such field");
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::Value;

    use super::*;
    use crate::protocol::message::Author;

    fn said(id: MessageId, text: &str) -> Arc<Message> {
        let author = Author { user: None, name: "guest".into() };
        let room = RoomName::parse("a").unwrap();
        let content = Content::Text(Bytes::copy_from_slice(text.as_bytes()));
        Arc::new(Message { id, room, author, content, origin: None })
    }

    fn whole(keep: Keep) -> Wish<'static> {
        Wish { sought: None, files: Files::Whole, keep }
    }

    /// The ids of the encoded messages, `more`, and the length of the JSON in bytes.
    fn told(
        messages: Vec<Arc<Message>>,
        more: bool,
        most: usize,
        keep: Keep,
    ) -> (Vec<MessageId>, bool, usize) {
        let found = HistoryPage { messages, more, complete: true, last: 9 };
        let bytes = encode(&RoomName::parse("a").unwrap(), &found, whole(keep), most);
        let told: Value = serde_json::from_slice(&bytes).unwrap();
        let ids = told["messages"].as_array().unwrap().iter();
        let ids = ids.map(|message| message["id"].as_i64().unwrap()).collect();
        (ids, told["more"].as_bool().unwrap(), bytes.len())
    }

    #[test]
    fn a_response_is_as_long_as_it_may_be_and_no_longer() {
        let room = |count| (1..=count).map(|id| said(id, "\u{1}\u{1}\u{1}")).collect::<Vec<_>>();
        for (keep, most, first) in [(Keep::Oldest, 1..=8, 1), (Keep::Newest, 2..=9, 9)] {
            let (all, more, length) = told(room(9), false, usize::MAX, keep);
            assert_eq!((all, more), ((1..=9).collect(), false));
            // There must be room for the longest `next`.
            let enough = length + r#"true,"next":9223372036854775807"#.len() - "false".len();
            assert_eq!(told(room(9), false, enough, keep), ((1..=9).collect(), false, length));
            let (some, more, shorter) = told(room(9), false, enough - 1, keep);
            assert_eq!((some, more), (most.collect(), true));
            assert!(shorter < length);
            // One message is always encoded. `more` of the page is kept.
            assert_eq!(told(room(9), false, 0, keep).0, [first]);
            assert!(told(room(1), true, usize::MAX, keep).1);
            assert!(!told(vec![], false, 0, keep).1);
        }
    }

    #[test]
    fn messages_are_in_order_whichever_are_kept() {
        let texts = ["", "one", "a longer text, with a comma", "\u{1}", "last"];
        let all: Vec<_> = texts.iter().zip(1..).map(|(text, id)| said(id, text)).collect();
        for count in 0..=all.len() {
            let found = HistoryPage { messages: all[..count].to_vec(), ..HistoryPage::default() };
            let room = RoomName::parse("a").unwrap();
            let [oldest, newest] = [Keep::Oldest, Keep::Newest]
                .map(|keep| encode(&room, &found, whole(keep), usize::MAX));
            assert_eq!(oldest, newest, "{count} messages");
        }
    }
}
