//! Loads in small: many short processes, a storm in several at once, kills at any moment. How much it
//! carries at full size is measured by `cargo xtask bench --daemon`.

use std::time::Duration;

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::{newest, supported};
use harness::load::short::Programs;
use harness::load::storm::Storm;
use harness::target::Target;
use harness::{Result, check, ensure, memory, wait};

/// One program that has its interpreter in a library and one that has it in itself, where there are both.
#[test]
fn short_processes_have_all_their_growth_on_their_own_lines() -> Result<()> {
    let tag = tag();
    let pythons: Vec<_> = supported()?.into_iter().filter(|it| !it.is_launched()).collect();
    let programs = Programs::new(&tag)?;
    // A busy machine may not let memtrace read for a while: what is tested is not that.
    let ring = config(&tag).replace("[trace]\n", "[trace]\nring = \"64MiB\"\n");
    let daemon = Daemon::start(&ring)?;
    // The first of each is met by looking at it, which is a race.
    for python in &pythons {
        let target = Target::start(python, "resident.py", &["keeps", &tag])?;
        daemon.process(target.pid)?;
    }
    let ran = programs.run(&pythons, 3 * pythons.len(), 6)?;
    let report = programs.report(&daemon, &pythons[0])?;
    check::law(&report)?;
    let named = programs.named(&report)?;
    let lost: u64 = report.processes.iter().map(|process| process.lost_events).sum();
    ensure!(lost == 0, "{lost} events lost: nothing was tested");
    ensure!(named.processes == ran.processes, "{named:?} of {ran:?}");
    ensure!(named.short_of_all == 0 && named.on_others == 0, "{named:?} of {ran:?}");
    daemon.stop().map(drop)
}

#[test]
fn a_storm_in_all_processes_at_once_overflows_the_ring_and_the_law_holds() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let small = config(&tag).replace("[trace]\n", "[trace]\nring = \"64KiB\"\n");
    let daemon = Daemon::start(&small)?;
    let mut storm = Storm::gathering(&[python], &tag, 6)?;
    let left = storm.rage(&daemon, 1)?;
    daemon.next_window()?;
    let told = left.holds(&daemon.report("")?)?;
    ensure!(told.lost > 0, "nothing was lost: the ring is too large for this test");
    let peak = memory::peak(daemon.pid())?;
    ensure!(peak < 150 << 20, "{peak} bytes");
    daemon.stop().map(drop)
}

#[test]
fn targets_that_are_killed_at_any_moment_are_booked_to_their_end() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let daemon = Daemon::start(&config(&tag))?;
    let mut pids = Vec::new();
    for number in 0..12u64 {
        let mut target = Target::start(&python, "threads.py", &["many_at_once", &tag])?;
        target.begin()?;
        std::thread::sleep(Duration::from_millis(3 * number));
        pids.push(target.pid);
        // Dropping it kills it in the middle of its step.
        drop(target);
    }
    for pid in &pids {
        daemon.process_is(*pid, |row| row["ending"] == "exited")?;
    }
    let report = daemon.report("")?;
    check::law(&report)?;
    ensure!(pids.iter().all(|pid| report.process(*pid).is_ok()), "all of {pids:?} are there");
    wait::until("nothing to be traced", || {
        Ok((daemon.overview()?["own"]["traced"] == 0).then_some(()))
    })?;
    daemon.stop().map(drop)
}
