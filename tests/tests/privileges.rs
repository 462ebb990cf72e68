//! The fewest privileges that tracing takes (`docs/install.md`): with them a process of another user is
//! traced by nobody, with one less the refusal names it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::conversation::Lines;
use harness::interpreters::newest;
use harness::memtrace::{Build, Output, binary, finish};
use harness::report::Report;
use harness::target::Target;
use harness::{Context, Result, ensure, wait};

/// What is needed to trace another user's process.
const NEEDED: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];
/// Whom a process without rights runs as.
const NOBODY: &str = "65534";

/// memtrace where everybody may read it.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        std::fs::copy(binary(Build::Dev)?, folder.path().join("memtrace"))?;
        Ok(Self { folder })
    }

    fn memtrace(&self) -> PathBuf {
        self.folder.path().join("memtrace")
    }

    /// memtrace with these capabilities and no others, as this user, who can't gain any.
    fn with(&self, user: &str, capabilities: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        let set = capabilities.iter().fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
        command.args(["--no-new-privs", "--clear-groups", "--reuid", user, "--regid", user]);
        for option in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
            command.args([option, &set]);
        }
        command.arg(self.memtrace()).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command
    }
}

fn attach(command: &mut Command, pid: u32) -> Result<Output> {
    finish(command.args(["attach", &pid.to_string(), "--duration", "500ms", "--format", "json"]))
}

#[test]
fn nobody_with_four_capabilities_traces_roots_process() -> Result<()> {
    let installed = Installed::new()?;
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    target.settled()?;
    let mut command = installed.with(NOBODY, &NEEDED);
    command.args(["attach", &target.pid.to_string(), "--format", "json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut memtrace = command.spawn()?;
    let mut said = Lines::new("memtrace", memtrace.stderr.take().context("standard error")?);
    let mut report = Lines::new("the report", memtrace.stdout.take().context("its output")?);
    while let Some(line) = said.take_line()? {
        if line.contains("attached to") {
            break;
        }
    }
    let truth = target.go();
    let pid = i32::try_from(memtrace.id())?;
    // SAFETY: kill has no memory effects; the child is not reaped, so the pid is its own.
    let answer = unsafe { libc::kill(pid, libc::SIGINT) };
    let status = wait::until("memtrace to end", || Ok(memtrace.try_wait()?))?;
    ensure!(answer == 0 && status.success(), "{status}: {}", said.rest()?);
    let report = report.rest()?;
    let report: Report = serde_json::from_str(&report)?;
    let mark = truth?.mark("keeps")?.clone();
    let process = report.process(target.pid)?;
    let grown = process.figures(&mark.file, mark.line).grown;
    ensure!((grown - mark.grown()?).abs() < 1 << 19, "{grown} of {:?}", mark.grown());
    harness::check::law(&report)
}

#[test]
fn with_one_less_it_says_which_and_leaves_nothing() -> Result<()> {
    let installed = Installed::new()?;
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    target.settled()?;
    for (missing, words) in [
        ("bpf", "CAP_BPF: not held"),
        ("perfmon", "CAP_PERFMON: not held"),
        ("sys_ptrace", "CAP_SYS_PTRACE: not held"),
        ("dac_read_search", "tracefs: mounted, and not readable for this user"),
    ] {
        let rest: Vec<_> = NEEDED.into_iter().filter(|name| *name != missing).collect();
        let output = attach(&mut installed.with(NOBODY, &rest), target.pid)?;
        output.expect_code(1)?.expect_words(&[words])?;
        ensure!(output.stderr.lines().count() == 1, "one sentence: {}", output.stderr);
    }
    // Root without it may read tracefs, which is root's, and its own processes…
    let three = &NEEDED[..3];
    attach(&mut installed.with("0", three), target.pid)?.expect_code(0)?;
    // … but not those of others.
    let mut others = Command::new("setpriv");
    others.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    others
        .arg(everybodys_python()?)
        .args(["-c", "import time; print('up', flush=True); time.sleep(600)"]);
    let mut other = others.stdout(Stdio::piped()).spawn()?;
    let mut its = Lines::new("the other's Python", other.stdout.take().context("its output")?);
    let up = its.take_line();
    let refused = attach(&mut installed.with("0", three), other.id());
    let allowed = attach(&mut installed.with("0", &NEEDED), other.id());
    other.kill()?;
    other.wait()?;
    ensure!(up?.as_deref() == Some("up"), "it did not start: {}", its.seen());
    refused?.expect_code(1)?.expect_words(&["not allowed to look", "CAP_DAC_READ_SEARCH"])?;
    allowed?.expect_code(0)?;
    Ok(())
}

/// A Python that nobody may run: those of root's own folders are not.
fn everybodys_python() -> Result<PathBuf> {
    let runs = |path: &PathBuf| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(path);
        command.args(["-c", "pass"]).output().is_ok_and(|output| output.status.success())
    };
    let mut all: Vec<_> =
        harness::interpreters::all().into_iter().map(|python| python.path).collect();
    all.push(Path::new("/usr/bin/python3").to_owned());
    all.into_iter().find(runs).context("no Python that everybody may run")
}

#[test]
fn doctor_names_what_is_not_held() -> Result<()> {
    let installed = Installed::new()?;
    let whole = finish(installed.with(NOBODY, &NEEDED).arg("doctor"))?;
    whole.expect_code(0)?;
    ensure!(whole.stdout.contains("warning  CAP_CHECKPOINT_RESTORE"), "{}", whole.stdout);
    let none = finish(installed.with(NOBODY, &[]).arg("doctor"))?;
    none.expect_code(1)?;
    for name in ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"] {
        ensure!(none.stdout.contains(&format!("MISSING  {name}")), "{}", none.stdout);
    }
    ensure!(none.stdout.contains("warning  CAP_DAC_READ_SEARCH"), "{}", none.stdout);
    Ok(())
}
