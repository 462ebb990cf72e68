//! The checks, one function each: a machine goes in, what was found and its mend come out.
//!
//! They only look (tracefs excepted, see `support`). None of them knows of another: the order is
//! `support`'s.

use std::fs;
use std::io::ErrorKind;

use memtrace_common::limits::MAX_CPUS;

use super::{Check, Machine, Status};
use crate::machine::{self, HERE};

/// The oldest kernel on which the programs load and have been tried: atomic exchange came with 5.12,
/// loops through a map with 5.13, cookies of uprobes and a task's registers with 5.15.
const OLDEST: (u32, u32) = (5, 15);

/// The oldest kernel whose RSS counters are exact at each event.
pub(super) const EXACT: (u32, u32) = (6, 2);

/// Every tracepoint that the kernel side uses, where the machine has it.
const TRACEPOINTS: &[&str] = &[
    "exceptions:page_fault_user",
    "exceptions:page_fault_kernel",
    "kmem:rss_stat",
    "sched:sched_process_fork",
    "sched:sched_process_exec",
    "sched:sched_process_exit",
    "mmap:vm_unmapped_area",
];

/// Bits of a capability set, as in the kernel's `include/uapi/linux/capability.h`.
mod capability {
    pub(super) const DAC_OVERRIDE: u32 = 1;
    pub(super) const DAC_READ_SEARCH: u32 = 2;
    pub(super) const SYS_PTRACE: u32 = 19;
    pub(super) const SYS_ADMIN: u32 = 21;
    pub(super) const PERFMON: u32 = 38;
    pub(super) const BPF: u32 = 39;
    pub(super) const CHECKPOINT_RESTORE: u32 = 40;
}

fn check(name: &str, status: Status, found: impl Into<String>, mend: Option<String>) -> Check {
    Check { name: name.to_owned(), status, found: found.into(), mend }
}

fn good(name: &str, found: impl Into<String>) -> Check {
    check(name, Status::Ok, found, None)
}

fn missing(name: &str, found: impl Into<String>, mend: impl Into<String>) -> Check {
    check(name, Status::Missing, found, Some(mend.into()))
}

pub(super) fn kernel(machine: &Machine) -> Check {
    let name = "kernel";
    let release = machine.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    match machine.release() {
        None => missing(
            name,
            format!("the release `{release}` can't be read from /proc/sys/kernel/osrelease"),
            "mount /proc",
        ),
        Some(version) if version < OLDEST => missing(
            name,
            format!(
                "Linux {release}: its BPF lacks what walking a stack takes (loops, atomic exchange)"
            ),
            "run Linux 5.15 or newer",
        ),
        Some(version) if version < EXACT => check(
            name,
            Status::Warning,
            format!(
                "Linux {release}: changes of RSS wait in the thread that made them, so a thread's last fault \
                 is told with its next one or when memtrace lets go, and events cost more"
            ),
            Some("run Linux 6.2 or newer".to_owned()),
        ),
        Some(_) => good(name, format!("Linux {release}")),
    }
}

/// What addresses and pages must be like, on machines where kernels differ in that.
pub(super) fn addresses() -> Option<Check> {
    if HERE == machine::Machine::X86_64 {
        return None;
    }
    let name = "addresses";
    let (page, here) = (procfs::page_size(), 0u8);
    // The stack is at their upper end.
    let bits = u64::BITS - (&raw const here as u64).leading_zeros();
    let found = format!("pages of {} KiB, {bits} bits of addresses", page / 1024);
    let known = page == 4096 && bits == 48;
    let mend =
        format!("on {}, run a kernel with pages of 4 KiB and 48 bits of addresses", HERE.name());
    Some(if known { good(name, found) } else { missing(name, found, mend) })
}

