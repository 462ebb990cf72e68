//! The whole machine, all the time: what `memtrace daemon` is made of.
//!
//! [`config`] is what is wanted, [`container`] and [`group`] say what belongs together, [`store`] keeps
//! the windows of the last hour, [`figures`] the sums for [`metrics`], and [`board`] holds what the loop
//! ([`watch`]) writes and the [`web`] server reads. [`windows`] is where each closed window is handed
//! on. The loop itself is [`Session`](crate::session::Session)'s.

pub mod board;
pub mod config;
pub mod container;
pub mod export;
pub mod figures;
pub mod group;
mod heap;
pub mod metrics;
pub mod privileges;
pub mod push;
pub mod store;
pub mod watch;
pub mod web;
pub mod windows;
