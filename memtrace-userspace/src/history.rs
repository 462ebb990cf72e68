//! The course of a trace: entries in, at any moment a [`Profile`](crate::profile::Profile) out.
//!
//! Pure, and the only way to a profile, live or from a recording. What it keeps does not grow with
//! time: per stack and thread one sum, and a bounded number of moments.

pub mod entry;

pub use entry::{Entry, Head};

/// Threads of one process that are told apart. A server that makes a thread for each request would
/// otherwise make a history as long as its life; the threads beyond share one name.
pub const MAX_THREADS: usize = 256;
