//! The live screen of `memtrace top`.
//!
//! Three layers: [`model`] takes profiles and key presses and knows what is to be seen, [`view`]
//! draws it, and [`terminal`] is the only one that has a real terminal in its hands. The first two
//! are pure: no clock, no files, no terminal. Where profiles come from is `command::top`'s business.

pub mod log;
pub mod model;
pub mod show;
pub mod terminal;
pub mod view;
