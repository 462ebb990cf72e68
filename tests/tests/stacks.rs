//! Every thread's whole stack, in order, is the one that CPython itself had at the line that grew: for stacks of many
//! shapes at once, as the kernel side walked them, and with what changes an interpreter from inside.

use harness::interpreters::{Interpreter, for_each, supported};
use harness::stacks::{Likeness, Stack, whole};
use harness::target::{Target, command};
use harness::traced::{self, Recorded};
use harness::{Context, Result, check, ensure, resources};
use serde::Deserialize;

/// What stacks.py says of one thread.
#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    stack: Stack,
    line: String,
    grown: i64,
}

/// Shapes of shapes.py and the loop of stacks.py, each in two threads.
const THREADS: usize = 66;

fn record(python: &Interpreter, settings: &[(&str, &str)]) -> Result<(Recorded, Vec<Answer>)> {
    let mut command = command::<&str>(python, "stacks.py", &[])?;
    command.envs(settings.iter().copied());
    let recorded = traced::record_target(Target::start_command(command)?, &[])?;
    let answers = recorded.truth.more.get("threads").context("no word of threads")?;
    let answers: Vec<Answer> = serde_json::from_value(answers.clone())?;
    ensure!(answers.len() == THREADS, "{} threads", answers.len());
    check::law(&recorded.report)?;
    check::agrees_with_kernel(&recorded.report, recorded.target.pid, recorded.kernel)?;
    Ok((recorded, answers))
}

/// The thread grew what it says, on the stack that it says. What it grew in the loop is known from around it: a table of
/// tracemalloc's may grow at another line.
fn has_its_stack(recorded: &Recorded, answer: &Answer, likeness: Likeness) -> Result<()> {
    let grown = whole(&recorded.grown, recorded.target.pid, &answer.stack, likeness)?;
    let truth = answer.grown;
    let missing = if answer.line == "shapes" { truth / 50 } else { truth / 4 };
    ensure!(grown >= truth - missing, "{grown} of {truth}: {:?}", answer.stack);
    Ok(())
}

fn every_thread_has_its_stack(settings: &[(&str, &str)]) -> Result<()> {
    for_each(|python| {
        let (recorded, answers) = record(python, settings)?;
        for answer in &answers {
            has_its_stack(&recorded, answer, Likeness::Whole)?;
        }
        for mark in &recorded.truth.marks {
            check::kept_by_line(recorded.process()?, mark)?;
        }
        Ok(())
    })
}

#[test]
fn every_threads_stack_is_the_interpreters_own() -> Result<()> {
    every_thread_has_its_stack(&[])
}

/// Both change where and when objects are allocated, and tracemalloc's own tables grow below the same lines.
#[test]
fn every_threads_stack_is_the_interpreters_own_with_checks_of_memory_and_tracemalloc() -> Result<()>
{
    every_thread_has_its_stack(&[("PYTHONMALLOC", "debug"), ("PYTHONTRACEMALLOC", "5")])
}

/// Whether a build has the JIT.
fn has_jit(python: &Interpreter) -> Result<bool> {
    if python.minor() < (3, 14) {
        return Ok(false);
    }
    let mut ask = std::process::Command::new(&python.path);
    ask.env("PYTHON_JIT", "1").args(["-c", "import sys; print(sys._jit.is_enabled())"]);
    Ok(resources::succeed(&mut ask)?.starts_with("True"))
}

/// Where a build has the JIT and it is on, the report says that lines may be off. Right are the law, the thread and its
/// functions in order, and the line of all that the interpreter ran itself.
#[test]
fn with_a_jit_every_threads_functions_are_the_interpreters_own() -> Result<()> {
    let mut seen = 0;
    for_each(|python| {
        if !has_jit(python)? {
            return Ok(());
        }
        seen += 1;
        let (recorded, answers) = record(python, &[("PYTHON_JIT", "1")])?;
        ensure!(recorded.truth.more["compiled"] == true, "nothing was compiled");
        let notes = recorded.process()?.notes();
        ensure!(notes.contains("JIT"), "nothing says so: {notes:?}");
        for answer in &answers {
            has_its_stack(&recorded, answer, Likeness::Functions)?;
            if answer.line == "shapes" {
                has_its_stack(&recorded, answer, Likeness::Whole)?;
            }
        }
        Ok(())
    })?;
    let due = supported()?.iter().any(|python| python.minor() >= (3, 14));
    ensure!(!due || seen > 0, "no 3.14 or newer here has the JIT: nothing was tested");
    Ok(())
}
