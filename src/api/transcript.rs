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

use crate::protocol::address::RoomName;
use crate::protocol::message::{self, Content, Message, MessageId};
use crate::protocol::v1;
use crate::store::HistoryPage;

/// Encodes as many messages as fit into `most` bytes. The first one is always encoded. `more` in
/// the result tells whether the room has messages behind the last one.
pub fn encode(room: &RoomName, found: &HistoryPage, most: usize) -> Vec<u8> {
    let (complete, last) = (found.complete, found.last);
    let begin = format!(r#"{{"complete":{complete},"last":{last},"messages":["#);
    let end = |more| format!(r#"],"more":{more},"room":"{}"}}"#, room.as_str());
    // `false` is the longer of the two.
    let most = most.saturating_sub(end(false).len());
    let mut bytes = begin.into_bytes();
    let mut count = 0;
    for message in &found.messages {
        if !add(&mut bytes, message, (count > 0).then_some(most)) {
            break;
        }
        count += 1;
    }
    bytes.extend(end(found.more || count < found.messages.len()).into_bytes());
    bytes
}

/// Adds a message, and the comma before it, if `bytes` then has at most `most` bytes. `None` is for
/// the first message: it is added whatever its length.
fn add(bytes: &mut Vec<u8>, message: &Message, most: Option<usize>) -> bool {
    let mark = bytes.len();
    if most.is_some() {
        bytes.push(b',');
    }
    let mut bounded = Bounded { bytes, most: most.unwrap_or(usize::MAX) };
    let fits = serde_json::to_writer(&mut bounded, &Encoded::from(message)).is_ok();
    if !fits {
        bytes.truncate(mark);
    }
    fits
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
        #[serde(serialize_with = "as_base64")]
        base64: &'a [u8],
    },
}

impl<'a> From<&'a Message> for Encoded<'a> {
    fn from(message: &'a Message) -> Self {
        let content = match &message.content {
            Content::Text(text) => EncodedContent::Text { text: String::from_utf8_lossy(text) },
            Content::Binary { name, media_type, bytes } => {
                EncodedContent::Binary { name, media_type, size: bytes.len(), base64: bytes }
            }
        };
        let from = v1::From { id: None, user: message.author.user, name: &message.author.name };
        Self { at: message::time(message.id), from, id: message.id, content }
    }
}

/// Encodes piece by piece, so that the base64 is whole nowhere but in the response.
fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
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

    /// The ids of the encoded messages, `more`, and the length of the JSON in bytes.
    fn told(messages: Vec<Arc<Message>>, more: bool, most: usize) -> (Vec<MessageId>, bool, usize) {
        let found = HistoryPage { messages, more, complete: true, last: 9 };
        let bytes = encode(&RoomName::parse("a").unwrap(), &found, most);
        let told: Value = serde_json::from_slice(&bytes).unwrap();
        let ids = told["messages"].as_array().unwrap().iter();
        let ids = ids.map(|message| message["id"].as_i64().unwrap()).collect();
        (ids, told["more"].as_bool().unwrap(), bytes.len())
    }

    #[test]
    fn a_response_is_as_long_as_it_may_be_and_no_longer() {
        let room = |count| (1..=count).map(|id| said(id, "\u{1}\u{1}\u{1}")).collect::<Vec<_>>();
        let (all, more, length) = told(room(9), false, usize::MAX);
        assert_eq!((all.len(), more), (9, false));
        assert_eq!(told(room(9), false, length), ((1..=9).collect(), false, length));
        let (some, more, shorter) = told(room(9), false, length - 1);
        assert_eq!((some, more), ((1..=8).collect(), true));
        assert!(shorter < length);
        // The first message is always encoded. `more` of the page is kept.
        assert_eq!(told(room(9), false, 0).0, [1]);
        assert!(told(room(1), true, usize::MAX).1);
        assert!(!told(vec![], false, 0).1);
    }
}
