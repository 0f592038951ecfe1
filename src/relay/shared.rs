//! Copies of frames that wait for members that are behind: one copy for all of them, in blocks.
//!
//! A copy for each member would cost a crowd its size once more for each of its members. One whole
//! copy would stay in memory as long as one slow member still needs its last bytes. Of a copy in
//! blocks a member holds what it needs, and less than a block besides. Not here: the queues
//! (`outbox`), and the frames themselves (`encoding`). Used by the broadcaster alone.

use std::cell::RefCell;
use std::ops::Range;

use bytes::Bytes;

/// The size of a block, in bytes. Only the last one of a batch may be shorter.
const BLOCK_BYTES: usize = 32 << 10;

/// A piece that is a smaller part of its block is not shared: it would hold so many times its size. One
/// message that was alone in its turn is its whole block, so a crowd that waits for it has it once.
const LEAST_PART: usize = 32;

/// The blocks of one batch of frames, each made when a member first needs it.
#[derive(Default)]
pub struct Shared {
    blocks: RefCell<Vec<Option<Bytes>>>,
}

/// The bytes that wait for one member, in pieces, some of them shared with other members.
#[derive(Default)]
pub struct Pieces {
    done: Vec<Bytes>,
    /// The member's own bytes behind those.
    own: Vec<u8>,
}

impl Shared {
    /// Adds the bytes at `place` in `frames`, which are the same frames at each call.
    pub fn add(&self, frames: &[u8], place: Range<usize>, pieces: &mut Pieces) {
        let mut begin = place.start;
        while begin < place.end {
            let number = begin / BLOCK_BYTES;
            let (start, stop) = (number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES);
            let (end, size) = (place.end.min(stop), frames.len().min(stop) - start);
            if (end - begin) * LEAST_PART < size {
                pieces.add_own(&frames[begin..end]);
            } else {
                let block = self.block(frames, number);
                pieces.add_shared(block.slice(begin - start..end - start));
            }
            begin = end;
        }
    }

    fn block(&self, frames: &[u8], number: usize) -> Bytes {
        let mut blocks = self.blocks.borrow_mut();
        let mut all = frames.chunks(BLOCK_BYTES);
        blocks.resize(all.len(), None);
        let block = &mut blocks[number];
        let made = || Bytes::copy_from_slice(all.nth(number).expect("a block of these frames"));
        block.get_or_insert_with(made).clone()
    }
}

impl Pieces {
    /// Adds a copy of bytes for this member alone.
    pub fn add_own(&mut self, bytes: &[u8]) {
        self.own.extend_from_slice(bytes);
    }

    fn add_shared(&mut self, bytes: Bytes) {
        self.end_own();
        self.done.push(bytes);
    }

    fn end_own(&mut self) {
        if !self.own.is_empty() {
            self.done.push(std::mem::take(&mut self.own).into());
        }
    }

    /// All pieces, in order.
    pub fn into_vec(mut self) -> Vec<Bytes> {
        self.end_own();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames in which each block differs from the others.
    fn frames(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n / 7) as u8).collect()
    }

    fn pieces(shared: &Shared, frames: &[u8], place: Range<usize>) -> Vec<Bytes> {
        let mut pieces = Pieces::default();
        shared.add(frames, place, &mut pieces);
        pieces.into_vec()
    }

    #[test]
    fn the_pieces_are_the_bytes_that_were_asked_for() {
        let (shared, frames) = (Shared::default(), frames(3 * BLOCK_BYTES + 100));
        for begin in [0, 1, 5000, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 7] {
            for end in [begin, begin + 1, 3 * BLOCK_BYTES, frames.len()] {
                let bytes = pieces(&shared, &frames, begin..end.max(begin)).concat();
                assert!(bytes == frames[begin..end.max(begin)], "{begin} to {end}");
            }
        }
    }

    #[test]
    fn a_block_is_copied_once_and_held_alone() {
        let (shared, frames) = (Shared::default(), frames(4 * BLOCK_BYTES));
        let all = pieces(&shared, &frames, 0..frames.len());
        assert_eq!(all.len(), 4);
        let rest = pieces(&shared, &frames, 2 * BLOCK_BYTES + 5..frames.len());
        assert_eq!(rest[0].as_ptr(), all[2][5..].as_ptr());
        assert_eq!(rest[1].as_ptr(), all[3].as_ptr());
        drop(shared);
        assert!(!all[2].is_unique() && all[1].is_unique(), "nobody else holds the second block");
    }

    #[test]
    fn a_short_piece_holds_no_block() {
        let (shared, frames) = (Shared::default(), frames(BLOCK_BYTES));
        let least = BLOCK_BYTES / LEAST_PART;
        let short = pieces(&shared, &frames, BLOCK_BYTES - least + 1..BLOCK_BYTES);
        assert!(short.len() == 1 && shared.blocks.borrow().is_empty());
    }

    #[test]
    fn a_short_message_that_is_alone_is_held_once() {
        let (shared, frames) = (Shared::default(), frames(100));
        let [ada, bob] = [(); 2].map(|()| pieces(&shared, &frames, 0..100));
        assert_eq!(ada[0].as_ptr(), bob[0].as_ptr());
    }
}
