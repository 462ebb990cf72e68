//! The HTML report in a real browser.
//!
//! Profiles made by hand, whose answers are stated where they are made (the server of the report's
//! own tests, and [`shop`]); the page is asked what it shows, by keys and clicks, at the widths and
//! in the colours that readers have. That nothing of it is markup is tested without a browser, too.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod allocations;
#[path = "../../../memtrace-userspace/tests/report/build.rs"]
#[allow(dead_code, reason = "the report's own tests may use more of it")]
mod build;
mod course;
mod figures;
mod flame;
mod hostile;
mod keyboard;
mod large;
mod looks;
mod processes;
mod shop;
mod table;

use std::path::PathBuf;

use harness::browser::{Browser, Look, Page};
use memtrace::profile::Profile;
use memtrace::report::{HtmlOptions, SourceText, SourceTexts, html};
use memtrace::units::Bytes;
use tempfile::TempDir;

/// A report in a file of its own.
struct Report {
    folder: TempDir,
}

impl Report {
    fn of(profile: &Profile, sources: &SourceTexts) -> Self {
        let report = Self { folder: tempfile::tempdir().unwrap() };
        let mut out = Vec::new();
        html::write(&mut out, profile, sources, &HtmlOptions::default()).unwrap();
        std::fs::write(report.file(), out).unwrap();
        report
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("report.html")
    }
}

/// The server of the report's own tests, with its source.
fn server() -> Report {
    let mut sources = SourceTexts::new();
    sources.insert(0, build::APP, SourceText::new(build::APP_TEXT, false));
    let why = SourceText::Unreadable("permission denied".to_owned());
    sources.insert(0, build::DECODER, why);
    Report::of(&build::profile(vec![build::server()]), &sources)
}

/// The shop, with its source.
fn the_shop() -> Report {
    Report::of(&shop::profile(), &shop::sources())
}

/// Opens a report, does something with it, and checks that nothing went wrong on the way and nothing
/// but the file itself was asked for.
fn with_page(report: &Report, look: Look, judge: impl FnOnce(&mut Page<'_>)) {
    let mut browser = Browser::start().unwrap();
    let mut page = browser.open(&report.file(), look).unwrap();
    judge(&mut page);
    assert_eq!(page.problems().unwrap(), [] as [String; 0]);
    assert_eq!(page.requests().unwrap(), [format!("file://{}", report.file().display())]);
}

/// As the page prints it where the unit stands elsewhere.
fn mib(bytes: Bytes) -> String {
    bytes.to_string().trim_end_matches(" MiB").to_owned()
}

/// Rows of a table as texts of their cells.
fn cells(page: &mut Page<'_>, rows: &str) -> Vec<Vec<String>> {
    let ask = format!(
        "[...document.querySelectorAll('{rows}')].map((row) => \
         [...row.querySelectorAll('td, th')].map((cell) => cell.innerText.trim()))"
    );
    serde_json::from_value(page.ask(&ask).unwrap()).unwrap()
}
