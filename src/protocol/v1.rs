//! `wsroom.v1`: the JSON events that clients of this subprotocol send and receive.
//!
//! A text message is one text frame with an event. A binary message is one binary frame: a line of
//! JSON, a newline, and the bytes. So each frame is whole, and no frame depends on another one.
//! Not here: which client gets which event (`relay`). Pure functions: a client's own thread reads,
//! the broadcaster writes.

use std::borrow::Cow;
use std::io::{self, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::Data;

use super::act::{Deed, Hand, Wish};
use super::frame;
use super::message::{self, Content, Message, MessageId, UserId};
use super::rules::RulesInfo;

/// The name of the subprotocol in the handshake (`Sec-WebSocket-Protocol`).
pub const NAME: &str = "wsroom.v1";

/// The longest `name`, `media_type` and `ref` of an event, in bytes.
pub const MAX_FIELD_BYTES: usize = 255;

/// A file with more bytes is told of without them, where the client has asked for `files=later`.
pub const LARGE_BYTES: usize = 64 << 10;

/// The bytes by which a frame may be longer than its payload: the line of a binary message with its
/// newline, or what surrounds the text of an event.
pub const MAX_ENVELOPE_BYTES: usize = 4096;

/// The most bytes that JSON needs for one byte of a text: a control character becomes `\u0001`.
pub const MAX_ESCAPE_BYTES: usize = 6;

/// The number of a member of a room. It stays the same when the member's session comes back.
pub type MemberId = u64;

/// The action that a client takes with one WebSocket message.
#[derive(Debug, Eq, PartialEq)]
pub enum Action {
    /// The client says this to everyone, with a `ref` if it gave one.
    Say(Content, Option<String>),
    /// The client asks for an act, with a `ref` if it gave one.
    Act(Wish, Option<String>),
    /// The client's user raises a hand, or lowers it.
    Hand(Hand),
    /// The client's user is writing.
    Type,
    /// The client asks for a pong, with the `ref` of its ping.
    Ping(Option<String>),
}

/// Reads one WebSocket message of a client, whose text or bytes may have `limit` bytes.
///
/// # Errors
/// The message is not a valid event; the complaint is for the client.
pub fn read(kind: Data, payload: &[u8], limit: usize) -> Result<Action, Complaint> {
    let (json, bytes) = match kind {
        Data::Text => (payload, None),
        _ => split_line(payload).map(|(line, bytes)| (line, Some(bytes)))?,
    };
    let complaint = |code, detail| Complaint { reference: reference_in(json), code, detail };
    let event: ClientEvent = serde_json::from_slice(json).map_err(|error| {
        let code = if error.is_data() { Code::BadEvent } else { Code::BadJson };
        complaint(code, error.to_string())
    })?;
    event.check().map_err(|detail| complaint(Code::BadEvent, detail))?;
    let length = bytes.or(event.text.as_deref().map(str::as_bytes)).map_or(0, <[u8]>::len);
    if length > limit {
        let detail = format!("a message has {limit} bytes at most, and this one has {length}");
        return Err(complaint(Code::TooLarge, detail));
    }
    event.act(json, bytes).map_err(|detail| complaint(Code::BadEvent, detail))
}

/// The line of JSON at the beginning of a binary message, and the bytes behind its newline.
fn split_line(payload: &[u8]) -> Result<(&[u8], &[u8]), Complaint> {
    let line = payload.iter().take(MAX_ENVELOPE_BYTES).position(|&byte| byte == b'\n');
    let line = line.ok_or_else(|| {
        let detail = "a binary message begins with a line of JSON, of 4096 bytes at most";
        Complaint { code: Code::BadEvent, detail: detail.to_owned(), reference: None }
    })?;
    Ok((&payload[..line], &payload[line + 1..]))
}

/// The `ref` of an event that is refused for another reason, if it can be read.
fn reference_in(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Marked {
        #[serde(rename = "ref")]
        reference: Option<String>,
    }
    let marked: Marked = serde_json::from_slice(json).ok()?;
    marked.reference.filter(|reference| (1..=MAX_FIELD_BYTES).contains(&reference.len()))
}

/// An event from a client, with the fields of all event types in one struct. So serde skips unknown
/// fields while it reads. (As a tagged enum, serde would first build a tree of the whole event, many
/// times as large as its text.)
#[derive(Deserialize)]
struct ClientEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    text: Option<String>,
    name: Option<String>,
    media_type: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

impl ClientEvent<'_> {
    /// Checks the lengths of the short fields.
    fn check(&self) -> Result<(), String> {
        let length = |field: &Option<String>| field.as_ref().map_or(0, String::len);
        let short = [&self.name, &self.media_type, &self.reference];
        if short.into_iter().any(|field| length(field) > MAX_FIELD_BYTES) {
            return Err(format!("ref, name and media_type take {MAX_FIELD_BYTES} bytes at most"));
        }
        match self.reference.as_deref() {
            Some("") => Err("a ref has at least one byte".to_owned()),
            _ => Ok(()),
        }
    }

    /// The action that this event asks for; `bytes` came with it in a binary frame. The fields of rare
    /// events are not in this struct: they are read from the `json` once more.
    fn act(self, json: &[u8], bytes: Option<&[u8]>) -> Result<Action, String> {
        let Self { kind, text, name, media_type, reference } = self;
        match (&*kind, text, bytes) {
            ("message", Some(text), None) => Ok(Action::Say(Content::Text(text.into()), reference)),
            ("message", None, None) => Err("a message has a text".to_owned()),
            ("typing", _, None) => Ok(Action::Type),
            ("ping", _, None) => Ok(Action::Ping(reference)),
            ("act", _, None) => Wish::parse(json).map(|wish| Action::Act(wish, reference)),
            ("hand", _, None) => read_hand(json).map(Action::Hand),
            ("binary", _, Some(bytes)) => {
                let (name, media_type) = (name.unwrap_or_default(), media_type.unwrap_or_default());
                // Copied: the payload is a part of tungstenite's read buffer, and a message that
                // shared it would hold all of that buffer in memory.
                let bytes = Bytes::copy_from_slice(bytes);
                Ok(Action::Say(Content::Binary { name, media_type, bytes }, reference))
            }
            ("binary", _, None) => {
                Err("a binary message is one binary frame: its line, a newline, the bytes".into())
            }
            (_, _, None) => Err("type is message, typing, ping, act or hand".to_owned()),
            (_, _, Some(_)) => Err("the line of a binary frame has the type binary".to_owned()),
        }
    }
}

