//! Who is driven: each [`contender`] as a process of its own, its certificate ([`credentials`]), the
//! [`redis`] that several servers share, and what clients know of it all ([`destination`]).

pub mod contender;
pub mod credentials;
pub mod redis;
pub mod destination;
