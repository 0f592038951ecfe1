//! What is counted, for those who watch over the server: all that `GET /metrics` tells.
//!
//! Every thread counts, with relaxed atomics and without a lock; the broadcaster once a turn. Nothing
//! here is read to decide anything. [`meters`] has every metric with its name and its help, [`labels`]
//! the few values that a label may have, [`histogram`] the counts by size, and [`process`] what the
//! system knows of this process. Not here: who may read it (`http/scrape`).
//!
//! It knows nobody, and may be imported by all.

pub mod histogram;
pub mod labels;
pub mod meters;
pub(crate) mod process;
