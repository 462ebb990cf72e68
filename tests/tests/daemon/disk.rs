//! Disks that are full: that of the queue, and the one that its messages go to.

use std::fs::File;

use harness::daemon::{Daemon, config, tag};
use harness::disk::SmallDisk;
use harness::interpreters::newest;
use harness::store::{Fault, Store};
use harness::target::Target;
use harness::{Context, Result, check, ensure, wait};

/// How many requests of its only store have come to this.
fn requests(daemon: &Daemon, series: &str) -> Result<u64> {
    let metrics = daemon.get("/metrics")?.text();
    let is_it = |line: &&str| line.starts_with("memtrace_push_") && line.contains(series);
    let line = metrics.lines().find(is_it).with_context(|| series.to_owned())?;
    Ok(line.rsplit_once(' ').context("a value")?.1.parse()?)
}

#[test]
fn a_full_disk_costs_what_can_t_be_queued_and_is_said_and_counted() -> Result<()> {
    let (tag, disk) = (tag(), SmallDisk::with_free(16 << 10)?);
    let queue = disk.path().join("queue");
    let store = Store::open(&[])?;
    store.always(Some(Fault::Status(503, None)));
    let mut target = Target::start(&newest()?, "resident.py", &["keeps", &tag])?;
    let push = format!(
        "[[push]]\nas = \"pyroscope\"\nto = \"{}\"\nqueue = \"{}\"\n",
        store.url(),
        queue.display()
    );
    let mut daemon = Daemon::start(&format!("{}{push}", config(&tag)))?;
    let (_, row) = daemon.process(target.pid)?;
    let mut stated = 0;
    wait::until("requests to be dropped", || {
        stated += target.go()?.mark("keeps")?.grown()?;
        daemon.next_window()?;
        Ok((requests(&daemon, "outcome=\"dropped\"")? >= 2).then_some(()))
    })?;
    let said = daemon.says("can't write to the queue")?;
    for words in [&*queue.to_string_lossy(), "No space left on device", "profiles are lost"] {
        ensure!(said.contains(words), "nothing about {words:?}: {said}");
    }
    ensure!(requests(&daemon, "waiting_requests")? > 0, "none of them waits");
    // Nothing else is lost.
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    let of_lines = |report: &harness::report::Report| -> Result<i64> {
        let process = report.process(target.pid)?;
        Ok(process.lines.iter().map(|line| line.self_net_bytes).max().unwrap_or_default())
    };
    ensure!((of_lines(&report)? - stated).abs() <= check::BESIDE, "{}", of_lines(&report)?);

    // There is room again, while the store is still away: what comes now waits, and none of it is dropped.
    disk.clear()?;
    // A window from before may still be under way.
    daemon.next_window()?;
    let (dropped, waiting) =
        (requests(&daemon, "outcome=\"dropped\"")?, requests(&daemon, "waiting_requests")?);
    target.go()?;
    let said = daemon.says("the queue takes requests again")?;
    ensure!(said.contains(&format!("{dropped} were lost")), "{dropped} dropped: {said}");
    wait::until("more to wait", || {
        Ok((requests(&daemon, "waiting_requests")? > waiting).then_some(()))
    })?;
    store.always(None);
    wait::until("all to be delivered", || {
        Ok((requests(&daemon, "waiting_requests")? == 0).then_some(()))
    })?;
    ensure!(requests(&daemon, "outcome=\"dropped\"")? == dropped, "more were dropped");
    let sent = requests(&daemon, "outcome=\"sent\"")?;
    ensure!(store.taken().len() as u64 == sent, "{} of {sent} came", store.taken().len());
    ensure!(sent > waiting, "{sent} sent, {waiting} waited before");
    daemon.stop().map(drop)
}

#[test]
fn messages_that_can_t_be_written_end_nothing() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let full = File::options().write(true).open("/dev/full")?;
    let daemon = Daemon::start_unheard(&config(&tag), full)?;
    let mut target = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let (_, row) = daemon.process(target.pid)?;
    // One message of each kind: a warning, and a plain sentence.
    let sound = config(&tag).replace("127.0.0.1:0", &daemon.address);
    daemon.reload("nonsense")?;
    daemon.next_window()?;
    daemon.reload(&sound)?;
    wait::until("the configuration to be read", || {
        let metrics = daemon.get("/metrics")?.text();
        Ok(metrics.lines().any(|line| line == "memtrace_reloads_total 1").then_some(()))
    })?;
    let truth = target.go()?;
    daemon.next_window()?;
    let report = daemon.report(&format!("space={}", row["space"]))?;
    check::law(&report)?;
    check::resident_by_line(report.process(target.pid)?, &truth)?;
    daemon.stop().map(drop)
}
