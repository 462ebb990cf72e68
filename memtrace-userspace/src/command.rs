//! The commands: each takes what was typed, does it, and writes its result.
//!
//! Errors are passed up; the exit code is chosen in `main.rs`.

pub mod attach;
pub mod calibrate;
pub mod color;
pub mod completions;
pub mod daemon;
pub mod diff;
pub mod doctor;
pub mod explain;
mod family;
pub mod form;
pub mod mend;
pub mod output;
pub mod plot;
pub mod progress;
pub mod ps;
pub mod push;
mod read;
pub mod record;
pub mod report;
pub mod run;
pub(crate) mod sources;
mod started;
pub mod top;
mod trace;
