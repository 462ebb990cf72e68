//! The printed forms of hand-made profiles, compared whole with `tests/golden/`.
//!
//! The figures in the profiles are chosen so that what must be printed can be worked out on paper;
//! each test says the sums. `MEMTRACE_BLESS=1` writes the golden files (and the pictures in
//! `docs/images`) anew, to be looked at before they are committed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod build;
mod counted_report;
mod csv_report;
mod diff_report;
mod explain_report;
mod filter_report;
mod flamegraph_report;
mod folded_report;
mod html_report;
mod json_report;
mod law_report;
mod mprof_report;
mod native_report;
mod plot_report;
mod service;
mod svg;
mod table_report;
mod thinned_report;

use std::path::PathBuf;

/// Compares `actual` with the golden file of this name.
fn check(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("MEMTRACE_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let (expected, found): (Vec<_>, Vec<_>) = (golden.lines().collect(), actual.lines().collect());
    for (number, pair) in (1..).zip(expected.iter().zip(&found)) {
        assert_eq!(pair.0, pair.1, "{name}, line {number}; the whole:\n{actual}");
    }
    assert_eq!(golden, actual, "{name}");
}

/// A page of the documentation.
fn document(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// `text` as a page shows what a program prints.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", format!("    {line}").trim_end())).collect()
}
