//! What arrives is what the report says, line by line, in every form.

use std::collections::BTreeMap;

use harness::report::{Process, Report};
use harness::store::{Came, Store};
use harness::{Context, Result, ensure};

use crate::Recorded;
use crate::decode::{self, Pushed};

const FORMS: [&str; 4] = ["pyroscope", "parca", "otlp-http", "otlp-grpc"];

fn decoded(form: &str, came: &Came) -> Result<Vec<Pushed>> {
    match form {
        "pyroscope" => Ok(vec![decode::pyroscope(came)?]),
        "parca" => decode::parca(came),
        _ => decode::otlp(came),
    }
}

/// The windows of a process add up to the report.
fn add_up(windows: &[Pushed], process: &Process) -> Result<()> {
    ensure!(windows.len() >= 2, "{} windows", windows.len());
    let sum = |kind: &str, line| -> i64 { windows.iter().map(|one| one.sum(kind, line)).sum() };
    let change = process.rss_after_bytes - process.rss_before_bytes;
    ensure!(sum("rss_net/bytes", None) == change, "the sum is not the change of RSS");
    ensure!(sum("events/count", None) == i64::try_from(process.events)?);
    let last = windows.last().context("a window")?;
    for line in &process.lines {
        let place = Some((line.file.as_str(), line.line));
        let own = process.figures(&line.file, line.line);
        ensure!(sum("rss_net/bytes", place) == own.net, "{line:?}");
        ensure!(sum("rss_grown/bytes", place) == own.grown, "{line:?}");
        // What is resident is a level, not a sum.
        ensure!(last.sum("rss_resident/bytes", place) == own.resident, "{line:?}");
    }
    Ok(())
}

/// They follow one another from the start of the trace to its end.
fn without_gaps(windows: &[Pushed], report: &Report) -> Result<()> {
    for pair in windows.windows(2) {
        ensure!(pair[0].from_ns + pair[0].duration_ns == pair[1].from_ns, "a gap");
    }
    let length: u64 = windows.iter().map(|one| one.duration_ns).sum();
    ensure!(length == report.duration_ns, "{length} of {}", report.duration_ns);
    Ok(())
}

#[test]
fn every_form_brings_the_figures_of_the_report() -> Result<()> {
    let recorded = Recorded::make()?;
    let report = recorded.recording.report(&[])?;
    let process = report.process(recorded.pid)?;
    let mark = (recorded.mark.file.as_str(), recorded.mark.line);
    for form in FORMS {
        let store = Store::open(&[])?;
        let options = ["--attribute", "host.name=web,1}", "--attribute", "k8s.pod.name=shop-0"];
        let output = recorded.push(&store, form, &options)?;
        output.expect_code(0)?.expect_words(&["requests sent", form])?;
        let mut windows = Vec::new();
        for came in store.taken() {
            let own = decoded(form, &came).with_context(|| format!("{form}: {:?}", came.target))?;
            ensure!(own.len() == 1, "{form}: one process");
            windows.extend(own);
        }
        let named = || format!("{form}: {} windows", windows.len());
        add_up(&windows, process).with_context(named)?;
        without_gaps(&windows, &report).with_context(named)?;
        // The truth that the program states: 16 MiB at its line, twice.
        let grown: i64 = windows.iter().map(|one| one.sum("rss_grown/bytes", Some(mark))).sum();
        ensure!((grown - (32 << 20)).abs() < 1 << 20, "{form}: {grown}");
        labels(form, &windows[0].labels, recorded.pid)?;
        ensure!(windows.iter().flat_map(|one| &one.samples).all(|sample| !sample.has_thread));
    }
    Ok(())
}

fn labels(form: &str, labels: &BTreeMap<String, String>, pid: u32) -> Result<()> {
    let otlp = form.starts_with("otlp");
    let label = |key: &str| {
        let key = if otlp { key.to_owned() } else { key.replace('.', "_") };
        labels.get(&key).map_or("", String::as_str)
    };
    ensure!(label("service.name") == "resident.py", "{labels:?}");
    ensure!(label("process.pid") == pid.to_string(), "{labels:?}");
    ensure!(label("process.runtime.name") == "cpython", "{labels:?}");
    ensure!(label("process.runtime.version").starts_with("3."), "{labels:?}");
    ensure!(label("k8s.pod.name") == "shop-0", "{labels:?}");
    // Pyroscope's names know no quotes.
    let host = if form == "pyroscope" { "web_1_" } else { "web,1}" };
    ensure!(label("host.name") == host, "{labels:?}");
    // A command line has no bound: an attribute, and no label.
    ensure!(label("process.command_args").ends_with("resident.py keeps") == otlp, "{labels:?}");
    Ok(())
}

#[test]
fn what_is_asked_for_goes_with_it_and_other_parts_stay() -> Result<()> {
    let recorded = Recorded::make()?;
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n")?;
    let token = token.to_str().context("a name")?.to_owned();
    let header = |came: &Came, name: &str| came.header(name).unwrap_or_default().to_owned();
    for form in FORMS {
        let store = Store::open(&[])?;
        let options = [
            "--token-file",
            &token,
            "--header",
            "X-Scope-OrgID=team",
            "--service",
            "shop",
            "--split-threads",
            "--from",
            "1s",
        ];
        recorded.push(&store, form, &options)?.expect_code(0)?;
        let taken = store.taken();
        let came = taken.first().context("nothing came")?;
        ensure!(header(came, "authorization") == "Bearer s3cret", "{form}");
        ensure!(header(came, "x-scope-orgid") == "team", "{form}");
        ensure!(header(came, "user-agent").starts_with("memtrace/"), "{form}");
        let first = &decoded(form, came)?[0];
        let service = ["service.name", "service_name"].map(|key| first.labels.get(key));
        ensure!(service.into_iter().flatten().eq(["shop"]), "{:?}", first.labels);
        ensure!(first.samples.iter().any(|sample| sample.has_thread), "{form}: no thread");
        // The first step is before that time: held, and not grown.
        let mark = Some((recorded.mark.file.as_str(), recorded.mark.line));
        let mut windows = Vec::new();
        for came in &taken {
            windows.extend(decoded(form, came)?);
        }
        let grown: i64 = windows.iter().map(|one| one.sum("rss_grown/bytes", mark)).sum();
        ensure!((grown - (16 << 20)).abs() < 1 << 20, "{form}: {grown}");
        let held = windows.last().context("a window")?.sum("rss_resident/bytes", mark);
        ensure!((held - (32 << 20)).abs() < 1 << 20, "{form}: {held}");
    }
    // A user in the address: the token is its password.
    let store = Store::open(&[])?;
    let url = store.url().replace("http://", "http://4711@");
    let mut command = recorded.command(&store, "pyroscope", &["--token-file", &token])?;
    command.args(["--to", &url]);
    // The option is there twice, which is an error; the address alone is what is meant.
    let twice = harness::memtrace::finish(&mut command)?;
    twice.expect_code(2)?;
    let mut command = harness::memtrace::command(["push"])?;
    command.arg(&recorded.recording.file).args(["--to", &url, "--as", "pyroscope"]);
    harness::memtrace::finish(command.args(["--token-file", &token]))?.expect_code(0)?;
    let taken = store.taken();
    let came = taken.first().context("nothing came")?;
    ensure!(header(came, "authorization") == "Basic NDcxMTpzM2NyZXQ=");
    Ok(())
}
