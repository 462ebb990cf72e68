//! The commands: each takes what was meant, does it, and writes its result.

pub mod ps;
