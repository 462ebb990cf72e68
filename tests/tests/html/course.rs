//! RSS over time: what is read off at a moment, and that the stack's top is RSS.

use harness::browser::{Look, Page};

use super::{cells, server, the_shop, with_page};

/// The list beside the chart: what, and MiB.
fn layers(page: &mut Page<'_>) -> Vec<(String, String)> {
    let rows = cells(page, ".layers tr");
    rows.into_iter().map(|row| (row[1].clone(), row[2].clone())).collect()
}

fn check(page: &mut Page<'_>, head: &str, expected: &[(&str, &str)]) {
    let moment = page.text("document.querySelector('.moment').innerText").unwrap();
    assert!(moment.starts_with(head), "{moment}");
    let found = layers(page);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((what, size), (name, figure)) in found.iter().zip(expected) {
        assert!(what.starts_with(name), "{what} is not {name}");
        assert_eq!(size, figure, "{what}");
    }
}

#[test]
fn keys_read_one_moment_after_another() {
    // The server's moments, as its own words state them; `gc` grew 0.5 MiB in each, and a remainder
    // of -0.25 MiB came in the last.
    with_page(&server(), Look::DESK, |page| {
        page.ask("document.querySelector('.plot').focus()").unwrap();
        let value =
            |page: &mut Page<'_>| page.text("document.activeElement.ariaValueText").unwrap();
        let (other, decoder, shared, block) =
            ("2 other lines", "decoder.py:353", "app.py:10", "app.py:8");
        let (unattributed, before) = ("unattributed", "before attach");
        let last = [
            (other, "0.000"),
            (decoder, "2.500"),
            (shared, "4.000"),
            (block, "32.000"),
            (unattributed, "1.250"),
            (before, "12.000"),
        ];
        check(page, "51.750 MiB at the end", &last);
        page.press("Home").unwrap();
        let first = last.map(|(name, _)| (name, if name == before { "12.000" } else { "0.000" }));
        check(page, "12.000 MiB at 0 s", &first);
        page.press("ArrowRight").unwrap();
        check(
            page,
            "33.500 MiB at 20 s",
            &[
                (other, "0.000"),
                (decoder, "1.000"),
                (shared, "0.000"),
                (block, "20.000"),
                (unattributed, "0.500"),
                (before, "12.000"),
            ],
        );
        assert_eq!(value(page), "at 20 s: 33.500 MiB; most by app.py:8, 20.000 MiB");
        page.press("ArrowRight").unwrap();
        assert_eq!(value(page), "at 40 s: 55.000 MiB; most by app.py:8, 36.000 MiB");
        page.press("End").unwrap();
        check(page, "51.750 MiB at the end", &last);
        page.press("ArrowRight").unwrap(); // there is nothing further
        check(page, "51.750 MiB at the end", &last);
    });
}

#[test]
fn the_peak_is_marked_and_a_button_goes_there() {
    with_page(&server(), Look::DESK, |page| {
        assert_eq!(
            page.text("document.querySelector('text.peak').textContent").unwrap(),
            "peak 56.000 MiB"
        );
        // At the window's end, and 56 of 56 high: the mark's tip is where the chart is highest.
        let tip =
            "Number(/^M([\\d.]+)/.exec(document.querySelector('path.peak').getAttribute('d'))[1])";
        let line = "Number(document.querySelector('.cursor').getAttribute('x1'))";
        page.click(".readout button").unwrap();
        assert_eq!(page.ask(&format!("{tip} === {line}")).unwrap(), true);
        let moment = page.text("document.querySelector('.moment').innerText").unwrap();
        assert!(moment.starts_with("55.000 MiB at 40 s"), "{moment}");
    });
}

#[test]
fn the_pointer_reads_the_nearest_moment() {
    with_page(&server(), Look::DESK, |page| {
        page.click(".plot").unwrap(); // its middle: 30 s and a bit, for the axis takes room at the left
        let moment = page.text("document.querySelector('.moment').innerText").unwrap();
        assert!(
            moment.starts_with("55.000 MiB at 40 s") || moment.starts_with("33.500 MiB at 20 s")
        );
        let dot = page.ask("document.querySelector('.dot').getAttribute('cx') === document.querySelector('.cursor').getAttribute('x1')");
        assert_eq!(dot.unwrap(), true);
    });
}

#[test]
fn the_top_of_the_stack_is_rss_and_the_layers_lie_on_each_other() {
    // In the drawing: each area begins where the one below ends, and the last ends at the line of
    // RSS, at all 201 moments.
    let ask = "(() => { \
        const points = (e) => e.getAttribute('points').split(' ').map((p) => p.split(',').map(Number)); \
        const areas = [...document.querySelectorAll('.area')].map(points); \
        const total = points(document.querySelector('.total')); \
        const off = (a, b) => Math.max(...a.map((p, at) => Math.abs(p[1] - b[at][1]))); \
        const upper = areas.map((p) => p.slice(0, p.length / 2)); \
        const lower = areas.map((p) => p.slice(p.length / 2).reverse()); \
        return [areas.length, total.length, off(upper[upper.length - 1], total), \
            ...lower.slice(1).map((p, at) => off(p, upper[at]))]; })()";
    with_page(&the_shop(), Look::DESK, |page| {
        let found: Vec<f64> = serde_json::from_value(page.ask(ask).unwrap()).unwrap();
        // Before attach, nine lines that ever held anything (the canvas held nothing), the others.
        assert_eq!(found[..2], [11.0, 201.0]);
        assert!(found[2..].iter().all(|off| *off < 0.11), "{found:?}"); // rounded to 0.1
    });
}

#[test]
fn every_moment_adds_up() {
    with_page(&the_shop(), Look::DESK, |page| {
        page.ask("document.querySelector('.plot').focus()").unwrap();
        for _ in 0..21 {
            let rss = page.text("document.querySelector('.moment strong').innerText").unwrap();
            let thousandths =
                |text: &str| text.replace(" MiB", "").replace('.', "").parse::<i64>().unwrap();
            let sum: i64 = layers(page).iter().map(|(_, size)| thousandths(size)).sum();
            // Twelve figures, each rounded by at most half of the last digit.
            assert!((sum - thousandths(rss.trim())).abs() <= 6, "{rss}: {sum}");
            page.press("PageDown").unwrap();
        }
        let moment = page.text("document.querySelector('.moment').innerText").unwrap();
        assert!(moment.starts_with("86.000 MiB at 0 s"), "{moment}");
    });
}
