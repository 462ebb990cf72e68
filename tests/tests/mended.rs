//! `kill -9` in the midst of the allocator lens's windows: the kernel may leave breakpoints behind then, and a
//! process of memtrace's own takes them out (`memtrace-userspace/src/kernel/mender.rs`).

use std::time::Duration;

use harness::attach::Tracer;
use harness::interpreters::newest;
use harness::target::Target;
use harness::{Context, Result, bpf, breakpoints, ensure, memory, resources, wait};

#[test]
fn kill_9_leaves_no_breakpoint_and_no_process() -> Result<()> {
    resources::root()?;
    for moment in [0, 40, 160] {
        let mut target = Target::start(&newest()?, "allocating.py", &["json", "1000000"])?;
        let untouched = breakpoints::of(target.pid)?;
        ensure!(untouched.is_empty(), "breakpoints before tracing: {untouched:?}");
        let options = ["--lens", "allocator", "--max-overhead", "60%"];
        let tracer = Tracer::attach(&[target.pid], &options)?;
        let held = bpf::held_by(tracer.pid())?;
        target.begin()?;
        let beside = memory::descendants(tracer.pid())?;
        let mends = *beside.first().context("the process that mends")?;
        ensure!(beside.len() == 1, "memtrace has {beside:?} beside it, not the one that mends");
        wait::until("a breakpoint", || {
            Ok((!breakpoints::of(target.pid)?.is_empty()).then_some(()))
        })?;
        std::thread::sleep(Duration::from_millis(moment));
        tracer.kill()?;
        held.is_gone()?;
        wait::until("the process that mends to end", || Ok((!memory::alive(mends)).then_some(())))?;
        let left = breakpoints::of(target.pid)?;
        ensure!(left.is_empty(), "{moment} ms after a window began, these are left: {left:?}");
        ensure!(memory::alive(target.pid), "the target died");
    }
    Ok(())
}
