//! Counts of lines and functions in the forms that have them.

use memtrace::profile::{Counts, Memory, ProcessProfile};
use memtrace::report::{Measure, TableOptions};

use super::build::*;
use super::check;
use super::table_report::{printed, sources};

/// A process whose lines and functions were counted: `handle` grew on line 8 and ran on lines 6 to 10,
/// `main` ran and grew nothing.
fn counted() -> ProcessProfile {
    let grew = line(APP, "handle", 6, 8, memory(1.0, 0.0, 0.0));
    let library = line("/usr/lib/python3.13/re.py", "compile", 1, 2, memory(2.0, 0.0, 0.0));
    let ran = |function: &str, first, number, count| {
        let it = line(APP, function, first, number, Memory::ZERO);
        (it.place, count)
    };
    let executions = [
        ran("handle", 6, 6, 3),
        ran("handle", 6, 8, 300),
        ran("handle", 6, 10, 3),
        ran("main", 14, 15, 1),
    ];
    let evaluations = [ran("handle", 6, 6, 3), ran("main", 14, 14, 1)];
    ProcessProfile {
        python: Some("3.13.0".to_owned()),
        after: memory(4.0, 0.0, 0.0),
        lines: vec![library, grew],
        functions: vec![span(APP, "handle", 6, 11), span(APP, "main", 14, 17)],
        events: 2,
        counts: Counts {
            executions: Some(executions.into()),
            evaluations: Some(evaluations.into()),
        },
        ..process(10, &["python", "app.py"], memory(1.0, 0.0, 0.0))
    }
}

#[test]
fn the_table_of_counted_lines() {
    let text = printed(&profile(vec![counted()]), &sources(), &TableOptions::default());
    check("table-counted.txt", &text);
    // What was counted comes first, and what was not has no count.
    assert!(text.find("Function: handle") < text.find("Function: compile"));
    assert!(text.contains("     2    0.000 MiB    2.000 MiB            -"));
}

#[test]
fn other_forms_have_counts_too() {
    let profile = profile(vec![counted()]);
    let mut json = Vec::new();
    memtrace::report::json::write(&mut json, &profile).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let process = &json["processes"][0];
    let lines = process["lines"].as_array().unwrap();
    let counts: Vec<_> =
        lines.iter().map(|it| (it["line"].as_u64(), it["occurrences"].as_u64())).collect();
    let of = |line, count| (Some(line), count);
    let expected =
        [of(2, None), of(8, Some(300)), of(6, Some(3)), of(10, Some(3)), of(15, Some(1))];
    assert_eq!(counts, expected);
    assert_eq!(process["evaluations"][0]["evaluations"], 3);
    let mut csv = Vec::new();
    memtrace::report::csv::write(&mut csv, &profile, Measure::Net).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let header = rows.headers().unwrap().clone();
    let column = |name| header.iter().position(|it| it == name).unwrap();
    let (occurrences, evaluations) = (column("occurrences"), column("evaluations"));
    let ends: Vec<String> = rows
        .records()
        .map(|row| {
            let row = row.unwrap();
            format!("{} {} {}", &row[0], &row[occurrences], &row[evaluations])
        })
        .collect();
    let expected = [
        "before  ",
        "line  ",
        "line 300 ",
        "line 3 ",
        "line 3 ",
        "line 1 ",
        "evaluated  3",
        "evaluated  1",
        "after  ",
    ];
    assert_eq!(ends, expected);
}
