//! `cargo xtask vm`: the tests of the kernel side on other kernels than this machine's.
//!
//! The test binaries are the same as everywhere. They, memtrace, one Python and what these load are
//! packed into an initramfs (`initramfs.rs`) whose first program is `guest` (`tests/src/bin`); QEMU
//! boots it on kernels of Debian (`kernels.rs`, `machine.rs`) by software emulation, so it needs
//! neither KVM nor root. What came out is written to `docs/kernels.md` when that is asked for
//! (`page.rs`). What a kernel must be able to do is decided here, in `SUITES`.

mod initramfs;
mod kernels;
mod machine;
mod page;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process;
use kernels::Kernel;
use machine::Outcome;

/// The tests, by what a kernel can do. `guest` runs the suite that it is given by name.
const SUITES: [(&str, &[(&str, &[&str])]); 2] = [
    (
        "traced",
        &[
            ("kernel", &["memtrace_traces_on_this_kernel_or_says_why_not", "a_look_needs_no_bpf"]),
            ("machine", &["doctor_finds_this_machine_fit"]),
            ("run", &["an_interpreter_is_traced_from_its_first_instruction"]),
            (
                "law",
                &[
                    "law_holds_for_all_of_these_together",
                    "law_holds_for_shared_memory",
                    "law_holds_for_huge_pages",
                    "law_holds_when_threads_grow_at_once",
                    "law_holds_when_a_child_copies_pages",
                    "law_holds_for_a_pool_of_workers",
                    "law_holds_on_both_sides_of_exec",
                ],
            ),
            (
                "lifecycle",
                &[
                    "threads_that_grow_at_once_have_their_line",
                    "a_native_thread_is_named_and_no_line_is_blamed",
                    "a_forked_child_is_followed_and_has_its_line",
                    "deep_recursion_is_cut_and_marked_but_its_growth_is_not_dropped",
                ],
            ),
            ("resident", &["a_huge_page_is_one_growth_of_512_pages"]),
            (
                "leftovers",
                &[
                    "nothing_is_left_after_ctrl_c",
                    "nothing_is_left_after_kill_9",
                    "nothing_is_left_with_frame_evaluation_probes",
                ],
            ),
        ],
    ),
    (
        "refused",
        &[("kernel", &["memtrace_traces_on_this_kernel_or_says_why_not", "a_look_needs_no_bpf"])],
    ),
];

/// What was typed.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Only Debian's kernels of these suites
    #[arg(long = "suite", value_name = "SUITE", value_parser = kernels::NAMES)]
    suites: Vec<String>,
    /// Fetch the kernels again
    #[arg(long)]
    again: bool,
    /// Debian's archive, where this machine's apt names none
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// The interpreter to take along
    #[arg(long, default_value = "/usr/bin/python3")]
    python: PathBuf,
    /// Write docs/kernels.md from what came out
    #[arg(long, conflicts_with = "suites")]
    write: bool,
    /// Show all that the machines print
    #[arg(long, short)]
    verbose: bool,
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    machine::require()?;
    let kernels = kernels::have(&options.suites, options.mirror.as_deref(), options.again)?;
    let initramfs = initramfs::pack(&options.python, &SUITES)?;
    let outcomes = boot_all(&kernels, &initramfs, options.verbose)?;
    for outcome in &outcomes {
        outcome.print();
    }
    println!("vm: {} kernels in {:.1} s", outcomes.len(), start.elapsed().as_secs_f64());
    if options.write {
        page::write(&outcomes)?;
    }
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.is_complete(tests_of(outcome.suite)))
        .map(|outcome| outcome.release.as_str())
        .collect();
    if failed.is_empty() { Ok(()) } else { bail!("not as it should be on {}", failed.join(", ")) }
}

/// Boots all kernels, as many at a time as there are CPUs, the newest first: they take longest.
fn boot_all(kernels: &[Kernel], initramfs: &Path, verbose: bool) -> Result<Vec<Outcome>> {
    let queue = Mutex::new(kernels.iter().rev());
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let next = queue.lock().map_or(None, |mut queue| queue.next());
            let Some(kernel) = next else { return Ok(outcomes) };
            let outcome = machine::boot(kernel, suite_of(kernel), initramfs, verbose);
            outcomes.push(outcome.with_context(|| format!("Linux {}", kernel.release))?);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let worked: Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: ScopedJoinHandle<'_, Result<Vec<Outcome>>>| match worker.join() {
            Ok(outcomes) => outcomes,
            Err(_) => bail!("a machine's thread panicked"),
        };
        workers.into_iter().map(join).collect()
    });
    let mut outcomes: Vec<_> = worked?.into_iter().flatten().collect();
    outcomes.sort_by_key(|one| kernels.iter().position(|kernel| kernel.suite == one.debian));
    Ok(outcomes)
}

/// Kernels before 6.2 are refused: their counters are not exact.
fn suite_of(kernel: &Kernel) -> &'static str {
    if kernel.version() >= (6, 2) { SUITES[0].0 } else { SUITES[1].0 }
}

/// The tests of a suite, as `binary::test`.
fn tests_of(suite: &str) -> Vec<String> {
    let of_suite = SUITES.iter().filter(|(name, _)| *name == suite).flat_map(|(_, tests)| *tests);
    of_suite
        .flat_map(|(binary, tests)| tests.iter().map(move |test| format!("{binary}::{test}")))
        .collect()
}

/// Where kernels and the initramfs are kept.
fn folder() -> PathBuf {
    process::target().join("memtrace-vm")
}
