//! A wall clock that is set while the daemon traces.

use harness::clock::Clock;
use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::memtrace::Build;
use harness::store::Store;
use harness::target::Target;
use harness::{Context, Result, check, ensure, wait};

const HOUR: i64 = 3600;

/// The time of day that an answer says it was made at, in seconds.
fn time_of_day(daemon: &Daemon) -> Result<i64> {
    let answer = daemon.get("/healthz")?;
    let date = answer.headers.get("date").context("a date")?;
    let time = date.split(' ').nth(4).with_context(|| date.clone())?;
    let mut seconds = 0;
    for part in time.split(':') {
        seconds = seconds * 60 + part.parse::<i64>()?;
    }
    Ok(seconds)
}

/// Beginning and end of a window that came to the store, in nanoseconds since 1970.
fn span(target: &str) -> Result<(u64, u64)> {
    let value = |name: &str| -> Result<u64> {
        let pairs = target.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        let found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next();
        Ok(found.with_context(|| target.to_owned())?.parse()?)
    };
    Ok((value("from")?, value("until")?))
}

#[test]
fn a_clock_that_is_set_moves_no_window_and_loses_none() -> Result<()> {
    let (tag, clock, store) = (tag(), Clock::new()?, Store::open(&[])?);
    let mut target = Target::start(&newest()?, "resident.py", &["keeps", &tag])?;
    let push = format!("[[push]]\nas = \"pyroscope\"\nto = \"{}\"\n", store.url());
    let config = format!("{}{push}", config(&tag));
    let daemon = Daemon::start_as(Build::Dev, &config, |command| clock.of(command))?;
    let (_, row) = daemon.process(target.pid)?;
    let kept_to = || -> Result<u64> {
        daemon.overview()?["kept_to_ms"].as_u64().context("the end of what is kept")
    };
    let right = time_of_day(&daemon)?;
    let (mut stated, mut line, mut windows) = (0, None, Vec::new());
    for off in [0, HOUR, -HOUR, 0] {
        clock.set_off(off)?;
        if off == HOUR {
            // The daemon has it.
            wait::until("an answer of an hour later", || {
                let later = (time_of_day(&daemon)? - right).rem_euclid(24 * HOUR);
                Ok((HOUR..HOUR + 120).contains(&later).then_some(()))
            })?;
        }
        let from = kept_to()? + 1;
        let truth = target.go()?;
        daemon.next_window()?;
        let to = kept_to()?;
        // Time goes on by what has passed, neither back nor by an hour.
        ensure!((from..from + 60_000).contains(&to), "off by {off} s: from {from} to {to}");
        let mark = truth.mark("keeps")?;
        stated += mark.grown()?;
        line = Some((mark.file.clone(), mark.line));
        windows.push((from, to, mark.grown()?));
    }
    let (file, line) = line.context("a mark")?;
    // Each window has its own growth, whatever the clock was then, and all have all of it.
    let grown = |query: &str| -> Result<i64> {
        let report = daemon.report(&format!("space={}{query}", row["space"]))?;
        let process = report.process(target.pid)?;
        ensure!(process.more["law_gap_bytes"] == 0, "{query}: {:?}", process.more);
        Ok(process.figures(&file, line).grown)
    };
    for (from, to, own) in windows {
        let found = grown(&format!("&from={from}&to={to}"))?;
        ensure!((found - own).abs() <= check::BESIDE, "from {from} to {to}: {found} of {own}");
    }
    let all = grown("")?;
    ensure!((all - stated).abs() <= 4 * check::BESIDE, "{all} of {stated}");
    let report = daemon.report("")?;
    check::law(&report)?;
    check::agrees_with_kernel(&report, target.pid, target.settled()?)?;
    // The store has them in their order, one after the other.
    let waiting = || -> Result<bool> {
        let metrics = daemon.get("/metrics")?.text();
        Ok(metrics.lines().any(|it| it.starts_with("memtrace_push_waiting") && it.ends_with(" 0")))
    };
    wait::until("all to be delivered", || Ok(waiting()?.then_some(())))?;
    let mut before = 0;
    for came in store.taken() {
        let (from, until) = span(&came.target)?;
        ensure!(before <= from && from < until, "{from} to {until} after {before}");
        ensure!(until - from < 60_000_000_000, "{from} to {until}");
        before = until;
    }
    ensure!(before > 0, "nothing was pushed");
    daemon.stop().map(drop)
}
