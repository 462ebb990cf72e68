//! The flame graph zooms, searches, and is steered by keys.

use harness::browser::{Look, Page};

use std::sync::Arc;

use memtrace::profile::NativeFrame;
use memtrace::report::SourceTexts;

use super::{Report, build, server, the_shop, with_page};

/// Names of the boxes and their widths in per cent of the graph, widest first.
fn boxes(page: &mut Page<'_>) -> Vec<(String, f64)> {
    let ask = "[...document.querySelectorAll('[role=treeitem]')].map((box) => \
               [box.ariaLabel, 100 * box.getBoundingClientRect().width / \
               document.querySelector('.tree').getBoundingClientRect().width])";
    let mut boxes: Vec<(String, f64)> = serde_json::from_value(page.ask(ask).unwrap()).unwrap();
    boxes.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    boxes
}

fn check(page: &mut Page<'_>, expected: &[(&str, f64)]) {
    let found = boxes(page);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((label, width), (name, share)) in found.iter().zip(expected) {
        assert_eq!(label, name);
        assert!((width - share).abs() < 0.3, "{label}: {width} % and not {share} %");
    }
}

const CALL: &str = "main, app.py:16, 36.000 MiB";

/// All of 38.5 MiB.
const WHOLE: [(&str, f64); 6] = [
    ("all lines, net, 38.500 MiB", 100.0),
    (CALL, 3600.0 / 38.5),
    ("handle, app.py:8, 32.000 MiB", 3200.0 / 38.5),
    ("handle, app.py:10, 4.000 MiB", 400.0 / 38.5),
    ("JSONDecoder.raw_decode, decoder.py:353, 2.500 MiB", 250.0 / 38.5),
    ("main, app.py:17, 2.500 MiB", 250.0 / 38.5),
];

#[test]
fn a_click_zooms_and_the_button_shows_all_again() {
    with_page(&server(), Look::DESK, |page| {
        check(page, &WHOLE);
        assert_eq!(page.ask("document.querySelector('#flame-reset').hidden").unwrap(), true);
        page.click(&format!("[aria-label='{CALL}']")).unwrap();
        check(
            page,
            &[
                ("all lines, net, 38.500 MiB", 100.0),
                (CALL, 100.0),
                ("handle, app.py:8, 32.000 MiB", 3200.0 / 36.0),
                ("handle, app.py:10, 4.000 MiB", 400.0 / 36.0),
            ],
        );
        let status = page.texts("#flame-status").unwrap();
        assert_eq!(status, ["38.500 MiB net; zoomed to 36.000 MiB"]);
        page.click("#flame-reset").unwrap();
        check(page, &WHOLE);
    });
}

#[test]
fn keys_move_zoom_and_reset() {
    with_page(&server(), Look::DESK, |page| {
        page.ask("document.querySelector('.box.root').focus()").unwrap();
        let focused = |page: &mut Page<'_>| page.text("document.activeElement.ariaLabel").unwrap();
        for (key, label) in [
            ("ArrowDown", WHOLE[1].0),  // the largest that it called
            ("ArrowRight", WHOLE[5].0), // the next at its level
            ("ArrowRight", WHOLE[5].0), // there is none
            ("ArrowDown", WHOLE[4].0),
            ("ArrowUp", WHOLE[5].0),
            ("ArrowLeft", WHOLE[1].0),
            ("ArrowDown", WHOLE[2].0),
            ("Enter", WHOLE[2].0),
        ] {
            page.press(key).unwrap();
            assert_eq!(focused(page), label, "after {key}");
        }
        // Zoomed to handle:8, above it its callers; then all again.
        let shown: Vec<_> =
            boxes(page).into_iter().map(|(label, width)| (label, width.round())).collect();
        assert_eq!(shown.len(), 3);
        assert!(shown.iter().all(|(_, width)| *width == 100.0), "{shown:?}");
        let told = page.text("document.querySelector('.told').innerText").unwrap();
        assert!(told.contains("32.000 MiB 83.1 % of all") && told.contains("app.py:8"), "{told}");
        page.press("Escape").unwrap();
        check(page, &WHOLE);
        assert_eq!(focused(page), WHOLE[0].0);
        // One stop for Tab, however many boxes there are.
        assert_eq!(
            page.ask("document.querySelectorAll('[role=treeitem][tabindex=\"0\"]').length")
                .unwrap(),
            1
        );
    });
}

