//! What is sent: each [`frame`], the [`stamp`] in it, and what became of it: the [`ledger`] of
//! each receiver, and the [`latency`].

pub mod frame;
pub mod stamp;
pub mod ledger;
pub mod latency;
