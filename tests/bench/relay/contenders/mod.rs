//! Who is driven: each [`contender`] as a process of its own, its certificate ([`credentials`]),
//! and what clients know of it ([`destination`]).

pub mod contender;
pub mod credentials;
pub mod destination;
