//! Reports of any time that is kept, in every form.

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::memtrace::{self, finish};
use harness::report::Report;
use harness::target::Target;
use harness::{Result, check, ensure};

#[test]
fn every_form_of_any_time_can_be_had_and_a_recording_says_the_same() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut target = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let daemon = Daemon::start(&config(&tag))?;
    let (group, row) = daemon.process(target.pid)?;
    target.go()?;
    daemon.next_window()?;
    // The second step alone, by the time at which the windows before it had closed.
    let from = daemon.overview()?["kept_to_ms"].as_u64().unwrap() + 1;
    daemon.next_window()?;
    let truth = target.go()?;
    daemon.next_window()?;
    let space = &row["space"];
    let (whole, second) =
        (daemon.report(&format!("space={space}"))?, format!("space={space}&from={from}"));
    let part = daemon.report(&second)?;
    check::law(&whole)?;
    let mark = truth.mark("keeps")?;
    let grown = |report: &Report| -> Result<i64> {
        Ok(report.process(target.pid)?.figures(&mark.file, mark.line).net)
    };
    let stated = mark.grown()?;
    ensure!((grown(&part)? - stated).abs() <= check::BESIDE, "{} of {stated}", grown(&part)?);
    ensure!(grown(&whole)? > 2 * stated - check::BESIDE, "{} of both", grown(&whole)?);

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("window.memtrace");
    let answer = daemon.get(&format!("/api/report?format=recording&{second}"))?;
    ensure!(answer.status == 200, "{}", answer.text());
    std::fs::write(&file, &answer.body)?;
    let mut command = memtrace::command(["report", "--format", "json"])?;
    let output = finish(command.arg(&file))?;
    output.expect_code(0)?;
    let recorded: Report = serde_json::from_str(&output.stdout)?;
    check::law(&recorded)?;
    ensure!(grown(&recorded)? == grown(&part)?, "{} recorded", grown(&recorded)?);
    let table = finish(memtrace::command(["report"])?.arg(&file))?.stdout;
    ensure!(table.contains("# mark: keeps"), "no source in {table}");

    for (form, begins) in [
        ("table", "memtrace: 1 process"),
        ("csv", "kind,process,pid,"),
        ("folded", ""),
        ("pprof", "\u{1f}"),
        ("flamegraph", "<?xml"),
        ("html", "<!doctype html>"),
    ] {
        let answer = daemon.get(&format!("/api/report?format={form}&group={}", group["id"]))?;
        ensure!(answer.status == 200, "{form}: {}", answer.text());
        let text = answer.text();
        ensure!(text.starts_with(begins), "{form} begins with {:?}", text.chars().take(20));
        ensure!(!text.is_empty(), "{form} is empty");
        if matches!(form, "table" | "html") {
            ensure!(text.contains("# mark: keeps"), "no source in {form}");
        }
    }
    for (wrong, status) in [
        ("format=exe", 400),
        ("group=1&space=1", 400),
        ("space=4000000000", 404),
        ("from=2&to=1", 400),
        ("file=/etc/passwd", 400),
        ("last=x", 400),
        ("measure=weight", 400),
    ] {
        let answer = daemon.get(&format!("/api/report?{wrong}"))?;
        ensure!(answer.status == status, "{wrong}: {} {}", answer.status, answer.text());
    }
    daemon.stop().map(drop)
}
