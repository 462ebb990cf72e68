//! What a fuzzer does with its input, and the tests with the corpus: read it to its end, sum it up and tell
//! of it in every form.
//!
//! Shared with `fuzz/`. Nothing is expected of the input but that nothing goes wrong, and that a
//! history takes in whatever a reader lets through.

use std::io::{self, Write};
use std::time::SystemTime;

use memtrace::history::{Head, History, WHOLE};
use memtrace::profile::Profile;
use memtrace::recording::{Reader, Writer};
use memtrace::report::{
    HtmlOptions, Measure, PlotOptions, SourceTexts, StackOptions, TableOptions, View, csv, diff,
    flamegraph, folded, html, json, mprof, plot, pprof, table,
};
use memtrace::units::Nanos;

/// A file, which may be anything.
pub(crate) fn file(bytes: &[u8]) -> usize {
    match Reader::open(bytes) {
        Err(error) => error.to_string().len(),
        Ok(mut reader) => {
            let entries = reader.by_ref().count();
            // What ended it must be sayable.
            entries + reader.into_stop().map_or(0, |stop| stop.to_string().len())
        }
    }
}

/// The same, but what it says is summed up, for all of its time and for a part, and told.
pub(crate) fn told(bytes: &[u8]) {
    let Ok(mut reader) = Reader::open(bytes) else { return };
    let mut whole = History::new(reader.head().clone(), WHOLE);
    let mut part = History::new(reader.head().clone(), Nanos(1)..=Nanos(1 << 30));
    for entry in reader.by_ref() {
        for history in [&mut whole, &mut part] {
            let taken = history.add(&entry);
            assert!(
                taken.is_ok(),
                "a reader lets through what a history refuses: {taken:?}, {entry:?}"
            );
        }
    }
    let (old, new) = (part.profile(), whole.profile());
    tell(&old, &part.sources());
    tell(&new, &whole.sources());
    let between = diff::Diff::of(("part", &old), ("whole", &new));
    assert!(diff::json::write(&mut io::sink(), &between).is_ok());
    let _ = (whole.time_of_peak(), whole.functions_since(0));
    whole.begin_anew(whole.last());
    tell(&whole.profile(), &SourceTexts::default());
}

/// In every form, to nowhere.
fn tell(profile: &Profile, sources: &SourceTexts) {
    let all = || -> io::Result<()> {
        let out: &mut dyn Write = &mut io::sink();
        for view in [View::Live, View::Leaks(Nanos(1)), View::Temporary] {
            table::write(out, profile, sources, &TableOptions { view, ..TableOptions::default() })?;
        }
        json::write(out, profile)?;
        csv::write(out, profile, Measure::Net)?;
        for measure in Measure::ALL {
            folded::write(out, profile, &StackOptions { measure, split_threads: true })?;
        }
        flamegraph::write(out, profile, &StackOptions::default())?;
        pprof::write(out, profile, Measure::Net)?;
        html::write(out, profile, sources, &HtmlOptions::default())?;
        mprof::write(out, profile)?;
        plot::write_svg(out, profile, &PlotOptions::default())?;
        plot::write_text(out, profile, &PlotOptions::default())
    };
    assert!(all().is_ok(), "a report to nowhere can't be written");
}

/// Entries, which may be anything, in a file that is right: checksums keep a fuzzer from getting
/// there by itself.
pub(crate) fn entries(stream: &[u8]) -> usize {
    file(&forged(stream))
}

/// A recording of whatever `stream` is.
pub(crate) fn forged(stream: &[u8]) -> Vec<u8> {
    let started_at = SystemTime::UNIX_EPOCH;
    let head = Head { started_at, kernel: "6.18.0".to_owned(), exact: true };
    Writer::forge(Vec::new(), &head, stream).unwrap_or_default()
}
