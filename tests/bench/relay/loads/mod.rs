//! What clients do: a [`load`] is one of nine. In [`paced`] they talk at a fixed pace, and so they
//! do in three others beside something else: [`mud`], [`crowded`], and [`rejoin`] with its [`pages`],
//! which also come in [`reconnect`]. In [`storm`], [`echo`], [`churn`] and [`idle`] nothing has a
//! pace.
//!
//! Not a load, but done beforehand: a file with [`many_rooms`].

pub mod load;
pub mod paced;
pub mod mud;
pub mod crowded;
pub mod rejoin;
pub mod reconnect;
pub mod pages;
pub mod storm;
pub mod echo;
pub mod churn;
pub mod idle;
pub mod many_rooms;
