//! What the daemon may do once it is started: no more than it needs.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

use crate::kernel::support;

/// What tracing goes on needing, and for what.
const NEEDED: [Capability; 7] = [
    // Breakpoints on dying code objects, in targets that come later.
    Capability::CAP_PERFMON,
    // Memory, mappings and roots of targets.
    Capability::CAP_SYS_PTRACE,
    // Their files: interpreters and source text.
    Capability::CAP_DAC_READ_SEARCH,
    // Source text, which is read with the rights of the target's user.
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    // Files that were deleted since, through /proc/PID/map_files.
    Capability::CAP_CHECKPOINT_RESTORE,
    // Being first when a new program is to be recognised.
    Capability::CAP_SYS_NICE,
];

/// What tracing goes on needing, and before Linux 5.19 what every call of `bpf` takes there, also for maps that are open already, where
/// `kernel.unprivileged_bpf_disabled` is set (`__sys_bpf`, `kernel/bpf/syscall.c`).
fn needed() -> CapsHashSet {
    let more = (!support::open_maps_are_anyones()).then_some(Capability::CAP_BPF);
    NEEDED.into_iter().chain(more).collect()
}

/// Gives up everything else, for this thread and all that it starts, for good: also what an `exec`
/// would bring back. Before other threads are started.
///
/// # Errors
///
/// When the kernel refuses.
pub fn drop_the_rest() -> Result<(), CapsError> {
    let needed = needed();
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = permitted.intersection(&needed).copied().collect();
    caps::clear(None, CapSet::Ambient)?;
    // Only who has CAP_SETPCAP may; without, an exec brings nothing back either, for want of root.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::all() {
            if !needed.contains(&capability) && caps::has_cap(None, CapSet::Bounding, capability)? {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
    }
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    // SAFETY: a call without pointers.
    let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    match done {
        0 => Ok(()),
        _ => Err(CapsError::from(format!("no_new_privs: {}", std::io::Error::last_os_error()))),
    }
}

/// Lets as many files be open as may be: each target takes a few.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            // As many as before is what there is then.
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
