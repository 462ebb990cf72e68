//! Threads and processes that come and go while they are traced.

use harness::attach::Tracer;
use harness::interpreters::{for_each, newest};
use harness::target::Target;
use harness::{Result, check, ensure, memory, traced};

#[test]
fn a_thread_that_starts_after_attach_has_its_line() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "threads.py", &["one_after_another"], &[])?;
        check::kept_by_line(traced.process()?, traced.truth.mark("late thread")?)
    })
}

#[test]
fn threads_that_grow_at_once_have_their_line() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "threads.py", &["many_at_once"], &[])?;
        check::kept_by_line(traced.process()?, traced.truth.mark("in threads")?)
    })
}

#[test]
fn a_native_thread_is_named_and_no_line_is_blamed() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "threads.py", &["native_thread"], &[])?;
        let process = traced.process()?;
        let rows = process.unattributed.iter();
        let net: i64 = rows
            .filter(|row| row.reason == "native thread" && row.name == "native-worker")
            // Without the pages of libc's text that it is the first to run.
            .map(|row| row.net.anon)
            .sum();
        let grown = 16 << 20;
        ensure!((net - grown).abs() <= grown / 100, "native-worker: {net}\n{}", process.top());
        let mark = traced.truth.mark("waits for native thread")?;
        let blamed = process.figures(&mark.file, mark.line).grown;
        ensure!(blamed <= check::BESIDE, "the waiting line has {blamed}\n{}", process.top());
        Ok(())
    })
}

#[test]
fn deep_recursion_is_cut_and_marked_but_its_growth_is_not_dropped() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "threads.py", &["recursion"], &[])?;
        let process = traced.process()?;
        let mark = traced.truth.mark("depth 200")?;
        check::kept_by_line(process, mark)?;
        // Each event counts once for a line, however often it is on the stack.
        let figures = process.figures(&mark.file, mark.line);
        ensure!(figures.cumulative_net == figures.net, "{figures:?}");
        let called = process.figures(&mark.file, mark.line - 1);
        let grown = mark.grown()?;
        // Its own growth is the frames of the recursion.
        let beneath = called.cumulative_net - called.net;
        ensure!((beneath - grown).abs() <= grown / 100, "recursing: {called:?}");
        ensure!(process.notes().contains("cut"), "nothing says so: {:?}", process.notes());
        Ok(())
    })
}

#[test]
fn a_shallow_stack_is_not_marked_as_cut() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "resident.py", &["keeps"], &[])?;
        let notes = traced.process()?.notes();
        ensure!(!notes.contains("cut"), "{notes}");
        Ok(())
    })
}

#[test]
fn a_forked_child_is_followed_and_has_its_line() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "processes.py", &["child_grows_and_stays"], &[])?;
        let child = traced.report.process(traced.truth.children[0])?;
        let mark = traced.truth.mark("in child")?;
        check::kept_by_line(child, mark)?;
        let parent = traced.process()?.figures(&mark.file, mark.line);
        ensure!(parent.grown == 0, "the parent is blamed: {parent:?}");
        Ok(())
    })
}

#[test]
fn a_forked_child_is_left_alone_with_no_follow() -> Result<()> {
    for_each(|python| {
        let scenario = ["child_grows_and_stays"];
        let traced = traced::trace(python, "processes.py", &scenario, &["--no-follow"])?;
        let pids: Vec<u32> = traced.report.processes.iter().map(|process| process.pid).collect();
        ensure!(pids == [traced.target.pid], "{pids:?}");
        check::law(&traced.report)?;
        check::agrees_with_kernel(&traced.report, traced.target.pid, traced.target.settled()?)
    })
}

/// Two workers from before attach, one of which has one of its own.
#[test]
fn workers_from_before_are_traced_when_that_is_asked_for() -> Result<()> {
    for_each(|python| {
        let mut target = Target::start(python, "processes.py", &["workers_from_before"])?;
        let workers = memory::descendants(target.pid)?;
        ensure!(workers.len() == 3, "{workers:?}");
        let mut tracer = Tracer::attach(&[target.pid], &["--children"])?;
        tracer.until_attached(workers.iter().copied())?;
        let truth = target.go()?;
        let kernel = traced::family(target.pid)?;
        let finished = tracer.stop()?;
        ensure!(!finished.stderr.contains("not traced"), "{}", finished.stderr);
        let report = finished.report()?;
        check::law(&report)?;
        for (pid, kernel) in kernel {
            check::agrees_with_kernel(&report, pid, kernel)?;
        }
        for worker in workers {
            check::kept_by_line(report.process(worker)?, truth.mark("in worker")?)?;
        }
        Ok(())
    })
}

