//! The frames that a room is sent in a turn, encoded once for each dialect.
//!
//! Some frames differ for one member: its own messages bring back its `ref`, its pongs are for it
//! alone, and it is not sent what was said before it came. So beside the frames for all, this holds
//! each member's own frames, with the place where they belong. Not here: what happens in a turn
//! (`room`). Used by the broadcaster alone, for one room after the other.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::shared::{Pieces, Shared};
use crate::net::connection::ClientId;
use crate::protocol::dialect::Dialect;
use crate::protocol::message::Message;
use crate::protocol::v1::{Copied, MemberId};

/// With this many bytes the encoded frames are sent, even if the turn has more to come. One message
/// may exceed it.
const FULL_BYTES: usize = 1 << 20;

/// The most bytes of memory that an empty buffer holds between turns.
const SPARE_BYTES: usize = 256 << 10;

/// The encoded frames for the members of one room.
#[derive(Default)]
pub struct Encoded {
    /// For all members, by dialect.
    frames: [Vec<u8>; Dialect::COUNT],
    /// Copies of these, for the queues of members that are behind.
    shared: [Shared; Dialect::COUNT],
    /// Messages among these frames.
    messages: usize,
    /// For one member, in the order of their places.
    own: HashMap<ClientId, Vec<Own>>,
}

/// The member who says a message.
#[derive(Clone, Copy, Debug)]
pub struct Speaker {
    /// Its connection; `None`: it is connected to another node.
    pub client: Option<ClientId>,
    /// Its number.
    pub member: MemberId,
}

/// Frames for one member, which replace a part of the frames for all. Either may be empty.
struct Own {
    place: Range<usize>,
    frames: Vec<u8>,
}

/// The frames for all, with one member's own frames in their places.
#[derive(Default)]
pub struct Spliced<'a> {
    bytes: Vec<u8>,
    /// Bytes of the frames for all, up to which this member gets them.
    end: usize,
    own: &'a [Own],
    /// The frames for all; `None`: this is empty.
    all: Option<(&'a Encoded, Dialect)>,
}

impl Encoded {
    /// The frames for all members that speak this dialect.
    pub fn for_all(&self, dialect: Dialect) -> &[u8] {
        &self.frames[dialect as usize]
    }

