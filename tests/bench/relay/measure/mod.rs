//! What is measured: one [`trial`] (start, connect, drive, read the meters, stop), the [`figures`]
//! that are reckoned from it, and a [`row`] of the table: rounds, medians, ratios. The [`system`]
//! tells CPU time, memory and the machine.

pub mod trial;
pub mod figures;
pub mod row;
pub mod system;