fn read_hand(json: &[u8]) -> Result<Hand, String> {
    #[derive(Deserialize)]
    struct Raised {
        up: bool,
    }
    let Raised { up } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(if up { Hand::Up } else { Hand::Down })
}

/// The reason why a client's message had no effect. The client stays connected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// For programs.
    pub code: Code,
    /// For people, in words.
    pub detail: String,
    /// The `ref` of the message, if it had one that can be read.
    pub reference: Option<String>,
}

/// The kinds of complaints.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The frame, or the line of a binary frame, is not JSON.
    BadJson,
    /// The JSON is not an event that a client sends.
    BadEvent,
    /// The text or the bytes are more than the server takes.
    TooLarge,
    /// The message could not be kept, so nobody has heard it.
    NotKept,
    /// Only a leader of the room may do this.
    NotLeader,
    /// A leader has muted the client.
    Muted,
    /// Only leaders speak in the room.
    ReadOnly,
    /// There is no such message, member or user.
    Unknown,
}

impl Complaint {
    /// The event that tells the client.
    pub fn event(&self) -> ServerEvent<'_> {
        let Self { code, detail, reference } = self;
        let retry = *code == Code::NotKept;
        ServerEvent::Error { code: *code, detail, retry, reference: reference.as_deref() }
    }
}

/// A member of a room, as the other members see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MemberInfo {
    /// The member's number.
    pub id: MemberId,
    /// The number of its user in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name that people see.
    pub name: String,
    /// A leader has muted the member.
    #[serde(skip_serializing_if = "is_false")]
    pub muted: bool,
    /// When the member has raised a hand, in microseconds since 1970; missing while it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand: Option<i64>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl MemberInfo {
    /// A member that may speak, and has raised no hand.
    pub fn new(id: MemberId, user: Option<UserId>, name: impl Into<String>) -> Self {
        Self { id, user, name: name.into(), muted: false, hand: None }
    }
}

