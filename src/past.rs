//! What newcomers are told of the past, and how much of that may be on its way to all of them.
//!
//! A room's history may be far longer than what may wait for one slow client, and whoever connects
//! again and again without reading would hold it as often. So there is room for a few long pasts
//! at a time, for all clients together; while that is taken, a newcomer is told the newest part,
//! and that it is a part. The broadcaster's own. Not here: how history is kept (`history`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::Stretch;
use crate::v1::{self, Speaks};

/// Bytes of long pasts that may be on their way at a time.
const UNDER_WAY: usize = 32 << 20;

/// The long pasts that are on their way.
#[derive(Default)]
pub struct Pasts {
    under_way: Arc<AtomicUsize>,
}

/// What one newcomer is told.
pub struct Past {
    /// As frames; what comes before them is put in front (see [`Past::behind`]).
    frames: Vec<u8>,
    /// Where the frames begin that are told.
    begin: usize,
    /// How many messages those are.
    pub replayed: usize,
    /// See [`Stretch`].
    pub complete: bool,
    /// See [`Stretch`].
    pub last: i64,
    _place: Option<Place>,
}

impl Pasts {
    /// Puts a stretch into frames: all of it if they have at most `short` bytes or there is room
    /// for a long one, else its newest messages.
    pub fn tell(&self, stretch: Stretch, speaks: Speaks, short: usize) -> Past {
        let Stretch { messages, complete, last } = stretch;
        let (mut frames, mut begins) = (Vec::new(), Vec::new());
        // One by one, so that they do not stand in memory twice.
        for kept in messages {
            begins.push(frames.len());
            match speaks {
                Speaks::Plain => v1::push_plainly(&mut frames, &kept),
                Speaks::V1 => v1::push_message(&mut frames, &kept, None),
            }
        }
        let is_long = frames.len() > short;
        let place = if is_long { self.take(frames.len()) } else { None };
        let mut first = 0;
        if is_long && place.is_none() {
            // One message is told whatever its size, as everywhere.
            let fits = |begin: &usize| frames.len() - begin <= short;
            first = begins.iter().position(fits).unwrap_or(begins.len() - 1);
        }
        Past {
            begin: begins.get(first).copied().unwrap_or_default(),
            replayed: begins.len() - first,
            complete: complete && first == 0,
            last,
            frames,
            _place: place,
        }
    }

    fn take(&self, bytes: usize) -> Option<Place> {
        let before = self.under_way.fetch_add(bytes, Ordering::Relaxed);
        let place = Place { bytes, under_way: Arc::clone(&self.under_way) };
        // A place that is not given is given back at once.
        (before + bytes <= UNDER_WAY).then_some(place)
    }
}

impl Past {
    /// The frames behind `first`, in one piece.
    pub fn behind(mut self, first: Vec<u8>) -> Self {
        self.frames.splice(..self.begin, first);
        self.begin = 0;
        // What it takes must be what it counts: all of it may wait for long.
        self.frames.shrink_to_fit();
        self
    }
}

impl AsRef<[u8]> for Past {
    fn as_ref(&self) -> &[u8] {
        &self.frames[self.begin..]
    }
}

/// Room for a long past; given back when nothing of it is on its way any more.
struct Place {
    bytes: usize,
    under_way: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.under_way.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
