//! Plots: the terminal's compared whole; the SVG read again and measured against the JSON report; the
//! PNG decoded and its pixels counted.

use std::path::PathBuf;

use memtrace::profile::{Ending, Memory, ProcessProfile, Profile, Reason};
use memtrace::report::plot::{self, PlotOptions};
use memtrace::units::{Bytes, Nanos};
use resvg::tiny_skia::Pixmap;
use serde_json::Value;

use super::build::*;
use super::service::service;
use super::svg::{Element, Panel, Svg};
use super::{check, document, indented, json_report};

fn text(profile: &Profile, options: &PlotOptions) -> String {
    let mut out = Vec::new();
    plot::write_text(&mut out, profile, options).unwrap();
    String::from_utf8(out).unwrap()
}

fn svg(profile: &Profile, options: &PlotOptions) -> String {
    let mut out = Vec::new();
    plot::write_svg(&mut out, profile, options).unwrap();
    String::from_utf8(out).unwrap()
}

fn png(profile: &Profile, options: &PlotOptions) -> Vec<u8> {
    let mut out = Vec::new();
    plot::write_png(&mut out, profile, options).unwrap();
    out
}

fn json(profile: &Profile) -> Value {
    serde_json::from_str(&json_report::printed(profile)).unwrap()
}

/// A process that has this RSS (MiB) every ten seconds, and no line.
fn course(pid: u32, rss: &[f64]) -> ProcessProfile {
    let anon = |size| memory(size, 0.0, 0.0);
    let end = *rss.last().unwrap();
    let moments = rss.iter().zip(1..).map(|(rss, ten)| moment(10 * ten, anon(*rss), *rss, &[]));
    ProcessProfile {
        after: anon(end),
        peak: mib(rss.iter().copied().fold(rss[0], f64::max)),
        moments: moments.skip(1).collect(),
        unattributed: vec![unattributed(Reason::NativeThread, "t", anon(end - rss[0]), 1)],
        ..process(pid, &["python"], anon(rss[0]))
    }
}

#[test]
fn the_plot_of_a_service_in_a_terminal() {
    // The service (rows of 557.48 * 1.02 / 8 = 71 MiB) ends with 362.5: five rows and an eighth. Base
    // and others are the lowest 45, the leak the next 170. The worker lives from 380 s to 530 s of
    // 600 s: cells 15 to 20 of 24.
    let text = text(&service(), &PlotOptions::default());
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    assert_eq!(text.lines().count(), 23);
    check("plot.txt", &text);
}

#[test]
fn the_plot_of_a_service_in_a_terminal_with_colours() {
    let options =
        PlotOptions { color: true, width: Some(100), height: Some(30), ..Default::default() };
    let text = text(&service(), &options);
    assert_eq!(text.lines().count(), 29);
    // Every row ends as it began: without colour before or behind, and not bold.
    for line in text.lines() {
        let mut on = std::collections::BTreeSet::new();
        for code in line.split("\x1b[").skip(1) {
            let code = code.split('m').next().unwrap().split(';').next().unwrap();
            match code {
                "0" => on.clear(),
                "39" => drop(on.remove("38")),
                "49" => drop(on.remove("48")),
                code => drop(on.insert(code)),
            }
        }
        assert!(on.is_empty(), "{line:?} leaves {on:?}");
    }
    check("plot-color.txt", &text);
}

#[test]
fn the_plot_of_a_server_in_a_wide_and_in_a_narrow_terminal() {
    let profile = profile(vec![server()]);
    for (name, width, height) in [("plot-wide.txt", 120, 40), ("plot-narrow.txt", 40, 20)] {
        let options =
            PlotOptions { width: Some(width), height: Some(height), ..Default::default() };
        let text = text(&profile, &options);
        assert!(text.lines().all(|line| line.chars().count() <= width as usize));
        assert_eq!(text.lines().count() as u32, height - 1);
        check(name, &text);
    }
}

#[test]
fn the_plot_of_several_processes_in_a_terminal() {
    // Eight processes: the largest (30 MiB) in full, five more as rows, two only told of.
    let mut processes: Vec<_> =
        (1..=8).map(|pid| course(pid, &[f64::from(pid), 30.0 - f64::from(pid)])).collect();
    processes[7].parent = Some(1);
    let text = text(&profile(processes), &PlotOptions::default());
    assert!(text.starts_with("Process 1: python\nRSS 29.000 MiB, ◆ peak 29.000 MiB"), "{text}");
    assert!(text.contains("2 more processes not shown (peak at most 23.000 MiB each)."), "{text}");
    check("plot-processes.txt", &text);
}

