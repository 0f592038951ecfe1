//! The frames that a room is sent in a turn, encoded once for each dialect.
//!
//! Some frames differ for one member: its own messages bring back its `ref`, its pongs are for it
//! alone, and it is not sent what was said before it came. So beside the frames for all, this holds
//! each member's own frames, with the place where they belong. Not here: what happens in a turn
//! (`room`). Used by the broadcaster alone, for one room after the other.

use std::collections::HashMap;
use std::ops::Range;

use crate::net::connection::ClientId;
use crate::protocol::dialect::Dialect;
use crate::protocol::message::Message;

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
    /// For one member, in the order of their places.
    own: HashMap<ClientId, Vec<Own>>,
}

/// Frames for one member, which replace a part of the frames for all. Either may be empty.
struct Own {
    place: Range<usize>,
    frames: Vec<u8>,
}

impl Encoded {
    /// The frames for all members that speak this dialect.
    pub fn for_all(&self, dialect: Dialect) -> &[u8] {
        &self.frames[dialect as usize]
    }

    /// The frames for one member, of those for all only the bytes up to `end`. `None`: they are the
    /// frames for all.
    pub fn for_one(&self, id: ClientId, dialect: Dialect, end: Option<usize>) -> Option<Vec<u8>> {
        let (all, own) = (self.for_all(dialect), self.own.get(&id).map(Vec::as_slice));
        (own.is_some() || end.is_some())
            .then(|| splice(&all[..end.unwrap_or(all.len())], own.unwrap_or_default()))
    }

    /// Bytes for all members that speak this dialect, so far.
    pub fn length(&self, dialect: Dialect) -> usize {
        self.frames[dialect as usize].len()
    }

    /// Whether the frames should be sent now.
    pub fn is_full(&self) -> bool {
        self.frames.iter().any(|frames| frames.len() >= FULL_BYTES)
    }

    /// Adds a message for all members. `mark` is its sender and the `ref` for that client alone.
    /// `speaking` is the number of members for each dialect: a dialect that nobody speaks is not
    /// encoded.
    pub fn message(
        &mut self,
        message: &Message,
        mark: Option<(ClientId, &str)>,
        speaking: [usize; Dialect::COUNT],
    ) {
        let begin = self.length(Dialect::V1);
        for dialect in Dialect::ALL {
            if speaking[dialect as usize] > 0 {
                let frames = &mut self.frames[dialect as usize];
                dialect.write_message(frames, message, None).expect(TO_A_VECTOR);
            }
        }
        if let Some((sender, reference)) = mark {
            let mut own = Vec::new();
            Dialect::V1.write_message(&mut own, message, Some(reference)).expect(TO_A_VECTOR);
            self.replace(sender, begin..self.length(Dialect::V1), own);
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
        self.own.clear();
        for frames in &mut self.frames {
            frames.clear();
            frames.shrink_to(SPARE_BYTES);
        }
    }
}

const TO_A_VECTOR: &str = "writing to a vector cannot fail";

/// Copies the frames for all, with one member's own frames in their places.
fn splice(all: &[u8], own: &[Own]) -> Vec<u8> {
    let (mut bytes, mut taken) = (Vec::with_capacity(all.len()), 0);
    for Own { place, frames } in own {
        bytes.extend_from_slice(&all[taken..place.start]);
        bytes.extend_from_slice(frames);
        taken = place.end;
    }
    bytes.extend_from_slice(&all[taken..]);
    bytes
}
