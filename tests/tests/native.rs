//! `--native`: memory that grows in native code is on the function that made it grow, below the
//! Python line that called it; and the lines' own figures stay what they are.

use std::fs;
use std::path::Path;

use harness::interpreters::{Interpreter, for_each, newest, supported};
use harness::recorder::Recorder;
use harness::report::Process;
use harness::resources::{self, Symbols, growth_extension};
use harness::target::{Target, command};
use harness::traced::{self, Traced};
use harness::truth::Mark;
use harness::{Context, Result, check, ensure};
use serde::Deserialize;

/// One of the report's native functions.
#[derive(Debug, Deserialize)]
struct Native {
    function: String,
    library: String,
    self_grown_bytes: i64,
    places: Vec<Place>,
    callers: Vec<Caller>,
}

#[derive(Debug, Deserialize)]
struct Place {
    file: String,
    line: u32,
    net_bytes: i64,
}

#[derive(Debug, Deserialize)]
struct Caller {
    file: Option<String>,
    line: Option<u32>,
    net_bytes: i64,
}

impl Native {
    /// What it and what it called grew below that line.
    fn below(&self, mark: &Mark) -> i64 {
        let is_marked = |caller: &&Caller| {
            caller.file.as_ref() == Some(&mark.file) && caller.line == Some(mark.line)
        };
        self.callers.iter().filter(is_marked).map(|caller| caller.net_bytes).sum()
    }
}

fn natives(process: &Process) -> Result<Vec<Native>> {
    let natives = process.more.get("native").context("the report has no native functions")?;
    Ok(serde_json::from_value(natives.clone())?)
}

/// The function that grew at least 95 % of what the marked line did.
fn answers_for<'a>(natives: &'a [Native], function: &str, mark: &Mark) -> Result<&'a Native> {
    let named = |native: &&Native| native.function == function;
    let below = |native: &Native| native.below(mark);
    let found = natives.iter().filter(named).max_by_key(|native| below(native));
    let (grown, truth) = (found.map_or(0, below), mark.grown()?);
    let others = natives.iter().filter(|native| below(native) > truth / 2);
    let others: Vec<_> = others.map(|native| (&native.function, below(native))).collect();
    ensure!(
        (truth * 95 / 100..=truth * 101 / 100).contains(&grown),
        "{function} grew {grown} of {truth} below {}: {others:?}",
        mark.name
    );
    found.context("a function")
}

/// The line of the extension's source that is marked so.
fn line_in_c(name: &str) -> Result<u32> {
    let source = resources::workspace().join("tests/programs/growth.c");
    let text = fs::read_to_string(source)?;
    let found = text.lines().position(|line| line.ends_with(&format!("/* mark: {name} */")));
    Ok(u32::try_from(found.context("a marked line")?)? + 1)
}

fn grew_at(native: &Native, name: &str, truth: i64) -> Result<()> {
    let line = line_in_c(name)?;
    let is_marked = |place: &&Place| place.file.ends_with("/growth.c") && place.line == line;
    let net: i64 = native.places.iter().filter(is_marked).map(|place| place.net_bytes).sum();
    ensure!(
        net >= truth * 95 / 100,
        "{}: {net} of {truth} at line {line}: {:?}",
        name,
        native.places
    );
    Ok(())
}

fn start(python: &Interpreter, extension: &Path) -> Result<Target> {
    let mut command = command(python, "native_growth.py", &[extension])?;
    command.env("PYTHONPATH", resources::numpy(python)?);
    Target::start_command(command)
}

fn trace(python: &Interpreter, extension: &Path, options: &[&str]) -> Result<Traced> {
    traced::trace_target(start(python, extension)?, options)
}

/// What each marked line grew is on the functions that the extension exports, and in libc.
fn exported_functions_answer(traced: &Traced) -> Result<Vec<Native>> {
    let process = traced.process()?;
    let natives = natives(process)?;
    for name in ["touching", "allocating", "reading", "deep"] {
        let mark = traced.truth.mark(name)?;
        check::kept_by_line(process, mark)?;
        let native = answers_for(&natives, &format!("grow_{name}"), mark)?;
        ensure!(native.library == "growth.abi3.so", "{native:?}");
    }
    check::nothing_elsewhere(process, &traced.truth)?;
    check::law(&traced.report)?;
    Ok(natives)
}