/// Capabilities in a user namespace of one's own are none for BPF.
pub(super) fn user_namespace(machine: &Machine) -> Check {
    let name = "user namespace";
    let map = machine.read("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<_> = map.split_whitespace().collect();
    // The first namespace maps all ids to themselves. A kernel without namespaces has no file.
    if words.is_empty() || words == ["0", "0", "4294967295"] {
        return good(name, "the machine's own");
    }
    missing(
        name,
        "not the machine's own (a rootless container?): capabilities here don't reach BPF",
        "run memtrace on the host, or in a container that is privileged and not rootless",
    )
}

pub(super) fn capabilities(machine: &Machine) -> Vec<Check> {
    let status = machine.read("/proc/self/status").unwrap_or_default();
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let Some(set) = set else {
        return vec![missing(
            "capabilities",
            "CapEff can't be read from /proc/self/status",
            "mount /proc",
        )];
    };
    let has = |bit: u32| set & (1 << bit) != 0;
    // CAP_SYS_ADMIN stands for those that were split off it, not for CAP_SYS_PTRACE
    // (`bpf_capable`, `perfmon_capable`, `checkpoint_restore_ns_capable`: include/linux/capability.h).
    let one = |name: &str, bit: u32, by_admin: bool, otherwise: Status, what: &str| {
        if has(bit) {
            return good(name, "held");
        }
        if by_admin && has(capability::SYS_ADMIN) {
            return good(name, "covered by CAP_SYS_ADMIN");
        }
        let mend = format!(
            "it {what}: run memtrace as root (sudo), or give it the capability: sudo setcap \
             cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore+ep \
             \"$(command -v memtrace)\""
        );
        check(name, otherwise, "not held", Some(mend))
    };
    use capability::{BPF, CHECKPOINT_RESTORE, DAC_OVERRIDE, DAC_READ_SEARCH, PERFMON, SYS_PTRACE};
    let others = if has(DAC_OVERRIDE) { DAC_OVERRIDE } else { DAC_READ_SEARCH };
    vec![
        one("CAP_BPF", BPF, true, Status::Missing, "loads programs"),
        one("CAP_PERFMON", PERFMON, true, Status::Missing, "attaches them"),
        one("CAP_SYS_PTRACE", SYS_PTRACE, false, Status::Missing, "reads the memory of targets"),
        one(
            "CAP_DAC_READ_SEARCH",
            others,
            false,
            Status::Warning,
            "opens what belongs to other users: the memory of their processes and, for all but root, \
             tracefs",
        ),
        one(
            "CAP_CHECKPOINT_RESTORE",
            CHECKPOINT_RESTORE,
            true,
            Status::Warning,
            "opens files that targets have mapped, also deleted ones",
        ),
    ]
}

pub(super) fn lockdown(machine: &Machine) -> Check {
    let name = "lockdown";
    match machine.read("/sys/kernel/security/lockdown") {
        Err(_) => good(name, "not in this kernel, or not to be seen"),
        Ok(text) if text.contains("[confidentiality]") => missing(
            name,
            "confidentiality: the kernel lets no program read its memory",
            "boot with lockdown=integrity, or with Secure Boot off",
        ),
        Ok(text) => {
            let mode = text.split(['[', ']']).nth(1).unwrap_or("none");
            good(name, mode)
        }
    }
}

pub(super) fn btf(machine: &Machine) -> Check {
    let name = "BTF";
    let file = "/sys/kernel/btf/vmlinux";
    let mend = "run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are";
    match fs::File::open(machine.path(file)).and_then(|mut file| {
        let mut magic = [0; 2];
        io_read(&mut file, &mut magic).map(|()| u16::from_ne_bytes(magic))
    }) {
        Ok(0xeb9f) => good(name, file),
        Ok(_) => missing(name, format!("{file} is not BTF"), mend),
        Err(error) => missing(name, format!("{file}: {error}"), mend),
    }
}

fn io_read(file: &mut fs::File, bytes: &mut [u8]) -> std::io::Result<()> {
    std::io::Read::read_exact(file, bytes)
}

/// The two places where tracefs is mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Where tracefs is; or the error of the first place that isn't simply empty.
fn tracefs_folder(machine: &Machine) -> Result<&'static str, ErrorKind> {
    let mut reason = ErrorKind::NotFound;
    for folder in TRACEFS {
        match fs::read_dir(machine.path(&format!("{folder}/events"))) {
            Ok(_) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => reason = error.kind(),
            Err(_) => {}
        }
    }
    Err(reason)
}

