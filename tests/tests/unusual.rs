//! Interpreters that are not run the usual way: inside a program of C, several in one process, with
//! other allocators, with stacks that a library switches. Law, line and whole stack hold for each.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::interpreters::{Interpreter, for_each, supported};
use harness::target::{Target, command, prepare, program};
use harness::traced::{self, Recorded};
use harness::{Context, Result, check, ensure, resources, stacks};

/// Every mark has its line and its stack, the law holds, and the kernel agrees.
fn holds(python: &Interpreter, traced: &Recorded) -> Result<()> {
    let process = traced.process()?;
    ensure!(process.python.as_deref() == Some(&*python.version_text()), "{:?}", process.python);
    ensure!(traced.truth.marks.len() >= 2, "only {} marks", traced.truth.marks.len());
    for mark in &traced.truth.marks {
        check::kept_by_line(process, mark)?;
        stacks::of_mark(&traced.grown, process.pid, mark)?;
    }
    check::law(&traced.report)?;
    check::agrees_with_kernel(&traced.report, traced.target.pid, traced.kernel)
}

/// unusual.py, run by `command`, traced through one step.
fn grows_as_stated(python: &Interpreter, command: Command) -> Result<()> {
    let what = format!("{command:?}");
    let traced = traced::record_target(Target::start_command(command)?, &[]);
    traced.and_then(|traced| holds(python, &traced)).context(what)
}

fn unusual(python: &Interpreter, scenario: &str) -> Result<Command> {
    command(python, "unusual.py", &[scenario])
}

/// Interpreters whose `libpython3.N` is where they are installed (not Debian's, which have none).
fn with_library() -> Result<Vec<(Interpreter, PathBuf)>> {
    let library = |python: Interpreter| {
        let minor = python.version.1;
        let folder = python.path.parent()?.parent()?.join("lib");
        let library = folder.join(format!("libpython3.{minor}.so.1.0"));
        library.is_file().then_some((python, library))
    };
    let found: Vec<_> = supported()?.into_iter().filter_map(library).collect();
    ensure!(!found.is_empty(), "no interpreter here has a libpython (pyenv's --enable-shared do)");
    Ok(found)
}

/// A program of C that runs unusual.py in the interpreter of `library`, or in its own.
fn hosted(python: &Interpreter, host: &Path, mode: &str, library: &Path) -> Result<Command> {
    let mut command = Command::new(host);
    command.arg(mode).arg(library).arg(program("unusual.py")).arg("plain");
    prepare(&mut command)?;
    command.env("MEMTRACE_TEST_PYTHON", &python.path);
    Ok(command)
}

#[test]
fn an_interpreter_that_a_c_program_loads_is_traced() -> Result<()> {
    let host = resources::host(None)?;
    for (python, library) in with_library()? {
        grows_as_stated(&python, hosted(&python, &host, "thread", &library)?)
            .with_context(|| format!("{python} in a host"))?;
    }
    Ok(())
}

#[test]
fn an_interpreter_that_is_linked_into_a_c_program_is_traced() -> Result<()> {
    let mut linked = 0;
    for (python, library) in with_library()? {
        let minor = python.version.1;
        let name = format!("libpython3.{minor}.a");
        let folders = library.parent().context("a folder")?.join(format!("python3.{minor}"));
        let archives = folders.read_dir()?.flatten().map(|folder| folder.path().join(&name));
        let Some(archive) = archives.into_iter().find(|path| path.is_file()) else { continue };
        let host = resources::host(Some(&archive))?;
        grows_as_stated(&python, hosted(&python, &host, "main", Path::new("-"))?)
            .with_context(|| format!("{python} linked in"))?;
        linked += 1;
    }
    ensure!(linked > 0, "no libpython3.N.a was found: nothing was tested");
    Ok(())
}

#[test]
fn sub_interpreters_have_their_lines() -> Result<()> {
    for_each(|python| {
        for scenario in ["subinterpreter", "subinterpreter_from_before"] {
            grows_as_stated(python, unusual(python, scenario)?)?;
        }
        Ok(())
    })
}

/// Whether a package, which may have no wheel for the newest versions, works with an interpreter.
fn works(python: &Interpreter, name: &str, folder: &Path) -> bool {
    let mut import = Command::new(&python.path);
    import.args(["-c", &format!("import {name}")]).env("PYTHONPATH", folder);
    let imported = resources::succeed(&mut import);
    if let Err(error) = &imported {
        eprintln!("{name} does not work with {python}: {error:#}");
    }
    imported.is_ok()
}

/// Traces the scenario that is named like the package, with those interpreters that it works with.
fn with_package(name: &str, pythons: &[Interpreter]) -> Result<()> {
    let mut traced = 0;
    for python in pythons {
        let folder = match resources::package(python, name) {
            Ok(folder) => folder,
            Err(error) => {
                eprintln!("no {name} for {python}: {error:#}");
                continue;
            }
        };
        if works(python, name, &folder) {
            let mut command = unusual(python, name)?;
            command.env("PYTHONPATH", folder);
            grows_as_stated(python, command).with_context(|| python.to_string())?;
            traced += 1;
        }
    }
    ensure!(
        traced > 0 && traced * 2 >= pythons.len(),
        "{name} works with {traced} of {} interpreters here",
        pythons.len()
    );
    Ok(())
}

