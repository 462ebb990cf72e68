//! pprof, opened by npm's `pprof-format`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::target::program;
use harness::{Context, Result, ensure, resources};
use memtrace::profile::{Ending, LineFigures, Memory, ProcessProfile, Profile, Reason, lines_of};
use memtrace::report::{Measure, json, pprof};
use memtrace::units::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::build::*;

/// What the reader found.
#[derive(Debug, Deserialize)]
struct Found {
    sample_types: Vec<String>,
    default_sample_type: String,
    time_ns: String,
    duration_ns: String,
    drop_frames: String,
    keep_frames: String,
    comments: Vec<String>,
    samples: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    values: BTreeMap<String, i64>,
    leaf_first: Vec<Frame>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Frame {
    function: String,
    file: String,
    line: u32,
    start_line: u32,
    program: String,
}

impl Sample {
    fn root(&self) -> &str {
        self.leaf_first.last().map_or("", |frame| &frame.function)
    }

    fn is_row(&self) -> bool {
        self.leaf_first[0].function.starts_with('[')
    }

    /// As the profile has it: below nothing, below `shrank`.
    fn signed(&self, sample_type: &str) -> i64 {
        let value = self.values[sample_type];
        if self.root() == "shrank" { -value } else { value }
    }
}

/// Writes the profiles and has them all read at once.
fn read(profiles: &[Profile], shown: Measure) -> Result<(Vec<Found>, String)> {
    let folder = tempfile::tempdir()?;
    let mut files: Vec<PathBuf> = Vec::new();
    for (number, profile) in profiles.iter().enumerate() {
        let file = folder.path().join(format!("{number}.pb.gz"));
        pprof::write(&mut std::fs::File::create(&file)?, profile, shown)?;
        files.push(file);
    }
    let mut node = Command::new("node");
    node.env("NODE_PATH", resources::viewers()?).arg(program("read_pprof.cjs")).args(files);
    let text = resources::succeed(&mut node)?;
    let found = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>();
    Ok((found?, text))
}

fn read_one(profile: Profile) -> Result<Found> {
    read(&[profile], Measure::Net)?.0.pop().context("an answer")
}

#[test]
fn a_reader_of_pprof_finds_the_server_and_its_law() -> Result<()> {
    // A second process, whose law has a gap of a page.
    let mut child = process(4243, &["sh", "-c", "ls; true"], Memory::ZERO);
    child.parent = Some(4242);
    child.python = None;
    child.ending = Ending::Exited;
    child.after.anon = Bytes(4096);
    child.notes = vec!["three records were lost".to_owned()];
    let (found, text) = read(&[profile(vec![server(), child])], Measure::Net)?;

    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../memtrace-userspace/tests/golden/pprof.json");
    if std::env::var_os("MEMTRACE_BLESS").is_some() {
        std::fs::write(&golden, &text)?;
    }
    ensure!(std::fs::read_to_string(&golden)? == text, "not as in pprof.json:\n{text}");

    let found = &found[0];
    ensure!(found.drop_frames.is_empty() && found.keep_frames.is_empty());
    ensure!(found.time_ns == "1785924000000000000"); // 2026-08-05T10:00:00Z
    ensure!(found.duration_ns == "60000000000");
    let law = "before attach 12582912 + lines 40370176 + unattributed 1310720 = RSS now 54263808";
    ensure!(found.comments.iter().any(|comment| comment.contains(law)), "{:?}", found.comments);
    let block = &found.samples[0];
    let app = |function: &str, line, start_line| Frame {
        function: function.to_owned(),
        file: APP.to_owned(),
        line,
        start_line,
        program: "python".to_owned(),
    };
    ensure!(block.leaf_first == [app("handle", 8, 6), app("main", 16, 14)], "{block:?}");
    let label = |key| block.labels.get(key).map(String::as_str);
    ensure!(label("pid") == Some("4242") && label("tid") == Some("4242"), "{block:?}");
    ensure!(label("thread") == Some("python"), "{block:?}");
    Ok(())
}

#[test]
fn the_measure_that_is_asked_for_comes_last_and_is_the_default() -> Result<()> {
    for (measure, name) in [
        (Measure::Net, "rss_net"),
        (Measure::Grown, "rss_grown"),
        (Measure::Resident, "rss_resident"),
        (Measure::Events, "events"),
    ] {
        let (found, _) = read(&[profile(vec![server()])], measure)?;
        let mut types = found[0].sample_types.clone();
        ensure!(found[0].default_sample_type == name, "{types:?}");
        ensure!(types.last().is_some_and(|last| last.starts_with(name)), "{types:?}");
        types.sort_unstable();
        let all = ["events/count", "rss_grown/bytes", "rss_net/bytes", "rss_resident/bytes"];
        ensure!(types == all, "{types:?}");
    }
    Ok(())
}

#[test]
fn hostile_names_are_harmless_in_pprof() -> Result<()> {
    let name = "f\u{1b}[2J\n;x";
    let own = line(name, name, 1, 2, Memory::ZERO);
    let stacks = vec![stack(0, &[&own], memory(1.0, 0.0, 0.0))];
    let process = ProcessProfile {
        after: memory(1.0, 0.0, 0.0),
        threads: vec![memtrace::profile::Thread { tid: 3, name: name.to_owned() }],
        lines: lines_of(&stacks),
        stacks,
        unattributed: vec![unattributed(Reason::NotPython, name, Memory::ZERO, 1)],
        notes: vec![name.to_owned()],
        ..process(3, &[name], Memory::ZERO)
    };
    let found = read_one(profile(vec![process]))?;
    let said = format!("{found:?}");
    ensure!(!said.contains("\\u{1b}") && !said.contains("\\n"), "{said}");
    ensure!(found.samples[0].leaf_first[0].function == "f\\x1b[2J\\x0a;x", "{said}");
    Ok(())
}

#[test]
fn the_samples_of_any_profile_come_to_what_json_says() -> Result<()> {
    let profiles: Vec<_> = (1..=40)
        .map(|seed| {
            let mut random = Random::seeded(5000 + seed);
            profile(vec![random.process(10), random.process(20)])
        })
        .collect();
    let (all, _) = read(&profiles, Measure::Net)?;
    ensure!(all.len() == profiles.len());
    for (profile, found) in profiles.iter().zip(&all) {
        let mut text = Vec::new();
        json::write(&mut text, profile)?;
        let json: Value = serde_json::from_slice(&text)?;
        for process in json["processes"].as_array().context("processes")? {
            let pid = process["pid"].to_string();
            let own = || found.samples.iter().filter(|sample| sample.labels["pid"] == pid);
            let sum = |rows: &str, key: &str| -> i64 {
                let rows = process[rows].as_array().into_iter().flatten();
                rows.filter_map(|row| row[key].as_i64()).sum()
            };
            for (sample_type, lines, rows) in [
                ("events/count", "self_events", "events"),
                ("rss_grown/bytes", "self_grown_bytes", "net_bytes"),
                ("rss_resident/bytes", "self_resident_bytes", "net_bytes"),
                ("rss_net/bytes", "self_net_bytes", "net_bytes"),
            ] {
                ensure!(own().all(|sample| sample.values[sample_type] >= 0), "a negative size");
                let of = |row: bool| -> i64 {
                    let samples = own().filter(|sample| sample.is_row() == row);
                    samples.map(|sample| sample.signed(sample_type)).sum()
                };
                let expected = (sum("lines", lines), sum("unattributed", rows));
                let sums = (of(false), of(true));
                ensure!(sums == expected, "{sample_type}: {sums:?} is not {expected:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn threads_are_told_apart_by_labels() -> Result<()> {
    let own: LineFigures = line(APP, "handle", 6, 8, Memory::ZERO);
    let stacks =
        vec![stack(0, &[&own], memory(1.0, 0.0, 0.0)), stack(1, &[&own], memory(2.0, 0.0, 0.0))];
    let process = ProcessProfile {
        after: memory(3.0, 0.0, 0.0),
        threads: server().threads,
        lines: lines_of(&stacks),
        stacks,
        ..process(7, &["python"], Memory::ZERO)
    };
    let found = read_one(profile(vec![process]))?;
    let by_thread = found.samples.iter();
    let by_thread: Vec<_> = by_thread
        .map(|sample| (sample.labels["thread"].as_str(), sample.values["rss_net/bytes"]))
        .collect();
    ensure!(by_thread == [("python", 1 << 20), ("worker-1", 2 << 20)], "{by_thread:?}");
    Ok(())
}
