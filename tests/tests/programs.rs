//! The programs themselves, without memtrace: each does what it states, on every interpreter. A
//! program that is wrong about itself can judge nothing.

use harness::interpreters::for_each;
use harness::target::Target;
use harness::{Context, Result, ensure, memory, traced};

/// Each scenario runs to its end, and the kernel's two accounts of its memory agree.
fn scenarios_run(program: &str, scenarios: &[&str]) -> Result<()> {
    for_each(|python| {
        for scenario in scenarios {
            let run = || -> Result<()> {
                let mut target = Target::start(python, program, &[scenario])?;
                let truth = target.go()?;
                for memory in traced::family(target.pid)?.into_values() {
                    memory::consistent(memory)?;
                }
                for child in &truth.children {
                    ensure!(memory::alive(*child), "child {child} does not stay");
                }
                ensure!(target.exit()?.success(), "it did not end well");
                Ok(())
            };
            run().with_context(|| format!("{program} {scenario}"))?;
        }
        Ok(())
    })
}

#[test]
fn memory_moves_as_stated() -> Result<()> {
    scenarios_run(
        "memory.py",
        &[
            "grows",
            "shrinks_by_unmapping",
            "shrinks_by_madvise",
            "shrinks_by_brk",
            "remaps",
            "maps_a_file",
            "shares_memory",
            "uses_huge_pages",
            "mixes_all",
        ],
    )
}

#[test]
fn threads_grow_as_stated() -> Result<()> {
    let scenarios = ["many_at_once", "one_after_another", "native_thread", "recursion"];
    scenarios_run("threads.py", &scenarios)
}

#[test]
fn processes_start_as_stated() -> Result<()> {
    scenarios_run(
        "processes.py",
        &[
            "child_writes_shared_pages",
            "child_grows_and_stays",
            "child_ends_at_once",
            "multiprocessing_pool",
            "starts_commands",
            "command_stays",
            "executes",
        ],
    )
}

/// What is stated to be resident is what RSS says.
#[test]
fn residence_is_as_stated() -> Result<()> {
    let scenarios = [
        "keeps",
        "frees_on_another_line",
        "frees_on_the_same_line",
        "moves_a_mapping",
        "grows_by_realloc",
        "shrinks_in_place",
        "discards_and_touches_again",
        "unmaps_the_middle",
        "trims_the_heap",
        "replaces_a_mapping",
    ];
    for_each(|python| {
        for scenario in scenarios {
            let mut target = Target::start(python, "resident.py", &[scenario])?;
            let before = target.settled()?.rss;
            let truth = target.go().context(scenario)?;
            let grown = target.settled()?.rss - before;
            let stated: i64 = truth.resident.values().sum();
            // grows_by_realloc keeps the 1 MiB that it grows by, too.
            let beside = grown - stated;
            // Trimming gives back what was free before, too.
            let trimmed = if scenario == "trims_the_heap" { 4 << 20 } else { 0 };
            ensure!(
                (-(3 << 19) - trimmed..=3 << 19).contains(&beside),
                "{scenario}: {stated} stated, {grown} measured"
            );
            if scenario == "moves_a_mapping" {
                ensure!(truth.more["moved"] == true, "mremap grew in place: nothing was moved");
            }
        }
        Ok(())
    })
}