#[test]
fn greenlets_have_their_lines() -> Result<()> {
    with_package("greenlet", &supported()?)
}

/// Greenlets with a loop of C: what differs between versions is greenlet's.
#[test]
fn event_loops_of_c_have_their_lines() -> Result<()> {
    let all = supported()?;
    let some: Vec<Interpreter> = all.iter().step_by(4).cloned().collect();
    with_package("gevent", &some)?;
    with_package("uvloop", &some)
}

#[test]
fn without_cpythons_own_allocator_lines_have_their_growth() -> Result<()> {
    for_each(|python| {
        let mut command = unusual(python, "plain")?;
        command.env("PYTHONMALLOC", "malloc").env("PYTHONPROFILEIMPORTTIME", "1");
        grows_as_stated(python, command)
    })
}

/// A hash table of tracemalloc's that was there before grows, too, and what it gave back is no line's.
#[test]
fn with_checks_of_memory_and_tracemalloc_lines_have_their_growth() -> Result<()> {
    for_each(|python| {
        let mut command = unusual(python, "plain")?;
        command.env("PYTHONMALLOC", "debug").env("PYTHONTRACEMALLOC", "5");
        let traced = traced::record_target(Target::start_command(command)?, &[])?;
        let process = traced.process()?;
        check::kept_by_line(process, traced.truth.mark("block")?)?;
        for mark in &traced.truth.marks {
            stacks::of_mark(&traced.grown, process.pid, mark)?;
        }
        let mark = traced.truth.mark("objects")?;
        let before = process.unattributed_net("before attach, returned");
        let net = process.figures(&mark.file, mark.line).net + before;
        let truth = mark.grown()?;
        ensure!((net - truth).abs() <= truth / 100, "{net} of {truth}\n{}", process.top());
        check::law(&traced.report)
    })
}

#[test]
fn while_a_debugger_sees_every_line_lines_have_their_growth() -> Result<()> {
    for_each(|python| grows_as_stated(python, unusual(python, "traced")?))
}

/// What came with 3.12.
fn since_3_12() -> Result<Vec<Interpreter>> {
    let found: Vec<_> = supported()?.into_iter().filter(|it| it.minor() >= (3, 12)).collect();
    ensure!(!found.is_empty(), "no CPython from 3.12 on is here");
    Ok(found)
}

#[test]
fn while_code_is_rewritten_to_be_monitored_lines_have_their_growth() -> Result<()> {
    for python in since_3_12()? {
        grows_as_stated(&python, unusual(&python, "monitored")?)?;
    }
    Ok(())
}

/// No call is a Python frame's alone then: C frames lie between all of them.
#[test]
fn with_trampolines_for_perf_lines_have_their_growth() -> Result<()> {
    for python in since_3_12()? {
        let mut command = unusual(&python, "perf_trampolines")?;
        command.env("PYTHONPERFSUPPORT", "1");
        grows_as_stated(&python, command)?;
    }
    Ok(())
}

/// The program as a zip file: its code objects have files that are no files.
#[test]
fn a_program_in_a_zip_file_has_its_lines() -> Result<()> {
    for_each(|python| {
        let folder = tempfile::tempdir()?;
        let content = folder.path().join("app");
        std::fs::create_dir(&content)?;
        for name in ["unusual.py", "protocol.py", "zipped.py"] {
            std::fs::copy(program(name), content.join(name))?;
        }
        let archive = folder.path().join("app.pyz");
        let mut zip = Command::new(&python.path);
        zip.args(["-m", "zipapp", "-m", "zipped:main"]).arg(&content).arg("-o").arg(&archive);
        resources::succeed(&mut zip)?;
        let mut command = Command::new(&python.path);
        command.arg(&archive).arg("plain");
        prepare(&mut command)?;
        grows_as_stated(python, command)
    })
}

#[test]
fn a_module_frozen_into_the_interpreter_has_its_lines() -> Result<()> {
    for_each(|python| grows_as_stated(python, unusual(python, "frozen_module")?))
}

/// The program as PyInstaller makes one file of it: a loader that unpacks libpython, starts itself once more,
/// and runs code that was never in a file.
#[test]
fn a_frozen_program_has_its_lines() -> Result<()> {
    // Each takes PyInstaller some ten seconds: the oldest and the newest.
    let all: Vec<Interpreter> = with_library()?.into_iter().map(|(python, _)| python).collect();
    for python in [&all[0], &all[all.len() - 1]] {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(resources::frozen(python, folder.path())?);
        command.arg("plain");
        prepare(&mut command)?;
        grows_as_stated(python, command)?;
    }
    Ok(())
}

/// C++ frames of pybind11 between Python's, and a thread that C++ started.
#[test]
fn what_a_pybind11_module_calls_has_its_lines() -> Result<()> {
    let all: Vec<Interpreter> = with_library()?.into_iter().map(|(python, _)| python).collect();
    for python in [&all[0], &all[all.len() - 1]] {
        let folder = tempfile::tempdir()?;
        resources::callback_extension(python, folder.path())?;
        for scenario in ["pybind11", "pybind11_thread"] {
            let mut command = unusual(python, scenario)?;
            command.env("PYTHONPATH", folder.path());
            grows_as_stated(python, command)?;
        }
    }
    Ok(())
}
