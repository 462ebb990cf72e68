//! The commands: each takes what was typed, does it, and writes its result.
//!
//! Errors are passed up; the exit code is chosen in `main.rs`.

pub mod attach;
pub mod color;
pub mod completions;
pub mod doctor;
pub mod form;
pub mod output;
pub mod plot;
pub mod progress;
pub mod ps;
pub mod run;
pub mod top;
mod trace;