/// Profiles of all kinds that obey the law.
fn lawful() -> Vec<Profile> {
    let mut shrank = server();
    // The decoder returned more than it grew: 1 + 1 - 4 = -2 MiB; the kernel's row is the opposite.
    shrank.lines[2].self_net = memory(-2.0, 0.0, 0.0);
    shrank.moments[2].changes = vec![(0, mib(-4.0)), (2, mib(-4.0))];
    shrank.unattributed.push(unattributed(Reason::Kernel, "", memory(4.0, 0.5, 0.0), 1));
    let mut profiles = vec![profile(vec![server()]), service(), profile(vec![shrank])];
    // Without moments, and with growth of every sign.
    profiles.extend((1..=20).map(|seed| profile(vec![Random::seeded(seed).process(9)])));
    profiles
}

#[test]
fn the_areas_of_the_svg_come_to_what_the_json_report_says() {
    for profile in lawful() {
        let json = json(&profile);
        let svg = Svg::read(&svg(&profile, &PlotOptions::default()));
        let processes = json["processes"].as_array().unwrap();
        assert_eq!(processes.len(), svg.panels.len());
        for (process, panel) in processes.iter().zip(&svg.panels) {
            let figure = |key: &str| process[key].as_i64().unwrap();
            let end = |area: &Element| area.attribute("data-end-bytes").parse::<i64>().unwrap();
            let (base, lines) = panel.areas.split_first().unwrap();
            let lines_sum: i64 = lines.iter().map(end).sum();
            assert_eq!(lines_sum, figure("attributed_bytes"));
            assert_eq!(end(base) + lines_sum, figure("rss_after_bytes"));
            assert_eq!(end(&panel.rss), figure("rss_after_bytes"));
            for area in lines {
                let name = area.attribute("data-layer");
                let of_line = |one: &&Value| {
                    format!("{}:{}", one["file"].as_str().unwrap(), one["line"]) == name
                };
                // Functions may share a line's name; the area is one of them.
                let mut lines = process["lines"].as_array().unwrap().iter().filter(of_line);
                let found = lines.any(|line| line["self_net_bytes"] == end(area));
                let others = name.ends_with(" other lines") || name == "1 other line";
                assert!(others || found, "{area:?}");
            }
        }
    }
}

#[test]
fn what_is_drawn_in_the_svg_is_to_scale() {
    for profile in [profile(vec![server()]), service()] {
        let svg = Svg::read(&svg(&profile, &PlotOptions::default()));
        for (process, panel) in profile.processes.iter().zip(&svg.panels) {
            // A hundredth of a pixel, and what a label's two decimals leave.
            let near = |found: f64, expected: f64| (found - expected).abs() < 0.03;
            let mib_of = |memory: Memory| memory.total().mib();

            // The line: RSS at the beginning and at each moment.
            let line = panel.rss.points();
            let expected: Vec<f64> = std::iter::once(process.before)
                .chain(process.moments.iter().map(|moment| moment.rss))
                .map(mib_of)
                .collect();
            assert_eq!(line.len(), expected.len());
            for ((_, y), expected) in line.iter().zip(expected) {
                assert!(near(panel.mib_at(*y), expected), "{} is not {expected}", panel.mib_at(*y));
            }
            let end = *line.last().unwrap();
            assert!(near(panel.mib_at(end.1), mib_of(process.after)));

            // The areas: each as thick as its figure, on top of the one below, the last one up to RSS.
            let mut below = 0.0;
            for area in &panel.areas {
                let (top, bottom, x) = panel.right_end(area);
                let thickness = area.number("data-end-bytes") / f64::from(1 << 20);
                if x == end.0 {
                    assert!(near(top - bottom, thickness), "{area:?}");
                    assert!(near(bottom, below), "{area:?}");
                    below = top;
                } else {
                    assert_eq!(thickness, 0.0, "{area:?} ends early");
                }
            }
            assert!(near(below, mib_of(process.after)));
            let highest = panel.areas.last().unwrap();
            if panel.right_end(highest).2 == end.0 {
                assert_eq!(highest.points()[..line.len()], line);
            }
        }
    }
}

