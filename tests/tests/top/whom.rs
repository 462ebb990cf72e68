//! Whom it traces: without names everybody, else those named, and what it says of the others.

use harness::interpreters::{newest, unsupported};
use harness::process::Process;
use harness::target::Target;
use harness::terminal::Terminal;
use harness::{Context, Result, ensure, memory, memtrace, resources};

use super::{WIDE, grown, row};

#[test]
fn without_pids_every_python_is_there_and_those_that_cannot_be_traced_say_why() -> Result<()> {
    resources::root()?;
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    target.settled()?;
    let old = Process::waiting(&unsupported(2, 7)?.path)?;
    // Other tests' targets shall not notice.
    let arguments = ["top", "--window", "200ms", "--no-uprobes"];
    let mut screen = Terminal::start(&mut memtrace::command(arguments)?, 200, 150)?;
    let text = screen.wait_for_words(&format!(" {} ", target.pid))?;
    let refused = row(&text, &format!(" {} ", old.pid())).context("the old one is missing")?;
    ensure!(refused.contains("not traced: ") && refused.contains("2.7"), "{refused}");
    let truth = target.go()?;
    let place = format!("resident.py:{}", truth.mark("keeps")?.line);
    screen.wait_for("the line", |text| row(text, &place).and_then(grown) == Some(16))?;
    screen.press("q")?;
    let (status, below) = screen.ended()?;
    ensure!(status.code() == Some(0), "{status}: {below}");
    Ok(())
}

#[test]
fn workers_from_before_are_pointed_out_until_a_key_is_pressed() -> Result<()> {
    resources::root()?;
    let target = Target::start(&newest()?, "processes.py", &["workers_from_before"])?;
    let mut command = memtrace::command(["top", &target.pid.to_string()])?;
    let mut screen = Terminal::start(&mut command, WIDE.0, WIDE.1)?;
    let text = screen.wait_for_words("not traced without --children: 3 Python processes")?;
    let hint = row(&text, "not traced").context("no hint")?;
    for worker in memory::descendants(target.pid)? {
        ensure!(hint.contains(&worker.to_string()), "{worker} is not in {hint}");
    }
    screen.press("g")?;
    screen.wait_for("no hint", |text| !text.contains("not traced"))?;
    screen.press("q")?;
    let (status, below) = screen.ended()?;
    ensure!(status.code() == Some(0) && below.is_empty(), "{status}: {below}");
    Ok(())
}

#[test]
fn a_process_that_cannot_be_traced_is_refused_before_the_screen() -> Result<()> {
    resources::root()?;
    let me = std::process::id().to_string();
    let mut screen = Terminal::start(&mut memtrace::command(["top", &me])?, 80, 24)?;
    let (status, below) = screen.ended()?;
    ensure!(status.code() == Some(1), "{status}: {below}");
    ensure!(below.contains("not a Python process"), "{below}");
    Ok(())
}
