//! What `/proc` says of a process besides its memory: whose it is, in which container, and which
//! processes it has its program in common with.
//!
//! Read once, when it turns out to be Python. What can't be read is left empty.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use crate::python::processes;

/// More of a `cgroup` file is not read.
const CGROUP_LIMIT: usize = 16 << 10;

/// Facts of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// In our pid namespace.
    pub pid: u32,
    /// Its parent there; 0 when it could not be asked.
    pub parent: u32,
    /// Its start in clock ticks since boot: with the pid it names a process for good.
    pub started: u64,
    /// Its owner's name, or the user id in digits.
    pub user: String,
    /// Its `/proc/PID/cgroup`.
    pub cgroup: String,
    /// Which `exec` it comes from.
    pub lineage: Option<Lineage>,
}

/// Where the kernel has put the program: the stack, the code, the heap and the arguments of one `exec`
/// have places of their own, at random, and what is forked from it has the same ones. So workers of one
/// tree are known as such, also those whose parents have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lineage {
    /// `start_stack`
    pub stack: u64,
    /// `start_code`
    pub code: u64,
    /// `start_brk`
    pub heap: u64,
    /// `arg_start`
    pub arguments: u64,
}

impl Facts {
    /// The facts of this moment.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let mut facts = Self { pid, ..Self::default() };
        if let Ok(folder) = std::fs::metadata(format!("/proc/{pid}")) {
            facts.user = user_name(folder.uid());
        }
        if let Ok(stat) = stat(pid) {
            facts.parent = u32::try_from(stat.ppid).unwrap_or(0);
            facts.started = stat.starttime;
            let places = (stat.startstack, stat.startcode, stat.start_brk, stat.arg_start);
            if let (stack, code, Some(heap), Some(arguments)) = places
                && stack != 0
                && places_are_random()
            {
                facts.lineage = Some(Lineage { stack, code, heap, arguments });
            }
        }
        let mut cgroup = std::fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup.truncate(CGROUP_LIMIT);
        facts.cgroup = String::from_utf8_lossy(&cgroup).into_owned();
        facts
    }
}

fn stat(pid: u32) -> procfs::ProcResult<procfs::process::Stat> {
    procfs::process::Process::new(pid.cast_signed())?.stat()
}

/// When a process started, in clock ticks since boot.
#[must_use]
pub fn started(pid: u32) -> Option<u64> {
    stat(pid).ok().map(|stat| stat.starttime)
}

/// Without, every `exec` of a program has the same places.
pub(super) fn places_are_random() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/randomize_va_space")
        .is_ok_and(|setting| setting.trim() != "0")
}

pub(super) fn user_name(uid: u32) -> String {
    thread_local! {
        static USERS: HashMap<u32, String> = processes::users();
    }
    USERS.with(|users| users.get(&uid).cloned()).unwrap_or_else(|| uid.to_string())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_has_facts_and_what_it_starts_has_others() {
        let own = Facts::of(std::process::id());
        assert_eq!(Some(own.started), started(own.pid));
        assert!(!own.cgroup.is_empty() && !own.user.is_empty(), "{own:?}");
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = Facts::of(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(other.parent, own.pid);
        assert!(other.lineage != own.lineage || other.lineage.is_none());
        assert_eq!(Facts::of(u32::MAX).lineage, None);
    }
}