pub(super) fn tracefs(machine: &Machine) -> Check {
    let name = "tracefs";
    let reason = match tracefs_folder(machine) {
        Ok(folder) => return good(name, folder),
        Err(reason) => reason,
    };
    if reason == ErrorKind::PermissionDenied {
        return missing(
            name,
            "mounted, and not readable for this user",
            "run memtrace as root (sudo)",
        );
    }
    match machine.mount_tracefs() {
        Ok(()) if tracefs_folder(machine).is_ok() => {
            good(name, format!("{}, mounted just now", TRACEFS[0]))
        }
        outcome => {
            let why = outcome.err().map(|error| format!(" ({error})")).unwrap_or_default();
            missing(
                name,
                format!("not mounted, and could not be mounted{why}"),
                format!(
                    "as root: mount -t tracefs tracefs {} (in a container: on the host, and share it)",
                    TRACEFS[0]
                ),
            )
        }
    }
}

pub(super) fn tracepoints(machine: &Machine) -> Vec<Check> {
    let folder = tracefs_folder(machine).ok();
    let one = |tracepoint: &&str| {
        let name = format!("tracepoint {tracepoint}");
        let Some(folder) = folder else {
            return check(&name, Status::Warning, "not looked at: tracefs is needed for it", None);
        };
        let events = format!("{folder}/events/{}", tracepoint.replace(':', "/"));
        if machine.path(&events).is_dir() {
            return good(&name, "there");
        }
        missing(&name, format!("{events} is not there"), mend_of_tracepoint(tracepoint))
    };
    let wanted = |name: &&&str| HERE.traces_faults() || !name.starts_with("exceptions:");
    TRACEPOINTS.iter().filter(wanted).map(one).collect()
}

fn mend_of_tracepoint(tracepoint: &str) -> String {
    let needs = match tracepoint.split(':').next() {
        Some("exceptions") => "an x86-64 kernel built with CONFIG_TRACING=y",
        Some("mmap") => "a kernel built with CONFIG_MMU=y and CONFIG_TRACING=y, 5.7 or newer",
        _ => "a kernel built with CONFIG_TRACING=y",
    };
    format!("run {needs}")
}

pub(super) fn ring_buffer(machine: &Machine) -> Check {
    let name = "ring buffer";
    match machine.release() {
        Some(version) if version >= (5, 8) => good(name, "in Linux since 5.8"),
        _ => missing(name, "not in kernels before 5.8", "run Linux 5.15 or newer"),
    }
}

pub(super) fn uprobes(machine: &Machine) -> Check {
    let name = "uprobes";
    let file = "/sys/bus/event_source/devices/uprobe/type";
    match machine.read(file) {
        Ok(_) => good(name, "through the uprobe PMU"),
        Err(error) => missing(
            name,
            format!("{file}: {error}"),
            "run a kernel built with CONFIG_UPROBE_EVENTS=y, with /sys mounted",
        ),
    }
}

pub(super) fn cpus(machine: &Machine) -> Check {
    let name = "CPUs";
    let file = "/sys/devices/system/cpu/possible";
    let list = machine.read(file).unwrap_or_default();
    match cpu_count(&list) {
        None => missing(name, format!("{file} can't be read"), "mount /sys"),
        Some(count) if count > MAX_CPUS => missing(
            name,
            format!("{count} possible, and memtrace sums a counter over at most {MAX_CPUS}"),
            format!("boot with nr_cpus={MAX_CPUS} or fewer"),
        ),
        Some(count) => good(name, format!("{count} possible, of at most {MAX_CPUS}")),
    }
}

/// One more than the highest number in a list as `0-3,8`.
fn cpu_count(list: &str) -> Option<usize> {
    let highest = |range: &str| range.rsplit('-').next()?.parse::<usize>().ok();
    let ends: Option<Vec<_>> = list.split(',').map(highest).collect();
    ends?.into_iter().max()?.checked_add(1)
}

/// Since 5.11 BPF memory is charged to the cgroup, not to this limit.
pub(super) fn memlock(machine: &Machine) -> Check {
    let name = "memlock";
    if machine.release().is_some_and(|version| version >= (5, 11)) {
        return good(name, "not a limit for BPF since Linux 5.11");
    }
    let limits = machine.read("/proc/self/limits").unwrap_or_default();
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or("unknown");
    if limit == "unlimited" {
        return good(name, "unlimited");
    }
    missing(name, format!("{limit} bytes of locked memory"), "ulimit -l unlimited")
}