#[test]
fn workers_from_before_are_pointed_out_when_they_are_not_traced() -> Result<()> {
    let traced = traced::trace(&newest()?, "processes.py", &["workers_from_before"], &[])?;
    let pids: Vec<u32> = traced.report.processes.iter().map(|process| process.pid).collect();
    ensure!(pids == [traced.target.pid], "{pids:?}");
    let workers: Vec<_> =
        traced.kernel.keys().filter(|pid| **pid != traced.target.pid).map(u32::to_string).collect();
    let hint = format!(
        "memtrace: not traced without --children: 3 Python processes that this one has started \
         before ({})\n",
        workers.join(", ")
    );
    ensure!(traced.finished.stderr.contains(&hint), "{} has no {hint}", traced.finished.stderr);
    Ok(())
}

#[test]
fn copying_a_page_on_write_is_no_growth() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "processes.py", &["child_writes_shared_pages"], &[])?;
        let child = traced.report.process(traced.truth.children[0])?;
        let mark = traced.truth.mark("copies")?;
        let figures = child.figures(&mark.file, mark.line);
        ensure!(figures.net.abs() <= check::BESIDE, "{figures:?}\n{}", child.top());
        let pages = 16 << 20;
        ensure!((figures.copied - pages).abs() <= pages / 100, "{figures:?}");
        Ok(())
    })
}

#[test]
fn a_child_that_ends_at_once_is_named_with_its_line() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "processes.py", &["child_ends_at_once"], &[])?;
        let mark = traced.truth.mark("brief child")?;
        let child = check::child_with_line(&traced.report, traced.target.pid, mark)?;
        let grown = child.figures(&mark.file, mark.line).grown;
        let truth = mark.grown()?;
        ensure!((grown - truth).abs() <= truth / 100, "grown {grown}\n{}", child.top());
        let unreadable = child.unattributed_net("stack unreadable");
        ensure!(unreadable == 0, "unreadable: {unreadable}");
        ensure!(child.python.as_deref() == Some(&*python.version_text()), "{:?}", child.python);
        check::adds_up(child)
    })
}

#[test]
fn exec_begins_a_new_ledger_under_the_same_pid() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "processes.py", &["executes"], &[])?;
        let lives = traced.report.lives(traced.target.pid);
        ensure!(lives.len() == 2, "{} lives of pid {}", lives.len(), traced.target.pid);
        let (old, new) = (traced.truth.mark("before exec")?, traced.truth.mark("after exec")?);
        let grown = lives[0].figures(&old.file, old.line).grown;
        let truth = old.grown()?;
        ensure!((grown - truth).abs() <= truth / 100, "{grown}\n{}", lives[0].top());
        check::kept_by_line(lives[1], new)?;
        ensure!(lives[1].figures(&old.file, old.line).grown == 0, "{}", lives[1].top());
        ensure!(lives[0].figures(&new.file, new.line).grown == 0, "{}", lives[0].top());
        check::law(&traced.report)
    })
}

#[test]
fn a_started_command_that_is_not_python_is_named_so() -> Result<()> {
    for_each(|python| {
        let traced = traced::trace(python, "processes.py", &["command_stays"], &[])?;
        let child = traced.report.process(traced.truth.children[0])?;
        ensure!(child.python.is_none(), "{:?}", child.python);
        ensure!(child.command.first().is_some_and(|name| name.contains("sleep")), "{child:?}");
        ensure!(child.lines.is_empty(), "{}", child.top());
        Ok(())
    })
}

#[test]
fn a_target_can_be_traced_twice() -> Result<()> {
    for_each(|python| {
        let target = Target::start(python, "resident.py", &["keeps"])?;
        let first = traced::trace_target(target, &[])?;
        let after = first.process()?.rss_after_bytes;
        let second = traced::trace_target(first.target, &[])?;
        let process = second.process()?;
        ensure!(process.rss_before_bytes == after, "{} is not {after}", process.rss_before_bytes);
        check::resident_by_line(process, &second.truth)
    })
}
