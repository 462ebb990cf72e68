//! Python in a bare chroot, as containers and build roots have it: files that only its root knows,
//! and an interpreter that appears by exec. Runs on what `cargo xtask interpreters` has fetched;
//! without that it prints that nothing was tested.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, supported};
use harness::report::{Process, Report};
use harness::wait::until;
use harness::{Context, Result, check, ensure, memtrace};

/// Line 1 grows 32 MiB, line 2 a million objects of 16 bytes and a list of 8 bytes for each. It waits first: that an
/// interpreter is recognised, and not how soon on a busy machine, is what is asked here.
const PROGRAM: &str = "import time; time.sleep(0.1); kept = bytearray(32 << 20)\n\
     many = [object() for _ in range(1000000)]\n";
const GROWN: [(u32, i64); 2] = [(1, 32 << 20), (2, 24_000_000)];

const KERNEL: &str = "kernel (swap, reclaim, khugepaged)";

/// A program inside the root, and the command that runs it there.
struct Rooted {
    root: PathBuf,
    file: String,
    python: String,
}

impl Rooted {
    fn new(python: &Interpreter, name: &str, program: &str) -> Result<Self> {
        let folder = python.path.parent().context("a folder of launchers")?;
        let root = folder.join("sid");
        let (_, minor, _) = python.version;
        let file = format!("/srv/{name}-{minor}.py");
        fs::create_dir_all(root.join("srv"))?;
        fs::write(root.join(&file[1..]), program)?;
        Ok(Self { root, file, python: format!("/usr/bin/python3.{minor}") })
    }

    fn words(&self) -> Vec<String> {
        let root = self.root.display().to_string();
        vec!["chroot".to_owned(), root, self.python.clone(), self.file.clone()]
    }
}

impl Drop for Rooted {
    fn drop(&mut self) {
        // What is left is overwritten by the next run.
        let _ = fs::remove_file(self.root.join(&self.file[1..]));
    }
}

fn each(mut check: impl FnMut(&Interpreter) -> Result<()>) -> Result<()> {
    let fetched: Vec<_> = supported()?.into_iter().filter(Interpreter::is_launched).collect();
    if fetched.is_empty() {
        eprintln!("NOT TESTED: Debian sid's Pythons are missing; run `cargo xtask interpreters`");
    }
    for python in &fetched {
        check(python).with_context(|| python.to_string())?;
    }
    Ok(())
}

fn lines_have_grown(report: &Report, rooted: &Rooted) -> Result<()> {
    // khugepaged may fill the gaps of what a line grows, and is named for it.
    let by_kernel = |process: &Process| process.unattributed_net(KERNEL).max(0);
    let by_kernel: i64 = report.processes.iter().map(by_kernel).sum();
    for (line, truth) in GROWN {
        let figures = report.processes.iter().map(|process| process.figures(&rooted.file, line));
        let grown: i64 = figures.map(|figures| figures.grown).sum();
        ensure!(grown + by_kernel >= truth / 100 * 99, "line {line}: {grown} of {truth}");
    }
    check::law(report)
}

#[test]
fn an_interpreter_in_a_chroot_is_recognised_at_exec() -> Result<()> {
    each(|python| {
        let rooted = Rooted::new(python, "run", PROGRAM)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("report.json");
        let output = file.to_str().context("a folder with a readable name")?.to_owned();
        let mut words = ["run", "--format", "json", "-o", &output, "--"].map(String::from).to_vec();
        words.extend(rooted.words());
        memtrace::finish(&mut memtrace::command(words)?)?.expect_code(0)?;
        let report: Report = serde_json::from_slice(&fs::read(&file)?)?;
        let found = report.processes.iter().find_map(|process| process.python.clone());
        ensure!(found == Some(python.version_text()), "{found:?}");
        lines_have_grown(&report, &rooted)
    })
}

#[test]
fn source_text_is_read_inside_the_chroot() -> Result<()> {
    each(|python| {
        let rooted = Rooted::new(python, "source", PROGRAM)?;
        let words = ["run", "--format", "table", "--"].map(String::from);
        let all = words.into_iter().chain(rooted.words());
        let finished = memtrace::finish(&mut memtrace::command(all)?)?;
        let said = format!("{}{}", finished.stdout, finished.stderr);
        for line in PROGRAM.lines() {
            ensure!(said.contains(line), "no {line:?} in {said}");
        }
        Ok(())
    })
}

#[test]
fn a_process_in_a_chroot_is_attached_to_from_outside() -> Result<()> {
    each(|python| {
        // It grows once it may, and says that it has by taking the permission away.
        let waits = "import os, time; \
             [time.sleep(0.01) for _ in iter(lambda: os.path.exists(__file__ + '.go'), True)]; ";
        let program = format!("{waits}{PROGRAM}os.remove(__file__ + '.go')\ntime.sleep(60)\n");
        let rooted = Rooted::new(python, "attach", &program)?;
        let go = rooted.root.join(format!("{}.go", &rooted.file[1..]));
        let words = rooted.words();
        let mut child = Command::new(&words[0]).args(&words[1..]).spawn()?;
        let traced = (|| {
            let attach = || Ok(Tracer::attach(&[child.id()], &[]).ok());
            let tracer = until("the chroot command to become Python", attach)?;
            fs::write(&go, "")?;
            until("it to have grown", || Ok((!go.exists()).then_some(())))?;
            tracer.stop()?.report()
        })();
        let _ = fs::remove_file(&go);
        child.kill()?;
        child.wait()?;
        lines_have_grown(&traced?, &rooted)
    })
}
