//! The line: at least 99 % of what a marked line grows is on that line, whatever grows and wherever
//! the line stands, on every version; and next to nothing is anywhere else.

use harness::interpreters::{Interpreter, for_each};
use harness::target::{Target, command};
use harness::truth::Truth;
use harness::{Context, Result, check, ensure, resources, traced};

/// All kinds of growth that growing_lines.py has.
const KINDS: [&str; 8] =
    ["bytearray", "mmap_private", "mmap_shared", "readinto", "numpy", "list", "str", "dict"];

fn start(python: &Interpreter, context: &str, folder: &str) -> Result<Target> {
    let mut command = command(python, "line.py", &[context, folder])?;
    command.env("PYTHONPATH", resources::numpy(python)?);
    Target::start_command(command)
}

fn has_all_kinds(truth: &Truth) -> Result<()> {
    let missing = KINDS.iter().find(|kind| truth.mark(kind).is_err());
    ensure!(missing.is_none(), "the program did not grow by {missing:?}");
    Ok(())
}

fn lines_have_their_growth(context: &str, options: &[&str]) -> Result<()> {
    for_each(|python| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_str().context("a folder with a readable name")?;
        let traced = traced::trace_target(start(python, context, path)?, options)?;
        has_all_kinds(&traced.truth)?;
        let process = traced.process()?;
        ensure!(process.python.as_deref() == Some(&*python.version_text()), "{:?}", process.python);
        for mark in &traced.truth.marks {
            check::kept_by_line(process, mark)?;
        }
        check::nothing_elsewhere(process, &traced.truth)?;
        check::law(&traced.report)
    })
}

/// One test for each context, named by a sentence.
macro_rules! line {
    ($($name:ident: $context:literal $options:expr;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            lines_have_their_growth($context, &$options)
        })*
    };
}

line! {
    line_is_right_in_the_main_thread: "main_thread" [];
    line_is_right_at_depth_1: "depth_1" [];
    line_is_right_at_depth_100: "depth_100" [];
    line_is_right_in_a_thread_from_before_attach: "thread_from_before" [];
    line_is_right_in_a_thread_started_after_attach: "thread_started_late" [];
    line_is_right_in_a_coroutine: "coroutine" [];
    line_is_right_in_a_generator: "generator" [];
    line_is_right_in_compiled_code_without_a_file: "compiled" [];
    line_is_right_when_threads_are_bound_by_frame_evaluation: "main_thread" ["--bind", "frame-eval"];
    line_is_right_in_late_threads_bound_by_frame_evaluation:
        "thread_started_late" ["--bind", "frame-eval"];
}

/// What the walk remembers of a process's pages is void once the kernel puts others there.
#[test]
fn line_is_right_after_the_pages_of_frames_were_copied() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "frames_copied.py", &[], &["--no-follow"])?;
        let mark = traced.truth.mark("after a fork")?;
        check::kept_by_line(traced.process()?, mark)?;
        check::law(&traced.report)
    })
}

/// Without memtrace: a program whose own figures disagree can't judge anything.
#[test]
fn programs_grow_by_what_they_state() -> Result<()> {
    for_each(|python| {
        for context in ["main_thread", "depth_1", "coroutine", "thread_started_late"] {
            let folder = tempfile::tempdir()?;
            let path = folder.path().to_str().context("a folder with a readable name")?;
            let mut target = start(python, context, path)?;
            let before = target.settled()?;
            let truth = target.go()?;
            let after = target.settled()?;
            has_all_kinds(&truth)?;
            let mut sum = 0;
            for mark in &truth.marks {
                let grown = mark.grown()?;
                let measured = mark.measured_bytes.context("a measured figure")?;
                let off = (grown - measured).abs();
                ensure!(off <= grown / 500, "{context}: {} grew {measured}", mark.name);
                ensure!(grown >= 8 << 20, "{context}: {} grew only {grown}", mark.name);
                sum += grown;
            }
            let beside = after.rss - before.rss - sum;
            ensure!(beside.abs() <= sum / 100, "{context}: {beside} grew on lines without a mark");
            harness::memory::consistent(after)?;
        }
        Ok(())
    })
}

/// Files that are run one after the other have their code objects at few addresses, or at one.
fn recycled_addresses_name_every_file(options: &[&str]) -> Result<()> {
    for_each(|python| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_str().context("a folder with a readable name")?;
        let traced = traced::trace(python, "recycled.py", &[path], options)?;
        let (files, addresses) = (&traced.truth.more["files"], &traced.truth.more["addresses"]);
        let (files, addresses) = (files.as_u64(), addresses.as_u64());
        ensure!(files == Some(traced.truth.marks.len() as u64), "{files:?} files");
        ensure!(addresses < files.map(|files| files / 4), "{addresses:?} addresses: no recycling");
        for mark in &traced.truth.marks {
            check::kept_by_line(traced.process()?, mark)?;
        }
        check::law(&traced.report)
    })
}

#[test]
fn line_is_right_for_forty_files_at_recycled_addresses() -> Result<()> {
    recycled_addresses_name_every_file(&[])
}

#[test]
fn line_is_right_for_forty_files_at_recycled_addresses_without_uprobes() -> Result<()> {
    recycled_addresses_name_every_file(&["--no-uprobes"])
}