#[test]
fn the_svg_marks_what_happened_and_the_peak() {
    let svg = Svg::read(&svg(&service(), &PlotOptions::default()));
    let marks = |panel: &Panel| {
        let texts = panel.texts.iter().filter(|text| text.attribute("class") == "mark");
        texts.map(|text| text.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(marks(&svg.panels[0]), ["attached", "fork 1812"]);
    assert_eq!(marks(&svg.panels[1]), ["forked from 1729", "exit"]);
    let peak = |panel: &Panel| {
        let peak = panel.texts.iter().find(|text| text.attribute("class").starts_with("peak "));
        peak.unwrap().clone()
    };
    assert_eq!(peak(&svg.panels[0]).text, "peak 557.480 MiB at 5 min 15 s");
    // 9 above what it stands for.
    let y = peak(&svg.panels[0]).number("y") + 9.0;
    assert!((svg.panels[0].mib_at(y) - 557.48).abs() < 0.03);
    // The fork is at 380 s of 600 s: on the way from `attached` to the right end of RSS.
    let x =
        |text: &str| svg.panels[0].texts.iter().find(|one| one.text == text).unwrap().number("x");
    let right = svg.panels[0].rss.points().last().unwrap().0;
    let share = (x("fork 1812") - x("attached")) / (right - x("attached"));
    assert!((share - 380.0 / 600.0).abs() < 1e-3, "{share}");
}

#[test]
fn the_svg_marks_an_exec_as_one_process_going_on() {
    // 4242 forks 7 after 20 s, which calls exec after 30 s and runs on.
    let mut before = course(7, &[12.0]);
    (before.parent, before.began, before.moments) = (Some(4242), Nanos(20_000_000_000), Vec::new());
    let mut after = before.clone();
    (before.ending, before.ended) = (Ending::Execed, Some(Nanos(30_000_000_000)));
    after.began = Nanos(30_000_000_000);
    let read = svg(&profile(vec![server(), before, after]), &PlotOptions::default());
    let marks: Vec<Vec<String>> = Svg::read(&read)
        .panels
        .iter()
        .map(|panel| panel.texts.iter().filter(|text| text.attribute("class") == "mark"))
        .map(|marks| marks.map(|mark| mark.text.clone()).collect())
        .collect();
    assert_eq!(marks[0], ["attached", "fork 7"]);
    assert_eq!(marks[1], ["forked from 4242", "exec"]);
    assert_eq!(marks[2], ["exec"]);
}

#[test]
fn the_svg_of_a_part_of_time_marks_no_beginning_that_was_before_it() {
    let part = PlotOptions { begins_later: true, ..Default::default() };
    let read = Svg::read(&svg(&service(), &part));
    let first = |panel: &Panel| {
        panel.texts.iter().find(|text| text.attribute("class") == "mark").unwrap().text.clone()
    };
    assert_eq!(first(&read.panels[0]), "fork 1812");
    assert_eq!(first(&read.panels[1]), "forked from 1729");
}

#[test]
fn the_png_is_the_svg_in_pixels_of_the_size_asked_for() {
    let profile = profile(vec![server()]);
    let options = PlotOptions { width: Some(1000), height: Some(500), ..Default::default() };
    let pixels = Pixmap::decode_png(&png(&profile, &options)).unwrap();
    assert_eq!((pixels.width(), pixels.height()), (1000, 500));

    // Of each layer's colour as many pixels as its area in the SVG has, but for its label and its rim.
    let svg = Svg::read(&svg(&profile, &options));
    assert_eq!((svg.root.attribute("width"), svg.root.attribute("height")), ("1000", "500"));
    for area in &svg.panels[0].areas {
        let points = area.points();
        let next = points.iter().cycle().skip(1);
        // The shoelace formula.
        let size = points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>() / 2.0;
        let color = u32::from_str_radix(&area.attribute("fill")[1..], 16).unwrap();
        let of_color = |pixel: &&resvg::tiny_skia::PremultipliedColorU8| {
            u32::from_be_bytes([0, pixel.red(), pixel.green(), pixel.blue()]) == color
        };
        let found = pixels.pixels().iter().filter(of_color).count() as f64;
        let about = 0.6 * size.abs() - 200.0..1.05 * size.abs() + 200.0;
        assert!(about.contains(&found), "{found} pixels of {size}: {area:?}");
    }
}

#[test]
fn the_pictures_in_the_documentation_are_what_is_drawn() {
    let (profile, options) = (service(), PlotOptions::default());
    check("../../../docs/images/plot.svg", &svg(&profile, &options));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/images/plot.png");
    let drawn = png(&profile, &options);
    if std::env::var_os("MEMTRACE_BLESS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    // In pixels: how they are compressed is the crate's business.
    let committed = Pixmap::decode_png(&std::fs::read(&path).unwrap()).unwrap();
    let drawn = Pixmap::decode_png(&drawn).unwrap();
    assert!(committed.data() == drawn.data(), "docs/images/plot.png is not what is drawn");
    assert!(document("plot.md").contains(&indented(&text(&profile, &options))), "docs/plot.md");
}

#[test]
fn a_plot_of_any_profile_can_be_drawn() {
    let memory_of = |anon| Memory { anon: Bytes(anon), ..Memory::ZERO };
    let mut profiles = lawful();
    profiles.push(profile(vec![]));
    profiles.push(profile(vec![process(1, &[], Memory::ZERO)]));
    // Constant; one moment only; two at the same time; a moment after the end; none in a trace of no time.
    profiles.push(profile(vec![course(1, &[5.0, 5.0, 5.0])]));
    profiles.push(profile(vec![course(1, &[5.0, 7.0])]));
    let mut twice = course(1, &[5.0, 7.0, 6.0]);
    twice.moments[1].at = twice.moments[0].at;
    twice.moments[0].changes = vec![(7, mib(1.0)), (usize::MAX, mib(1.0))];
    twice.ended = Some(Nanos(1));
    profiles.push(profile(vec![twice]));
    profiles
        .push(Profile { duration: Nanos(0), ..profile(vec![process(1, &["p"], memory_of(1))]) });
    // More than there is.
    let mut huge = course(1, &[1.0, 2.0, 3.0]);
    (huge.before, huge.after) = (memory_of(i64::MAX), memory_of(i64::MIN));
    (huge.peak, huge.began) = (Bytes(i64::MAX), Nanos(u64::MAX));
    huge.lines = vec![
        line("/a", "f", 1, u32::MAX, memory_of(i64::MAX)),
        line("/b", "g", 1, 2, memory_of(i64::MIN)),
    ];
    huge.moments[0].changes =
        vec![(0, Bytes(i64::MAX)), (1, Bytes(i64::MIN)), (0, Bytes(i64::MAX))];
    profiles.push(Profile { duration: Nanos(u64::MAX), ..profile(vec![huge.clone(), server()]) });
    // Hundreds of children, of which some called exec.
    let mut family = vec![server()];
    for pid in 5000..5400 {
        let mut child = course(pid, &[1.0, 2.0]);
        (child.parent, child.began) = (Some(4242), Nanos(u64::from(pid) * 10_000_000));
        child.ending = if pid % 3 == 0 { Ending::Execed } else { Ending::Exited };
        child.ended = Some(Nanos(child.began.0 + 5));
        family.push(child);
    }
    profiles.push(profile(family));

    for (number, profile) in profiles.iter().enumerate() {
        for (width, height) in [(None, None), (Some(1), Some(1)), (Some(500), Some(100))] {
            let options = PlotOptions { width, height, ..Default::default() };
            let drawn = svg(profile, &options);
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{number}: {drawn}");
            Svg::read(&drawn);
            text(profile, &options);
            text(profile, &PlotOptions { color: true, ..options });
        }
        if number >= 23 {
            Pixmap::decode_png(&png(profile, &PlotOptions::default())).unwrap();
        }
    }
}

#[test]
fn a_plot_of_many_moments_keeps_its_peak_and_its_end() {
    // A million seconds of 10 MiB; at one of them a line has 5 MiB more, and gives them back.
    let at = |second: u64, held: f64, change: f64| {
        let changes = if change == 0.0 { &[][..] } else { &[(0, change)] };
        moment(second, memory(10.0 + held, 0.0, 0.0), 10.0 + held, changes)
    };
    let mut moments: Vec<_> = (1..=100_000).map(|number| at(10 * number, 0.0, 0.0)).collect();
    moments[70_000] = at(700_010, 5.0, 5.0);
    moments[70_001] = at(700_020, 0.0, -5.0);
    let process = ProcessProfile {
        peak: mib(15.0),
        lines: vec![line("/a.py", "f", 1, 1, Memory::ZERO)],
        moments,
        ..process(1, &["python"], memory(10.0, 0.0, 0.0))
    };
    let profile = Profile { duration: Nanos(1_000_000_000_000_000), ..profile(vec![process]) };
    let drawn = svg(&profile, &PlotOptions::default());
    let read = Svg::read(&drawn);
    let points = read.panels[0].rss.points();
    assert!((1000..2500).contains(&points.len()), "{}", points.len());
    let highest = points.iter().map(|(_, y)| read.panels[0].mib_at(*y)).fold(0.0, f64::max);
    assert!((highest - 15.0).abs() < 0.01);
    assert_eq!(read.panels[0].areas[1].number("data-peak-bytes"), 5.0 * f64::from(1 << 20));
    assert!(drawn.contains("peak 15.000 MiB at 8 d 2 h"));
}

#[test]
fn a_plot_is_harmless_whatever_the_names() {
    let name = "/tmp/</text><script>alert(1)</script>\"'&\u{1b}[2J\u{202e}\u{ffff}\n]]>数据 $x$.py";
    let mut process = server();
    process.command = vec![name.to_owned()];
    process.python = Some(name.to_owned());
    process.lines[0] = line(name, name, 1, 8, memory(32.0, 0.0, 0.0));
    let mut profile = profile(vec![process]);
    profile.kernel = name.to_owned();
    let drawn = svg(&profile, &PlotOptions::default());
    assert!(!drawn.contains(|c: char| c.is_control() && c != '\n'));
    assert!(!drawn.contains("<script"));
    let read = Svg::read(&drawn);
    assert!(read.panels[0].areas[1].attribute("data-layer").starts_with("/tmp/</text><script>"));
    Pixmap::decode_png(&png(&profile, &PlotOptions::default())).unwrap();
    let text = text(&profile, &PlotOptions::default());
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'));
}

#[test]
fn a_plot_tells_of_what_it_does_not_show() {
    // Eight processes of 1 to 8 MiB: two are left out, the larger of them has 2 MiB.
    let processes = (1..=8).map(|pid| course(pid, &[0.5, f64::from(pid)])).collect();
    let eight = profile(processes);
    let read = Svg::read(&svg(&eight, &PlotOptions::default()));
    assert_eq!(read.panels.len(), 6);
    let notes = |svg: &Svg| svg.texts.iter().map(|text| text.text.clone()).collect::<Vec<_>>();
    assert!(
        notes(&read).contains(&"2 more processes not shown (peak at most 2.000 MiB each).".into())
    );
    // 700 pixels have room for three panels (700 - 64 - 58 = 578; 80 and 84 around each).
    let low = PlotOptions { height: Some(700), ..Default::default() };
    let read = Svg::read(&svg(&eight, &low));
    assert_eq!(read.panels.len(), 3);
    assert!(
        notes(&read).contains(&"5 more processes not shown (peak at most 5.000 MiB each).".into())
    );
    let only = PlotOptions { process: Some(3), ..Default::default() };
    let read = Svg::read(&svg(&eight, &only));
    assert_eq!(read.panels.len(), 1);
    assert!(!notes(&read).iter().any(|note| note.contains("not shown")));

    // Twelve lines of 1 to 12 MiB: the two smallest are "others".
    let lines: Vec<_> =
        (1..=12_u32).map(|n| line("/a.py", "f", 1, n, memory(f64::from(n), 0.0, 0.0))).collect();
    let many = ProcessProfile {
        after: memory(79.0, 0.0, 0.0), // 1 + 78
        peak: mib(79.0),
        lines,
        ..process(1, &["python"], memory(1.0, 0.0, 0.0))
    };
    let read = Svg::read(&svg(&profile(vec![many]), &PlotOptions::default()));
    let areas: Vec<_> = read.panels[0]
        .areas
        .iter()
        .map(|area| {
            (area.attribute("data-layer"), area.number("data-end-bytes") / f64::from(1 << 20))
        })
        .collect();
    assert_eq!(
        areas[..3],
        [("before attach + unattributed", 1.0), ("2 other lines", 3.0), ("/a.py:12", 12.0)]
    );
    assert_eq!(areas.len(), 12);
    assert!(notes(&read)[..].iter().any(|note| note.contains("only its beginning and its end")));

    // 30 MiB grown and 20 MiB of them swapped: with 5 MiB before attach the base is 15 below zero.
    let swapped = ProcessProfile {
        after: memory(15.0, 0.0, 0.0),
        peak: mib(35.0),
        lines: vec![line("/a.py", "f", 1, 1, memory(30.0, 0.0, 0.0))],
        unattributed: vec![unattributed(Reason::Reclaimed, "", memory(-20.0, 0.0, 0.0), 1)],
        moments: vec![moment(5, memory(35.0, 0.0, 0.0), 35.0, &[(0, 30.0)])],
        ..process(1, &["python"], memory(5.0, 0.0, 0.0))
    };
    let read = Svg::read(&svg(&profile(vec![swapped]), &PlotOptions::default()));
    assert!(
        notes(&read)
            .iter()
            .any(|note| note.contains("up to 15.000 MiB of what lines grew is no longer"))
    );
    let (top, bottom, _) = read.panels[0].right_end(&read.panels[0].areas[1]);
    assert!((top - 15.0).abs() < 0.03 && bottom.abs() < 0.03, "{top} {bottom}");
}
