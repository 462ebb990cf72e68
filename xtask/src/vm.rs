//! `cargo xtask vm`: the tests of the kernel side on other kernels than this machine's.
//!
//! The test binaries are the same as everywhere. They, memtrace, one Python and what these load are
//! packed into an initramfs (`initramfs.rs`) whose first program is `guest` (`tests/src/bin`); QEMU
//! boots it on kernels of Debian and Ubuntu (`sources.rs`, `kernels.rs`, `machine.rs`) by software emulation, so it needs
//! neither KVM nor root. What came out is written to `docs/kernels.md` when that is asked for
//! (`page.rs`). What a kernel must be able to do is decided in `suites.rs`.

mod architecture;
mod cross;
mod initramfs;
mod kernels;
mod machine;
mod paces;
mod page;
mod sources;
mod suites;
mod system;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::architecture::Architecture;
use crate::process;
use kernels::Kernel;
use machine::Outcome;
use paces::Pace;

/// Debian's own.
const PYTHON: &str = "/usr/bin/python3";

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The processor that QEMU stands for
    #[arg(long, value_enum, default_value_t = Architecture::X86_64)]
    arch: Architecture,
    /// Only the kernels with these names (`bookworm`; any other word tells which there are)
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Only tests whose names, as in `law::law_holds_for_huge_pages`, have this in them
    #[arg(long, value_name = "WORD", conflicts_with = "write")]
    only: Option<String>,
    /// Fetch the kernels again, and what else comes from archives
    #[arg(long)]
    again: bool,
    /// Debian's archive, where this machine's apt names none
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// The interpreter to take along
    #[arg(long, default_value = PYTHON)]
    python: PathBuf,
    /// Write docs/kernels.md from what came out
    #[arg(long, conflicts_with = "kernels")]
    write: bool,
    /// Show all that the machines print
    #[arg(long, short)]
    verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            arch: Architecture::X86_64,
            kernels: Vec::new(),
            only: None,
            again: false,
            mirror: None,
            python: PYTHON.into(),
            write: false,
            verbose: false,
        }
    }
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    let arch = options.arch;
    machine::require(arch)?;
    if arch == Architecture::Aarch64 {
        cross::have(options.again)?;
    }
    let kernels = kernels::have(arch, &options.kernels, options.mirror.as_deref(), options.again)?;
    let initramfs = initramfs::pack(arch, &options.python, suites::all(arch))?;
    let here = Pace::here(arch)?;
    let outcomes = boot_all(&kernels, &initramfs, options)?;
    for outcome in &outcomes {
        outcome.print();
        if let Some(took) = outcome.took(here) {
            println!("vm:   with all probes: {took}");
        }
    }
    println!("vm: {} kernels in {:.1} s", outcomes.len(), start.elapsed().as_secs_f64());
    if options.write {
        page::write(arch, &outcomes, here)?;
    }
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.is_complete())
        .map(|outcome| outcome.release.as_str())
        .collect();
    if failed.is_empty() { Ok(()) } else { bail!("not as it should be on {}", failed.join(", ")) }
}

/// Boots all kernels, the newest first, one more at a time than there are CPUs: tests wait now and then.
fn boot_all(kernels: &[Kernel], initramfs: &Path, options: &Options) -> Result<Vec<Outcome>> {
    let queue = Mutex::new(kernels.iter().rev());
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let next = queue.lock().map_or(None, |mut queue| queue.next());
            let Some(kernel) = next else { return Ok(outcomes) };
            let outcome = machine::boot(
                kernel,
                suites::of(kernel.architecture, kernel.version()),
                options.only.as_deref().unwrap_or_default(),
                initramfs,
                options.verbose,
            );
            outcomes.push(outcome.with_context(|| format!("Linux {}", kernel.release))?);
        }
    };
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let worked: Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..=cpus).map(|_| scope.spawn(work)).collect();
        let join = |worker: ScopedJoinHandle<'_, Result<Vec<Outcome>>>| match worker.join() {
            Ok(outcomes) => outcomes,
            Err(_) => bail!("a machine's thread panicked"),
        };
        workers.into_iter().map(join).collect()
    });
    let mut outcomes: Vec<_> = worked?.into_iter().flatten().collect();
    outcomes.sort_by_key(|one| kernels.iter().position(|kernel| kernel.name == one.name));
    Ok(outcomes)
}

/// Debian's package of QEMU, where it is missing for this machine's own architecture.
pub(crate) fn missing_package() -> Option<&'static str> {
    let own = Architecture::X86_64;
    machine::require(own).is_err().then(|| own.packages())
}

/// Where kernels and the initramfs are kept.
fn folder() -> PathBuf {
    process::target().join("memtrace-vm")
}
