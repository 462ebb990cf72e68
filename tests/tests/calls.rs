//! `--calls`: evaluations by function, exactly as many as a program makes, whatever dies meanwhile.

use harness::attach::Tracer;
use harness::interpreters::{for_each, newest};
use harness::memtrace::{self, finish};
use harness::recorder::Recorder;
use harness::report::{Process, Report};
use harness::target::{Target, prepare, program};
use harness::truth::Truth;
use harness::{Context, Result, check, ensure};

/// Evaluations of all functions of that name in files whose names end so.
fn evaluations(process: &Process, file: &str, function: &str) -> Result<u64> {
    let all = process.more.get("evaluations").context("no evaluations")?;
    let all = all.as_array().context("a list")?;
    let of = |it: &&serde_json::Value| {
        it["file"].as_str().is_some_and(|name| name.ends_with(file)) && it["function"] == *function
    };
    Ok(all.iter().filter(of).filter_map(|it| it["evaluations"].as_u64()).sum())
}

fn as_stated(report: &Report, pid: u32, truth: &Truth) -> Result<()> {
    let process = report.process(pid)?;
    let stated = truth.more["evaluations"].as_object().context("evaluations by function")?;
    for (name, count) in stated {
        let file = if name == "short" { "/dying.py" } else { "/evaluated.py" };
        let counted = evaluations(process, file, name)?;
        ensure!(Some(counted) == count.as_u64(), "{name}: {counted} for {count}");
    }
    let dying = evaluations(process, "/dying.py", "<module>")?;
    ensure!(Some(dying) == truth.more["dying"].as_u64(), "modules that die: {dying}");
    let child = truth.more["child"].as_u64().context("the child's pid")?;
    let child = report.process(u32::try_from(child)?)?;
    let counted = evaluations(child, "/evaluated.py", "in_child")?;
    ensure!(Some(counted) == truth.more["in_child"].as_u64(), "child: {counted}");
    let inherited = evaluations(child, "/evaluated.py", "key")?;
    ensure!(inherited == 0, "the child has its parent's evaluations: {inherited}");
    check::law(report)
}

#[test]
fn evaluations_are_counted_exactly_on_every_version() -> Result<()> {
    for_each(|python| {
        let mut target = Target::start(python, "evaluated.py", &[])?;
        let pid = target.pid;
        let tracer = Tracer::attach(&[pid], &["--calls"])?;
        let truth = target.go()?;
        let report = tracer.stop()?.report()?;
        as_stated(&report, pid, &truth)
    })
}

#[test]
fn a_command_s_evaluations_are_counted_once_it_is_recognised() -> Result<()> {
    let python = newest()?;
    let file = program("evaluated.py");
    let command = [python.path.to_str().context("text")?, file.to_str().context("text")?];
    let (tracer, mut program) = Tracer::run(&["--calls"], &command, prepare)?;
    let pid = program.ready()?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    let truth = program.go()?;
    program.say("exit")?;
    let report = tracer.wait()?.report()?;
    as_stated(&report, pid, &truth)
}

#[test]
fn evaluations_are_in_a_recording_and_those_of_one_file_in_its_part() -> Result<()> {
    let mut target = Target::start(&newest()?, "evaluated.py", &[])?;
    let pid = target.pid;
    let recorder = Recorder::of(&[pid], &["--calls"])?;
    let truth = target.go()?;
    let recording = recorder.stop()?;
    as_stated(&recording.report(&[])?, pid, &truth)?;
    let part = recording.report(&["--include", "dying.py"])?;
    let part = part.process(pid)?;
    ensure!(evaluations(part, "/evaluated.py", "key")? == 0, "of a file that is left out");
    let dying = evaluations(part, "/dying.py", "<module>")?;
    ensure!(Some(dying) == truth.more["dying"].as_u64(), "modules that die: {dying}");
    Ok(())
}

#[test]
fn calls_need_uprobes() -> Result<()> {
    let mut command = memtrace::command(["attach", "1", "--calls", "--no-uprobes"])?;
    finish(&mut command)?.expect_code(2)?.expect_words(&["--calls", "--no-uprobes"]).map(drop)
}

#[test]
fn without_the_option_there_are_none() -> Result<()> {
    let python = newest()?;
    let mut target = Target::start(&python, "evaluated.py", &[])?;
    let tracer = Tracer::attach(&[target.pid], &[])?;
    target.go()?;
    let report = tracer.stop()?.report()?;
    ensure!(report.processes.iter().all(|process| !process.more.contains_key("evaluations")));
    Ok(())
}
