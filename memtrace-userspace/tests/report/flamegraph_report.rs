//! The flame graph: a golden picture, sizes that equal the folded stacks', texts that are only texts.

use memtrace::profile::{Memory, ProcessProfile, Profile, lines_of};
use memtrace::report::{Measure, StackOptions, flamegraph};

use super::build::*;
use super::{check, folded_report};

pub(crate) fn printed(profile: &Profile, options: &StackOptions) -> String {
    let mut out = Vec::new();
    flamegraph::write(&mut out, profile, options).unwrap();
    String::from_utf8(out).unwrap()
}

/// What stands between two texts, wherever they do.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// Frames as their tips name them, with their sizes.
fn frames(svg: &str) -> Vec<(&str, i64)> {
    let tips = between(svg, "<title>", "</title>");
    let parsed = tips.map(|tip| {
        let (name, size) = tip.rsplit_once(" (").unwrap();
        let size = size.split_once(' ').unwrap().0.replace(',', "");
        (name, size.parse().unwrap())
    });
    parsed.collect()
}

#[test]
fn the_flame_graph_of_a_server() {
    let svg = printed(&profile(vec![server()]), &StackOptions::default());
    check("flamegraph.svg", &svg);
    let mut frames = frames(&svg);
    frames.sort_unstable();
    // 42205184 = lines 40370176 + gc 1572864 + remainder 262144, which shrank.
    let process = "process 4242: python app.py --port 80";
    assert_eq!(
        frames,
        [
            ("JSONDecoder.raw_decode (/usr/lib/python3.12/json/decoder.py:353)", 2_621_440),
            ("[native thread: gc]", 1_572_864),
            ("[remainder]", 262_144),
            ("all", 42_205_184),
            ("handle (/srv/app.py:10)", 4_194_304),
            ("handle (/srv/app.py:8)", 33_554_432),
            ("main (/srv/app.py:16)", 37_748_736),
            ("main (/srv/app.py:17)", 2_621_440),
            (process, 262_144),
            (process, 41_943_040),
            ("shrank", 262_144),
        ]
    );
    let law = "before attach 12.000 + lines 38.500 + unattributed 1.250 = RSS now 51.750 MiB";
    assert!(svg.contains(&format!(">{law}</text>")));
}

#[test]
fn a_flame_graph_is_the_same_each_time() {
    let profile = profile(vec![Random::seeded(1).process(1)]);
    let options = StackOptions::default();
    assert_eq!(printed(&profile, &options), printed(&profile, &options));
}

#[test]
fn the_flame_graph_of_several_processes_sums_their_laws_up() {
    let svg = printed(&profile(vec![server(), server()]), &StackOptions::default());
    let law = "before attach 24.000 + lines 77.000 + unattributed 2.500 = RSS now 103.500 MiB";
    assert!(svg.contains(&format!(">{law}</text>")));
    assert!(svg.contains("by line, 2 processes, 60.000 s</text>"));
}

#[test]
fn the_flame_graph_of_nothing_says_so() {
    let quiet = process(1, &["python"], memory(1.0, 0.0, 0.0));
    let svg = printed(&profile(vec![quiet]), &StackOptions::default());
    check("flamegraph-nothing.svg", &svg);
}

#[test]
fn texts_of_a_target_stay_texts_in_a_flame_graph() {
    let name = "</title><script>alert(1)</script>]]>&quot;\u{1b}\u{ffff}'\"--><b;c";
    let own = line(name, name, 1, 2, Memory::ZERO);
    let stacks = vec![stack(0, &[&own], memory(1.0, 0.0, 0.0))];
    let process = ProcessProfile {
        after: memory(1.0, 0.0, 0.0),
        lines: lines_of(&stacks),
        stacks,
        ..process(3, &[name], Memory::ZERO)
    };
    let svg = printed(&profile(vec![process]), &StackOptions::default());
    assert_eq!(svg.matches("<script").count(), 1, "its own");
    assert_eq!(svg.matches("<!--").count(), 2, "its own");
    assert!(!svg.contains("<b"));
    assert!(!svg.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    assert!(!svg.contains('\u{ffff}'));
}

#[test]
fn the_flame_graph_of_any_profile_is_as_wide_as_its_folded_stacks() {
    for seed in 1..=30 {
        let mut random = Random::seeded(4000 + seed);
        let profile = profile(vec![random.process(10), random.process(20)]);
        for measure in Measure::ALL {
            let options = StackOptions { measure, split_threads: false };
            let text = folded_report::printed(&profile, &options);
            let stacks = folded_report::parsed(&text);
            let svg = printed(&profile, &options);
            let total = between(&svg, "total_samples=\"", "\"").next().map(str::parse::<i64>);
            assert_eq!(total, Some(Ok(stacks.values().sum())), "seed {seed}, {measure}");
            let shrank = stacks.iter().filter(|(frames, _)| frames[0] == "shrank");
            let shrank: i64 = shrank.map(|(_, size)| size).sum();
            let frames = frames(&svg);
            let drawn = frames.iter().filter(|(name, _)| *name == "shrank");
            assert_eq!(drawn.map(|(_, size)| size).sum::<i64>(), shrank, "seed {seed}, {measure}");
        }
    }
}
