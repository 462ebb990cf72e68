//! A daemon sends each window to the stores of its configuration.

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::store::Store;
use harness::target::Target;
use harness::{Context, Result, check, ensure, wait};

use crate::decode;

#[test]
fn a_daemons_windows_bring_what_the_line_grew_under_the_programs_name() -> Result<()> {
    let (store, tag) = (Store::open(&[])?, tag());
    let mut target = Target::start(&newest()?, "resident.py", &["keeps", &tag])?;
    let push = format!("[[push]]\nas = \"pyroscope\"\nto = \"{}\"\n", store.url());
    let daemon = Daemon::start(&format!("{}{push}", config(&tag)))?;
    daemon.process(target.pid)?;
    let truth = target.go()?;
    let mark = truth.mark("keeps")?;
    let (place, stated) = ((mark.file.as_str(), mark.line), mark.grown()?);
    let (grown, service) = wait::until("the growth at the store", || {
        let (mut grown, mut service) = (0, String::new());
        for came in store.taken() {
            let pushed = decode::pyroscope(&came)?;
            grown += pushed.sum("rss_grown/bytes", Some(place));
            service = pushed.labels.get("service_name").cloned().unwrap_or_default();
        }
        Ok(Some((grown, service)).filter(|(grown, _)| *grown >= stated - check::BESIDE))
    })?;
    ensure!(grown <= stated + check::BESIDE, "{grown} where {stated} were grown");
    ensure!(service == "resident.py", "{service}");
    daemon.stop()?;
    Ok(())
}

/// The value of the series that begins like this.
fn series(metrics: &str, name: &str) -> Result<u64> {
    let line = metrics.lines().find(|line| line.starts_with(name));
    let (_, count) = line.and_then(|line| line.rsplit_once(' ')).context(name.to_owned())?;
    Ok(count.parse()?)
}

#[test]
fn more_programs_than_windows_may_wait_all_arrive_and_metrics_count_them() -> Result<()> {
    let (store, tag) = (Store::open(&[])?, tag());
    let start = |_| Target::start(&newest()?, "resident.py", &["keeps", &tag]);
    let mut targets: Vec<_> = (0..18).map(start).collect::<Result<_>>()?;
    let push = format!("[[push]]\nas = \"pyroscope\"\nto = \"{}\"\n", store.url());
    // Long windows: all that grow are in one or two.
    let config = config(&tag).replace("window = \"200ms\"", "window = \"2s\"");
    let daemon = Daemon::start(&format!("{config}{push}"))?;
    for target in &targets {
        daemon.process(target.pid)?;
    }
    let mut stated = 0;
    let mut place = None;
    for target in &mut targets {
        let truth = target.go()?;
        let mark = truth.mark("keeps")?;
        stated += mark.grown()?;
        place = Some((mark.file.clone(), mark.line));
    }
    let (file, line) = place.context("a mark")?;
    let (mut grown, mut decoded) = (0, 0);
    let grown = wait::until("the growth of all at the store", || {
        for came in store.taken().into_iter().skip(decoded) {
            decoded += 1;
            grown += decode::pyroscope(&came)?.sum("rss_grown/bytes", Some((&file, line)));
        }
        Ok(Some(grown).filter(|grown| *grown >= stated - check::BESIDE))
    })?;
    ensure!(grown <= stated + 18 * check::BESIDE, "{grown} where {stated} were grown");
    let metrics = daemon.get("/metrics")?.text();
    let label = format!("{{store=\"pyroscope at {}\"", store.url());
    let sent = series(&metrics, &format!("memtrace_push_requests_total{label},outcome=\"sent\""))?;
    ensure!(sent >= 18, "{sent} sent");
    ensure!(series(&metrics, &format!("memtrace_push_dropped_windows_total{label}"))? == 0, "lost");
    daemon.stop().map(drop)
}
