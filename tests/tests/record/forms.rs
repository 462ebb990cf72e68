//! Each form, from one recording: what it comes to is what the JSON report says, which obeys the law.

use std::collections::BTreeMap;
use std::process::Command;

use harness::recorder::Recording;
use harness::report::Report;
use harness::target::program;
use harness::{Context, Result, check, ensure, resources};
use serde_json::Value;

use crate::TwoSteps;

/// Own net and grown bytes of all lines, and net bytes of what no line answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Totals {
    lines_net: i64,
    lines_grown: i64,
    rows_net: i64,
}

impl Totals {
    fn of(report: &Report) -> Self {
        let lines = || report.processes.iter().flat_map(|process| &process.lines);
        let rows = report.processes.iter().flat_map(|process| &process.unattributed);
        Self {
            lines_net: lines().map(|line| line.self_net_bytes).sum(),
            lines_grown: lines().map(|line| line.self_grown_bytes).sum(),
            rows_net: rows.map(|row| row.net_bytes).sum(),
        }
    }
}

#[test]
fn every_form_of_one_recording_comes_to_what_its_json_says() -> Result<()> {
    let steps = TwoSteps::record()?;
    let recording = &steps.recording;
    let report = recording.report(&["--strict"])?;
    check::law(&report)?;
    let process = report.process(steps.pid)?;
    let grown = process.figures(&steps.mark.file, steps.mark.line).grown;
    ensure!((grown - 2 * crate::STEP).abs() <= crate::STEP / 50, "grown {grown}");
    let totals = Totals::of(&report);
    ensure!(totals.lines_grown >= grown, "{totals:?}");

    csv(recording, &report)?;
    folded(recording, totals).context("folded")?;
    pprof(recording, totals).context("pprof")?;
    html(recording, &report).context("html")?;
    mprof(recording, &report, steps.pid).context("mprof")?;
    let picture = recording.text(&["--format", "flamegraph"])?;
    let svg = picture.contains("<svg") && picture.contains("keeps (");
    ensure!(svg, "{}", picture.get(..400).unwrap_or(&picture));
    Ok(())
}

fn csv(recording: &Recording, report: &Report) -> Result<()> {
    let text = recording.text(&["--format", "csv"])?;
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
    for row in rows.deserialize::<BTreeMap<String, String>>() {
        let row = row?;
        let key = (row["process"].clone(), row["kind"].clone());
        *sums.entry(key).or_default() += row["net_bytes"].parse::<i64>()?;
    }
    for (number, process) in report.processes.iter().enumerate() {
        let sum = |kind: &str| sums.get(&((number + 1).to_string(), kind.to_owned())).copied();
        let rows: i64 = process.unattributed.iter().map(|row| row.net_bytes).sum();
        ensure!(sum("before") == Some(process.rss_before_bytes), "csv: {sums:?}");
        ensure!(sum("line") == Some(process.attributed_bytes), "csv: {sums:?}");
        ensure!(sum("unattributed").unwrap_or(0) == rows, "csv: {sums:?}");
        ensure!(sum("after") == Some(process.rss_after_bytes), "csv: {sums:?}");
        ensure!(sum("gap").is_none(), "csv: {sums:?}");
    }
    Ok(())
}

fn folded(recording: &Recording, totals: Totals) -> Result<()> {
    let sums = |measure: &str| -> Result<(i64, i64)> {
        let text = recording.text(&["--format", "folded", "--measure", measure])?;
        let (mut lines, mut rows) = (0, 0);
        for stack in text.lines().filter(|line| !line.starts_with("# ")) {
            let (frames, size) = stack.rsplit_once(' ').context("a size")?;
            let size: i64 = size.parse()?;
            let signed = if frames.starts_with("shrank;") { -size } else { size };
            *(if frames.ends_with(']') { &mut rows } else { &mut lines }) += signed;
        }
        Ok((lines, rows))
    };
    ensure!(sums("net")? == (totals.lines_net, totals.rows_net), "net: {:?}", sums("net")?);
    ensure!(sums("grown")? == (totals.lines_grown, totals.rows_net), "grown: {:?}", sums("grown")?);
    Ok(())
}

