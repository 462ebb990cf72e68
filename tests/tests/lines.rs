//! `memtrace run --count-lines`: true executions of every line, for a program that was not edited and
//! notices nothing.

use std::collections::BTreeMap;
use std::fs;

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, all, for_each, newest};
use harness::memtrace::{self, finish};
use harness::report::{Process, Report};
use harness::target::program;
use harness::{Context, Result, bail, check, ensure, profiler, resources};

/// The first minor version that can count.
const COUNTS: u32 = 12;

fn for_each_that_counts(mut check: impl FnMut(&Interpreter) -> Result<()>) -> Result<()> {
    let mut counted = 0;
    for_each(|python| {
        if python.version.1 < COUNTS {
            return Ok(());
        }
        counted += 1;
        check(python)
    })?;
    ensure!(counted > 0, "no 3.{COUNTS} or newer is here: nothing was tested");
    Ok(())
}

/// What the program states: line and executions.
fn stated(mark: &str) -> Result<BTreeMap<u32, u64>> {
    let text = fs::read_to_string(program("counted.py"))?;
    let mut stated = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some((_, count)) = line.split_once(mark) {
            stated.insert(number, count.parse()?);
        }
    }
    ensure!(!stated.is_empty(), "the program states nothing");
    Ok(stated)
}

/// Executions by line. A `def` line is in two tables: as a line of what holds the function, and as the
/// head of the function's own, where it has the calls. The second is meant.
fn counted(process: &Process, file: &str) -> BTreeMap<u32, u64> {
    let is_def = |line: &&harness::report::Line| {
        let inner = |other: &harness::report::Line| {
            other.line == line.line && other.file == line.file && other.function != line.function
        };
        !matches!(&*line.function, "<module>" | "Stack") || !process.lines.iter().any(inner)
    };
    let lines = process.lines.iter().filter(|line| line.file.ends_with(file)).filter(is_def);
    let mut counted = BTreeMap::new();
    for line in lines {
        *counted.entry(line.line).or_default() += line.occurrences.unwrap_or(0);
    }
    counted
}

fn differences(stated: &BTreeMap<u32, u64>, counted: &BTreeMap<u32, u64>) -> Vec<String> {
    let count = |line: &u32| counted.get(line).copied().unwrap_or(0);
    let wrong = stated.iter().filter(|(line, truth)| count(line) != **truth);
    wrong.map(|(line, truth)| format!("line {line}: {} for {truth}", count(line))).collect()
}

/// The report's processes, by what they are: the one that no other forked, and its children.
fn family(report: &Report) -> Result<(&Process, Vec<&Process>)> {
    let pythons = report.processes.iter().filter(|process| process.python.is_some());
    let (parents, children): (Vec<_>, Vec<_>) =
        pythons.partition(|process| process.more["parent_pid"].is_null());
    let [parent] = parents[..] else { bail!("{} processes forked by no other", parents.len()) };
    Ok((parent, children))
}

#[test]
fn every_line_has_its_executions_and_the_program_notices_nothing() -> Result<()> {
    let (ours, in_child) = (stated("# ran: ")?, stated("# in each child: ")?);
    for_each_that_counts(|python| {
        let folder = tempfile::tempdir()?;
        let user = folder.path().join("user");
        let temporary = folder.path().join("temporary");
        fs::create_dir_all(&user)?;
        fs::create_dir_all(&temporary)?;
        fs::write(user.join("sitecustomize.py"), "import sys\nsys.user_was_here = True\n")?;
        let path = format!("{}:/nowhere", user.display());
        let (executable, file) = (python.path.clone(), program("counted.py"));
        let text = |path: &std::path::Path| path.to_str().map(str::to_owned).context("text");
        let (executable, file) = (text(&executable)?, text(&file)?);
        let command = [&*executable, &*file, "exit", "_exit"];
        let (tracer, mut program) = Tracer::run(&["--count-lines"], &command, |command| {
            command.env("PYTHONPATH", &path).env("TMPDIR", &temporary);
            Ok(())
        })?;
        let seen: serde_json::Value = serde_json::from_str(&program.expect("seen")?)?;
        let report = tracer.wait()?.report()?;
        ensure!(seen["python"] == *python.version_text(), "another Python: {seen}");
        ensure!(seen["python_path"] == *path, "{seen}");
        ensure!(!seen["path"].to_string().contains("memtrace-count"), "{seen}");
        let own = user.join("sitecustomize.py");
        ensure!(seen["sitecustomize"].as_str().map(std::path::Path::new) == Some(&own), "{seen}");

        let (parent, children) = family(&report)?;
        check::adds_up(parent)?;
        let differ = differences(&ours, &counted(parent, "/counted.py"));
        ensure!(differ.is_empty(), "{differ:?}");
        // Code that died: 40 times compiled, each time called twice.
        let dying = counted(parent, "/dying.py");
        ensure!(dying == BTreeMap::from([(1, 80), (2, 80), (3, 40)]), "{dying:?}");
        ensure!(children.len() == 2, "{} children", children.len());
        for child in children {
            check::adds_up(child)?;
            let differ = differences(&in_child, &counted(child, "/counted.py"));
            ensure!(differ.is_empty(), "child: {differ:?}");
            let inherited = counted(child, "/dying.py");
            ensure!(inherited.is_empty(), "it has its parent's counts: {inherited:?}");
        }
        // Growth and executions stand on one line.
        let grew = parent.lines.iter().filter(|line| line.occurrences == Some(400));
        let grown: i64 = grew.map(|line| line.self_grown_bytes).sum();
        ensure!(grown >= 4 << 20, "the line that makes blocks grew {grown}");
        ensure!(fs::read_dir(&temporary)?.next().is_none(), "something is left behind");
        Ok(())
    })
}

