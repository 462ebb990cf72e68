//! A store that is down for long: what waits is bounded, kept over runs and kills, and what did not
//! fit is counted.

use std::fs;
use std::path::Path;

use harness::memtrace::{self, finish};
use harness::store::{Fault, Store};
use harness::{Context, Result, ensure, wait};

use crate::Recorded;

fn waiting(folder: &Path) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|ending| ending == "request") {
            sizes.push(entry.metadata()?.len());
        }
    }
    Ok(sizes)
}

#[test]
fn what_a_store_did_not_take_is_sent_by_the_next_run() -> Result<()> {
    let recorded = Recorded::make()?;
    let unharmed = Store::open(&[])?;
    recorded.push(&unharmed, "otlp-http", &[])?.expect_code(0)?;
    let expected = unharmed.taken();

    let folder = tempfile::tempdir()?;
    let queue = folder.path().join("queue");
    let named = queue.to_str().context("a name")?;
    let store = Store::open(&[])?;
    store.always(Some(Fault::Status(503, None)));
    let options = ["--queue", named, "--give-up-after", "1s"];
    let down = recorded.push(&store, "otlp-http", &options)?;
    down.expect_code(1)?.expect_words(&["wait in", named, "503"])?;
    ensure!(waiting(&queue)?.len() == expected.len(), "{:?}", waiting(&queue)?);

    store.always(None);
    let mut rest = memtrace::command(["push", "--to", &store.url(), "--as", "otlp-http"])?;
    let output = finish(rest.args(["--queue", named]))?;
    output.expect_code(0)?.expect_words(&["requests sent"])?;
    let found: Vec<_> = store.taken().into_iter().map(|came| came.body).collect();
    ensure!(found == expected.into_iter().map(|came| came.body).collect::<Vec<_>>());
    ensure!(waiting(&queue)?.is_empty());
    let mut nothing = memtrace::command(["push", "--to", &store.url(), "--as", "otlp-http"])?;
    let output = finish(nothing.args(["--queue", named]))?;
    output.expect_code(0)?.expect_words(&["nothing waits"])?;
    Ok(())
}

#[test]
fn a_kill_loses_nothing_that_was_in_the_queue() -> Result<()> {
    let recorded = Recorded::make()?;
    let folder = tempfile::tempdir()?;
    let named = folder.path().to_str().context("a name")?;
    let store = Store::open(&[])?;
    store.always(Some(Fault::Hang));
    let mut push = recorded.command(&store, "parca", &["--queue", named])?.spawn()?;
    store.wait_for(1)?;
    wait::until("two requests in the queue", || {
        Ok((waiting(folder.path())?.len() >= 2).then_some(()))
    })?;
    let second = recorded.push(&store, "parca", &["--queue", named])?;
    second.expect_code(1)?.expect_words(&["another memtrace", "a folder of its own"])?;
    push.kill()?;
    push.wait()?;
    let left = waiting(folder.path())?.len();
    store.always(None);
    let mut rest = memtrace::command(["push", "--to", &store.url(), "--as", "parca"])?;
    finish(rest.args(["--queue", named]))?.expect_code(0)?;
    ensure!(store.taken().len() == left, "{} of {left}", store.taken().len());
    Ok(())
}

#[test]
fn what_waits_for_another_form_is_refused_and_not_sent() -> Result<()> {
    let recorded = Recorded::make()?;
    let folder = tempfile::tempdir()?;
    let named = folder.path().to_str().context("a name")?;
    let store = Store::open(&[])?;
    store.always(Some(Fault::Status(503, None)));
    let options = ["--queue", named, "--give-up-after", "1s"];
    recorded.push(&store, "parca", &options)?.expect_code(1)?;
    let (wait, came) = (waiting(folder.path())?.len(), store.came().len());
    ensure!(wait > 0, "nothing waits");
    store.always(None);
    let mut other = memtrace::command(["push", "--to", &store.url(), "--as", "pyroscope"])?;
    let output = finish(other.args(["--queue", named]))?;
    let refused = format!("refused {wait} requests: encoded for parca");
    output.expect_code(1)?.expect_words(&[&refused, "speaks pyroscope"])?;
    ensure!(store.came().len() == came, "{} came", store.came().len() - came);
    Ok(())
}

#[test]
fn the_queue_keeps_its_bound_and_counts_what_it_drops() -> Result<()> {
    let recorded = Recorded::make()?;
    let folder = tempfile::tempdir()?;
    let named = folder.path().to_str().context("a name")?;
    let store = Store::open(&[])?;
    store.always(Some(Fault::Status(503, None)));
    let size = |options: &[&str]| -> Result<u64> {
        let all = [&["--queue", named, "--give-up-after", "1s"], options].concat();
        let output = recorded.push(&store, "pyroscope", &all)?;
        output.expect_code(1)?;
        Ok(waiting(folder.path())?.iter().sum())
    };
    let one_run = size(&[])?;
    // Room for a run and a half: the older half of the first goes.
    let bound = one_run + one_run / 2;
    let text = bound.to_string();
    let both = size(&["--queue-size", &text])?;
    ensure!(both <= bound && both > one_run, "{both} of {bound}, {one_run} a run");
    store.always(None);
    let left = waiting(folder.path())?.len();
    let mut rest = memtrace::command(["push", "--to", &store.url(), "--as", "pyroscope"])?;
    finish(rest.args(["--queue", named]))?.expect_code(0)?;
    ensure!(store.taken().len() == left);

    // What has grown too old is dropped and counted.
    store.always(Some(Fault::Status(503, None)));
    size(&[])?;
    let old = waiting(folder.path())?.len();
    let came = store.came().len();
    let mut late = memtrace::command(["push", "--to", &store.url(), "--as", "pyroscope"])?;
    let output = finish(late.args(["--queue", named, "--queue-age", "1ms"]))?;
    output.expect_code(1)?.expect_words(&[&format!("{old} requests were dropped")])?;
    ensure!(waiting(folder.path())?.is_empty() && store.came().len() == came);
    Ok(())
}