    /// The frames for one member, of those for all only the bytes up to `end`. `None`: they are the
    /// frames for all.
    pub fn for_one(
        &self,
        id: ClientId,
        dialect: Dialect,
        end: Option<usize>,
    ) -> Option<Spliced<'_>> {
        let own = self.own.get(&id).map(Vec::as_slice);
        (own.is_some() || end.is_some()).then(|| {
            let end = end.unwrap_or(self.length(dialect));
            let own = own.unwrap_or_default();
            let bytes = splice(&self.for_all(dialect)[..end], own);
            Spliced { bytes, end, own, all: Some((self, dialect)) }
        })
    }

    /// Messages so far.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes for all members that speak this dialect, so far.
    pub fn length(&self, dialect: Dialect) -> usize {
        self.frames[dialect as usize].len()
    }

    /// Whether the frames should be sent now.
    pub fn is_full(&self) -> bool {
        self.frames.iter().any(|frames| frames.len() >= FULL_BYTES)
    }

    /// Adds a message for all members; `reference` is the `ref` for its speaker alone. `speaking` is
    /// the number of members for each dialect: a dialect that nobody speaks is not encoded.
    pub fn message(
        &mut self,
        message: &Message,
        speaker: Option<Speaker>,
        reference: Option<&str>,
        speaking: [usize; Dialect::COUNT],
    ) {
        self.messages += 1;
        let begin = self.length(Dialect::V1);
        let for_all = Copied { member: speaker.map(|speaker| speaker.member), reference: None };
        for dialect in Dialect::ALL {
            if speaking[dialect as usize] > 0 {
                let frames = &mut self.frames[dialect as usize];
                dialect.write_message(frames, message, for_all).expect(TO_A_VECTOR);
            }
        }
        let own = speaker.and_then(|speaker| speaker.client);
        if let (Some(client), Some(_)) = (own, reference) {
            let mut own = Vec::new();
            let for_one = Copied { reference, ..for_all };
            Dialect::V1.write_message(&mut own, message, for_one).expect(TO_A_VECTOR);
            self.replace(client, begin..self.length(Dialect::V1), own);
        }
    }

    /// Adds frames for all members that speak `wsroom.v1`, except one.
    pub fn event(&mut self, frames: &[u8], except: Option<ClientId>) {
        let begin = self.length(Dialect::V1);
        self.frames[Dialect::V1 as usize].extend_from_slice(frames);
        if let Some(client) = except {
            self.replace(client, begin..self.length(Dialect::V1), Vec::new());
        }
    }

    /// Adds frames for one member alone.
    pub fn alone(&mut self, id: ClientId, dialect: Dialect, frames: Vec<u8>) {
        let here = self.length(dialect);
        self.replace(id, here..here, frames);
    }

    /// Gives one member these frames in the place of all frames so far.
    pub fn replace_all(&mut self, id: ClientId, dialect: Dialect, frames: Vec<u8>) {
        self.replace(id, 0..self.length(dialect), frames);
    }

    fn replace(&mut self, id: ClientId, place: Range<usize>, frames: Vec<u8>) {
        self.own.entry(id).or_default().push(Own { place, frames });
    }

    /// Empties this for the next room. Large buffers are freed.
    pub fn clear(&mut self) {
        self.messages = 0;
        self.own.clear();
        self.shared = Default::default();
        for frames in &mut self.frames {
            frames.clear();
            frames.shrink_to(SPARE_BYTES);
        }
    }
}

const TO_A_VECTOR: &str = "writing to a vector cannot fail";

impl Spliced<'_> {
    /// All of them, back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes from `sent` on, to be queued. What is for all is shared, or a crowd that is behind
    /// would hold it once for each of its members.
    pub fn rest(&self, mut sent: usize) -> Vec<Bytes> {
        let mut pieces = Pieces::default();
        let Some((encoded, dialect)) = self.all else { return Vec::new() };
        for_each_part(self.end, self.own, |part| {
            let skipped = sent.min(part.length());
            sent -= skipped;
            match part {
                Part::Own(frames) => pieces.add_own(&frames[skipped..]),
                Part::ForAll(Range { start, end }) => {
                    let all = encoded.for_all(dialect);
                    encoded.shared[dialect as usize].add(all, start + skipped..end, &mut pieces);
                }
            }
        });
        pieces.into_vec()
    }
}

/// A part of one member's frames: a place in the frames for all, or frames of its own.
enum Part<'a> {
    ForAll(Range<usize>),
    Own(&'a [u8]),
}

impl Part<'_> {
    fn length(&self) -> usize {
        match self {
            Self::ForAll(place) => place.len(),
            Self::Own(frames) => frames.len(),
        }
    }
}

/// Calls `take` with each part of one member's frames, of which the frames for all have `end` bytes.
fn for_each_part<'a>(end: usize, own: &'a [Own], mut take: impl FnMut(Part<'a>)) {
    let mut taken = 0;
    for Own { place, frames } in own {
        take(Part::ForAll(taken..place.start));
        take(Part::Own(frames));
        taken = place.end;
    }
    take(Part::ForAll(taken..end));
}

