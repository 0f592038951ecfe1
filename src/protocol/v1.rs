//! `wsroom.v1`: the JSON events that clients of this subprotocol send and receive.
//!
//! Only the grammar of the events, and the frames that carry them. Not here: which client gets
//! which event (`relay`), and the wait for a binary frame that was announced (`client`). Pure
//! functions: a client's own thread reads, the broadcaster writes.

use std::borrow::Cow;
use std::io::{self, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::Data;

use super::frame;
use super::message::{self, Content, Message, MessageId, UserId};

/// The name of the subprotocol in the handshake (`Sec-WebSocket-Protocol`).
pub const NAME: &str = "wsroom.v1";

/// The longest `name`, `media_type` and `ref` of an event, in bytes.
pub const MAX_FIELD_BYTES: usize = 255;

/// The action that a client takes with one WebSocket message.
#[derive(Debug, Eq, PartialEq)]
pub enum Action {
    /// The client says this to everyone, with a `ref` if it gave one.
    Say(Content, Option<String>),
    /// The client announces a binary message.
    Announce(Announced),
    /// The client's user is writing.
    Type,
}

/// Reads one WebSocket message of a client; `announced` is the announcement just before it, if
/// there was one.
///
/// # Errors
/// The message is not a valid event; the complaint is for the client.
pub fn read(kind: Data, payload: &[u8], announced: Option<Announced>) -> Result<Action, Complaint> {
    if kind != Data::Text {
        // A binary message without an announcement is allowed. It has no name.
        let Announced { name, media_type, reference } = announced.unwrap_or_default();
        let bytes = Bytes::copy_from_slice(payload);
        return Ok(Action::Say(Content::Binary { name, media_type, bytes }, reference));
    }
    if announced.is_some() {
        let detail = "a binary message was announced, and the next one was a text".to_owned();
        return Err(Complaint::new("no-binary", detail));
    }
    let text = str::from_utf8(payload).expect("tungstenite refuses a text that is not UTF-8");
    Action::parse(text)
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

/// The announcement of a binary message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Announced {
    /// The name of a file, or empty.
    pub name: String,
    /// The media type, such as `image/png`, or empty.
    pub media_type: String,
    /// The sender's `ref` for the message.
    pub reference: Option<String>,
}

/// The reason why a client's message had no effect. The client stays connected.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Complaint {
    /// For programs: `bad-json`, `bad-event`, `no-binary` or `not-kept`.
    pub code: &'static str,
    /// For people, in words.
    pub detail: String,
    /// The `ref` of the message that was not kept, if it had one.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Complaint {
    fn new(code: &'static str, detail: String) -> Self {
        Self { code, detail, reference: None }
    }
}

impl Action {
    fn parse(text: &str) -> Result<Self, Complaint> {
        let event: ClientEvent = serde_json::from_str(text).map_err(|error| {
            let code = if error.is_data() { "bad-event" } else { "bad-json" };
            Complaint::new(code, error.to_string())
        })?;
        let bad = |detail: String| Err(Complaint::new("bad-event", detail));
        let ClientEvent { kind, text, name, media_type, reference } = event;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        if [&name, &media_type, &reference].into_iter().any(|text| length(text) > MAX_FIELD_BYTES) {
            return bad(format!("ref, name and media_type take {MAX_FIELD_BYTES} bytes at most"));
        }
        let (name, media_type) = (name.unwrap_or_default(), media_type.unwrap_or_default());
        match (&*kind, text) {
            ("message", Some(text)) => Ok(Self::Say(Content::Text(text.into()), reference)),
            ("message", None) => bad("a message has a text".to_owned()),
            ("binary", _) => Ok(Self::Announce(Announced { name, media_type, reference })),
            ("typing", _) => Ok(Self::Type),
            _ => bad("type is message, binary or typing".to_owned()),
        }
    }
}

/// A member of a room, as the other members see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MemberInfo {
    /// The number of the connection.
    pub id: u64,
    /// The number of its user in the directory; guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name that people see.
    pub name: String,
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
        /// The largest message that the server takes, in bytes (`--max-message-size`).
        limit: usize,
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
        /// The numbers of their connections; missing in a crowd.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<&'a [u64]>,
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
    /// A binary message. Its bytes are the next frame.
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
        /// The number of bytes in that frame.
        size: usize,
        /// The sender's `ref`, in the sender's own copy alone.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    /// A member is writing.
    Typing {
        /// That member.
        from: &'a MemberInfo,
    },
    /// The client has asked to be slow (`slow=`), and bytes wait for it.
    Behind {
        /// Bytes that wait.
        waiting: usize,
        /// Bytes that may wait. With more, the client is cut off.
        limit: usize,
    },
    /// A message of this client had no effect.
    Error(&'a Complaint),
}

