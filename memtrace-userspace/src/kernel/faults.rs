//! Page faults: by tracepoints where the machine has them, elsewhere by the kernel's software event,
//! one on each CPU, at every fault.

use aya::Ebpf;
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::programs::{PerfEvent, ProgramError};
use aya::util::online_cpus;

use super::probes::{KernelError, program_error, raw_tracepoint};
use crate::machine;

/// The program for these raw tracepoints.
const TRACED: &str = "page_fault";
const TRACEPOINTS: [&str; 2] = ["page_fault_user", "page_fault_kernel"];
/// The program for the software event.
const EVENT: &str = "page_fault_event";

/// The program that this machine needs.
pub(super) fn program() -> &'static str {
    if machine::HERE.traces_faults() { TRACED } else { EVENT }
}

/// Attaches it.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    if machine::HERE.traces_faults() {
        let program = raw_tracepoint(ebpf, TRACED)?;
        for tracepoint in TRACEPOINTS {
            program.attach(tracepoint).map_err(program_error(TRACED))?;
        }
        return Ok(());
    }
    let program = event(ebpf)?;
    let cpus = online_cpus().map_err(|(what, source)| KernelError::Io { what, source })?;
    for cpu in cpus {
        attach_to_cpu(program, cpu).map_err(program_error(EVENT))?;
    }
    Ok(())
}

fn event(ebpf: &mut Ebpf) -> Result<&mut PerfEvent, KernelError> {
    let program = ebpf.program_mut(EVENT).ok_or(KernelError::Absent(EVENT))?;
    program.try_into().map_err(program_error(EVENT))
}

fn attach_to_cpu(program: &mut PerfEvent, cpu: u32) -> Result<(), ProgramError> {
    let faults = PerfEventConfig::Software(SoftwareEvent::PageFaults);
    let scope = PerfEventScope::AllProcessesOneCpu { cpu };
    // Of every fault: a period of one is never throttled.
    program.attach(faults, scope, SamplePolicy::Period(1), false).map(drop)
}
