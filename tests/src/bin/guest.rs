//! The first program of a virtual machine of `cargo xtask vm`: mounts what a Linux has, runs the
//! suite of tests that it is given by name (those with a word in their names, where it is given one), says what
//! came out on the serial line that it is given, too, a JSON object a line, and ends the machine.
//!
//! `guest native`, outside a machine, prints the C library that goes into one, and `guest pace` how fast
//! this machine is (`paces.rs`). It judges nothing: which tests there are and what must pass is xtask's.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use harness::paces::{Attached, Pace};
use harness::{Context, Result, resources};
use serde::Serialize;

const MEMTRACE: &str = "/usr/bin/memtrace";

/// How often a test is tried.
const TRIES: u32 = 3;

/// Where to, and which filesystem.
const MOUNTS: [(&str, &str); 5] = [
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/dev/shm", "tmpfs"),
    ("/tmp", "tmpfs"),
];

/// When the kernel gives huge pages.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let argument = arguments.next().context("a suite, or `native`")?;
    let line = arguments.next().unwrap_or_default();
    let only = arguments.next().unwrap_or_default();
    match (std::process::id(), &*argument) {
        (1, suite) => first_program([suite, &*line, &*only]),
        (_, "native") => {
            println!("{}", resources::native_library()?.display());
            Ok(())
        }
        (_, "pace") => {
            println!("{}", serde_json::to_string(&Pace::measure())?);
            Ok(())
        }
        (_, suite) => run_suite(suite, &line, &only),
    }
}

/// As pid 1: starts the suite, reaps whatever ends, and ends the machine.
fn first_program(arguments: [&str; 3]) -> Result<()> {
    for (place, kind) in MOUNTS {
        fs::create_dir_all(place)?;
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount(kind, place, kind, flags, None::<&std::ffi::CStr>)
            .with_context(|| format!("mount {kind} at {place}"))?;
    }
    // Before 6.7 mappings are not aligned to huge pages, so that what lies beside one comes along with it, and programs
    // that state by how much they grow would be wrong. Those that want huge pages ask for them.
    fs::write(HUGE_PAGES, "madvise").context(HUGE_PAGES)?;
    bring_loopback_up()?;
    let mut command = Command::new("/init");
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", "/tmp").env("MEMTRACE_BIN", MEMTRACE);
    command.env("MEMTRACE_TEST_NATIVE", "/native.so");
    command.env("MEMTRACE_TEST_INTERPRETERS", fs::read_to_string("/python")?);
    let child = command.process_group(0).spawn().context("start the suite")?;
    let suite = i32::try_from(child.id())?;
    loop {
        // SAFETY: waits for any child; no status is asked for.
        let ended = unsafe { libc::wait(std::ptr::null_mut()) };
        if ended == suite || ended < 0 {
            break;
        }
    }
    // SAFETY: these have no memory effects. Restarting ends QEMU, which was told not to reboot.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_AUTOBOOT);
    }
    Ok(())
}

/// The daemon listens on it.
fn bring_loopback_up() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: names and numbers, for which zeros are values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = letter as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: this request takes an `ifreq` and keeps nothing of it (netdevice(7)).
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).context("loopback") }
}

/// One line of what is said.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Say<'a> {
    Release(&'a str),
    Version(&'a str),
    Limit(&'a str),
    Pace(Pace),
    Attached(Attached),
    Test { name: &'a str, passed: bool, tries: u32 },
    Line(&'a str),
    End(bool),
}

/// The serial line.
struct Voice(File);

impl Voice {
    fn say(&self, what: &Say) -> Result<()> {
        let mut file = &self.0;
        Ok(writeln!(file, "{}", serde_json::to_string(what)?)?)
    }
}

/// Runs the tests of the suite whose names have `only` in them.
fn run_suite(suite: &str, line: &str, only: &str) -> Result<()> {
    let device = format!("/dev/{line}");
    let line = OpenOptions::new().write(true).open(&device).context(device)?;
    let voice = Voice(line);
    voice.say(&Say::Release(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()))?;
    voice.say(&Say::Version(fs::read_to_string("/proc/sys/kernel/version")?.trim()))?;
    let outcome = limits(&voice).and_then(|()| {
        let plan = fs::read_to_string(format!("/suites/{suite}")).context("no such suite")?;
        for words in plan.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
            let wanted = |test: &&&str| format!("{}::{test}", words[0]).contains(only);
            let tests: Vec<_> = words[1..].iter().filter(wanted).copied().collect();
            if !tests.is_empty() {
                run_tests(&voice, words[0], &tests)?;
            }
        }
        if !only.is_empty() {
            return Ok(());
        }
        voice.say(&Say::Pace(Pace::measure()))?;
        match Attached::measure() {
            Ok(attached) => voice.say(&Say::Attached(attached)),
            // As on a kernel on which it does not trace. What must pass is in the suite.
            Err(error) => voice.say(&Say::Line(&format!("attach with all probes: {error:#}"))),
        }
    });
    if let Err(error) = &outcome {
        voice.say(&Say::Line(&format!("guest: {error:#}")))?;
    }
    voice.say(&Say::End(outcome.is_ok()))
}

/// What doctor does not call ok.
fn limits(voice: &Voice) -> Result<()> {
    let output = Command::new(MEMTRACE).args(["doctor", "--format", "json"]).output()?;
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    for check in checks["checks"].as_array().context("doctor's checks")? {
        let word = |key: &str| check[key].as_str().unwrap_or_default();
        if word("status") != "ok" {
            voice.say(&Say::Limit(&format!("{}: {}", word("name"), word("found"))))?;
        }
    }
    Ok(())
}

/// Runs tests of one binary; those that fail are tried again, as everywhere (`.config/nextest.toml`),
/// and say so.
fn run_tests(voice: &Voice, binary: &str, tests: &[&str]) -> Result<()> {
    let mut left: Vec<String> = tests.iter().map(|&test| test.to_owned()).collect();
    for tries in 1..=TRIES {
        let outcomes = try_tests(voice, binary, &left)?;
        for test in left.extract_if(.., |test| outcomes.get(test) == Some(&true)) {
            let name = format!("{binary}::{test}");
            voice.say(&Say::Test { name: &name, passed: true, tries })?;
        }
        if left.is_empty() {
            break;
        }
    }
    for test in left {
        let name = format!("{binary}::{test}");
        voice.say(&Say::Test { name: &name, passed: false, tries: TRIES })?;
    }
    Ok(())
}

/// Runs tests once; gives the outcomes, and says what else is printed.
fn try_tests(voice: &Voice, binary: &str, tests: &[String]) -> Result<BTreeMap<String, bool>> {
    let mut child = Command::new(format!("/tests/{binary}"))
        .args(["--exact", "--test-threads", "2"])
        .args(tests)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {binary}"))?;
    let output = child.stdout.take().context("its output")?;
    let mut outcomes = BTreeMap::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        match outcome_of(&line) {
            Some((name, passed)) => drop(outcomes.insert(name.to_owned(), passed)),
            None => voice.say(&Say::Line(&line))?,
        }
    }
    child.wait()?;
    Ok(outcomes)
}

/// The name and the outcome in `test NAME ... ok`.
fn outcome_of(line: &str) -> Option<(&str, bool)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    match outcome {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}
