//! Targets with too many of everything, that change all the time, or that die at the wrong moment:
//! memtrace ends in time and by the right code, figures add up, and its memory is bounded.

use std::process::Stdio;
use std::time::Duration;

use harness::attach::Tracer;
use harness::interpreters::{Interpreter, for_each, newest, supported};
use harness::memtrace::finish;
use harness::recorder::Recorder;
use harness::target::{Target, command};
use harness::traced::{self, Traced};
use harness::{Context, Result, check, ensure, memory, memtrace, wait};

/// The oldest and the newest: what these tests are about is not the version's.
fn for_two(mut check: impl FnMut(&Interpreter) -> Result<()>) -> Result<()> {
    let all = supported()?;
    for python in [all.first(), all.last()].into_iter().flatten() {
        check(python).with_context(|| python.to_string())?;
    }
    Ok(())
}

/// What memtrace may need itself, in a build for tests; a thousand threads or hundreds of processes
/// need some of it.
const OWN_MEMORY: i64 = 128 << 20;

/// Traces one step of unlucky.py; what it grew for sure is on its line, of the last process that had
/// the target's pid.
fn endures(python: &Interpreter, scenario: &str) -> Result<Traced> {
    let mut target = Target::start(python, "unlucky.py", &[scenario, "--no-thp"])?;
    target.settled()?;
    let tracer = Tracer::attach(&[target.pid], &[])?;
    let truth = target.go()?;
    let kernel = traced::family(target.pid)?;
    let own = memory::peak(tracer.pid())?;
    let finished = tracer.stop()?;
    let report = finished.report()?;
    ensure!(own < OWN_MEMORY, "memtrace needed {own} bytes");
    check::law(&report)?;
    let traced = Traced { target, truth, kernel, report, finished };
    let lives = traced.report.lives(traced.target.pid);
    let last = lives.last().context("the target is in the report")?;
    if let Ok(mark) = traced.truth.mark("known") {
        check::kept_by_line(last, mark)?;
    }
    let kernel = traced.kernel[&traced.target.pid];
    ensure!(last.rss_after_bytes == kernel.rss, "{} is not {kernel:?}", last.rss_after_bytes);
    Ok(traced)
}

#[test]
fn gigabytes_of_short_mappings_leave_nothing_on_their_line() -> Result<()> {
    for_two(|python| {
        let traced = endures(python, "short_mappings")?;
        let mark = traced.truth.mark("comes and goes")?;
        let figures = traced.process()?.figures(&mark.file, mark.line);
        let turnover = traced.truth.more["turnover"].as_i64().context("turnover")?;
        ensure!(figures.net.abs() <= check::BESIDE, "{figures:?}");
        let lost = traced.process()?.lost_bytes;
        ensure!(figures.grown + lost.abs() >= turnover * 99 / 100, "{figures:?}, {lost} lost");
        Ok(())
    })
}

#[test]
fn mappings_that_change_at_full_speed_add_up() -> Result<()> {
    for_two(|python| {
        let traced = endures(python, "changing_maps")?;
        let rounds = traced.truth.more["rounds"].as_i64();
        ensure!(rounds > Some(100), "only {rounds:?} rounds: nothing was tested");
        Ok(())
    })
}

#[test]
fn a_thousand_threads_are_traced() -> Result<()> {
    for_two(|python| {
        let traced = endures(python, "thousand_threads")?;
        ensure!(traced.truth.more["threads"] == 1001, "{:?}", traced.truth.more);
        Ok(())
    })
}

#[test]
fn a_thousand_frames_are_cut_and_the_line_is_right() -> Result<()> {
    for_each(|python| {
        let traced = endures(python, "thousand_frames")?;
        ensure!(traced.process()?.notes().contains("cut"), "nothing says so");
        Ok(())
    })
}

#[test]
fn a_fork_bomb_is_followed_to_its_end() -> Result<()> {
    for_two(|python| {
        let traced = endures(python, "fork_bomb")?;
        let processes = traced.report.processes.len();
        ensure!(processes >= 127, "only {processes} processes of 127");
        Ok(())
    })
}

#[test]
fn a_program_that_executes_itself_again_and_again_has_a_ledger_for_each() -> Result<()> {
    for_two(|python| {
        let traced = endures(python, "exec_loop")?;
        let lives = traced.report.lives(traced.target.pid).len();
        ensure!(lives == 26, "{lives} lives of 26");
        Ok(())
    })
}

#[test]
fn code_that_changes_while_it_is_read_costs_a_wrong_name_at_most() -> Result<()> {
    for_two(|python| {
        let traced = endures(python, "changing_code")?;
        ensure!(traced.truth.more["codes"].as_i64() > Some(10), "{:?}", traced.truth.more);
        let size = traced.finished.text.as_ref().map_or(0, String::len);
        ensure!(size < 4 << 20, "a report of {size} bytes");
        Ok(())
    })
}

