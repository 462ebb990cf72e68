//! Loads for a daemon, as benchmarks and tests put them on it: many processes, short ones, storms.
//!
//! Each states its own truth; what to make of it is the caller's.

pub mod busy;
pub mod idle;
pub mod short;
pub mod storm;
