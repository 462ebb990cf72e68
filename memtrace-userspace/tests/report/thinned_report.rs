//! Where not every stack was walked: what was measured adds up, and estimates stand beside it.

use memtrace::profile::{Estimate, Memory, ProcessProfile, Reason, lines_of};
use memtrace::report::diff::{self, Diff};
use memtrace::report::html::{self, HtmlOptions};
use memtrace::report::plot::{self, PlotOptions};
use memtrace::report::{
    Measure, StackOptions, TableOptions, csv, flamegraph, folded, json, pprof, table,
};
use serde_json::Value;

use super::build::{self, line};
use super::build::{mib, process, profile, stack, unattributed};

/// Line 5 has a MiB walked of what stands for 64; line 7 a half, all of its walks standing for themselves;
/// 80 MiB were not walked.
fn thinned() -> ProcessProfile {
    let anon = |size| Memory { anon: mib(size), ..Memory::ZERO };
    let lines = [
        line("/srv/app.py", "fill", 3, 7, anon(0.5)),
        line("/srv/app.py", "fill", 3, 5, anon(1.0)),
    ];
    let mut stacks = lines.each_ref().map(|line| stack(0, &[line], line.self_net));
    stacks[1].estimate = Estimate { more: mib(63.0), variance: 63 * 256 * 64 };
    let mut process = process(7, &["python", "app.py"], anon(20.0));
    process.stacks = stacks.to_vec();
    process.lines = lines_of(&process.stacks);
    process.unattributed = vec![unattributed(Reason::NotWalked, "", anon(80.0), 20_480)];
    process.events = 21_000;
    process.after = process.before + anon(81.5);
    process
}

#[test]
fn the_table_has_both_and_the_sum_is_of_what_was_measured() {
    let profile = profile(vec![thinned()]);
    let mut text = Vec::new();
    table::write(&mut text, &profile, &Default::default(), &TableOptions::default()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("DOES NOT ADD UP"), "{text}");
    assert!(text.contains("lines 1.500 MiB + unattributed 80.000 MiB"), "{text}");
    assert!(text.contains("Walked    2.5 % of its events' stacks; 80.000 MiB"), "{text}");
    assert!(text.contains("stack not walked, to keep to the budget"), "{text}");
    let top: Vec<&str> = text.lines().filter(|line| line.contains("app.py:")).collect();
    // 63 MiB and the score interval's halves around it; line 7 may have had up to 246 pages unseen.
    assert!(top[0].trim_start().starts_with("1.000   64.000 56.687-72.274"), "{top:?}");
    assert!(top[1].trim_start().starts_with("0.500    0.500   0.500-1.460"), "{top:?}");
    assert!(text.contains("Estimate   Line Contents") || text.contains("Estimate  "), "{text}");
}

#[test]
fn json_and_csv_have_estimates_and_intervals() {
    let profile = profile(vec![thinned()]);
    let mut text = Vec::new();
    json::write(&mut text, &profile).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let process = &document["processes"][0];
    assert_eq!(process["thinned"]["events_not_walked"], 20_480);
    assert_eq!(process["thinned"]["not_walked_bytes"], mib(80.0).0);
    let line = &process["lines"][0];
    assert_eq!((&line["line"], &line["self_net_bytes"]), (&5.into(), &mib(1.0).0.into()));
    assert_eq!(line["estimated_bytes"], mib(64.0).0);
    assert_eq!(line["cumulative_estimated_bytes"], mib(64.0).0);
    let [low, high] = [0, 1].map(|at| line["estimated_interval"][at].as_i64().unwrap());
    assert!(low < mib(57.0).0 && high > mib(72.0).0, "{low} to {high}");

    let mut text = Vec::new();
    csv::write(&mut text, &profile, Measure::Net).unwrap();
    let mut rows = ::csv::Reader::from_reader(text.as_slice());
    let header = rows.headers().unwrap().clone();
    let column = |name| header.iter().position(|it| it == name).unwrap();
    let of_line =
        rows.records().map(Result::unwrap).find(|row| &row[column("line")] == "5").unwrap();
    assert_eq!(of_line[column("estimated_bytes")], mib(64.0).0.to_string());
    assert_eq!(of_line[column("estimated_low_bytes")], low.to_string());
    assert_eq!(of_line[column("estimated_high_bytes")], high.to_string());
}

/// What forms without estimates say of figures that are not whole.
const REMARK: &str = "the stacks of 2.5 % of its changes of RSS were walked";

#[test]
fn forms_without_estimates_say_that_lines_have_what_was_walked() {
    let profile = profile(vec![thinned()]);
    let options = StackOptions::default();
    let printed = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    };
    let folded = printed(&|out| folded::write(out, &profile, &options).unwrap());
    let remark = folded.lines().find(|line| line.starts_with("# ") && line.contains(REMARK));
    assert!(remark.is_some_and(|it| it.contains("80.000 MiB of what the others")), "{folded}");
    let graph = printed(&|out| flamegraph::write(out, &profile, &options).unwrap());
    let comment = graph.split("<!--").find(|comment| comment.contains(REMARK)).unwrap();
    assert!(!comment.split("-->").next().unwrap().contains("--"), "{comment}");
    assert!(graph.contains("by line (as measured: not every stack was walked)"), "{graph}");
    // Changes are all counted.
    let events = StackOptions { measure: Measure::Events, ..options };
    let graph = printed(&|out| flamegraph::write(out, &profile, &events).unwrap());
    assert!(graph.contains("changes of RSS by line, 1 process"), "{graph}");
    let page = printed(&|out| {
        html::write(out, &profile, &Default::default(), &HtmlOptions::default()).unwrap();
    });
    assert!(page.contains(REMARK), "the page says nothing");
    let proto = pprof::for_store(&profile, Measure::Net);
    assert!(String::from_utf8_lossy(&proto).contains(REMARK), "no comment of pprof says it");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plot = printed(&|out| plot::write_text(out, &profile, &PlotOptions::default()).unwrap());
    assert!(words(&plot).contains(REMARK), "{plot}");
    let whole = build::profile(vec![]);
    let diff = Diff::of(("a", &whole), ("b", &profile));
    let document = printed(&|out| diff::json::write(out, &diff).unwrap());
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["before"]["notes"], serde_json::json!([]));
    assert!(document["after"]["notes"][0].as_str().unwrap().contains(REMARK), "{document}");
}

#[test]
fn where_all_stacks_were_walked_nothing_is_estimated() {
    let mut process = thinned();
    process.unattributed.clear();
    process.stacks[1].estimate = Estimate::default();
    process.lines = lines_of(&process.stacks);
    process.after = process.before + Memory { anon: mib(1.5), ..Memory::ZERO };
    assert_eq!(process.thinned(), None);
    let profile = profile(vec![process]);
    let (mut text, mut document) = (Vec::new(), Vec::new());
    table::write(&mut text, &profile, &Default::default(), &TableOptions::default()).unwrap();
    json::write(&mut document, &profile).unwrap();
    let all = String::from_utf8([text, document].concat()).unwrap();
    assert!(!all.contains("stimate") && !all.contains("thinned"), "{all}");
}