/// What terminals would act on.
const ACTS: [&str; 5] = ["\x1b", "\x07", "\r", "\u{202e}", "\nTotal: 0"];

#[test]
fn names_with_escape_codes_are_harmless_in_every_form() -> Result<()> {
    for_two(|python| {
        let mut target = Target::start(python, "unlucky.py", &["names_with_escapes"])?;
        let recorder = Recorder::of(&[target.pid], &[])?;
        target.go()?;
        target.settled()?;
        let recording = recorder.stop()?;
        let file = recording.file.to_str().context("a name")?.to_owned();
        let harmless = |what: &str, text: &str| {
            for bad in ACTS {
                ensure!(!text.contains(bad), "{what} has {bad:?}");
            }
            ensure!(text.contains("owned"), "{what} does not name the function at all");
            Ok(())
        };
        for form in ["table", "json", "csv", "folded", "flamegraph", "html", "mprof"] {
            let mut report = memtrace::command(["report", &file, "--format", form])?;
            let output = finish(&mut report)?;
            output.expect_code(0)?;
            harmless("standard error", &format!("{} owned", output.stderr))?;
            let text = if form == "mprof" { output.stdout + "owned" } else { output.stdout };
            harmless(form, &text)?;
            let page = matches!(form, "html" | "flamegraph");
            ensure!(
                !page || !text.contains("<script>alert"),
                "{form} has a script of the target's"
            );
        }
        let plot = finish(&mut memtrace::command(["plot", &file])?)?;
        plot.expect_code(0)?;
        harmless("the plot", &(plot.stdout + "owned"))
    })
}

/// A program that is no Python, and whose name is not a name.
#[test]
fn a_message_about_a_process_with_escape_codes_in_its_name_is_harmless() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("a\x1b[31m\x07b");
    std::os::unix::fs::symlink("/bin/sleep", folder.path().join("unused"))?;
    std::fs::copy("/bin/sleep", &program)?;
    let mut sleep = std::process::Command::new(&program);
    let mut child = sleep.arg("1000").stdin(Stdio::null()).spawn()?;
    let pid = child.id().to_string();
    let name = format!("/proc/{pid}/comm");
    let named =
        wait::until("exec", || Ok(std::fs::read_to_string(&name)?.contains('\x07').then_some(())));
    let output = finish(&mut memtrace::command(["attach", &pid, "--duration", "1s"])?);
    child.kill()?;
    child.wait()?;
    named?;
    let output = output?;
    output.expect_code(1)?.expect_words(&["not a Python", "\\x1b[31m"])?;
    ensure!(!output.stderr.contains(['\x1b', '\x07']), "{:?}", output.stderr);
    Ok(())
}

fn signal(target: &Target, signal: libc::c_int) -> Result<()> {
    // SAFETY: kill has no memory effects here; the target is a child that is not reaped.
    let answer = unsafe { libc::kill(i32::try_from(target.pid)?, signal) };
    ensure!(answer == 0, "{}", std::io::Error::last_os_error());
    Ok(())
}

fn state(target: &Target) -> Result<String> {
    memory::status_field(target.pid, "State")
}

#[test]
fn a_stopped_target_is_attached_to_stays_stopped_and_is_traced_when_it_runs_on() -> Result<()> {
    for_two(|python| {
        let mut target = Target::start(python, "unlucky.py", &["stopped"])?;
        target.settled()?;
        let stopped = |target: &Target| Ok(state(target)?.starts_with('T').then_some(()));
        signal(&target, libc::SIGSTOP)?;
        wait::until("the target to stop", || stopped(&target))?;
        // One that is stopped all the time.
        let tracer = Tracer::attach(&[target.pid], &[])?;
        std::thread::sleep(Duration::from_millis(300));
        let report = tracer.stop()?.report()?;
        check::law(&report)?;
        ensure!(report.process(target.pid)?.events == 0, "a stopped process did something");
        ensure!(stopped(&target)?.is_some(), "it is {} now", state(&target)?);
        // One that runs on.
        let tracer = Tracer::attach(&[target.pid], &[])?;
        ensure!(stopped(&target)?.is_some(), "it is {} now", state(&target)?);
        signal(&target, libc::SIGCONT)?;
        let truth = target.go()?;
        let report = tracer.stop()?.report()?;
        check::kept_by_line(report.process(target.pid)?, truth.mark("known")?)?;
        check::law(&report)
    })
}

