//! A profile of five thousand stacks is there at once.

use std::time::{Duration, Instant};

use harness::browser::{Browser, Look};
use memtrace::profile::{Profile, lines_of};
use memtrace::report::SourceTexts;
use memtrace::units::Bytes;

use super::Report;
use super::build::{line, memory, moment, process, profile, stack};

const STACKS: u32 = 5000;

/// 5,000 stacks, 30 deep, of 2,000 lines in 100 files, and 300 moments in which lines come and go.
/// Each stack grew 4 KiB.
fn large() -> Profile {
    let place = |number: u32| {
        let number = number % 2000;
        let file = format!("/srv/application/package_{}/module_{}.py", number % 10, number % 100);
        line(
            &file,
            &format!("Class{}.method_{number}", number % 50),
            number / 4,
            number,
            memory(0.0, 0.0, 0.0),
        )
    };
    let places: Vec<_> = (0..2000).map(place).collect();
    let page = memory(1.0 / 256.0, 0.0, 0.0);
    let stacks: Vec<_> = (0..STACKS)
        .map(|number| {
            // Roots in common, then branches.
            let frames: Vec<_> = (0..30)
                .rev()
                .map(|depth| {
                    &places[(number >> (13 - depth.min(13)) as usize).wrapping_mul(7919 + depth)
                        as usize
                        % 2000]
                })
                .collect();
            stack(0, &frames, page)
        })
        .collect();
    let mut process = process(1, &["python", "-m", "application"], memory(64.0, 0.0, 0.0));
    process.lines = lines_of(&stacks);
    process.stacks = stacks;
    process.after = memory(64.0 + f64::from(STACKS) / 256.0, 0.0, 0.0);
    process.peak = process.after.total();
    let grown = process.lines.iter().map(|line| line.self_net.total().0 / 4096).collect::<Vec<_>>();
    process.moments = (0..300)
        .map(|window: u64| {
            let pages =
                |total: i64| (total * (window as i64 + 1) / 300) - (total * window as i64 / 300);
            let mut changes: Vec<_> = grown.iter().map(|total| pages(*total)).enumerate().collect();
            changes.retain(|(_, pages)| *pages != 0);
            let mut made = moment(2 * window + 2, process.after, 0.0, &[]);
            made.changes =
                changes.iter().map(|(line, pages)| (*line, Bytes::from_pages(*pages))).collect();
            made.rss = memory(64.0, 0.0, 0.0);
            let sum: i64 = grown.iter().map(|total| total * (window as i64 + 1) / 300).sum();
            made.rss.anon += Bytes::from_pages(sum);
            made.peak = made.rss.total();
            made
        })
        .collect();
    profile(vec![process])
}

#[test]
fn five_thousand_stacks_load_at_once() {
    let profile = large();
    let start = Instant::now();
    let report = Report::of(&profile, &SourceTexts::new());
    let written = start.elapsed();
    let size = std::fs::metadata(report.file()).unwrap().len();
    let mut browser = Browser::start().unwrap();
    let mut page = browser.open(&report.file(), Look::DESK).unwrap();
    let timing = "(() => { const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd; })()";
    let loaded = page.ask(timing).unwrap().as_f64().unwrap();
    println!("{size} bytes, written in {written:?}, loaded in {loaded:.0} ms");
    assert!(size < 2 << 20, "{size} bytes");
    assert!(written < Duration::from_secs(5), "{written:?}");
    assert!(loaded < 3000.0, "{loaded} ms");

    // 5,000 pages: 19.53125 MiB, and the law on the page.
    assert_eq!(page.texts("#law .figure").unwrap(), ["64.000", "19.531", "0.000", "83.531"]);
    let rows = page.ask("document.querySelectorAll('#lines-table tbody tr').length").unwrap();
    assert_eq!(rows, 100);
    // Boxes that nobody could see are not made; zooming shows what was too narrow.
    let boxes = page.ask("document.querySelectorAll('[role=treeitem]').length").unwrap();
    assert!((30..20_000).contains(&boxes.as_u64().unwrap()), "{boxes}");
    let start = Instant::now();
    page.click("[role=treeitem][aria-level='2']").unwrap();
    page.click("input[value=grown]").unwrap();
    page.click("#lines-filter").unwrap();
    page.enter("module_7").unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(page.problems().unwrap(), [] as [String; 0]);
}
