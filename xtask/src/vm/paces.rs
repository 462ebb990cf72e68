//! How long memtrace takes to attach with all its probes and to detach. A processor that is emulated says
//! nothing by itself: the time is divided by how much slower than this machine it is at fixed work.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::architecture::Architecture;
use super::initramfs;
use crate::process;

/// How fast a machine is.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Pace {
    step_ns: f64,
    call_ns: f64,
}

/// How long it takes with all probes: the slowest of three.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Attached {
    attach_ns: u64,
    detach_ns: u64,
}

impl Pace {
    /// This machine's, by the very program that tells it there; `None` where that is for another processor.
    pub(super) fn here(architecture: Architecture) -> Result<Option<Self>> {
        if architecture != Architecture::X86_64 {
            return Ok(None);
        }
        let guest = initramfs::stripped(architecture).join("guest");
        let text = process::ask(Command::new(guest).arg("pace")).context("guest tells no pace")?;
        serde_json::from_str(&text).with_context(|| format!("no pace: {text}"))
    }

    /// How many times as slow it is as another: at a calculation, and at system calls.
    fn by(&self, other: &Self) -> (f64, f64) {
        (self.step_ns / other.step_ns, self.call_ns / other.call_ns)
    }
}

/// How long it took there, and how much that would be here by the smaller slowness.
pub(super) fn sentence(here: Pace, there: Pace, took: Attached) -> String {
    let (steps, calls) = there.by(&here);
    let slower = steps.min(calls);
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    let (attach, detach) = (seconds(took.attach_ns), seconds(took.detach_ns));
    format!(
        "attach {attach:.1} s, detach {detach:.1} s; {steps:.1} times as slow at a calculation, {calls:.1} times at \
         system calls: {:.2} s and {:.2} s",
        attach / slower,
        detach / slower
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_slowness_counts() {
        let here = Pace { step_ns: 1.0, call_ns: 100.0 };
        let there = Pace { step_ns: 20.0, call_ns: 1000.0 };
        let took = Attached { attach_ns: 5_000_000_000, detach_ns: 2_000_000_000 };
        let text = sentence(here, there, took);
        assert!(text.contains("20.0 times") && text.contains("10.0 times"), "{text}");
        assert!(text.ends_with("0.50 s and 0.20 s"), "{text}");
    }
}