/// Killed before memtrace looks, while it looks, while it loads, attaches, traces: it says what it
/// has, or that there is nothing (code 3), and ends.
#[test]
fn a_target_that_is_killed_in_any_phase_of_attach_ends_memtrace_in_time() -> Result<()> {
    let python = newest()?;
    let target = Target::start(&python, "resident.py", &["keeps"])?;
    let tracer = Tracer::attach(&[target.pid], &[])?;
    let whole = tracer.attached_after;
    tracer.stop()?;
    let mut codes = Vec::new();
    for eighth in 0..=9 {
        let target = Target::start(&python, "resident.py", &["keeps"])?;
        let pid = target.pid.to_string();
        let mut attach = memtrace::command(["attach", &pid, "--duration", "30s"])?;
        // The last one long after: on a busy machine no two attaches take the same time.
        let after = if eighth == 9 { whole * 4 } else { whole * eighth / 8 };
        let killer = std::thread::spawn(move || {
            std::thread::sleep(after);
            drop(target);
        });
        if eighth == 0 {
            killer.join().ok().context("the killer")?;
        }
        let output = finish(&mut attach).with_context(|| format!("killed after {after:?}"))?;
        output.no_panic()?;
        let code = output.status.code();
        // Killed before memtrace began: there is no such process, as if there never had been one.
        let never = code == Some(1) && output.stderr.contains("there is no process");
        ensure!(never || matches!(code, Some(0 | 3)), "killed after {after:?}: {output:?}");
        ensure!(output.took < Duration::from_secs(25), "{:?} after {after:?}", output.took);
        if code == Some(3) {
            output.expect_words(&[&pid])?;
        }
        codes.push(code);
    }
    ensure!(codes.last() == Some(&Some(0)), "{codes:?}");
    Ok(())
}

/// The program's first step forges what memtrace reads when it attaches; its second puts it right.
#[test]
fn forged_lists_of_threads_and_interpreters_are_read_to_an_end() -> Result<()> {
    for_two(|python| {
        for scenario in [
            "cyclic_threads",
            "threads_to_nowhere",
            "cyclic_interpreters",
            "interpreters_to_the_kernel",
        ] {
            let mut target = Target::start(python, "hostile.py", &[scenario])?;
            target.go()?;
            let tracer = Tracer::attach(&[target.pid], &[])
                .with_context(|| format!("attach: {scenario}"))?;
            let truth = target.go()?;
            let own = memory::peak(tracer.pid())?;
            let report = tracer.stop()?.report()?;
            check::law(&report)?;
            ensure!(own < OWN_MEMORY, "{scenario}: memtrace needed {own} bytes");
            check::kept_by_line(report.process(target.pid)?, truth.mark("after all")?)
                .with_context(|| scenario.to_owned())?;
            ensure!(target.exit()?.success(), "{scenario}: the target did not survive");
        }
        Ok(())
    })
}

#[test]
fn offsets_that_are_nonsense_are_refused_in_words() -> Result<()> {
    refused("nonsense_offsets", &["offsets", "gives"])
}

#[test]
fn offsets_that_lead_out_of_a_structure_are_refused_in_words() -> Result<()> {
    refused("far_offset", &["co_filename at byte 4000 of a code object"])
}

/// On each version that states its own offsets, the scenario of hostile.py is refused with these words.
fn refused(scenario: &str, words: &[&str]) -> Result<()> {
    let mut refused = 0;
    for_each(|python| {
        if python.minor() < (3, 13) {
            return Ok(());
        }
        refused += 1;
        let mut target = Target::start(python, "hostile.py", &[scenario])?;
        target.go()?;
        let pid = target.pid.to_string();
        let output = finish(&mut memtrace::command(["attach", &pid, "--duration", "1s"])?)?;
        output.expect_code(1)?.expect_words(&[&pid])?.expect_words(words)?;
        target.go()?;
        ensure!(target.exit()?.success(), "the target did not survive");
        Ok(())
    })?;
    ensure!(refused > 0, "no 3.13 or newer is here: nothing was tested");
    Ok(())
}

/// Without memtrace: each program does what it says.
#[test]
fn unlucky_programs_do_as_they_say() -> Result<()> {
    for_two(|python| {
        for scenario in ["thousand_threads", "exec_loop", "changing_code"] {
            let mut command = command(python, "unlucky.py", &[scenario])?;
            command.env("MEMTRACE_TEST_EXECS", "2");
            let mut target = Target::start_command(command)?;
            let truth = target.go().context(scenario)?;
            ensure!(truth.mark("known")?.grown()? == 16 << 20, "{truth:?}");
            ensure!(target.exit()?.success(), "{scenario}: it did not end well");
        }
        Ok(())
    })
}
