//! What a machine may do to it: no descriptors left, kills at any moment, programs that change what they
//! are called.

use std::fs;
use std::time::Duration;

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::target::{self, Target};
use harness::{Context, Result, bpf, check, ensure};

/// Sets how many files a process may have open; without a number as many as it may set itself.
fn limit_files(pid: u32, files: Option<u64>) -> Result<()> {
    let (pid, none) = (i32::try_from(pid)?, std::ptr::null());
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a local, or null; the process is a child of this one.
    let done = unsafe {
        libc::prlimit(pid, libc::RLIMIT_NOFILE, none, &raw mut limit) == 0 && {
            limit.rlim_cur = files.unwrap_or(limit.rlim_max);
            let nowhere = std::ptr::null_mut();
            libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, nowhere) == 0
        }
    };
    ensure!(done, "prlimit: {}", std::io::Error::last_os_error());
    Ok(())
}

/// The highest descriptor that it keeps for when there are none.
fn last_in_reserve(pid: u32) -> Result<u64> {
    let mut last = None;
    for open in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let open = open?;
        let number = open.file_name().to_string_lossy().parse()?;
        // Others come and go while it looks at processes.
        let is_null = |file: std::path::PathBuf| file.as_os_str() == "/dev/null";
        if number > 2 && fs::read_link(open.path()).is_ok_and(is_null) {
            last = last.max(Some(number));
        }
    }
    last.context("none in reserve")
}

#[test]
fn without_descriptors_it_says_so_and_goes_on_when_there_are_some() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut before = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let mut daemon = Daemon::start(&config(&tag))?;
    let (_, row) = daemon.process(before.pid)?;
    // It has more already, and those that it keeps in reserve are within the limit.
    limit_files(daemon.pid(), Some(1 + last_in_reserve(daemon.pid())?))?;
    let mut meanwhile = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let said = daemon.says("file descriptors")?;
    ensure!(said.contains("LimitNOFILE"), "{said}");
    let truth = before.go()?;
    limit_files(daemon.pid(), None)?;
    daemon.next_window()?;
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    check::resident_by_line(report.process(before.pid)?, &truth)?;
    // Who came meanwhile is found.
    let (_, row) = daemon.process(meanwhile.pid)?;
    let truth = meanwhile.go()?;
    daemon.next_window()?;
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    check::resident_by_line(report.process(meanwhile.pid)?, &truth)?;
    daemon.stop().map(drop)
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_and_the_next_one_starts() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let target = Target::start(&python, "resident.py", &["keeps", &tag])?;
    for number in 0..6u64 {
        let daemon = Daemon::start(&config(&tag))?;
        let held = bpf::held_by(daemon.pid())?;
        std::thread::sleep(Duration::from_millis(number * number * 9));
        daemon.kill()?;
        held.is_gone()?;
    }
    let daemon = Daemon::start(&config(&tag))?;
    daemon.process(target.pid)?;
    daemon.stop().map(drop)
}

/// Writes another command line over its own, as setproctitle does, and another name.
const RENAMES: &str = r#"
import ctypes, os, sys
tag = sys.argv[1].encode()
fields = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
start, end = int(fields[48 - 3]), int(fields[49 - 3])
print("ready", os.getpid(), flush=True)
sys.stdin.readline()
text = b"shop: worker\n\x1b[31m\"} " + tag
ctypes.memmove(start, text.ljust(end - start, b"\0")[: end - start], end - start)
open("/proc/self/comm", "w").write("a\nb\x1b[0m")
kept = bytearray(8 << 20)
print("done {}", flush=True)
sys.stdin.readline()
"#;

#[test]
fn a_process_that_writes_over_its_command_line_stays_itself_and_is_shown_harmlessly() -> Result<()>
{
    let (tag, python) = (tag(), newest()?);
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("renames.py");
    fs::write(&program, RENAMES)?;
    let mut command = std::process::Command::new(&python.path);
    command.arg(&program).arg(&tag);
    target::prepare(&mut command)?;
    let mut target = Target::start_command(command)?;
    let daemon = Daemon::start(&config(&tag))?;
    let (group, row) = daemon.process(target.pid)?;
    target.begin()?;
    target.conversation().expect("done")?;
    target.settled()?;
    daemon.next_window()?;
    let (group_now, row_now) = daemon.process(target.pid)?;
    ensure!(row_now["space"] == row["space"] && group_now["id"] == group["id"], "{row_now}");
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    let file = program.to_string_lossy();
    let grown = report.process(target.pid)?.figures(&file, 11).grown;
    ensure!((8 << 20..9 << 20).contains(&grown), "{grown} by its line");
    for path in ["/metrics", "/api/report?format=table", "/api/report?format=csv"] {
        let text = daemon.get(path)?.text();
        ensure!(!text.contains('\u{1b}'), "{path}: {text}");
    }
    daemon.stop().map(drop)
}
