//! What depends on the kernel's version: from 5.15 on memtrace traces, before it refuses with the
//! reason and does nothing at all. `cargo xtask vm` runs this on several kernels.

use ::memtrace::machine::{HERE, Machine};
use harness::attach::Tracer;
use harness::bpf::{self, Loads};
use harness::interpreters::newest;
use harness::memtrace::{self, finish};
use harness::target::{Target, program};
use harness::{Context, Result, check, ensure, resources};

/// What is loaded and let go of again is counted: otherwise "nothing was loaded" proves nothing.
fn counts_loads() -> Result<()> {
    let before = Loads::now()?;
    Loads::now()?;
    let (programs, maps) = before.until(&Loads::now()?);
    ensure!(programs >= 1 && maps >= 1, "{programs} and {maps} of one each");
    Ok(())
}

/// All commands that trace give the reason and exit code 1, load nothing, and start nothing.
fn is_refused() -> Result<()> {
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let folder = tempfile::tempdir()?;
    let (started, recording) = (folder.path().join("started"), folder.path().join("recording"));
    let [started_text, recording] = [&started, &recording].map(|path| path.to_string_lossy());
    let pid = target.pid.to_string();
    counts_loads()?;
    let uprobes = bpf::uprobe_events()?;
    let before = Loads::now()?;
    for arguments in [
        &["attach", &*pid, "--duration", "1s"][..],
        &["record", &*pid, "-o", &*recording, "--duration", "1s"],
        &["run", "--", "python3", "-c", &format!("open({started_text:?}, 'w')")],
        &["doctor"],
    ] {
        let output = finish(&mut memtrace::command(arguments)?)?;
        output.expect_code(1).with_context(|| format!("{arguments:?}"))?;
        let said = format!("{}{}", output.stdout, output.stderr);
        for word in ["its BPF lacks", "run Linux 5.15 or newer"] {
            ensure!(said.contains(word), "{arguments:?}: nothing about {word:?} in {said:?}");
        }
    }
    ensure!(!started.exists(), "`run` started the command all the same");
    // Nobody else uses BPF where this runs: `cargo xtask vm`'s machines.
    let loaded = before.until(&Loads::now()?);
    ensure!(loaded == (0, 0), "programs and maps were loaded: {loaded:?}");
    ensure!(uprobes == bpf::uprobe_events()?, "uprobes were made");
    ensure!(target.exit()?.success(), "the target did not live on");
    Ok(())
}

fn is_traced() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    target.settled()?;
    counts_loads()?;
    let before = Loads::now()?;
    let tracer = Tracer::attach(&[target.pid], &[])?;
    let held = bpf::held_by(tracer.pid())?;
    held.is_tracing()?;
    held.is_younger_than(&before)?;
    let truth = target.go()?;
    let kernel = target.settled()?;
    let report = tracer.stop()?.report()?;
    held.is_gone()?;
    check::law(&report)?;
    check::agrees_with_kernel(&report, target.pid, kernel)?;
    check::resident_by_line(report.process(target.pid)?, &truth)
}

#[test]
fn memtrace_traces_on_this_kernel_or_says_why_not() -> Result<()> {
    resources::root()?;
    if resources::release()? >= (5, 15) { is_traced() } else { is_refused() }
}

/// Every mode has programs, or variants of them, that the kernel's verifier has to take.
#[test]
fn every_mode_traces_on_this_kernel() -> Result<()> {
    resources::root()?;
    let mut modes =
        vec![&["--lens", "allocator", "--exact"][..], &["--calls"], &["--bind", "frame-eval"]];
    if HERE == Machine::X86_64 {
        modes.push(&["--native"]);
    }
    for mode in modes {
        let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
        let tracer = Tracer::attach(&[target.pid], mode)?;
        target.go()?;
        let report = tracer.stop()?.report()?;
        check::law(&report)?;
        let process = report.process(target.pid)?;
        let seen = match mode {
            ["--calls"] => {
                let counts = process.more.get("evaluations").and_then(serde_json::Value::as_array);
                counts.map_or(0, Vec::len)
            }
            ["--native"] | ["--bind", ..] => process.lines.len(),
            _ => process.lines.iter().filter(|line| line.blocks.allocations > 0).count(),
        };
        ensure!(seen > 0, "{mode:?} saw nothing: {:?}", process.notes());
    }
    Ok(())
}

/// `explain` and `ps` look from outside, so they work on every kernel.
#[test]
fn a_look_needs_no_bpf() -> Result<()> {
    resources::root()?;
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    target.go()?;
    let rss = target.settled()?.rss;
    let explained = harness::explained::Explained::of(target.pid, &[])?;
    let found = &explained.json["rss_bytes"];
    ensure!(found.as_i64() == Some(rss), "explain has {found}, the page tables {rss}");
    let listed = finish(&mut memtrace::command(["ps"])?)?;
    listed.expect_code(0)?;
    let file = program("resident.py");
    let name = file.to_string_lossy();
    ensure!(listed.stdout.contains(&*name), "{name} is not in {}", listed.stdout);
    Ok(())
}

/// `--native` works on x86-64 only; elsewhere a sentence says so, and nothing is traced.
#[test]
fn native_frames_are_had_or_refused_in_words() -> Result<()> {
    resources::root()?;
    let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let pid = target.pid.to_string();
    let arguments = ["attach", &*pid, "--native", "--duration", "100ms"];
    let output = finish(&mut memtrace::command(arguments)?)?;
    match HERE {
        Machine::X86_64 => {
            output.expect_code(0)?;
        }
        Machine::Aarch64 => {
            output.expect_code(1)?;
            let refusal = "--native is not supported on aarch64";
            ensure!(output.stderr.contains(refusal), "{:?}", output.stderr);
            ensure!(output.stdout.is_empty(), "it reported all the same: {:?}", output.stdout);
        }
    }
    Ok(())
}
