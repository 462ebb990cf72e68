//! What the kernel side and the user side of memtrace share: the records that cross the ring
//! buffer, the settings that cross the maps, and the one walker of Python frames.
//!
//! `no_std`, no dependencies, no versions: which CPython a process runs is decided in user space
//! and reaches this crate only as the offsets and flags of a [`layout::PyLayout`].
#![no_std]

pub mod event;
pub mod layout;
pub mod lens;
pub mod limits;
pub mod memory;
pub mod native;
pub mod outcome;
pub mod recognise;
pub mod settings;
pub mod walk;
