//! On aarch64 the kernel learns a task's thread pointer when the task gives up its CPU, and a program sets
//! its main thread's by itself. So once an interpreter was found, each CPU is visited for a moment: whatever
//! runs there gives it up, and goes on.

use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tracing::debug;

use crate::machine::{HERE, Machine};

/// Visits all CPUs that this process may use, in a thread of its own, where that makes a difference.
pub(super) fn every_cpu() {
    if HERE == Machine::Aarch64 {
        // Without it, stacks of the main thread can't be read until the kernel switches by itself.
        drop(thread::Builder::new().name("visit".to_owned()).spawn(visit));
    }
}

fn visit() {
    let allowed = match sched_getaffinity(None) {
        Ok(allowed) => allowed,
        Err(error) => return debug!("the CPUs are not known: {error}"),
    };
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)) {
        let mut only = CpuSet::new();
        only.set(cpu);
        // Returns once this thread runs there. One that is offline is no matter.
        let _ = sched_setaffinity(None, &only);
    }
}
