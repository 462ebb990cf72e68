//! Loading the programs that every trace needs: all at once, since verifying two of them takes nearly all of
//! the time, and the kernel lets privileged loaders verify side by side (`bpf_check`, `kernel/bpf/verifier.c`).

use std::collections::HashMap;
use std::thread;

use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf};

use super::faults;
use super::probes::{KernelError, program_error};

/// The programs that must attach, each to the raw tracepoint of its name; beside that of `faults`.
pub(super) const TRACEPOINTS: [&str; 5] = [
    "sched_process_exit",
    "sched_process_exec",
    "sched_process_fork",
    "vm_unmapped_area",
    "rss_stat",
];

/// Task iterators.
const ITERATORS: [&str; 3] = ["attend", "locate_cpus", "find_ram"];

/// Uprobes that are attached to a process when it needs them.
const UPROBES: [&str; 2] = ["code_dealloc", "eval_frame"];

/// Loads them.
///
/// # Errors
///
/// [`KernelError`] of the first that does not load.
pub(super) fn load(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), KernelError> {
    let names = [faults::program()].into_iter().chain(TRACEPOINTS).chain(ITERATORS).chain(UPROBES);
    let mut programs: HashMap<_, _> =
        ebpf.programs_mut().map(|(name, program)| (name.to_owned(), program)).collect();
    let mut wanted = Vec::new();
    for name in names {
        wanted.push((name, programs.remove(name).ok_or(KernelError::Absent(name))?));
    }
    thread::scope(|scope| {
        let loaders: Vec<_> = wanted
            .into_iter()
            .map(|(name, program)| {
                scope.spawn(move || load_one(program, btf).map_err(program_error(name)))
            })
            .collect();
        loaders.into_iter().try_for_each(|loader| match loader.join() {
            Ok(loaded) => loaded,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn load_one(program: &mut Program, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::RawTracePoint(program) => program.load(),
        Program::PerfEvent(program) => program.load(),
        Program::Iter(program) => program.load("task", btf),
        Program::UProbe(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
