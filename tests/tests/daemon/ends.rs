//! Ends: its own, in peace or not, and what it may do until then.

use std::fs;

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::memory::status_field;
use harness::target::Target;
use harness::{Result, bpf, check, ensure};

/// CAP_DAC_READ_SEARCH, CAP_SETGID, CAP_SETUID, CAP_SYS_PTRACE, CAP_SYS_NICE, CAP_PERFMON,
/// CAP_CHECKPOINT_RESTORE.
const NEEDED: u64 = 1 << 2 | 1 << 6 | 1 << 7 | 1 << 19 | 1 << 23 | 1 << 38 | 1 << 40;

#[test]
fn after_its_start_it_can_do_no_more_than_it_needs() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let daemon = Daemon::start(&config(&tag))?;
    for task in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
        let thread = task?.file_name().to_string_lossy().parse()?;
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            let has = u64::from_str_radix(&status_field(thread, set)?, 16)?;
            ensure!(has & !NEEDED == 0, "thread {thread}: {set} is {has:x}");
        }
        for set in ["CapInh", "CapAmb"] {
            let has = u64::from_str_radix(&status_field(thread, set)?, 16)?;
            ensure!(has == 0, "thread {thread}: {set} is {has:x}");
        }
        ensure!(status_field(thread, "NoNewPrivs")? == "1", "thread {thread} may gain privileges");
    }
    // And it still traces, breakpoints on dying code included.
    let mut target = Target::start(&python, "recycled.py", &["folder", &tag])?;
    daemon.process(target.pid)?;
    target.go()?;
    daemon.next_window()?;
    let space = daemon.process(target.pid)?.1["space"].clone();
    check::law(&daemon.report(&format!("space={space}"))?)?;
    daemon.stop().map(drop)
}

#[test]
fn nothing_is_left_in_the_kernel_and_the_next_one_finds_everything_again() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut targets = Vec::new();
    for _ in 0..3 {
        targets.push(Target::start(&python, "resident.py", &["keeps", &tag])?);
    }
    let daemon = Daemon::start(&config(&tag))?;
    let held = bpf::held_by(daemon.pid())?;
    held.is_tracing()?;
    daemon.process(targets[0].pid)?;
    targets[0].begin()?;
    daemon.kill()?;
    held.is_gone()?;
    targets[0].conversation().expect("done")?;

    let daemon = Daemon::start(&config(&tag))?;
    let held = bpf::held_by(daemon.pid())?;
    for target in &mut targets {
        let (_, row) = daemon.process(target.pid)?;
        let truth = target.go()?;
        daemon.next_window()?;
        let report = daemon.report(&format!("space={}", row["space"]))?;
        check::law(&report)?;
        check::resident_by_line(report.process(target.pid)?, &truth)?;
    }
    let said = daemon.stop()?;
    ensure!(!said.contains("ending took"), "{said}");
    held.is_gone()
}
