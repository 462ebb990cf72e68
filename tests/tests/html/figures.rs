//! The numbers on the page are those of the JSON report.

use harness::browser::Look;
use memtrace::profile::Profile;
use memtrace::report::{SourceTexts, json};
use memtrace::units::Bytes;
use serde_json::Value;

use super::build::{self, Random};
use super::{Report, cells, mib, server, shop, the_shop, with_page};

fn json_of(profile: &Profile) -> Value {
    let mut out = Vec::new();
    json::write(&mut out, profile).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// `key` of a row, in MiB.
fn figure(row: &Value, key: &str) -> String {
    mib(Bytes(row[key].as_i64().unwrap()))
}

fn sum(rows: &Value, key: &str) -> i64 {
    rows.as_array().unwrap().iter().map(|row| row[key].as_i64().unwrap()).sum()
}

/// `app.py:8` and the function, as the page names a line.
fn place(line: &Value) -> (String, String) {
    let file = line["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (format!("{file}:{}", line["line"]), line["function"].as_str().unwrap().to_owned())
}

#[test]
fn every_line_of_the_table_has_the_figures_of_json() {
    for (report, profile) in
        [(server(), build::profile(vec![build::server()])), (the_shop(), shop::profile())]
    {
        let json = json_of(&profile);
        let lines = json["processes"][0]["lines"].as_array().unwrap();
        with_page(&report, Look::DESK, |page| {
            let rows = cells(page, "#lines-table tbody tr");
            assert_eq!(rows.len(), lines.len());
            for line in lines {
                let (place, function) = place(line);
                let of_line = |row: &&Vec<String>| row[6].ends_with(&place) && row[7] == function;
                let found: Vec<_> = rows.iter().filter(of_line).collect();
                let keys = [
                    "self_net_bytes",
                    "self_grown_bytes",
                    "self_returned_bytes",
                    "self_resident_bytes",
                    "peak_rss_bytes",
                ];
                let mut expected = keys.map(|key| figure(line, key)).to_vec();
                expected.push(line["self_events"].to_string());
                assert_eq!(found.len(), 1, "{place} {function}");
                assert_eq!(found[0][..6], expected, "{place} {function}");
            }

            page.click("input[value=cumulative]").unwrap();
            let rows = cells(page, "#lines-table tbody tr");
            for line in lines {
                let (place, function) = place(line);
                let of_line = |row: &&Vec<String>| row[4].ends_with(&place) && row[5] == function;
                let keys = ["cumulative_net_bytes", "cumulative_resident_bytes", "peak_rss_bytes"];
                let mut expected = keys.map(|key| figure(line, key)).to_vec();
                expected.push(line["events"].to_string());
                assert_eq!(rows.iter().find(of_line).unwrap()[..4], expected, "{place}");
            }
        });
    }
}

#[test]
fn the_law_and_the_unattributed_rows_are_those_of_json_for_any_profile() {
    for seed in 1..=4 {
        let profile = build::profile(vec![Random::seeded(seed).process(1)]);
        let json = json_of(&profile);
        let process = &json["processes"][0];
        let bytes = |key: &str| process[key].as_i64().unwrap();
        let rows = sum(&process["unattributed"], "net_bytes");
        with_page(&Report::of(&profile, &SourceTexts::new()), Look::DESK, |page| {
            let exact = format!(
                "MiB; in bytes: {} + {} + {rows} = {}",
                bytes("rss_before_bytes"),
                bytes("attributed_bytes"),
                bytes("rss_after_bytes")
            );
            assert_eq!(page.texts("#law .exact").unwrap(), [exact]);

            // As printed, to the last digit.
            let printed = page.texts("#law .figure").unwrap();
            let thousandths = |text: &String| text.replace('.', "").parse::<i64>().unwrap();
            let terms: Vec<_> = printed.iter().map(thousandths).collect();
            assert_eq!(terms[0] + terms[1] + terms[2], terms[3], "{printed:?}");
            assert_eq!(printed[3], figure(process, "rss_after_bytes"));
            assert_eq!(page.texts("#warnings .banner").unwrap(), [] as [String; 0]);

            let mut shown = cells(page, "#unattributed-table tbody tr");
            shown.sort();
            let mut expected: Vec<Vec<String>> = process["unattributed"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| {
                    let kinds = ["anon", "file", "shmem"].map(|kind| figure(&row["net"], kind));
                    let name = row["name"].as_str().unwrap();
                    let when = "a thread that runs no Python".to_owned();
                    let reason = format!("native thread{name}");
                    [
                        vec![figure(row, "net_bytes")],
                        kinds.to_vec(),
                        vec![row["events"].to_string(), reason, when],
                    ]
                    .concat()
                })
                .collect();
            expected.sort();
            assert_eq!(shown, expected);
        });
    }
}

#[test]
fn the_flame_graph_comes_to_the_sums_of_json_by_every_measure() {
    for (report, profile) in
        [(server(), build::profile(vec![build::server()])), (the_shop(), shop::profile())]
    {
        let json = json_of(&profile);
        let lines = &json["processes"][0]["lines"];
        with_page(&report, Look::DESK, |page| {
            for (measure, key) in [
                ("grown", "self_grown_bytes"),
                ("net", "self_net_bytes"),
                ("resident", "self_resident_bytes"),
                ("events", "self_events"),
            ] {
                page.click(&format!("input[value={measure}]")).unwrap();
                let all = sum(lines, key);
                let amount = if measure == "events" {
                    format!("{all} events")
                } else {
                    Bytes(all).to_string()
                };
                let told = page.text("document.querySelector('.told').innerText").unwrap();
                assert_eq!(told, format!("{amount} all lines, {measure}"));
            }
        });
    }
}

#[test]
fn the_source_has_the_figures_of_its_lines_in_the_margin() {
    // handle's lines 8 and 10; lines 6, 7, 9 and 11 have none.
    with_page(&server(), Look::DESK, |page| {
        let rows = cells(page, "details:nth-of-type(1) .listing tbody tr");
        let row = |number: &str, figures: [&str; 3], text: &str| {
            let [net, cumulative, resident] = figures;
            [number, "", net, cumulative, resident, text].map(str::to_owned).to_vec()
        };
        assert_eq!(
            rows,
            [
                row("6", [""; 3], "def handle(request):"),
                row("7", [""; 3], "# one block for each request"),
                row("8", ["32.000", "32.000", "31.500"], "block = bytearray(request.size)"),
                row("9", [""; 3], ""),
                row("10", ["4.000", "4.000", "4.000"], "shared = mmap.mmap(-1, 4 << 20)"),
                row("11", [""; 3], "CACHE.append((block, shared))"),
            ]
        );
        // The bars are shares of the largest cumulative growth, main's 36 MiB.
        let widths = "[...document.querySelectorAll('#line-0-0 .bars span')].map((bar) => \
                      bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width)";
        let widths: Vec<f64> = serde_json::from_value(page.ask(widths).unwrap()).unwrap();
        assert!(widths.iter().all(|width| (width - 32.0 / 36.0).abs() < 0.01), "{widths:?}");
        let note = page.texts("details .note").unwrap();
        assert_eq!(note, ["No source text, figures only: permission denied."]);
    });
}

#[test]
fn the_verdict_names_the_line_and_says_how_much_of_it_is_still_there() {
    with_page(&the_shop(), Look::DESK, |page| {
        // 47,744 of 48,000 pages: 99.47 %. 187.5 MiB in twenty minutes.
        let verdict = page.text("document.querySelector('.culprit').innerText").unwrap();
        for text in [
            "Still held: 99.5 %",
            "pricing.py:16",
            "in quote",
            "QUOTES[key] = render(product, price, rules)",
            "186.500 MiB still resident of 187.500 MiB grown; 0.000 MiB returned; 9.375 MiB a minute",
        ] {
            assert!(verdict.contains(text), "{text} is not in {verdict}");
        }
        let next = page.texts(".next li").unwrap().join(" ").replace('\n', " ");
        let at = |text: &str| next.find(text).unwrap_or_else(|| panic!("{text} is not in {next}"));
        assert!(at("decoder.py:353") < at("sessions.py:12") && at("+40.000") < at("+25.000"));
    });
}

#[test]
fn the_verdict_tells_memory_that_was_returned_from_memory_that_is_merely_not_there() {
    // Of 40 MiB grown.
    for (returned, resident, verdict) in [
        (8.0, 31.5, "Still held: 78.8 %"),
        (8.0, 1.0, "Not returned, but out of RSS; resident: 2.5 %"), // swapped out
        (28.0, 12.0, "Partly given back; resident: 30.0 %"),
        (39.0, 1.0, "Mostly given back; resident: 2.5 %"),
    ] {
        let mut process = build::server();
        process.moments.clear();
        process.lines.truncate(1);
        let line = &mut process.lines[0];
        line.self_returned = build::mib(returned);
        line.self_net = build::memory(40.0 - returned, 0.0, 0.0);
        line.self_resident = build::mib(resident);
        let report = Report::of(&build::profile(vec![process]), &SourceTexts::new());
        with_page(&report, Look::DESK, |page| {
            assert_eq!(page.texts(".state").unwrap(), [verdict]);
        });
    }
}
