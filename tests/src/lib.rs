//! What the tests share: real interpreters, real targets that state their own truth, memtrace run
//! as its users run it, and what the kernel says from outside.
//!
//! The harness knows memtrace only as a command and its JSON: it uses none of its code, so that a
//! mistake there can't hide itself here. Functions give errors, never a verdict by silence.

pub mod allocating;
pub mod attach;
pub mod bpf;
pub mod breakpoints;
pub mod browser;
pub mod check;
pub mod clock;
pub mod conversation;
pub mod daemon;
pub mod disk;
pub mod explained;
pub mod interpreters;
pub mod load;
pub mod measure;
pub mod memory;
pub mod memtrace;
pub mod paces;
pub mod peers;
pub mod process;
pub mod profiler;
pub mod recorder;
pub mod replayed;
pub mod report;
pub mod resources;
pub mod service;
pub mod snapshot;
pub mod stacks;
pub mod store;
pub mod target;
pub mod terminal;
pub mod traced;
pub mod truth;
pub mod verdicts;
pub mod wait;

pub use anyhow::{Context, Result, bail, ensure};