/// An event from the server to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerEvent<'a> {
    /// The first event of all.
    Welcome {
        /// The client itself.
        you: &'a MemberInfo,
        /// The room that it has joined.
        room: &'a str,
        /// All members, the client too; missing in a crowd, where only `count` is sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberInfo]>,
        /// The number of members.
        count: usize,
        /// The newest message of the room, 0 if there is none.
        last: MessageId,
        /// No message after `since` is missing, as far as is known before the replay.
        complete: bool,
        /// The largest text or binary message that the server takes, in bytes
        /// (`--max-message-size`).
        limit: usize,
        /// The number of messages that the room keeps (`--history`); 0: no `ref` is remembered.
        history: usize,
        /// What the server thinks of the client's key; missing if it is good, or if there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
        /// The rules of the room; missing if it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        rules: Option<&'a RulesInfo>,
    },
    /// The replay ends here. This event is sent even if there was no replay.
    Live {
        /// The newest message of the room when the replay began.
        last: MessageId,
        /// No message after `since` is missing.
        complete: bool,
    },
    /// The complete list of members. It replaces every list before it.
    Members {
        /// All members.
        members: &'a [MemberInfo],
        /// The number of members.
        count: usize,
    },
    /// Members that have joined since the last such event.
    Joined {
        /// The new members; missing in a crowd.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberInfo]>,
        /// The number of members now.
        count: usize,
    },
    /// Members that have left since the last such event.
    Left {
        /// Their numbers; missing in a crowd.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [MemberId]>,
        /// The number of members now.
        count: usize,
    },
    /// Members that have a new name.
    Renamed {
        /// These members, with their new names.
        members: &'a [MemberInfo],
    },
    /// A text message.
    Message {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Its author.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// The text.
        text: &'a str,
        /// The sender's `ref`, in the sender's own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// A binary message. Its bytes follow behind a newline, in the same frame.
    Binary {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Its author.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// The name of a file, or empty.
        name: &'a str,
        /// The media type, such as `image/png`, or empty.
        media_type: &'a str,
        /// The sender's `ref`, in the sender's own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// A large binary message of the past, for a client that fetches its bytes later (`files=later`).
    File {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Its author.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// The name of a file, or empty.
        name: &'a str,
        /// The media type, such as `image/png`, or empty.
        media_type: &'a str,
        /// How many bytes it has.
        size: usize,
        /// The sender's `ref`, for the sender's own session alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// Something was done to the room, or to a message.
    Act {
        /// Its place in the order of all messages.
        id: MessageId,
        /// Who did it.
        from: From<'a>,
        /// When, RFC 3339.
        at: String,
        /// What was done, in a sentence.
        said: String,
        /// What was done, for programs.
        #[serde(flatten)]
        deed: &'a Deed,
        /// The sender's `ref`, in the sender's own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// A member has raised a hand, or it was lowered.
    Hand {
        /// That member.
        member: HandOf<'a>,
        /// When it was raised, in microseconds since 1970, for the order; 0: it is down.
        up: i64,
    },
    /// A message with this `ref` was kept before, so it is not relayed again.
    Kept {
        /// The sender's `ref`.
        #[serde(rename = "ref")]
        reference: &'a str,
        /// The id that the message has.
        id: MessageId,
    },
    /// A member is writing.
    Typing {
        /// That member.
        from: &'a MemberInfo,
    },
    /// The answer to a ping of this client.
    Pong {
        /// The `ref` of the ping.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// The client has asked to be slow (`slow=`), and bytes wait for it.
    Behind {
        /// Bytes that wait.
        waiting: usize,
        /// Bytes that may wait. With more, the client is cut off.
        limit: usize,
    },
    /// A message of this client had no effect.
    Error {
        /// For programs.
        code: Code,
        /// For people, in words.
        detail: &'a str,
        /// The same event may succeed later.
        retry: bool,
        /// The `ref` of the message, if it had one that can be read.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// A member whose hand is raised or lowered.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HandOf<'a> {
    /// The member's number.
    pub id: MemberId,
    /// The name that people see.
    pub name: &'a str,
}

/// What the server thinks of a client's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// No user has this key: the client is a guest.
    Unknown,
}

/// The author of a message, with the name that they had then.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct From<'a> {
    /// The member who says it now. A message from the past, or one that came over HTTP, has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MemberId>,
    /// Their number in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name that people see.
    pub name: &'a str,
}

impl ServerEvent<'_> {
    /// Writes the event as one text frame. The event is encoded twice: the first time only counts
    /// the bytes for the header, so that a long text is never copied a second time.
    ///
    /// # Errors
    /// `out` cannot be written to. A vector always can.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, self)?;
        frame::write_header(out, Data::Text, length.0)?;
        serde_json::to_writer(out, self)?;
        Ok(())
    }

    /// The event as one text frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).expect("writing to a vector cannot fail");
        bytes
    }
}

