//! What a room is sent in a turn, as bytes: encoded once for all who speak alike.
//!
//! Some of it is different for one member: its own messages bring back its `ref`, its pongs are for
//! it alone, and of what was said before it came it hears nothing. So beside the frames of all stand
//! the places where one member has others. Not here: what happens in a turn (`room`). The
//! broadcaster's own; the buffers serve one room after the other.

use std::collections::HashMap;
use std::ops::Range;

use crate::net::connection::ClientId;
use crate::protocol::dialect::Dialect;
use crate::protocol::message::Message;

/// Bytes of encoded frames after which they are sent, whatever is still to come in the turn. One
/// message may exceed it.
const SEND_BYTES: usize = 1 << 20;

/// Bytes of buffer that are kept from turn to turn.
const KEPT_BYTES: usize = 256 << 10;

/// What the members of one room are sent: encoded once for all who speak alike. One for all rooms,
/// used for one after the other.
#[derive(Default)]
pub struct Encoded {
    frames: [Vec<u8>; Dialect::COUNT],
    /// Where they are different for one member.
    own: HashMap<ClientId, Vec<Own>>,
}

/// Frames that stand in the place of others, which may be none.
struct Own {
    place: Range<usize>,
    frames: Vec<u8>,
}

impl Encoded {
    /// The frames of all who speak so.
    pub fn of_all(&self, dialect: Dialect) -> &[u8] {
        &self.frames[dialect as usize]
    }

    /// The frames of one member up to `end`, if they are not simply those of all.
    pub fn of_one(&self, id: ClientId, dialect: Dialect, end: Option<usize>) -> Option<Vec<u8>> {
        let (all, own) = (self.of_all(dialect), self.own.get(&id).map(Vec::as_slice));
        (own.is_some() || end.is_some())
            .then(|| with_own(&all[..end.unwrap_or(all.len())], own.unwrap_or_default()))
    }

    /// Bytes so far.
    pub fn length(&self, dialect: Dialect) -> usize {
        self.frames[dialect as usize].len()
    }

    /// Whether it is time to send them.
    pub fn is_much(&self) -> bool {
        self.frames.iter().any(|frames| frames.len() >= SEND_BYTES)
    }

    /// Adds a message for everyone, in the dialects that are spoken; `mark` is its sender, and the
    /// `ref` that it bears for that client alone.
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
                dialect.write_message(frames, message, None).expect(A_VECTOR);
            }
        }
        if let Some((sender, reference)) = mark {
            let mut own = Vec::new();
            Dialect::V1.write_message(&mut own, message, Some(reference)).expect(A_VECTOR);
            self.instead(sender, begin..self.length(Dialect::V1), own);
        }
    }

    /// Adds frames for all who speak `wsroom.v1` but one.
    pub fn event(&mut self, frames: &[u8], but_for: Option<ClientId>) {
        let begin = self.length(Dialect::V1);
        self.frames[Dialect::V1 as usize].extend_from_slice(frames);
        if let Some(client) = but_for {
            self.instead(client, begin..self.length(Dialect::V1), Vec::new());
        }
    }

    /// Adds frames for one member.
    pub fn alone(&mut self, id: ClientId, dialect: Dialect, frames: Vec<u8>) {
        let here = self.length(dialect);
        self.instead(id, here..here, frames);
    }

    /// Gives one member these frames instead of all that came before.
    pub fn instead_of_all(&mut self, id: ClientId, dialect: Dialect, frames: Vec<u8>) {
        self.instead(id, 0..self.length(dialect), frames);
    }

    fn instead(&mut self, id: ClientId, place: Range<usize>, frames: Vec<u8>) {
        self.own.entry(id).or_default().push(Own { place, frames });
    }

    /// The buffers are kept for the next turn, but no large ones.
    pub fn clear(&mut self) {
        self.own.clear();
        for frames in &mut self.frames {
            frames.clear();
            frames.shrink_to(KEPT_BYTES);
        }
    }
}

const A_VECTOR: &str = "a vector takes everything";

/// The frames of all, with those of one client in their places.
fn with_own(all: &[u8], own: &[Own]) -> Vec<u8> {
    let (mut bytes, mut taken) = (Vec::with_capacity(all.len()), 0);
    for Own { place, frames } in own {
        bytes.extend_from_slice(&all[taken..place.start]);
        bytes.extend_from_slice(frames);
        taken = place.end;
    }
    bytes.extend_from_slice(&all[taken..]);
    bytes
}