#[test]
fn lines_of_the_library_are_not_counted() -> Result<()> {
    for_each_that_counts(|python| {
        let executable = python.path.to_str().context("text")?;
        let code = "import textwrap; textwrap.fill('a b ' * 1000)";
        let (tracer, _program) =
            Tracer::run(&["--count-lines"], &[executable, "-c", code], |_| Ok(()))?;
        let report = tracer.wait()?.report()?;
        let (process, _) = family(&report)?;
        let files: std::collections::BTreeSet<_> = process
            .lines
            .iter()
            .filter(|line| line.occurrences.is_some())
            .map(|line| &*line.file)
            .collect();
        ensure!(files.contains("<string>"), "{files:?}");
        ensure!(!files.iter().any(|file| file.contains("textwrap")), "{files:?}");
        Ok(())
    })
}

#[test]
fn a_python_that_is_too_old_does_not_run() -> Result<()> {
    resources::root()?;
    let is_old = |it: &Interpreter| it.is_supported() && it.version.1 < COUNTS;
    let old: Vec<_> = all().into_iter().filter(is_old).collect();
    ensure!(!old.is_empty(), "no Python older than 3.{COUNTS} is here: nothing was tested");
    for python in old {
        let mut command = memtrace::command(["run", "--count-lines", "--"])?;
        let output = finish(command.arg(&python.path).args(["-c", "print('it ran')"]))?;
        output.expect_code(2)?.expect_words(&["3.12 or newer", &python.version_text()])?;
        ensure!(output.stdout.is_empty(), "{output:?}");
    }
    Ok(())
}

#[test]
fn options_that_keep_the_counting_code_out_are_refused() -> Result<()> {
    resources::root()?;
    let python = newest()?.path;
    for option in ["-I", "-E", "-S"] {
        let mut command = memtrace::command(["run", "--count-lines", "--"])?;
        let output = finish(command.arg(&python).args([option, "-c", "print('it ran')"]))?;
        output.expect_code(2)?.expect_words(&[option, "--count-lines"])?;
        ensure!(output.stdout.is_empty(), "{output:?}");
    }
    let mut command =
        memtrace::command(["run", "--count-lines", "--duration", "1s", "--", "true"])?;
    finish(&mut command)?.expect_code(2).map(drop)
}

#[test]
fn a_process_without_counts_says_so() -> Result<()> {
    let python = newest()?.path;
    let end = format!("{} -I -c 'x = bytearray(1 << 24)'; exit 0", python.display());
    let (tracer, _program) = Tracer::run(&["--count-lines"], &["sh", "-c", &end], |_| Ok(()))?;
    let report = tracer.wait()?.report()?;
    check::law(&report)?;
    let process = report.processes.iter().find(|process| process.python.is_some());
    let process = process.context("no Python in the report")?;
    ensure!(process.more["notes"].to_string().contains("lines were not counted"), "{process:?}");
    let counted = process.lines.iter().filter(|line| line.occurrences.is_some()).count();
    ensure!(counted == 0, "{counted} lines have executions");
    Ok(())
}

#[test]
fn occurrences_are_memory_profilers() -> Result<()> {
    let (python, script) = (profiler::interpreter()?, program("profiled.py"));
    let theirs = profiler::occurrences(&script, &["500"])?;
    let text = |path: &std::path::Path| path.to_str().map(str::to_owned).context("text");
    let command = [&*text(&python)?, &*text(&script)?, "500"];
    let (tracer, _program) = Tracer::run(&["--count-lines"], &command, |_| Ok(()))?;
    let report = tracer.wait()?.report()?;
    let (process, _) = family(&report)?;
    let ours: BTreeMap<u32, u64> = process
        .lines
        .iter()
        .filter(|line| matches!(&*line.function, "numbers" | "keeps" | "parses"))
        .filter_map(|line| Some((line.line, line.occurrences?)))
        .collect();
    let theirs: BTreeMap<u32, u64> = theirs.into_iter().collect();
    ensure!(ours == theirs, "ours {ours:?}\ntheirs {theirs:?}");
    Ok(())
}
