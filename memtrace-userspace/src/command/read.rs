//! Reading a recording for the commands that report: its file, the part of its time, what is missing.

use std::fs::File;
use std::io::BufReader;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::progress::{Progress, say};
use crate::cli::{FilterArgs, TimeArgs};
use crate::history::{Entry, Head, History, WHOLE};
use crate::profile::Profile;
use crate::profile::filter::{filtered, idle};
use crate::recording::Reader;
use crate::report::SourceTexts;
use crate::units::Nanos;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// A recording that is not complete is an error, not a warning.
    pub(super) strict: bool,
    /// No progress.
    pub(super) quiet: bool,
}

impl Reading {
    /// Tells the user what limits the answer.
    pub(super) fn warn(self, what: impl std::fmt::Display) {
        if !self.quiet {
            say(format_args!("warning: {what}"));
        }
    }
}

/// The entries of a recording, in a history of the range.
fn read(path: &Path, range: RangeInclusive<Nanos>, reading: Reading) -> Result<History> {
    let history = |head: &Head| History::new(head.clone(), range);
    entries(path, reading, history, |history, entry| {
        add(history, entry, path)?;
        Ok(ControlFlow::Continue(()))
    })
}

/// Adds an entry of that recording.
///
/// # Errors
///
/// It can't follow those before it.
pub(super) fn add(history: &mut History, entry: &Entry, path: &Path) -> Result<()> {
    history.add(entry).with_context(|| format!("{} contradicts itself", path.display()))
}

/// Goes through the entries of a recording, until `take` breaks off or there are no more.
///
/// # Errors
///
/// There is no such file, or it is no recording; and those of `take`.
pub(super) fn entries<T>(
    path: &Path,
    reading: Reading,
    begin: impl FnOnce(&Head) -> T,
    mut take: impl FnMut(&mut T, &Entry) -> Result<ControlFlow<()>>,
) -> Result<T> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("can't read {name}"))?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let progress = Progress::of_bytes("reading", bytes, reading.quiet);
    let mut reader = match Reader::open(BufReader::with_capacity(1 << 18, file)) {
        Ok(reader) => reader,
        Err(error) => bail!("{name} {error}"),
    };
    let mut taken = begin(reader.head());
    let mut told = 0;
    while let Some(entry) = reader.next() {
        if take(&mut taken, &entry)?.is_break() {
            return Ok(taken);
        }
        if reader.position() - told > 1 << 16 {
            told = reader.position();
            progress.advance_to(told);
        }
    }
    drop(progress);
    match reader.into_stop() {
        Some(stop) if !stop.is_complete() => {
            if reading.strict {
                bail!("{name}: {stop}");
            }
            reading.warn(format_args!("{name}: {stop}; what was read before is reported"));
        }
        _ => {}
    }
    Ok(taken)
}

/// The history of the part of a recording's time that `time` names.
///
/// # Errors
///
/// There is no such file, it is no recording, it does not reach into that time, or that time is
/// empty.
pub(super) fn history(path: &Path, time: TimeArgs, reading: Reading) -> Result<History> {
    let range = time.from.unwrap_or(*WHOLE.start())..=time.to.unwrap_or(*WHOLE.end());
    if range.start() >= range.end() {
        bail!("--from must be before --to: there is no time between them");
    }
    let from = *range.start();
    let history = read(path, range, reading)?;
    if from > history.last() {
        bail!(
            "{} ends {} after its start; there is nothing from {} on",
            path.display(),
            whole_seconds(history.last()),
            whole_seconds(from),
        );
    }
    Ok(history)
}

/// The same, up to the moment when RSS was highest in that time.
///
/// # Errors
///
/// Those of [`history`].
pub(super) fn history_to_peak(path: &Path, time: TimeArgs, reading: Reading) -> Result<History> {
    let whole = history(path, time, reading)?;
    match whole.time_of_peak() {
        // The second time nothing new can be said.
        Some(peak) => {
            let range = time.from.unwrap_or(*WHOLE.start())..=peak;
            read(path, range, Reading { strict: reading.strict, quiet: true })
        }
        None => Ok(whole),
    }
}

/// The part of a history that `filter` names, with the source texts of its processes. A part of the
/// filter that matches nothing is told.
pub(super) fn part(
    history: &History,
    filter: &FilterArgs,
    reading: Reading,
) -> (Profile, SourceTexts) {
    let profile = history.profile();
    let filter = filter.filter();
    for idle in idle(&profile, &filter) {
        reading.warn(idle);
    }
    let kept = filtered(&profile, &filter);
    let same = |a: &crate::profile::ProcessProfile, b: &crate::profile::ProcessProfile| {
        (a.pid, a.began, a.ended) == (b.pid, b.began, b.ended)
    };
    let position = |one| profile.processes.iter().position(|other| same(one, other)).unwrap_or(0);
    let positions: Vec<usize> = kept.processes.iter().map(position).collect();
    (kept, history.sources().of(&positions))
}

fn whole_seconds(time: Nanos) -> humantime::FormattedDuration {
    humantime::format_duration(std::time::Duration::from_secs(time.0 / 1_000_000_000))
}
