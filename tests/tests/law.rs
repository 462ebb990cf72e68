//! The reconciliation law, for every interpreter and every way memory moves: before + lines +
//! unattributed = RSS, as the page tables have it, to the byte. No line is judged here.

use std::time::Duration;

use harness::attach::Tracer;
use harness::interpreters::{for_each, newest};
use harness::target::Target;
use harness::{Result, check, ensure, traced};

fn law_holds(program: &str, scenario: &str) -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, program, &[scenario], &[])?;
        check::law(&traced.report)?;
        for (pid, kernel) in &traced.kernel {
            check::agrees_with_kernel(&traced.report, *pid, *kernel)?;
        }
        // A program may leave all growth to its children.
        let process = traced.process()?;
        let events: u64 = traced.report.processes.iter().map(|process| process.events).sum();
        ensure!(events > 0, "no events at all");
        ensure!(process.lost_events == 0, "lost events: {}", process.lost_events);
        traced.target.exit()?;
        Ok(())
    })
}

/// One test for each scenario, named by a sentence.
macro_rules! law {
    ($($name:ident: $program:literal $scenario:literal;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            law_holds($program, $scenario)
        })*
    };
}

law! {
    law_holds_for_a_process_that_grows: "memory.py" "grows";
    law_holds_when_memory_is_unmapped: "memory.py" "shrinks_by_unmapping";
    law_holds_when_madvise_gives_pages_back: "memory.py" "shrinks_by_madvise";
    law_holds_when_the_heap_is_trimmed: "memory.py" "shrinks_by_brk";
    law_holds_when_mappings_are_remapped: "memory.py" "remaps";
    law_holds_for_mapped_files: "memory.py" "maps_a_file";
    law_holds_for_shared_memory: "memory.py" "shares_memory";
    law_holds_for_huge_pages: "memory.py" "uses_huge_pages";
    law_holds_for_all_of_these_together: "memory.py" "mixes_all";
    law_holds_when_threads_grow_at_once: "threads.py" "many_at_once";
    law_holds_for_a_native_thread: "threads.py" "native_thread";
    law_holds_under_deep_recursion: "threads.py" "recursion";
    law_holds_when_a_child_copies_pages: "processes.py" "child_writes_shared_pages";
    law_holds_for_a_child_that_stays: "processes.py" "child_grows_and_stays";
    law_holds_for_a_child_that_ends_at_once: "processes.py" "child_ends_at_once";
    law_holds_for_a_pool_of_workers: "processes.py" "multiprocessing_pool";
    law_holds_when_commands_are_started: "processes.py" "starts_commands";
    law_holds_for_a_child_that_is_not_python: "processes.py" "command_stays";
    law_holds_on_both_sides_of_exec: "processes.py" "executes";
}

/// Tracing ends in the middle of maps, faults and unmaps: what is between a counter's change and its
/// event must not be left over.
#[test]
fn a_target_that_never_rests_leaves_no_remainder() -> Result<()> {
    let mut target = Target::start(&newest()?, "bench.py", &["private", "60"])?;
    target.begin()?;
    let mut events = 0;
    for attach in 0..8 {
        let tracer = Tracer::attach(&[target.pid], &["--ring-bytes", "67108864"])?;
        std::thread::sleep(Duration::from_millis(30 * (attach + 1)));
        let report = tracer.stop()?.report()?;
        check::law(&report)?;
        let process = report.process(target.pid)?;
        ensure!(process.lost_events == 0, "{} lost", process.lost_events);
        events += process.events;
        let remainder = process.unattributed.iter().find(|row| row.reason == "remainder");
        ensure!(remainder.is_none(), "attach {attach}: {remainder:?}");
    }
    ensure!(events > 10_000, "it rested: {events} events");
    Ok(())
}