/// Counts the bytes that are written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The parts of a message that are not the same in each copy of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copied<'a> {
    /// The member who says it; `None` in a replay, and for a message that came over HTTP.
    pub member: Option<MemberId>,
    /// The sender's `ref`, in the sender's own copy.
    pub reference: Option<&'a str>,
}

/// Writes a message in one frame.
///
/// # Errors
/// `out` cannot be written to. A vector always can.
pub fn write_message(out: &mut impl Write, message: &Message, copied: Copied) -> io::Result<()> {
    let Copied { member, reference } = copied;
    let from = From { id: member, user: message.author.user, name: &message.author.name };
    let (id, at) = (message.id, message::time(message.id));
    match &message.content {
        Content::Text(text) => {
            let text = str::from_utf8(text).expect("the content of a text is UTF-8");
            ServerEvent::Message { id, from, at, text, reference }.write(out)
        }
        Content::Binary { name, media_type, bytes } => {
            let event = ServerEvent::Binary { id, from, at, name, media_type, reference };
            let mut line = serde_json::to_vec(&event)?;
            line.push(b'\n');
            frame::write_header(out, Data::Binary, line.len() + bytes.len())?;
            out.write_all(&line)?;
            out.write_all(bytes)
        }
        Content::Act(act) => {
            let (deed, said) = (&act.deed, act.deed.sentence(from.name));
            ServerEvent::Act { id, from, at, said, deed, reference }.write(out)
        }
    }
}