#[test]
fn growth_is_on_native_functions_and_lines_on_every_python() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let extension = growth_extension(folder.path(), Symbols::Debug)?;
    for_each(|python| {
        let traced = trace(python, &extension, &["--native"])?;
        let natives = exported_functions_answer(&traced)?;
        let mark = |name| traced.truth.mark(name);
        let touch = answers_for(&natives, "touch", mark("touching")?)?;
        ensure!(touch.self_grown_bytes >= mark("touching")?.grown()?, "{touch:?}");
        grew_at(touch, "touching", mark("touching")?.grown()?)?;
        let down = answers_for(&natives, "down", mark("deep")?)?;
        ensure!(down.self_grown_bytes == 0, "{down:?}");
        // The kernel writes into the buffer: libc's function is where the thread is, or (newer ones
        // have another function, without a name, for what can be cancelled) just above.
        let reading = mark("reading")?;
        let in_libc = natives.iter().filter(|native| native.library.starts_with("libc"));
        let read = in_libc.filter(|native| native.function.contains("read"));
        let read = read.map(|native| native.below(reading)).max();
        ensure!(read >= Some(reading.grown()? * 95 / 100), "in libc's read: {read:?}");
        // numpy is built without debug information and has its symbols.
        ensure!(traced.truth.more["numpy"] == true, "numpy is missing");
        let functions = [
            ("fill", "array_fill"),
            // array_add leaves its frame to what it calls last.
            ("add", "ufunc_generic_fastcall"),
            ("arange", "array_arange"),
            ("copy", "array_copy"),
            ("repeat", "array_repeat"),
        ];
        for (name, function) in functions {
            let mark = mark(name)?;
            check::kept_by_line(traced.process()?, mark)?;
            let native = answers_for(&natives, function, mark)?;
            ensure!(native.library.starts_with("_multiarray_umath."), "{native:?}");
        }
        Ok(())
    })
}

/// pandas' own modules are stripped: their functions have no name, their library has.
#[test]
fn growth_in_pandas_is_on_its_module_and_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let extension = growth_extension(folder.path(), Symbols::Stripped)?;
    let extension = extension.to_str().context("a folder with a readable name")?;
    let python = newest()?;
    let mut command = command(&python, "native_growth.py", &[extension, "--pandas"])?;
    command.env("PYTHONPATH", resources::pandas(&python)?);
    let traced = traced::trace_target(Target::start_command(command)?, &["--native"])?;
    let natives = natives(traced.process()?)?;
    let mark = traced.truth.mark("pandas")?;
    let own = natives.iter().filter(|native| native.library.starts_with("algos."));
    let grown: i64 = own.map(|native| native.self_grown_bytes.min(native.below(mark))).sum();
    ensure!(grown >= mark.grown()? * 95 / 100, "pandas' algos grew {grown}: {natives:?}");
    check::law(&traced.report)
}

/// Stripped, linked statically and optimised at link time.
fn debian() -> Result<Interpreter> {
    let found = supported()?.into_iter().find(|one| one.path.starts_with("/usr/bin"));
    found.context("no Python of Debian's own")
}

fn with(symbols: Symbols) -> Result<(Traced, Vec<Native>)> {
    let folder = tempfile::tempdir()?;
    let extension = growth_extension(folder.path(), symbols)?;
    let traced = trace(&debian()?, &extension, &["--native"])?;
    let natives = exported_functions_answer(&traced)?;
    Ok((traced, natives))
}

#[test]
fn a_stripped_extension_in_a_stripped_python_has_its_exported_names() -> Result<()> {
    let (traced, natives) = with(Symbols::Stripped)?;
    ensure!(!natives.iter().any(|native| native.function == "touch"), "touch has no name");
    let mark = traced.truth.mark("touching")?;
    let nameless = natives.iter().find(|native| native.function.starts_with("growth.abi3.so+0x"));
    let below = nameless.map_or(0, |native| native.below(mark));
    ensure!(below >= mark.grown()? * 95 / 100, "{nameless:?}");
    Ok(())
}

#[test]
fn a_debug_file_of_its_own_gives_names_and_lines() -> Result<()> {
    let (traced, natives) = with(Symbols::Separate)?;
    let mark = traced.truth.mark("touching")?;
    grew_at(answers_for(&natives, "touch", mark)?, "touching", mark.grown()?)
}

#[test]
fn a_thread_without_python_has_its_name_and_its_functions() -> Result<()> {
    let traced = traced::trace(&newest()?, "threads.py", &["native_thread"], &["--native"])?;
    let process = traced.process()?;
    let grown = process.unattributed_net("native thread");
    let natives = natives(process)?;
    let grow =
        natives.iter().find(|native| native.function == "grow").context("no function grow")?;
    let without_line = grow.callers.iter().filter(|caller| caller.file.is_none());
    let net: i64 = without_line.map(|caller| caller.net_bytes).sum();
    ensure!(net > 0 && net * 100 >= grown * 95, "grow has {net} of {grown}: {grow:?}");
    check::law(&traced.report)
}

#[test]
fn without_the_option_there_are_no_native_functions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let extension = growth_extension(folder.path(), Symbols::Debug)?;
    let traced = trace(&newest()?, &extension, &[])?;
    ensure!(!traced.process()?.more.contains_key("native"), "native functions without --native");
    check::law(&traced.report)
}

/// What was recorded has the same frames as what was seen.
#[test]
fn recordings_have_native_frames() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let extension = growth_extension(folder.path(), Symbols::Debug)?;
    let mut target = start(&newest()?, &extension)?;
    let recorder = Recorder::of(&[target.pid], &["--native"])?;
    let truth = target.go()?;
    let report = recorder.stop()?.report(&["--strict"])?;
    let natives = natives(report.process(target.pid)?)?;
    let mark = truth.mark("touching")?;
    grew_at(answers_for(&natives, "touch", mark)?, "touching", mark.grown()?)?;
    check::law(&report)
}
