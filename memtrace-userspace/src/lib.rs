//! memtrace answers one question: which Python line made this process's resident memory grow, and
//! is that memory still there?
//!
//! Data flows one way: [`kernel`] (the only module that knows aya) gives events, [`python`] says
//! where an interpreter keeps its things, [`session`] is the one loop, [`ledger`] the bookkeeping,
//! [`profile`] a moment of it, [`report`] its printed forms. The last three do no I/O, take no
//! clock and know neither aya nor clap nor tokio. [`snapshot`] is a look from outside that needs
//! no event.

// It panics where standard error can't be written: `command::progress::say` doesn't.
#![warn(clippy::print_stderr)]

pub mod allocator;
pub mod cli;
pub mod command;
pub mod counting;
pub mod daemon;
pub mod history;
pub mod kernel;
pub mod ledger;
pub mod machine;
pub mod native;
pub mod profile;
pub mod program;
pub mod push;
pub mod python;
pub mod recording;
pub mod report;
pub mod session;
pub mod snapshot;
pub mod source;
pub mod top;
pub mod units;