/// Writes a message of the past for a client that wants large files later.
///
/// # Errors
/// `out` cannot be written to. A vector always can.
pub fn write_without_bytes(
    out: &mut impl Write,
    message: &Message,
    copied: Copied,
) -> io::Result<()> {
    match &message.content {
        Content::Binary { name, media_type, bytes } if bytes.len() > LARGE_BYTES => {
            let Copied { member, reference } = copied;
            let from = From { id: member, user: message.author.user, name: &message.author.name };
            let (id, at, size) = (message.id, message::time(message.id), bytes.len());
            ServerEvent::File { id, from, at, name, media_type, size, reference }.write(out)
        }
        _ => write_message(out, message, copied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::address::RoomName;
    use crate::protocol::message::Author;

    const LIMIT: usize = 1000;

    fn says(text: &str) -> Result<Action, Complaint> {
        read(Data::Text, text.as_bytes(), LIMIT)
    }

    fn shows(line: &str, bytes: &[u8]) -> Result<Action, Complaint> {
        read(Data::Binary, &[line.as_bytes(), b"\n", bytes].concat(), LIMIT)
    }

    fn text(text: &'static str, reference: Option<&str>) -> Action {
        Action::Say(Content::Text(text.into()), reference.map(str::to_owned))
    }

    fn binary(name: &str, media_type: &str, bytes: &'static [u8]) -> Content {
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        Content::Binary { name, media_type, bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn each_event_of_a_client_is_an_action() {
        for (event, action) in [
            (r#"{"type":"message","text":"hello"}"#, text("hello", None)),
            (r#"{"type":"message","text":"hello","ref":"7"}"#, text("hello", Some("7"))),
            (r#"{"type":"message","text":""}"#, text("", None)),
            (r#" { "text" : "\"\u00e9\n" , "type" : "message" } "#, text("\"é\n", None)),
            (r#"{"type":"m\u0065ssage","text":"hello"}"#, text("hello", None)),
            (r#"{"type":"message","text":"hello","ref":null}"#, text("hello", None)),
            (r#"{"type":"typing"}"#, Action::Type),
            (r#"{"type":"act","act":"end"}"#, Action::Act(Wish::End, None)),
            (
                r#"{"type":"act","act":"pin","message":7,"ref":"7"}"#,
                Action::Act(Wish::Pin(7), Some("7".to_owned())),
            ),
            (r#"{"type":"hand","up":true}"#, Action::Hand(Hand::Up)),
            (r#"{"type":"hand","up":false}"#, Action::Hand(Hand::Down)),
            (r#"{"type":"ping"}"#, Action::Ping(None)),
            (r#"{"type":"ping","ref":"7"}"#, Action::Ping(Some("7".to_owned()))),
        ] {
            assert_eq!(says(event), Ok(action), "{event}");
        }
    }

    #[test]
    fn a_binary_message_is_a_line_and_its_bytes() {
        let say = |content, reference: Option<&str>| {
            Ok(Action::Say(content, reference.map(str::to_owned)))
        };
        for (line, bytes, action) in [
            (r#"{"type":"binary"}"#, &b"\x89P"[..], say(binary("", "", b"\x89P"), None)),
            (r#"{"type":"binary"}"#, b"", say(binary("", "", b""), None)),
            (r#"{"type":"binary","x":[1]}"#, b"a\nb\n", say(binary("", "", b"a\nb\n"), None)),
            (
                r#"{"type":"binary","name":"a.png","media_type":"image/png","ref":"7"}"#,
                b"\x89P",
                say(binary("a.png", "image/png", b"\x89P"), Some("7")),
            ),
        ] {
            assert_eq!(shows(line, bytes), action, "{line}");
        }
    }

    #[test]
    fn bytes_without_their_line_are_refused() {
        let longest = format!(r#"{{"type":"binary","x":"{}"}}"#, "x".repeat(4096 - 25));
        assert_eq!(longest.len() + 1, MAX_ENVELOPE_BYTES);
        assert!(shows(&longest, b"bytes").is_ok());
        for (line, code) in [
            ("", Code::BadJson),
            ("hello", Code::BadJson),
            (r#"{"type":"message","text":"hello"}"#, Code::BadEvent),
            (r#"{"type":"typing"}"#, Code::BadEvent),
            (r#"{"name":"a"}"#, Code::BadEvent),
            (&format!("{longest} "), Code::BadEvent),
        ] {
            assert_eq!(shows(line, b"bytes").expect_err(line).code, code, "{line}");
        }
        let bare = read(Data::Binary, b"\x00\xff", LIMIT).expect_err("no line");
        assert_eq!(bare.code, Code::BadEvent);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        for event in [
            r#"{"type":"message","text":"hello","colour":"red"}"#,
            r#"{"x":{"type":"typing","y":[1,{"z":null}]},"type":"message","text":"hello"}"#,
            r#"{"Text":7,"text":"hello","type":"message"}"#,
        ] {
            assert_eq!(says(event), Ok(text("hello", None)), "{event}");
        }
    }

    /// Skipping is a loop, not a recursion: the deepest field does not use up the stack.
    #[test]
    fn unknown_fields_may_be_as_deep_as_they_like() {
        let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        let event = format!(r#"{{"x":{open}{close},"type":"typing"}}"#);
        assert_eq!(says(&event), Ok(Action::Type));
    }

    #[test]
    fn other_events_are_refused() {
        for (event, code) in [
            ("", Code::BadJson),
            ("hello", Code::BadJson),
            (r#"{"type":"typing""#, Code::BadJson),
            (r#"{"type":"typing"}}"#, Code::BadJson),
            (r#"{"type":"typing","x":01}"#, Code::BadJson),
            ("{}", Code::BadEvent),
            (r#""typing""#, Code::BadEvent),
            (r#"{"type":"Typing"}"#, Code::BadEvent),
            (r#"{"type":"shout","text":"hello"}"#, Code::BadEvent),
            (r#"{"type":null}"#, Code::BadEvent),
            (r#"{"type":7}"#, Code::BadEvent),
            (r#"{"type":"typing","type":"typing"}"#, Code::BadEvent),
            (r#"{"type":"message"}"#, Code::BadEvent),
            (r#"{"type":"message","text":null}"#, Code::BadEvent),
            (r#"{"type":"message","text":["hello"]}"#, Code::BadEvent),
            (r#"{"type":"message","text":"hello","ref":7}"#, Code::BadEvent),
            (r#"{"type":"message","text":"hello","ref":""}"#, Code::BadEvent),
            (r#"{"type":"act"}"#, Code::BadEvent),
            (r#"{"type":"act","act":"dance"}"#, Code::BadEvent),
            (r#"{"type":"hand"}"#, Code::BadEvent),
            (r#"{"type":"hand","up":1}"#, Code::BadEvent),
            (r#"{"type":"binary","name":"a.png"}"#, Code::BadEvent),
            (r#"{"type":"binary","name":{}}"#, Code::BadEvent),
            (r#"{"type":"binary","media_type":false}"#, Code::BadEvent),
        ] {
            let complaint = says(event).expect_err(event);
            assert_eq!(complaint.code, code, "{event}");
            assert!(!complaint.detail.is_empty(), "{event}");
        }
    }

    #[test]
    fn a_complaint_has_the_ref_if_it_can_be_read() {
        let long = format!(r#"{{"type":"message","text":"{}","ref":"7"}}"#, "x".repeat(LIMIT + 1));
        for (event, reference) in [
            (r#"{"type":"shout","ref":"7"}"#, Some("7")),
            (r#"{"type":"message","ref":"7"}"#, Some("7")),
            (r#"{"type":"message","text":7,"ref":"7"}"#, Some("7")),
            (r#"{"ref":"7"}"#, Some("7")),
            (&long, Some("7")),
            (r#"{"type":"shout","ref":7}"#, None),
            (r#"{"type":"shout","ref":""}"#, None),
            (r#"{"type":"shout","ref":"7""#, None),
        ] {
            assert_eq!(says(event).expect_err(event).reference.as_deref(), reference, "{event}");
        }
        let complaint = shows(r#"{"type":"message","ref":"7"}"#, b"").expect_err("no binary");
        assert_eq!(complaint.reference.as_deref(), Some("7"));
    }

    #[test]
    fn a_short_field_has_255_bytes_at_most() {
        let fits = ["x".repeat(255), format!("x{}", "é".repeat(127))];
        let too_long = ["x".repeat(256), "é".repeat(128)];
        for field in ["name", "media_type", "ref"] {
            let line = |value| format!(r#"{{"type":"binary","{field}":"{value}"}}"#);
            for value in &fits {
                assert!(shows(&line(value), b"").is_ok(), "{field} of {} bytes", value.len());
            }
            for value in &too_long {
                let complaint = shows(&line(value), b"").expect_err(field);
                assert_eq!(complaint.code, Code::BadEvent, "{field} of {} bytes", value.len());
            }
        }
    }

    /// The text counts as it is in UTF-8, however JSON writes it.
    #[test]
    fn a_payload_has_as_many_bytes_as_the_limit() {
        let event = |text: &str| format!(r#"{{"type":"message","text":"{text}"}}"#);
        for (piece, bytes) in [("x", 1), ("é", 2), (r"\u0001", 1), (r"\u00e9", 2)] {
            let text = piece.repeat(LIMIT / bytes);
            assert!(says(&event(&text)).is_ok(), "{piece}");
            let complaint = says(&event(&(text + "x"))).expect_err(piece);
            assert_eq!(complaint.code, Code::TooLarge, "{piece}");
        }
        let line = r#"{"type":"binary","name":"a.png"}"#;
        assert!(shows(line, &[0; LIMIT]).is_ok());
        assert_eq!(shows(line, &[0; LIMIT + 1]).expect_err("too large").code, Code::TooLarge);
    }

    /// Splits a server's frames, and returns each with its first byte.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, String)> {
        let mut frames = Vec::new();
        while let [first, short, rest @ ..] = bytes {
            let (length, rest) = match (*short, rest) {
                (126, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), rest),
                (length, _) => (length.into(), rest),
            };
            let (payload, behind) = rest.split_at(length.into());
            frames.push((*first, str::from_utf8(payload).expect("UTF-8").to_owned()));
            bytes = behind;
        }
        frames
    }

    #[test]
    fn each_event_of_the_server_is_one_text_frame() {
        let ada = MemberInfo::new(1, Some(7), "Ada");
        let guest = MemberInfo::new(2, None, "guest-2");
        let members = [ada.clone(), guest.clone()];
        let (you, room, count) = (&guest, "physics", 2);
        let (last, complete, limit, history) = (5, true, 1024, 100);
        let welcome = |members, key| ServerEvent::Welcome {
            you,
            room,
            members,
            count,
            last,
            complete,
            limit,
            history,
            key,
            rules: None,
        };
        let from = From { id: Some(1), user: Some(7), name: "Ada" };
        let at = "1970-01-01T00:00:00.000Z".to_owned();
        let complaint = |code, reference: Option<&str>| Complaint {
            code,
            detail: "the disk is \"full\"".to_owned(),
            reference: reference.map(str::to_owned),
        };
        let (unkept, unread) =
            (complaint(Code::NotKept, Some("7")), complaint(Code::BadJson, None));
        for (event, json) in [
            (
                welcome(Some(&members), None),
                r#"{"type":"welcome","you":{"id":2,"name":"guest-2"},"room":"physics","members":[{"id":1,"user":7,"name":"Ada"},{"id":2,"name":"guest-2"}],"count":2,"last":5,"complete":true,"limit":1024,"history":100}"#,
            ),
            (
                welcome(None, Some(Key::Unknown)),
                r#"{"type":"welcome","you":{"id":2,"name":"guest-2"},"room":"physics","count":2,"last":5,"complete":true,"limit":1024,"history":100,"key":"unknown"}"#,
            ),
            (
                ServerEvent::Live { last: 5, complete: false },
                r#"{"type":"live","last":5,"complete":false}"#,
            ),
            (
                ServerEvent::Members { members: &members[1..], count: 1 },
                r#"{"type":"members","members":[{"id":2,"name":"guest-2"}],"count":1}"#,
            ),
            (
                ServerEvent::Joined { members: Some(&members[..1]), count: 2 },
                r#"{"type":"joined","members":[{"id":1,"user":7,"name":"Ada"}],"count":2}"#,
            ),
            (ServerEvent::Joined { members: None, count: 201 }, r#"{"type":"joined","count":201}"#),
            (
                ServerEvent::Left { members: Some(&[1, 2]), count: 0 },
                r#"{"type":"left","members":[1,2],"count":0}"#,
            ),
            (ServerEvent::Left { members: None, count: 201 }, r#"{"type":"left","count":201}"#),
            (
                ServerEvent::Renamed { members: &members[..1] },
                r#"{"type":"renamed","members":[{"id":1,"user":7,"name":"Ada"}]}"#,
            ),
            (
                ServerEvent::Message { id: 5, from, at: at.clone(), text: "é", reference: None },
                r#"{"type":"message","id":5,"from":{"id":1,"user":7,"name":"Ada"},"at":"1970-01-01T00:00:00.000Z","text":"é"}"#,
            ),
            (
                ServerEvent::Hand { member: HandOf { id: 1, name: "Ada" }, up: 9 },
                r#"{"type":"hand","member":{"id":1,"name":"Ada"},"up":9}"#,
            ),
            (ServerEvent::Kept { reference: "7", id: 5 }, r#"{"type":"kept","ref":"7","id":5}"#),
            (ServerEvent::Pong { reference: None }, r#"{"type":"pong"}"#),
            (ServerEvent::Pong { reference: Some("7") }, r#"{"type":"pong","ref":"7"}"#),
            (
                ServerEvent::Typing { from: &guest },
                r#"{"type":"typing","from":{"id":2,"name":"guest-2"}}"#,
            ),
            (
                ServerEvent::Behind { waiting: 10, limit: 20 },
                r#"{"type":"behind","waiting":10,"limit":20}"#,
            ),
            (
                unread.event(),
                r#"{"type":"error","code":"bad-json","detail":"the disk is \"full\"","retry":false}"#,
            ),
            (
                unkept.event(),
                r#"{"type":"error","code":"not-kept","detail":"the disk is \"full\"","retry":true,"ref":"7"}"#,
            ),
        ] {
            assert_eq!(frames(&event.frame()), [(0x81, json.to_owned())]);
        }
    }

    #[test]
    fn a_message_is_written_with_its_time_and_its_author() {
        let write = |content, copied| {
            let author = Author { user: None, name: "guest-1".to_owned() };
            let (room, origin) = (RoomName::lobby(), None);
            let message = Message { id: 1_500_000, room, author, content, origin };
            let mut out = Vec::new();
            write_message(&mut out, &message, copied).unwrap();
            frames(&out)
        };
        let begin = |kind, member| {
            format!(
                r#"{{"type":"{kind}","id":1500000,"from":{{{member}"name":"guest-1"}},"at":"1970-01-01T00:00:01.500Z""#
            )
        };
        assert_eq!(
            write(Content::Text("hello".into()), Copied::default()),
            [(0x81, format!(r#"{},"text":"hello"}}"#, begin("message", "")))]
        );
        let line = r#","name":"a.txt","media_type":"text/plain","ref":"7"}"#;
        let copied = Copied { member: Some(3), reference: Some("7") };
        assert_eq!(
            write(binary("a.txt", "text/plain", b"a\nc"), copied),
            [(0x82, begin("binary", r#""id":3,"#) + line + "\na\nc")]
        );
    }
}
