//! The commands: each takes what was typed, does it, and writes its result.
//!
//! Errors are passed up; the exit code is chosen in `main.rs`.

pub mod attach;
pub mod doctor;
pub mod explain;
pub mod output;
pub mod ps;
pub mod run;
mod trace;
