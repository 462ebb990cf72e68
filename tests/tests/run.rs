//! `memtrace run`: the command behaves as without it, and is traced from its first instruction,
//! however the interpreter is reached.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, for_each, newest};
use harness::memtrace::{self, finish};
use harness::target::program;
use harness::truth::Truth;
use harness::{Context, Result, bail, check, ensure, resources};

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of readable characters")
}

/// Runs grows.py by that command line: it must be found, and have its line.
fn grows(
    python: &Interpreter,
    command: &[&str],
    prepare: impl FnOnce(&mut Command) -> Result<()>,
) -> Result<()> {
    let (tracer, mut program) = Tracer::run(&[], command, |command| {
        harness::target::prepare(command)?;
        prepare(command)
    })?;
    let truth: Truth = serde_json::from_str(&program.expect("done")?)?;
    let report = tracer.wait()?.report()?;
    check::law(&report)?;
    ensure!(truth.more["python"] == *python.version_text(), "another Python: {:?}", truth.more);
    let mark = truth.mark("script")?;
    // However many programs led there by exec, the last life of that pid is the script's.
    let life = report.processes.iter().find(|life| life.figures(&mark.file, mark.line).grown > 0);
    let Some(life) = life else {
        bail!("no process names {}:{}; {:#?}", mark.file, mark.line, report.processes);
    };
    ensure!(life.python.as_deref() == Some(&*python.version_text()), "{:?}", life.python);
    let grown = life.figures(&mark.file, mark.line).grown;
    let stated = mark.grown()?;
    ensure!((grown - stated).abs() <= stated / 100, "grown {grown}\n{}", life.top());
    Ok(())
}

/// An executable script.
fn script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[test]
fn an_interpreter_is_traced_from_its_first_instruction() -> Result<()> {
    for_each(|python| {
        let file = program("resident.py");
        let command = [text(&python.path)?, text(&file)?, "keeps"];
        let (tracer, mut program) = Tracer::run(&[], &command, harness::target::prepare)?;
        let pid = program.ready()?;
        let truth = program.go()?;
        program.say("exit")?;
        let report = tracer.wait()?.report()?;
        check::law(&report)?;
        let process = report.process(pid)?;
        let mark = truth.mark("keeps")?;
        let grown = process.figures(&mark.file, mark.line).grown;
        let near = (grown - mark.grown()?).abs() <= mark.grown()? / 100;
        ensure!(near, "grown {grown}\n{}", process.top());
        // The interpreter's own start-up is in the report: it began with next to nothing.
        ensure!(process.rss_before_bytes < 2 << 20, "before: {}", process.rss_before_bytes);
        Ok(())
    })
}

#[test]
fn a_relative_script_just_works() -> Result<()> {
    for_each(|python| {
        let folder = program("");
        grows(python, &[text(&python.path)?, "grows.py"], |command| {
            command.current_dir(folder);
            Ok(())
        })
    })
}

#[test]
fn an_interpreter_is_found_on_path() -> Result<()> {
    for_each(|python| {
        let folder = tempfile::tempdir()?;
        symlink(&python.path, folder.path().join("python"))?;
        grows(python, &["python", text(&program("grows.py"))?], |command| {
            with_path(command, folder.path())
        })
    })
}

fn with_path(command: &mut Command, first: &Path) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders)?);
    Ok(())
}

#[test]
fn a_script_with_a_first_line_that_names_python_works() -> Result<()> {
    for_each(|python| {
        let folder = tempfile::tempdir()?;
        symlink(&python.path, folder.path().join("python3"))?;
        // grows.py begins with `#!/usr/bin/env python3`.
        grows(python, &[text(&program("grows.py"))?], |command| with_path(command, folder.path()))
    })
}

#[test]
fn a_virtual_environment_works() -> Result<()> {
    for_each(|python| {
        if python.is_launched() {
            return Ok(()); // It would link to an interpreter that is there in its chroot only.
        }
        let folder = tempfile::tempdir()?;
        let made = folder.path().join("venv");
        let mut make = Command::new(&python.path);
        make.args(["-m", "venv", "--without-pip", "--symlinks"]).arg(&made);
        resources::succeed(&mut make)?;
        grows(python, &[text(&made.join("bin/python"))?, text(&program("grows.py"))?], |_| Ok(()))
    })
}

