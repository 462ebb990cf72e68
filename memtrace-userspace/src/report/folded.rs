//! Folded stacks, one a line: `root;caller;leaf SIZE`, as flame graph programs read them.
//!
//! First comments (`# `) for each process: the law in bytes, and what is estimated. Then the stacks, sorted, the root
//! first: the process, with `split_threads` the thread, then the lines, each as
//! `function (file:line)`. What no line answers for is a stack of its own, in brackets. What came to
//! less than nothing stands below [`shrank`](super::stacks), since the form has no minus. Draws
//! nothing.

use std::io::{self, Write};

use super::balance;
use super::remarks;
use super::stacks::{self, StackOptions};
use crate::profile::Profile;

/// Writes the stacks.
pub fn write(out: &mut dyn Write, profile: &Profile, options: &StackOptions) -> io::Result<()> {
    for process in &profile.processes {
        writeln!(out, "# process {}: {}", process.pid, balance::in_bytes(process))?;
        for remark in remarks::of(process) {
            writeln!(out, "# process {}: {remark}", process.pid)?;
        }
    }
    for (stack, size) in stacks::folded(profile, *options) {
        writeln!(out, "{stack} {size}")?;
    }
    Ok(())
}