#[test]
fn a_search_marks_what_it_finds_and_says_how_much_that_is() {
    with_page(&server(), Look::DESK, |page| {
        page.click("#flame-search").unwrap();
        page.enter("app.py").unwrap();
        let found = |page: &mut Page<'_>| {
            page.ask("document.querySelectorAll('.box.found').length").unwrap()
        };
        assert_eq!(found(page), 4);
        // `handle` inside of `main` counts once: 36 + 2.5.
        assert_eq!(page.texts("#flame-status").unwrap(), ["38.500 MiB found (100.0 %)"]);
        page.ask("document.querySelector('#flame-search').select()").unwrap();
        page.enter("decoder").unwrap();
        assert_eq!(found(page), 1);
        assert_eq!(page.texts("#flame-status").unwrap(), ["2.500 MiB found (6.5 %)"]);
        // The search stays while zooming and changing the measure: 40 of 1004 events.
        page.click("input[value=events]").unwrap();
        assert_eq!(page.texts("#flame-status").unwrap(), ["40 events found (4.0 %)"]);
        assert_eq!(found(page), 1);
    });
}

#[test]
fn what_holds_a_line_of_the_chart_has_its_colour() {
    with_page(&the_shop(), Look::DESK, |page| {
        // quote's line called render, and still nearly all of it is its own.
        let quotes = page
            .ask("[...document.querySelectorAll('[aria-label^=\"quote, pricing.py:16\"]')].map((box) => box.matches('.c1'))")
            .unwrap();
        assert_eq!(quotes, serde_json::json!([true, true]));
        let ask = "['.swatch.c1', '.area.c1', '.box.c1', '.bars .c1'].map((each) => { \
                   const style = getComputedStyle(document.querySelector(each)); \
                   return each.includes('area') ? style.fill : style.backgroundColor; })";
        let colours: Vec<String> = serde_json::from_value(page.ask(ask).unwrap()).unwrap();
        assert!(colours.iter().all(|colour| *colour == colours[0]), "{colours:?}");
    });
}

#[test]
fn stacks_that_gave_back_more_than_they_grew_are_said_to_be_left_out() {
    let mut process = super::build::server();
    process.stacks[1].returned = super::build::memory(0.0, 0.0, 5.0); // 4 grown: -1 net
    let report = super::Report::of(
        &super::build::profile(vec![process]),
        &memtrace::report::SourceTexts::new(),
    );
    with_page(&report, Look::DESK, |page| {
        let status = page.texts("#flame-status").unwrap();
        assert_eq!(status, ["34.500 MiB net; 1 stack with -1.000 MiB can't be drawn"]);
        page.click("input[value=grown]").unwrap();
        assert_eq!(page.texts("#flame-status").unwrap(), ["46.500 MiB grown"]);
    });
}

#[test]
fn native_functions_stand_below_the_line_that_called_them() {
    let frame = |function: &str, file: &str| {
        let library = "libgrow.so".to_owned();
        Arc::new(NativeFrame { function: function.into(), library, file: file.into(), line: 7 })
    };
    let mut process = build::server();
    process.stacks[0].native = vec![frame("fill", "/src/grow.c"), frame("call<T>", "")];
    let report = Report::of(&build::profile(vec![process]), &SourceTexts::new());
    with_page(&report, Look::DESK, |page| {
        let (all, call, block) = (WHOLE[0], WHOLE[1], WHOLE[2]);
        let share = block.1;
        check(
            page,
            &[
                all,
                call,
                ("call<T>, libgrow.so, 32.000 MiB", share),
                ("fill, grow.c:7 in libgrow.so, 32.000 MiB", share),
                block,
                WHOLE[3],
                WHOLE[4],
                WHOLE[5],
            ],
        );
        // It is no line: nothing to go to.
        page.click("[aria-label^='fill']").unwrap();
        let told = page.texts(".told").unwrap();
        assert_eq!(told, ["32.000 MiB 83.1 % of all grow.c:7 in libgrow.so fill"]);
        assert_eq!(page.ask("document.querySelectorAll('.told a').length").unwrap(), 0);
    });
}