#[test]
fn a_shim_that_ends_in_exec_works() -> Result<()> {
    for_each(|python| {
        let folder = tempfile::tempdir()?;
        // What pyenv's shims do: a shell that looks around, then another that becomes Python.
        let inner = folder.path().join("inner");
        let real = text(&python.path)?;
        script(&inner, &format!("#!/bin/sh\n: \"$(ls / | wc -l)\"\nexec '{real}' \"$@\"\n"))?;
        let outer = format!("#!/usr/bin/env bash\nset -e\nexec '{}' \"$@\"\n", text(&inner)?);
        script(&folder.path().join("python"), &outer)?;
        grows(python, &["python", text(&program("grows.py"))?], |command| {
            with_path(command, folder.path())
        })
    })
}

#[test]
fn pyenvs_own_shim_works_where_there_is_one() -> Result<()> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let root = std::env::var_os("PYENV_ROOT").map(Into::into).or(home).context("no HOME")?;
    let shims = root.join("shims");
    for_each(|python| {
        if !python.path.starts_with(&root) {
            eprintln!("{python} is not pyenv's");
            return Ok(());
        }
        grows(python, &["python", text(&program("grows.py"))?], |command| {
            command.env("PYENV_VERSION", python.version_text());
            with_path(command, &shims)
        })
    })
}

#[test]
fn standard_streams_and_the_exit_code_pass_through() -> Result<()> {
    let (file, python) = (program("streams.py"), newest()?.path);
    let command = [text(&python)?, text(&file)?, "7"];
    let (tracer, mut program) = Tracer::run(&[], &command, |_| Ok(()))?;
    program.ready()?;
    program.say("what goes in")?;
    program.expect("WHAT GOES IN")?;
    drop(program);
    let finished = tracer.wait()?;
    ensure!(finished.status.code() == Some(7), "{finished:?}");
    check::law(&finished.report_whatever_the_code()?)
}

#[test]
fn signals_pass_through() -> Result<()> {
    for signal in [libc::SIGUSR1, libc::SIGTERM, libc::SIGHUP] {
        let (file, python) = (program("streams.py"), newest()?.path);
        let command = [text(&python)?, text(&file)?, "100"];
        let (tracer, mut program) = Tracer::run(&[], &command, |_| Ok(()))?;
        program.ready()?;
        tracer.signal(signal)?;
        // The answer to this line comes after the signal was sent, but perhaps before it came.
        std::thread::sleep(std::time::Duration::from_millis(300));
        program.say("still here")?;
        program.expect("STILL HERE")?;
        drop(program);
        let finished = tracer.wait()?;
        ensure!(finished.stderr.contains(&format!("caught {signal}")), "{}", finished.stderr);
        ensure!(finished.status.code() == Some(100 + signal), "{finished:?}");
        check::law(&finished.report_whatever_the_code()?)?;
    }
    Ok(())
}

#[test]
fn a_command_killed_by_a_signal_gives_128_and_its_number() -> Result<()> {
    let python = newest()?.path;
    let end = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)";
    let (tracer, _program) = Tracer::run(&[], &[text(&python)?, "-c", end], |_| Ok(()))?;
    let finished = tracer.wait()?;
    ensure!(finished.status.code() == Some(128 + libc::SIGKILL), "{finished:?}");
    check::law(&finished.report_whatever_the_code()?)
}

#[test]
fn the_report_goes_to_the_end_of_standard_error_without_an_output_file() -> Result<()> {
    resources::root()?;
    let python = newest()?.path;
    let print = "print('the command\\'s own')";
    let mut command = memtrace::command(["run", "--format", "json", "--"])?;
    let output = finish(command.arg(&python).args(["-c", print]))?;
    output.expect_code(0)?;
    ensure!(output.stdout == "the command's own\n", "{:?}", output.stdout);
    let start = output.stderr.find("{").context("JSON on standard error")?;
    let report: harness::report::Report = serde_json::from_str(&output.stderr[start..])?;
    check::law(&report)
}

#[test]
fn a_command_that_is_not_python_keeps_its_exit_code() -> Result<()> {
    resources::root()?;
    let output = finish(&mut memtrace::command(["run", "--", "sh", "-c", "echo out; exit 5"])?)?;
    ensure!(output.stdout == "out\n", "{:?}", output.stdout);
    output.expect_code(5)?.expect_words(&["Python"]).map(drop)
}
