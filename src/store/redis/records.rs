//! What stands in Redis about messages, members and users, and how it is read again.
//!
//! Fields that are not known are skipped, so that a later version may add some. A payload is never
//! part of JSON, because it may be bytes. Pure functions, on any thread. Not here: the entries of the
//! log (`told`).

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::act::Act;
use crate::protocol::address::RoomName;
use crate::protocol::message::{
    Author, Content, Draft, Message, MessageId, Origin, SessionId, UserId,
};
use crate::protocol::v1::MemberId;
use crate::store::User;
use crate::store::shared::{Node, Present};

/// Everything about a message but its payload: field `h`.
#[derive(Deserialize, Serialize)]
struct Header {
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// Of a binary message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

/// A user, in the log and in the hash of users (which also has the folded name and the key's hash).
#[derive(Deserialize, Serialize)]
struct UserRecord {
    #[serde(default)]
    id: UserId,
    name: String,
    created_at: i64,
}

/// A member, in the log and in its node's hash of members. The script that removes a node reads `room`.
#[derive(Deserialize, Serialize)]
struct PresentRecord {
    room: String,
    member: MemberId,
    node: Node,
    since: i64,
    guest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hand: Option<i64>,
}

/// The parts of a message as they are given to Redis.
pub struct Packed<'a> {
    /// See [`Header`].
    pub header: String,
    /// The name of the payload's field: `t` is a text, `b` are bytes, `a` is an act.
    pub field: &'static str,
    /// The payload.
    pub payload: Cow<'a, [u8]>,
    /// Bytes, as they count against the bound of a room.
    pub size: usize,
    /// The origin, as one text; empty if there is none.
    pub origin: String,
    /// The origin that the message may have been kept with before.
    pub as_guest: String,
}

/// Bytes that a message counts besides its content, names and origin.
const MESSAGE_OVERHEAD: usize = 64;

impl<'a> Packed<'a> {
    /// Packs a message.
    pub fn new(draft: &'a Draft) -> Self {
        let (field, payload, name, media_type) = match &draft.content {
            Content::Text(text) => ("t", Cow::Borrowed(&**text), "", ""),
            Content::Binary { name, media_type, bytes } => {
                ("b", Cow::Borrowed(&**bytes), name.as_str(), media_type.as_str())
            }
            Content::Act(act) => ("a", Cow::Owned(act.to_json().into_bytes()), "", ""),
        };
        let origin = draft.origin.as_deref();
        let header = Header {
            author: draft.author.name.clone(),
            user: draft.author.user,
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            session: origin.map(|origin| hex(&origin.session.0)),
            reference: origin.map(|origin| origin.reference.clone()),
        };
        let as_guest = draft.as_guest.zip(origin);
        let size = draft.content.size() + draft.author.name.len() + MESSAGE_OVERHEAD;
        Self {
            header: to_json(&header),
            field,
            payload,
            size: size + origin.map_or(0, Origin::size),
            origin: origin.map_or_else(String::new, origin_text),
            as_guest: as_guest.map_or_else(String::new, |(session, origin)| {
                origin_text(&Origin { session, reference: origin.reference.clone() })
            }),
        }
    }
}

/// Bytes of a message, as they count against the bounds.
pub fn counted(message: &Message) -> usize {
    message.size() + MESSAGE_OVERHEAD
}

/// An origin as one text: the session has always the same length.
pub fn origin_text(origin: &Origin) -> String {
    format!("{}{}", hex(&origin.session.0), origin.reference)
}

/// Makes a message of its header and payload; `None` if they are not what this program writes.
pub fn message(
    id: MessageId,
    room: RoomName,
    header: &[u8],
    field: &str,
    payload: Vec<u8>,
) -> Option<Message> {
    let Header { author, user, name, media_type, session, reference } =
        serde_json::from_slice(header).ok()?;
    let content = match field {
        // The rest of wsroom relies on UTF-8.
        "t" => Content::Text(String::from_utf8(payload).ok()?.into()),
        "a" => Content::Act(Box::new(Act::from_json(&payload)?)),
        _ => Content::Binary { name, media_type, bytes: Bytes::from(payload) },
    };
    let origin = session.as_deref().and_then(session_id).zip(reference);
    let origin = origin.map(|(session, reference)| Box::new(Origin { session, reference }));
    Some(Message { id, room, author: Author { user, name: author }, content, origin })
}