/// The author of a message, with the name that they had then.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct From<'a> {
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

/// Writes a message: one frame for a text, two for a binary message. `reference` is the sender's
/// `ref`.
///
/// # Errors
/// `out` cannot be written to. A vector always can.
pub fn write_message(
    out: &mut impl Write,
    message: &Message,
    reference: Option<&str>,
) -> io::Result<()> {
    let from = From { user: message.author.user, name: &message.author.name };
    let (id, at) = (message.id, message::time(message.id));
    match &message.content {
        Content::Text(text) => {
            let text = str::from_utf8(text).expect("the content of a text is UTF-8");
            ServerEvent::Message { id, from, at, text, reference }.write(out)
        }
        Content::Binary { name, media_type, bytes } => {
            let size = bytes.len();
            ServerEvent::Binary { id, from, at, name, media_type, size, reference }.write(out)?;
            frame::write(out, Data::Binary, bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::address::RoomName;
    use crate::protocol::message::Author;

    fn says(text: &str) -> Result<Action, Complaint> {
        read(Data::Text, text.as_bytes(), None)
    }

    fn text(text: &'static str, reference: Option<&str>) -> Action {
        Action::Say(Content::Text(text.into()), reference.map(str::to_owned))
    }

    fn announced(name: &str, media_type: &str, reference: Option<&str>) -> Announced {
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        Announced { name, media_type, reference: reference.map(str::to_owned) }
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
            (r#"{"type":"binary"}"#, Action::Announce(announced("", "", None))),
            (
                r#"{"type":"binary","name":"a.png","media_type":"image/png","ref":"7"}"#,
                Action::Announce(announced("a.png", "image/png", Some("7"))),
            ),
        ] {
            assert_eq!(says(event), Ok(action), "{event}");
        }
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

    #[test]
    fn other_events_are_refused() {
        for (event, code) in [
            ("", "bad-json"),
            ("hello", "bad-json"),
            (r#"{"type":"typing""#, "bad-json"),
            (r#"{"type":"typing"}}"#, "bad-json"),
            (r#"{"type":"typing","x":01}"#, "bad-json"),
            ("{}", "bad-event"),
            (r#""typing""#, "bad-event"),
            (r#"{"type":"Typing"}"#, "bad-event"),
            (r#"{"type":"shout","text":"hello"}"#, "bad-event"),
            (r#"{"type":null}"#, "bad-event"),
            (r#"{"type":7}"#, "bad-event"),
            (r#"{"type":"typing","type":"typing"}"#, "bad-event"),
            (r#"{"type":"message"}"#, "bad-event"),
            (r#"{"type":"message","text":null}"#, "bad-event"),
            (r#"{"type":"message","text":["hello"]}"#, "bad-event"),
            (r#"{"type":"message","text":"hello","ref":7}"#, "bad-event"),
            (r#"{"type":"binary","name":{}}"#, "bad-event"),
            (r#"{"type":"binary","media_type":false}"#, "bad-event"),
        ] {
            let complaint = says(event).expect_err(event);
            assert_eq!(complaint.code, code, "{event}");
            assert!(!complaint.detail.is_empty(), "{event}");
        }
    }

    #[test]
    fn a_short_field_has_255_bytes_at_most() {
        let fits = ["x".repeat(255), format!("x{}", "é".repeat(127))];
        let too_long = ["x".repeat(256), "é".repeat(128)];
        for field in ["name", "media_type", "ref"] {
            let event = |value| format!(r#"{{"type":"binary","{field}":"{value}"}}"#);
            for value in &fits {
                assert!(says(&event(value)).is_ok(), "{field} of {} bytes", value.len());
            }
            for value in &too_long {
                let complaint = says(&event(value)).expect_err(field);
                assert_eq!(complaint.code, "bad-event", "{field} of {} bytes", value.len());
            }
        }
        let long_text = format!(r#"{{"type":"message","text":"{}"}}"#, "x".repeat(10_000));
        assert!(says(&long_text).is_ok(), "a text is bounded by --max-message-size alone");
    }

    #[test]
    fn a_binary_message_has_the_fields_of_its_announcement() {
        let announcement = announced("a.png", "image/png", Some("7"));
        let named = Action::Say(binary("a.png", "image/png", b"\x89P"), Some("7".to_owned()));
        assert_eq!(read(Data::Binary, b"\x89P", Some(announcement.clone())), Ok(named));
        let nameless = Action::Say(binary("", "", b"\x89P"), None);
        assert_eq!(read(Data::Binary, b"\x89P", None), Ok(nameless));
        let typing = br#"{"type":"typing"}"#;
        let complaint = read(Data::Text, typing, Some(announcement)).expect_err("a text");
        assert_eq!(complaint.code, "no-binary");
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
        let ada = MemberInfo { id: 1, user: Some(7), name: "Ada".to_owned() };
        let guest = MemberInfo { id: 2, user: None, name: "guest-2".to_owned() };
        let members = [ada.clone(), guest.clone()];
        let (you, room, count) = (&guest, "physics", 2);
        let (last, complete, limit) = (5, true, 1024);
        let welcome =
            |members| ServerEvent::Welcome { you, room, members, count, last, complete, limit };
        let (from, at) =
            (From { user: Some(7), name: "Ada" }, "1970-01-01T00:00:00.000Z".to_owned());
        let complaint = |reference: Option<&str>| Complaint {
            code: "not-kept",
            detail: "the disk is \"full\"".to_owned(),
            reference: reference.map(str::to_owned),
        };
        for (event, json) in [
            (
                welcome(Some(&members)),
                r#"{"type":"welcome","you":{"id":2,"name":"guest-2"},"room":"physics","members":[{"id":1,"user":7,"name":"Ada"},{"id":2,"name":"guest-2"}],"count":2,"last":5,"complete":true,"limit":1024}"#,
            ),
            (
                welcome(None),
                r#"{"type":"welcome","you":{"id":2,"name":"guest-2"},"room":"physics","count":2,"last":5,"complete":true,"limit":1024}"#,
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
                r#"{"type":"message","id":5,"from":{"user":7,"name":"Ada"},"at":"1970-01-01T00:00:00.000Z","text":"é"}"#,
            ),
            (
                ServerEvent::Binary {
                    id: 5,
                    from,
                    at,
                    name: "a",
                    media_type: "",
                    size: 3,
                    reference: Some("r"),
                },
                r#"{"type":"binary","id":5,"from":{"user":7,"name":"Ada"},"at":"1970-01-01T00:00:00.000Z","name":"a","media_type":"","size":3,"ref":"r"}"#,
            ),
            (
                ServerEvent::Typing { from: &guest },
                r#"{"type":"typing","from":{"id":2,"name":"guest-2"}}"#,
            ),
            (
                ServerEvent::Behind { waiting: 10, limit: 20 },
                r#"{"type":"behind","waiting":10,"limit":20}"#,
            ),
            (
                ServerEvent::Error(&complaint(None)),
                r#"{"type":"error","code":"not-kept","detail":"the disk is \"full\""}"#,
            ),
            (
                ServerEvent::Error(&complaint(Some("7"))),
                r#"{"type":"error","code":"not-kept","detail":"the disk is \"full\"","ref":"7"}"#,
            ),
        ] {
            assert_eq!(frames(&event.frame()), [(0x81, json.to_owned())]);
        }
    }

    #[test]
    fn a_message_is_written_with_its_time_and_its_author() {
        let write = |content, reference| {
            let author = Author { user: None, name: "guest-1".to_owned() };
            let message = Message { id: 1_500_000, room: RoomName::lobby(), author, content };
            let mut out = Vec::new();
            write_message(&mut out, &message, reference).unwrap();
            frames(&out)
        };
        let begin = |kind| {
            format!(
                r#"{{"type":"{kind}","id":1500000,"from":{{"name":"guest-1"}},"at":"1970-01-01T00:00:01.500Z""#
            )
        };
        assert_eq!(
            write(Content::Text("hello".into()), None),
            [(0x81, format!(r#"{},"text":"hello"}}"#, begin("message")))]
        );
        let event = r#","name":"a.txt","media_type":"text/plain","size":3,"ref":"7"}"#;
        assert_eq!(
            write(binary("a.txt", "text/plain", b"abc"), Some("7")),
            [(0x81, begin("binary") + event), (0x82, "abc".to_owned())]
        );
    }
}