/// Copies the frames for all, with one member's own frames in their places.
fn splice(all: &[u8], own: &[Own]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(all.len());
    for_each_part(all.len(), own, |part| {
        bytes.extend_from_slice(match part {
            Part::ForAll(place) => &all[place],
            Part::Own(frames) => frames,
        });
    });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::address::RoomName;
    use crate::protocol::message::{Author, Content};

    const BOTH: [usize; Dialect::COUNT] = [1, 1];

    fn message(text: &'static str) -> Message {
        let author = Author { user: None, name: "guest-1".to_owned() };
        let content = Content::Text(text.into());
        Message { id: 1, room: RoomName::lobby(), author, content, origin: None }
    }

    fn frames(dialect: Dialect, text: &'static str, reference: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        let copied = Copied { member: Some(1), reference };
        dialect.write_message(&mut out, &message(text), copied).unwrap();
        out
    }

    fn event(out: &mut Encoded, frames: &str, except: Option<ClientId>) {
        out.event(frames.as_bytes(), except);
    }

    fn for_one(encoded: &Encoded, id: ClientId, end: Option<usize>) -> Option<String> {
        let frames = encoded.for_one(id, Dialect::V1, end)?;
        Some(String::from_utf8(frames.bytes().to_vec()).unwrap())
    }

    fn says(encoded: &mut Encoded, text: &'static str, client: ClientId, reference: Option<&str>) {
        let speaker = Speaker { client: Some(client), member: 1 };
        encoded.message(&message(text), Some(speaker), reference, BOTH);
    }

    fn ids() -> [ClientId; 3] {
        [1, 2, 3].map(ClientId::new)
    }

    #[test]
    fn a_message_is_encoded_in_the_dialects_that_are_spoken() {
        for (speaking, plain, v1) in
            [([1, 0], true, false), ([0, 1], false, true), ([2, 3], true, true)]
        {
            let mut encoded = Encoded::default();
            let speaker = Speaker { client: Some(ClientId::new(1)), member: 1 };
            encoded.message(&message("hello"), Some(speaker), None, speaking);
            for (dialect, is_spoken) in [(Dialect::Plain, plain), (Dialect::V1, v1)] {
                let expected = if is_spoken { frames(dialect, "hello", None) } else { Vec::new() };
                assert_eq!(encoded.for_all(dialect), expected, "{dialect:?} of {speaking:?}");
            }
        }
    }

    #[test]
    fn a_ref_is_in_its_senders_copy_alone() {
        let [ada, bob, _] = ids();
        let mut encoded = Encoded::default();
        says(&mut encoded, "first", bob, None);
        says(&mut encoded, "second", ada, Some("mine"));
        says(&mut encoded, "third", bob, None);
        let copy = |reference| {
            [("first", None), ("second", reference), ("third", None)]
                .map(|(text, reference)| frames(Dialect::V1, text, reference))
                .concat()
        };
        assert_eq!(encoded.for_all(Dialect::V1), copy(None));
        let own = encoded.for_one(ada, Dialect::V1, None).expect("frames of her own");
        assert_eq!(own.bytes(), copy(Some("mine")));
        assert!(encoded.for_one(bob, Dialect::V1, None).is_none());
    }

    #[test]
    fn own_frames_have_their_place_and_nobody_else_has_them() {
        let [ada, bob, eve] = ids();
        let mut encoded = Encoded::default();
        encoded.alone(ada, Dialect::V1, b"(pong 1)".to_vec());
        event(&mut encoded, "a", None);
        encoded.alone(ada, Dialect::V1, b"(pong 2)".to_vec());
        encoded.alone(ada, Dialect::V1, b"(pong 3)".to_vec());
        event(&mut encoded, "b", Some(bob));
        event(&mut encoded, "c", None);
        assert_eq!(encoded.for_all(Dialect::V1), b"abc");
        assert_eq!(for_one(&encoded, ada, None).unwrap(), "(pong 1)a(pong 2)(pong 3)bc");
        assert_eq!(for_one(&encoded, bob, None).unwrap(), "ac");
        assert_eq!(for_one(&encoded, eve, None), None, "the frames for all");
    }

    #[test]
    fn a_newcomers_first_frames_replace_all_before() {
        let [ada, bob, _] = ids();
        let mut encoded = Encoded::default();
        encoded.replace_all(ada, Dialect::V1, b"(101 ada)".to_vec());
        event(&mut encoded, "a", None);
        encoded.replace_all(bob, Dialect::V1, b"(101 bob)".to_vec());
        event(&mut encoded, "b", None);
        assert_eq!(for_one(&encoded, ada, None).unwrap(), "(101 ada)ab");
        assert_eq!(for_one(&encoded, bob, None).unwrap(), "(101 bob)b");
        assert_eq!(encoded.for_all(Dialect::V1), b"ab");
    }

    #[test]
    fn who_leaves_has_the_frames_up_to_its_end() {
        let [ada, bob, eve] = ids();
        let mut encoded = Encoded::default();
        event(&mut encoded, "a", None);
        encoded.alone(bob, Dialect::V1, b"(pong)".to_vec());
        let end = encoded.length(Dialect::V1);
        event(&mut encoded, "b", None);
        for (id, frames) in [(ada, "a"), (bob, "a(pong)"), (eve, "a")] {
            assert_eq!(for_one(&encoded, id, Some(end)).unwrap(), frames);
        }
        assert_eq!(for_one(&encoded, ada, Some(0)).unwrap(), "");
    }

    /// Else a crowd that is behind, each with a pong of its own, would hold every word once for each.
    #[test]
    fn what_waits_for_many_is_shared_and_only_own_frames_are_copied() {
        let [ada, bob, eve] = ids();
        let (one, other) = ("x".repeat(5000), "y".repeat(9000));
        let mut encoded = Encoded::default();
        event(&mut encoded, &one, None);
        encoded.alone(ada, Dialect::V1, b"(pong)".to_vec());
        encoded.alone(bob, Dialect::V1, b"(pong)".to_vec());
        event(&mut encoded, "few", None);
        encoded.alone(bob, Dialect::V1, b"(pong)".to_vec());
        event(&mut encoded, &other, Some(eve));
        let rest = |id, sent| encoded.for_one(id, Dialect::V1, None).unwrap().rest(sent);
        assert_eq!(rest(ada, 0), [&one, "(pong)", &format!("few{other}")]);
        assert_eq!(rest(bob, 0), [&one, "(pong)few(pong)", &other]);
        assert_eq!(rest(eve, 0), [format!("{one}few")]);
        let begin = rest(ada, 0)[0].as_ptr();
        assert!([rest(bob, 0), rest(eve, 0)].iter().all(|rest| rest[0].as_ptr() == begin));
        assert_eq!(rest(ada, 0)[2][3..].as_ptr(), rest(bob, 0)[2].as_ptr());
        // What was sent is left out, wherever that ends.
        let whole = for_one(&encoded, bob, None).unwrap();
        for sent in [0, 1, 4500, 5000, 5003, 5008, 5015, 13_000, 14_010, whole.len()] {
            assert_eq!(rest(bob, sent).concat(), whole.as_bytes()[sent..], "{sent} were sent");
        }
    }

    #[test]
    fn it_is_full_with_a_mebibyte_of_one_dialect() {
        let mut encoded = Encoded::default();
        encoded.event(&vec![b'x'; FULL_BYTES - 1], None);
        assert!(!encoded.is_full());
        encoded.event(b"x", None);
        assert!(encoded.is_full());
    }

    #[test]
    fn nothing_of_one_room_is_left_for_the_next() {
        let [ada, ..] = ids();
        let mut encoded = Encoded::default();
        says(&mut encoded, "hello", ada, Some("mine"));
        encoded.event(&vec![b'x'; FULL_BYTES], None);
        encoded.clear();
        assert_eq!(Dialect::ALL.map(|dialect| encoded.length(dialect)), [0, 0]);
        assert!(encoded.for_one(ada, Dialect::V1, None).is_none());
        assert!(encoded.frames.iter().all(|frames| frames.capacity() <= SPARE_BYTES));
    }
}