/// A member as JSON.
pub fn present_to_json(present: &Present) -> String {
    to_json(&PresentRecord {
        room: present.room.as_str().to_owned(),
        member: present.member,
        node: present.node,
        since: present.since,
        guest: present.guest,
        user: present.user.as_ref().map(|user| UserRecord {
            id: user.id,
            name: user.name.clone(),
            created_at: user.created_at,
        }),
        session: present.session.map(|session| hex(&session.0)),
        address: present.address.map(|mark| mark.to_string()),
        hand: present.hand,
    })
}

/// A member of JSON; `None` if that is not what this program writes.
pub fn present(json: &[u8]) -> Option<Present> {
    let record: PresentRecord = serde_json::from_slice(json).ok()?;
    Some(Present {
        room: RoomName::parse(&record.room)?,
        member: record.member,
        node: record.node,
        since: record.since,
        guest: record.guest,
        user: record.user.map(UserRecord::user),
        session: record.session.as_deref().and_then(session_id),
        address: record.address.and_then(|mark| mark.parse().ok()),
        hand: record.hand,
    })
}

/// A user of JSON. In the hash of users, the number is the field's name.
pub fn user(id: Option<UserId>, json: &[u8]) -> Option<User> {
    let user = serde_json::from_slice::<UserRecord>(json).ok()?.user();
    Some(User { id: id.unwrap_or(user.id), ..user })
}

impl UserRecord {
    fn user(self) -> User {
        User { id: self.id, name: self.name, created_at: self.created_at }
    }
}

/// Bytes as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn session_id(hex: &str) -> Option<SessionId> {
    Some(SessionId(u128::from_str_radix(hex, 16).ok()?.to_be_bytes()))
}

fn to_json(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("texts and numbers always become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::act::Deed;
    use crate::protocol::message::Stay;
    use crate::protocol::rules::{Change, Mark};

    fn draft(content: Content) -> Draft {
        let session = SessionId([7; 16]);
        Draft {
            room: RoomName::lobby(),
            author: Author { user: Some(7), name: "Ada \u{1f600}\"".to_owned() },
            content,
            origin: Some(Box::new(Origin { session, reference: "a b".to_owned() })),
            as_guest: Some(SessionId([0xff; 16])),
            stay: Stay::Kept,
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let binary = Content::Binary {
            name: "cat.png".to_owned(),
            media_type: "image/png".to_owned(),
            bytes: Bytes::from_static(b"\0\xff"),
        };
        let act = Act { deed: Deed::Clear, changes: vec![Change::set("topic", "\u{e4}")] };
        let act = Content::Act(Box::new(act));
        for content in [Content::Text("hello\n\0".into()), binary, act] {
            let draft = draft(content);
            let packed = Packed::new(&draft);
            assert!(packed.as_guest.starts_with("ffff") && packed.as_guest.ends_with("a b"));
            let payload = packed.payload.to_vec();
            let header = packed.header.as_bytes();
            let found = message(9, RoomName::lobby(), header, packed.field, payload);
            let Draft { room, author, content, origin, .. } = draft.clone();
            assert_eq!(found, Some(Message { id: 9, room, author, content, origin }));
        }
    }

    #[test]
    fn a_member_comes_back_as_it_was() {
        let user = User { id: 3, name: "Ada".to_owned(), created_at: 9 };
        for (user, session) in [(None, None), (Some(user), Some(SessionId([1; 16])))] {
            let room = RoomName::lobby();
            let hand = session.map(|_| 9);
            let address = Some(Mark::Address([3; 16]));
            let (member, node) = (1 << 50, 7);
            let known =
                Present { room, member, node, since: 1, guest: 5, user, session, address, hand };
            assert_eq!(present(present_to_json(&known).as_bytes()), Some(known));
        }
    }

    #[test]
    fn nonsense_is_nothing() {
        assert_eq!(message(9, RoomName::lobby(), b"{", "t", vec![]), None);
        assert_eq!(message(9, RoomName::lobby(), b"{\"author\":\"a\"}", "t", vec![0xff]), None);
        assert_eq!(present(b"{\"room\":\"..\",\"member\":1,\"node\":1,\"guest\":1}"), None);
    }
}
