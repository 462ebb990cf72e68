//! memory_profiler's `.dat`, as `mprof run` writes it and `mprof plot` and `mprof peak` read it.
//!
//! `CMDLINE`, then `MEM` readings of one process, `CHLD` readings of the others, and `FUNC` for the
//! functions that held most. memtrace knows no calls, so a `FUNC` here says from when to when a
//! function's lines changed RSS. mprof itself is not needed to write it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::course::Course;
use super::table::command_line;
use crate::profile::{ProcessProfile, Profile};
use crate::units::{Bytes, Nanos};
use name::{function_names, without_math};

mod name;

/// As many functions as mprof has colours for them.
const FUNCTIONS: usize = 5;

/// Writes `profile`: the largest process that no other traced one forked as the main one, the others
/// as its children.
///
/// The highest `MEM` is the process's peak: a window of time with a higher RSS than at its ends has a
/// reading in its middle.
///
/// # Errors
///
/// When `out` can't be written to.
pub fn write(out: &mut dyn Write, profile: &Profile) -> io::Result<()> {
    let Some(main) = main_process(profile) else { return Ok(()) };
    let clock = Clock::of(profile);
    writeln!(out, "CMDLINE {}", without_math(&command_line(&main.command)))?;
    for process in &profile.processes {
        let course = Course::of(process, profile.duration, 0);
        for (at, rss) in readings(&course) {
            let (mib, time) = (mib(rss), clock.time(at));
            // What a process was before exec and what it is after have one pid: one line of a plot.
            if process.pid == main.pid {
                writeln!(out, "MEM {mib} {time}")?;
            } else {
                writeln!(out, "CHLD {} {mib} {time}", process.pid)?;
            }
        }
    }
    let lives = profile.processes.iter().filter(|process| process.pid == main.pid);
    let mut spans: Vec<Span<'_>> = lives.flat_map(|life| spans(life, profile.duration)).collect();
    spans.sort_by_key(|span| (std::cmp::Reverse(span.highest), span.key));
    spans.truncate(FUNCTIONS);
    let names =
        function_names(&spans.iter().map(|span| (span.key.0, span.key.2)).collect::<Vec<_>>());
    for (span, name) in spans.iter().zip(names) {
        let ends = [span.from, span.to].map(|(at, rss)| format!("{} {}", mib(rss), clock.time(at)));
        // The last number is how deep the call is: mprof's `--flame` wants one.
        writeln!(out, "FUNC {name} {} {} 0", ends[0], ends[1])?;
    }
    Ok(())
}

/// The largest of those that no traced process forked; of equals the first.
fn main_process(profile: &Profile) -> Option<&ProcessProfile> {
    let largest = |forked: bool| {
        let some = profile.processes.iter().filter(|process| process.parent.is_some() == forked);
        some.rev().max_by_key(|process| process.peak)
    };
    largest(false).or_else(|| largest(true))
}

/// RSS at times, and among them the peak.
fn readings(course: &Course<'_>) -> Vec<(Nanos, i128)> {
    let middle = |from: Nanos, to: Nanos| Nanos(from.0 + (to.0 - from.0) / 2);
    let mut readings = Vec::new();
    for (at, point) in course.points.iter().enumerate() {
        if let Some(before) = at.checked_sub(1).map(|before| &course.points[before])
            && point.peak > point.rss.max(before.rss)
        {
            readings.push((middle(before.at, point.at), point.peak));
        }
        readings.push((point.at, point.rss));
    }
    if course.peak_time().is_none() {
        readings.push((middle(course.start(), course.end()), course.peak()));
    }
    readings.sort_by_key(|(at, _)| *at);
    readings
}

/// File, first line, name of a function.
type Key<'a> = (&'a str, u32, &'a str);

/// From when to when a function's lines changed RSS, and what RSS was then.
#[derive(Debug)]
struct Span<'a> {
    key: Key<'a>,
    /// The most that its lines held together.
    highest: i128,
    from: (Nanos, i128),
    to: (Nanos, i128),
}

fn spans(process: &ProcessProfile, trace_end: Nanos) -> Vec<Span<'_>> {
    let key = |line: usize| {
        let place = &process.lines.get(line)?.place;
        Some((place.file.as_str(), place.function_line, place.function.as_str()))
    };
    let mut spans: HashMap<Key<'_>, (i128, Span<'_>)> = HashMap::new();
    let course = Course::of(process, trace_end, 0);
    // The first point is the beginning; then comes one for each moment.
    let steps = course.points.windows(2).zip(&process.moments);
    for (ends, moment) in steps {
        let end = |point: usize| (ends[point].at, ends[point].rss);
        for (line, Bytes(change)) in &moment.changes {
            let Some(key) = key(*line).filter(|_| *change != 0) else { continue };
            let fresh = || (0, Span { key, highest: 0, from: end(0), to: end(1) });
            let (net, span) = spans.entry(key).or_insert_with(fresh);
            *net += i128::from(*change);
            span.to = end(1);
        }
        for (net, span) in spans.values_mut() {
            span.highest = span.highest.max(*net);
        }
    }
    let spans = spans.into_values().map(|(_, span)| span);
    spans.filter(|span| span.highest > 0).collect()
}

/// In MiB: six decimals tell single bytes apart.
fn mib(bytes: i128) -> String {
    let millionths = (bytes * 2_000_000 / (1 << 20) + bytes.signum()) / 2;
    let sign = if millionths < 0 { "-" } else { "" };
    let millionths = millionths.unsigned_abs();
    format!("{sign}{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

/// Wall-clock time of a moment.
struct Clock {
    started_at: Duration,
}

impl Clock {
    fn of(profile: &Profile) -> Self {
        // Python's own clock ends with the year 9999.
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        let since = profile.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started_at: since.min(LAST) }
    }

    /// Seconds since 1970, to the tenth of a millisecond.
    fn time(&self, at: Nanos) -> String {
        let time = self.started_at + Duration::from_nanos(at.0);
        format!("{}.{:04}", time.as_secs(), time.subsec_nanos() / 100_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_bytes_and_pages_are_told_apart() {
        let check = |bytes: i128, text: &str| assert_eq!(mib(bytes), text);
        check(0, "0.000000");
        check(1, "0.000001"); // 0.00000095
        check(4096, "0.003906"); // 0.00390625
        check(3 * 4096, "0.011719"); // 0.01171875
        check(-(1 << 20), "-1.000000");
        check((1 << 20) - 1, "0.999999");
    }
}
