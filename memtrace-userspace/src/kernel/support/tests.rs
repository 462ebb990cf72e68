//! Each check is shown to pass on a whole machine, and to fail on one with that one thing broken.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder that looks like a machine on which all is well.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        fake.write("proc/sys/kernel/osrelease", "6.18.44-cloud-amd64\n");
        fake.write("proc/self/uid_map", "         0          0 4294967295\n");
        fake.write("proc/self/status", "Name:\tx\nCapEff:\t000001fffeffffff\n");
        fake.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        fake.write_bytes("sys/kernel/btf/vmlinux", &0xeb9f_u16.to_ne_bytes());
        for tracepoint in [
            "exceptions/page_fault_user",
            "exceptions/page_fault_kernel",
            "kmem/rss_stat",
            "sched/sched_process_fork",
            "sched/sched_process_exec",
            "sched/sched_process_exit",
            "mmap/vm_unmapped_area",
        ] {
            fake.write(&format!("sys/kernel/tracing/events/{tracepoint}/id"), "1\n");
        }
        fake.write("sys/bus/event_source/devices/uprobe/type", "8\n");
        fake.write("sys/devices/system/cpu/possible", "0-1\n");
        fake
    }

    fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.path().join(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    fn examine(&self) -> Vec<Check> {
        Machine { root: self.0.path().to_path_buf(), mounts: false }.examine()
    }

    /// The one check that isn't ok.
    fn only_fault(&self) -> Check {
        let mut faults = self.examine();
        faults.retain(|check| check.status != Status::Ok);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }
}

#[test]
fn a_whole_machine_has_nothing_to_mend() {
    let checks = Fake::new().examine();
    assert_eq!(checks.len(), 21, "{checks:?}");
    for check in &checks {
        assert_eq!((check.status, &check.mend), (Status::Ok, &None), "{check:?}");
    }
    assert_eq!(first_missing(checks), Ok(()));
}

#[test]
fn each_broken_thing_is_found_named_and_has_a_mend() {
    let caps = |set: u64| format!("CapEff:\t{set:016x}\n");
    let without = |bit: u32, also: u32| caps(0x1ff_feff_ffff & !(1 << bit) & !(1 << also));
    for (path, text, name, found) in [
        ("proc/sys/kernel/osrelease", "5.10.0-30-amd64".to_owned(), "kernel", "5.10.0-30-amd64"),
        ("proc/self/uid_map", "0 1000 1".to_owned(), "user namespace", "rootless"),
        ("proc/self/status", without(39, 21), "CAP_BPF", "not held"),
        ("proc/self/status", without(38, 21), "CAP_PERFMON", "not held"),
        ("proc/self/status", without(19, 19), "CAP_SYS_PTRACE", "not held"),
        ("proc/self/status", "Name: x".to_owned(), "capabilities", "CapEff"),
        (
            "sys/kernel/security/lockdown",
            "none integrity [confidentiality]".to_owned(),
            "lockdown",
            "confidentiality",
        ),
        ("sys/kernel/btf/vmlinux", "ELF".to_owned(), "BTF", "not BTF"),
        ("sys/devices/system/cpu/possible", "0-255,256".to_owned(), "CPUs", "257 possible"),
        ("sys/devices/system/cpu/possible", "x".to_owned(), "CPUs", "can't be read"),
    ] {
        let fake = Fake::new();
        fake.write(path, &text);
        // CAP_SYS_ADMIN covers more than one; look at the first.
        let fault = fake
            .examine()
            .into_iter()
            .find(|check| check.status == Status::Missing)
            .unwrap_or_else(|| panic!("{path} with {text:?} is no fault"));
        assert_eq!(fault.name, name);
        assert!(fault.found.contains(found), "{fault:?}");
        assert!(fault.mend.is_some(), "{fault:?}");
    }
}

#[test]
fn a_kernel_that_lets_changes_wait_can_be_traced_with_a_limit() {
    let fake = Fake::new();
    fake.write("proc/sys/kernel/osrelease", "5.15.0-204-generic");
    let fault = fake.only_fault();
    assert_eq!((fault.name.as_str(), fault.status), ("kernel", Status::Warning));
    assert!(fault.found.contains("told with its next one"), "{fault:?}");
    assert_eq!(first_missing(vec![fault]), Ok(()));
}

#[test]
fn what_is_not_there_is_missing() {
    for (path, name) in [
        ("sys/kernel/btf/vmlinux", "BTF"),
        ("sys/bus/event_source/devices/uprobe", "uprobes"),
        ("sys/devices/system/cpu/possible", "CPUs"),
        (
            "sys/kernel/tracing/events/exceptions/page_fault_user",
            "tracepoint exceptions:page_fault_user",
        ),
        (
            "sys/kernel/tracing/events/exceptions/page_fault_kernel",
            "tracepoint exceptions:page_fault_kernel",
        ),
        ("sys/kernel/tracing/events/kmem/rss_stat", "tracepoint kmem:rss_stat"),
        (
            "sys/kernel/tracing/events/sched/sched_process_fork",
            "tracepoint sched:sched_process_fork",
        ),
        (
            "sys/kernel/tracing/events/sched/sched_process_exec",
            "tracepoint sched:sched_process_exec",
        ),
        (
            "sys/kernel/tracing/events/sched/sched_process_exit",
            "tracepoint sched:sched_process_exit",
        ),
        ("sys/kernel/tracing/events/mmap/vm_unmapped_area", "tracepoint mmap:vm_unmapped_area"),
    ] {
        let fake = Fake::new();
        fake.remove(path);
        let fault = fake.only_fault();
        assert_eq!((fault.name.as_str(), fault.status), (name, Status::Missing));
        assert!(fault.mend.is_some(), "{fault:?}");
    }
}

