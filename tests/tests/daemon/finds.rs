//! Finding processes and forgetting them.

use std::process::{Command, Stdio};

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::{newest, supported, unsupported};
use harness::process::Process;
use harness::target::{self, Target};
use harness::{Context, Result, check, ensure, resources, wait};

#[test]
fn processes_from_before_and_from_later_have_their_lines_and_are_forgotten() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut before = Target::start(&python, "resident.py", &["keeps", &tag])?;
    // Where a processor is emulated, 2 % would leave most stacks out.
    let config = config(&tag).replace("[trace]", "[trace]\nmax_overhead = \"any\"");
    let mut daemon = Daemon::start(&config)?;
    let mut later = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let mut truths = Vec::new();
    for target in [&mut before, &mut later] {
        let (_, row) = daemon.process(target.pid)?;
        truths.push((row["space"].clone(), target.pid, target.go()?));
    }
    daemon.next_window()?;
    for (space, pid, truth) in &truths {
        let report = daemon.report(&format!("space={space}"))?;
        check::law(&report)?;
        check::resident_by_line(report.process(*pid)?, truth)?;
    }
    let pid = later.pid;
    ensure!(later.exit()?.success(), "the program failed");
    daemon.process_is(pid, |row| row["ending"] == "exited")?;
    daemon.reload(&config.replace("\"10m\"", "\"1s\""))?;
    daemon.says("was read again")?;
    let gone = wait::until("a process to be forgotten", || {
        let overview = daemon.overview()?.to_string();
        Ok((!overview.contains(&format!("\"pid\":{pid},"))).then_some(()))
    });
    gone?;
    ensure!(daemon.process(before.pid)?.1["ending"] == "running", "the other one runs");
    daemon.stop().map(drop)
}

#[test]
fn every_interpreter_is_traced_from_its_first_instruction() -> Result<()> {
    let tag = tag();
    let daemon = Daemon::start(&config(&tag))?;
    let mut targets = Vec::new();
    // One that a loader was given is known when it is loaded.
    for python in supported()?.into_iter().filter(|python| !python.is_launched()) {
        let target = Target::start(&python, "resident.py", &["keeps", &tag])?;
        daemon.process(target.pid)?;
        targets.push((target, python));
    }
    ensure!(!targets.is_empty(), "no interpreter here runs without a loader: nothing was tested");
    for (target, python) in &mut targets {
        let truth = target.go()?;
        daemon.next_window()?;
        let (group, row) = daemon.process(target.pid)?;
        ensure!(group["python"] == python.version_text().as_str(), "{python}: {group}");
        let report = daemon.report(&format!("space={}", row["space"]))?;
        check::law(&report)?;
        check::resident_by_line(report.process(target.pid)?, &truth)?;
        // From `exec` on: it had nothing before.
        let before = report.process(target.pid)?.rss_before_bytes;
        ensure!(before < 1 << 20, "{python}: {before} bytes before");
    }
    daemon.stop().map(drop)
}

/// Becomes Python when it is told to: long after its `exec`, and without another one.
const LATE: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **arguments) {
    puts("ready"); fflush(stdout);
    getchar();
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library) { puts(dlerror()); return 1; }
    void (*begin)(void) = (void (*)(void))dlsym(library, "Py_Initialize");
    int (*run)(const char *) = (int (*)(const char *))dlsym(library, "PyRun_SimpleString");
    begin();
    return run("import sys\nsys.stdin.readline()\nkept = bytearray(8 << 20)\nprint('grown', flush=True)\nsys.stdin.readline()");
}
"#;

#[test]
fn a_program_that_loads_an_interpreter_late_is_found() -> Result<()> {
    let tag = tag();
    let folder = tempfile::tempdir()?;
    let (source, program) = (folder.path().join("late.c"), folder.path().join("late"));
    std::fs::write(&source, LATE)?;
    resources::succeed(Command::new("cc").arg("-o").arg(&program).arg(&source).arg("-ldl"))?;
    let mut with_library = None;
    for python in supported()? {
        let real = std::fs::canonicalize(&python.path)?;
        let (major, minor) = python.minor();
        let library = format!("libpython{major}.{minor}.so");
        let candidates = real.parent().and_then(|bin| bin.parent()).map(|it| it.join("lib"));
        let library = candidates.map(|lib| lib.join(library)).filter(|file| file.exists());
        if let Some(library) = library {
            with_library = Some((library, real));
        }
    }
    let (library, python) = with_library.context("no interpreter here has a library")?;
    let home = python.parent().and_then(|bin| bin.parent()).context("its folder")?;
    let daemon = Daemon::start(&config(&tag))?;
    let mut command = Command::new(&program);
    command.arg(&library).arg(&tag).env("PYTHONHOME", home);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut late = harness::conversation::Conversation::new(input, output);
    late.expect("ready")?;
    // Well after it was found to be no Python.
    for _ in 0..3 {
        daemon.next_window()?;
    }
    late.say("go")?;
    let (group, row) = daemon.process(child.id())?;
    ensure!(group["name"] == "late", "{group}");
    late.say("go")?;
    late.expect("grown")?;
    daemon.next_window()?;
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    let grown = report.process(child.id())?.figures("<string>", 3).net;
    ensure!((8 << 20..9 << 20).contains(&grown), "{grown} grown by the line");
    child.kill()?;
    child.wait()?;
    daemon.stop().map(drop)
}