/// By npm's reader, as the tests of the form itself do.
fn pprof(recording: &Recording, totals: Totals) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile.pb.gz");
    let named = file.to_str().context("a path")?;
    recording.text(&["--format", "pprof", "-o", named])?;
    let mut node = Command::new("node");
    node.env("NODE_PATH", resources::viewers()?).arg(program("read_pprof.cjs")).arg(&file);
    let found: Value = serde_json::from_str(&resources::succeed(&mut node)?)?;
    let (mut lines, mut rows) = (0, 0);
    for sample in found["samples"].as_array().context("samples")? {
        let frames = sample["leaf_first"].as_array().context("frames")?;
        let is = |frame: Option<&Value>, named: fn(&str) -> bool| {
            frame.and_then(|frame| frame["function"].as_str()).is_some_and(named)
        };
        let value = sample["values"]["rss_grown/bytes"].as_i64().context("rss_grown")?;
        let shrank = is(frames.last(), |name| name == "shrank");
        let row = is(frames.first(), |name| name.starts_with('['));
        *(if row { &mut rows } else { &mut lines }) += if shrank { -value } else { value };
    }
    ensure!(
        (lines, rows) == (totals.lines_grown, totals.rows_net),
        "{lines} and {rows}: {totals:?}"
    );
    Ok(())
}

/// What the page has embedded: its terms of the law, and its lines.
fn html(recording: &Recording, report: &Report) -> Result<()> {
    let page = recording.text(&["--format", "html"])?;
    let from = "<script type=\"application/json\" id=\"profile\">";
    let json = page.split_once(from).and_then(|(_, rest)| rest.split_once("</script>"));
    let document: Value = serde_json::from_str(json.context("an embedded profile")?.0)?;
    let shown = document["processes"].as_array().context("processes")?;
    ensure!(shown.len() == report.processes.len(), "{} processes", shown.len());
    for (shown, process) in shown.iter().zip(&report.processes) {
        ensure!(shown["attributed"] == process.attributed_bytes, "{}", shown["attributed"]);
        ensure!(shown["rss_peak"] == process.rss_peak_bytes, "{}", shown["rss_peak"]);
        let terms = shown["law"].as_array().context("the law")?;
        let sum: i64 = terms.iter().filter_map(|term| term[1].as_i64()).sum();
        ensure!(sum == process.rss_after_bytes, "{terms:?}");
        let lines = shown["full"]["lines"].as_array().context("lines")?;
        let grown: i64 = lines.iter().filter_map(|line| line[1].as_i64()).sum();
        let all: i64 = process.lines.iter().map(|line| line.self_grown_bytes).sum();
        ensure!(grown == all, "lines of the page grew by {grown}, not {all}");
    }
    Ok(())
}

fn mprof(recording: &Recording, report: &Report, pid: u32) -> Result<()> {
    let text = recording.text(&["--format", "mprof"])?;
    let process = report.process(pid)?;
    let mut readings = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("MEM ")) {
        readings.push(line.split(' ').next().context("a size")?.parse::<f64>()?);
    }
    let mib = |bytes: i64| bytes as f64 / 1_048_576.0;
    // Six decimals: half of the last one may be rounded up or down.
    let is = |reading: f64, bytes: i64| (reading - mib(bytes)).abs() < 0.000_001;
    let (first, last) = readings.first().zip(readings.last()).context("no reading")?;
    let highest = readings.iter().copied().fold(0.0, f64::max);
    // By the end of the first interval some pages may have come: those of breakpoints, for one. A step is 16 MiB.
    let before = mib(process.rss_before_bytes);
    ensure!((first - before).abs() < 0.1, "{before} is not the beginning of {text}");
    ensure!(is(*last, process.rss_after_bytes), "{text}");
    ensure!(is(highest, process.rss_peak_bytes), "{text}");
    Ok(())
}