#[test]
fn a_machine_without_lockdown_is_whole() {
    let fake = Fake::new();
    fake.remove("sys/kernel/security");
    assert!(fake.examine().iter().all(|check| check.status == Status::Ok));
}

#[test]
fn no_right_to_open_mapped_files_is_a_warning() {
    let fake = Fake::new();
    fake.write(
        "proc/self/status",
        &format!("CapEff:\t{:x}\n", (1_u64 << 38) | (1 << 39) | (1 << 19) | (1 << 2)),
    );
    let fault = fake.only_fault();
    assert_eq!((fault.name.as_str(), fault.status), ("CAP_CHECKPOINT_RESTORE", Status::Warning));
}

#[test]
fn no_right_to_other_users_files_is_a_warning_and_cap_dac_override_is_as_good() {
    let fake = Fake::new();
    let rest = (1_u64 << 38) | (1 << 39) | (1 << 19) | (1 << 40);
    fake.write("proc/self/status", &format!("CapEff:\t{rest:x}\n"));
    let fault = fake.only_fault();
    assert_eq!((fault.name.as_str(), fault.status), ("CAP_DAC_READ_SEARCH", Status::Warning));
    fake.write("proc/self/status", &format!("CapEff:\t{:x}\n", rest | (1 << 1)));
    assert!(fake.examine().iter().all(|check| check.status == Status::Ok));
}

#[test]
fn cap_sys_admin_stands_for_its_parts_but_not_for_ptrace() {
    let fake = Fake::new();
    fake.write("proc/self/status", &format!("CapEff:\t{:x}\n", (1_u64 << 21) | (1 << 2)));
    assert_eq!(fake.only_fault().name, "CAP_SYS_PTRACE");
}

#[test]
fn tracefs_that_cannot_be_mounted_is_missing_and_its_tracepoints_are_not_judged() {
    let fake = Fake::new();
    fake.remove("sys/kernel/tracing");
    let checks = fake.examine();
    let missing: Vec<_> = checks.iter().filter(|c| c.status == Status::Missing).collect();
    assert_eq!(missing.len(), 1, "{checks:?}");
    assert_eq!(missing[0].name, "tracefs");
    assert!(missing[0].mend.as_ref().unwrap().contains("mount -t tracefs"));
    assert_eq!(checks.iter().filter(|c| c.status == Status::Warning).count(), 7);
}

#[test]
fn tracefs_in_its_old_place_serves() {
    let fake = Fake::new();
    let tracing = fake.0.path().join("sys/kernel/tracing");
    let debug = fake.0.path().join("sys/kernel/debug");
    fs::create_dir_all(&debug).unwrap();
    fs::rename(tracing, debug.join("tracing")).unwrap();
    assert!(fake.examine().iter().all(|check| check.status == Status::Ok));
}

#[test]
fn tracefs_that_this_user_may_not_read_asks_for_root() {
    let fake = Fake::new();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    mode(fake.0.path(), 0o755).unwrap();
    mode(&fake.0.path().join("sys/kernel/tracing/events"), 0o000).unwrap();
    let check = std::thread::scope(|scope| {
        let nobody = || {
            // Root reads whatever the mode says, so this thread alone becomes somebody else.
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            }
            fake.examine().into_iter().find(|check| check.name == "tracefs").unwrap()
        };
        scope.spawn(nobody).join().unwrap()
    });
    assert_eq!(check.status, Status::Missing, "{check:?}");
    assert!(check.mend.unwrap().contains("as root"));
}

#[test]
fn an_old_kernel_is_refused_before_its_memlock() {
    let fake = Fake::new();
    fake.write("proc/sys/kernel/osrelease", "5.4.0");
    fake.write("proc/self/limits", "Max locked memory         65536  65536  bytes\n");
    let missing: Vec<_> = fake
        .examine()
        .into_iter()
        .filter(|check| check.status == Status::Missing)
        .map(|check| check.name)
        .collect();
    assert_eq!(missing, ["kernel", "ring buffer", "memlock"]);
    fake.write("proc/self/limits", "Max locked memory         unlimited  unlimited  bytes\n");
    let memlock = fake.examine().into_iter().find(|check| check.name == "memlock").unwrap();
    assert_eq!(memlock.status, Status::Ok);
}

#[test]
fn the_error_is_one_sentence_with_its_mend() {
    let fake = Fake::new();
    fake.remove("sys/kernel/btf/vmlinux");
    let error = first_missing(fake.examine()).unwrap_err().to_string();
    assert!(error.starts_with("BTF: /sys/kernel/btf/vmlinux: "), "{error}");
    assert!(error.contains("; run a kernel built with CONFIG_DEBUG_INFO_BTF=y"), "{error}");
}

#[test]
fn releases_are_read_whatever_follows_the_numbers() {
    for (release, expected) in [
        ("6.18.44-cloud-amd64", Some((6, 18))),
        ("6.2.0", Some((6, 2))),
        ("6.2", Some((6, 2))),
        ("7.0-rc1", Some((7, 0))),
        ("5.15.0-1051-azure", Some((5, 15))),
        ("", None),
        ("linux", None),
    ] {
        assert_eq!(parse_release(release), expected, "{release}");
    }
}