#[test]
fn an_unsupported_build_is_named_with_the_reason() -> Result<()> {
    let old = unsupported(3, 6)?;
    let running = Process::waiting(&old.path)?;
    let daemon = Daemon::start(&config(&tag()))?;
    let later = Process::waiting(&old.path)?;
    for process in [&running, &later] {
        let refused = wait::until("a refusal", || {
            let overview = daemon.overview()?;
            let pid = process.pid().parse::<u32>().ok().map(serde_json::Value::from);
            let refused = overview["refused"].as_array().cloned().unwrap_or_default();
            Ok(refused.into_iter().find(|row| Some(&row["pid"]) == pid.as_ref()))
        })?;
        let why = refused["why"].as_str().unwrap_or_default();
        // Early in its start, an interpreter's file names the version and its memory not yet the release.
        ensure!(why.contains("CPython 3.6") && why.contains("too old"), "{why}");
    }
    daemon.stop().map(drop)
}

#[test]
fn as_many_as_may_be_are_traced_and_the_others_counted() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let limited = format!("{}[limits]\nprocesses = 1\n", config(&tag));
    let first = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let daemon = Daemon::start(&limited)?;
    daemon.process(first.pid)?;
    let second = Target::start(&python, "resident.py", &["keeps", &tag])?;
    wait::until("the second to be left out", || {
        Ok((daemon.overview()?["left_out"]["by_limit"] != 0).then_some(()))
    })?;
    let metrics = daemon.get("/metrics")?.text();
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("memtrace_left_out_processes_total{reason=\"limit\"} "));
    ensure!(counted.is_some_and(|count| count != "0"), "{counted:?}");
    ensure!(daemon.overview()?["own"]["traced"] == 1, "one is traced");
    drop(first);
    // There is room now.
    daemon.process(second.pid)?;
    daemon.stop().map(drop)
}

#[test]
fn another_configuration_lets_go_and_takes_up_without_losing_anything() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut target = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let mut daemon = Daemon::start(&config(&tag))?;
    let space = daemon.process(target.pid)?.1["space"].clone();
    let truth = target.go()?;
    // A mistake changes nothing.
    daemon.reload("[trace]\nwindow = \"soon\"\n")?;
    let said = daemon.says("stays as it was")?;
    ensure!(said.contains("memtrace.toml:2: ") && said.contains("\"2s\""), "{said}");
    ensure!(daemon.process(target.pid)?.1["ending"] == "running", "it is traced still");
    // Not wanted any more: what came until then is kept.
    daemon.reload(&format!("{}\n[[exclude]]\npython = \"3.*\"\n", config(&tag)))?;
    daemon.says("was read again")?;
    daemon.process_is(target.pid, |row| row["ending"] == "let go of")?;
    let report = daemon.report(&format!("space={space}"))?;
    check::law(&report)?;
    check::resident_by_line(report.process(target.pid)?, &truth)?;
    // And wanted again: as a process met anew.
    daemon.reload(&config(&tag))?;
    wait::until("it to be traced again", || {
        Ok((daemon.overview()?["own"]["traced"] == 1).then_some(()))
    })?;
    let row = daemon.overview()?["groups"][0]["processes"].clone();
    let spaces: Vec<_> = row.as_array().into_iter().flatten().map(|it| &it["space"]).collect();
    ensure!(spaces.len() == 2 && spaces[0] == &space, "{row}");
    target.go()?;
    daemon.next_window()?;
    check::law(&daemon.report(&format!("space={}", spaces[1]))?)?;
    daemon.stop().map(drop)
}

#[test]
fn a_process_that_renames_itself_stays_the_same_and_is_shown_harmlessly() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut command = target::command(&python, "resident.py", &["keeps", &tag])?;
    command.arg("a\nmemtrace_fake 1\n\u{1b}[31m\"}");
    let target = Target::start_command(command)?;
    let daemon = Daemon::start(&config(&tag))?;
    let (group, _) = daemon.process(target.pid)?;
    ensure!(group["name"] == "resident.py", "{group}");
    let metrics = daemon.get("/metrics")?.text();
    ensure!(!metrics.contains('\u{1b}') && !metrics.contains("\nmemtrace_fake"), "{metrics}");
    let table = daemon.get(&format!("/api/report?format=table&group={}", group["id"]))?.text();
    ensure!(!table.contains('\u{1b}') && table.contains("\\x1b[31m"), "{table}");
    daemon.stop().map(drop)
}
