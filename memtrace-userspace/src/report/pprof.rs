//! `profile.proto`, gzip'd: what `pprof` and speedscope open.
//!
//! A sample for each stack and thread, with four values: events, grown, resident, net; the one that
//! is wanted is the last and the default, since readers take either. Process and thread are labels,
//! not frames. A value below nothing is, with its size, in a second sample below a root
//! [`shrank`](super::stacks), as in the folded form: viewers refuse negative sizes. The comments hold
//! the law, process by process. The messages are in `schema`.

use std::io::{self, Write};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use self::builder::Builder;
use self::schema::{Label, Sample};
use super::balance;
use super::measure::Measure;
use super::remarks;
use super::stacks::{self, Stack, What, names};
use crate::profile::{ProcessProfile, Profile};

mod builder;
mod schema;

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// A viewer of files: samples say their process, thread and reason.
    Viewer,
    /// A store, which makes a series of each set of labels and knows a profile's type by its period
    /// too: threads are labels only where they are told apart, and the period is there.
    Store,
}

/// Writes the profile; `shown` is what viewers show first.
pub fn write(out: &mut dyn Write, profile: &Profile, shown: Measure) -> io::Result<()> {
    let message = message(profile, shown, Reader::Viewer).encode_to_vec();
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&message)?;
    gzip.finish()?;
    Ok(())
}

/// The profile for a store of profiles, not compressed.
#[must_use]
pub fn for_store(profile: &Profile, shown: Measure) -> Vec<u8> {
    message(profile, shown, Reader::Store).encode_to_vec()
}

fn message(profile: &Profile, shown: Measure, reader: Reader) -> schema::Profile {
    // Events first, as the schema asks for; the rest as it comes; the one that is shown at the end.
    let mut measures = vec![Measure::Events, Measure::Grown, Measure::Resident, Measure::Net];
    if profile.processes.iter().any(|process| process.lens.is_some()) {
        measures.extend([Measure::Allocations, Measure::Allocated, Measure::Live]);
    }
    measures.sort_by_key(|measure| *measure == shown);

    let mut builder = Builder::new();
    for measure in &measures {
        builder.sample_type(sample_type(*measure), unit(*measure));
    }
    builder.default_sample_type(sample_type(shown));
    if reader == Reader::Store {
        builder.period("rss", "bytes");
    }
    let exact =
        if profile.exact { "exact at every change" } else { "one fault of a thread behind" };
    builder.comment(&format!(
        "Growth of RSS by Python line (memtrace; Linux {}, RSS counters {exact}).",
        profile.kernel
    ));
    builder.comment(&format!(
        "What is below `{}` was given back: it counts as negative.",
        stacks::SHRANK
    ));
    for process in &profile.processes {
        add(&mut builder, process, &measures, reader);
    }
    let started = profile.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = |nanos: u128| i64::try_from(nanos).unwrap_or(i64::MAX);
    builder.finish(nanos(started.as_nanos()), nanos(profile.duration.0.into()))
}

/// As pprof and OTLP name a figure.
#[must_use]
pub fn sample_type(measure: Measure) -> &'static str {
    match measure {
        Measure::Grown => "rss_grown",
        Measure::Net => "rss_net",
        Measure::Resident => "rss_resident",
        Measure::Events => "events",
        Measure::Allocated => "allocated",
        Measure::Allocations => "allocations",
        Measure::Live => "live",
    }
}

/// Its unit.
#[must_use]
pub fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::Events | Measure::Allocations => "count",
        bytes => bytes.unit(),
    }
}

fn add(builder: &mut Builder, process: &ProcessProfile, measures: &[Measure], reader: Reader) {
    let (pid, command) = (process.pid.to_string(), names::command(process));
    builder.comment(&format!("process {pid} ({command}): {}", balance::in_bytes(process)));
    for note in process.notes.iter().chain(&remarks::of(process)) {
        builder.comment(&format!("process {pid}: {note}"));
    }
    let mapping = builder.mapping(process.command.first().map_or("", String::as_str));
    let label = match reader {
        Reader::Viewer => {
            vec![builder.label("pid", &pid), builder.label("process", &command)]
        }
        Reader::Store => Vec::new(),
    };
    for stack in stacks::of(process) {
        samples(builder, &stack, measures, mapping, (reader, &label));
    }
}

/// The one or two samples of a stack; none if it has no figure at all.
fn samples(
    builder: &mut Builder,
    stack: &Stack<'_>,
    measures: &[Measure],
    mapping: u64,
    (reader, label): (Reader, &[Label]),
) {
    let mut location_id = match stack.what {
        What::Lines(lines) => {
            let mut ids: Vec<_> = lines.native.iter().map(|frame| builder.native(frame)).collect();
            ids.extend(lines.frames.iter().map(|place| builder.line(mapping, place)));
            ids
        }
        What::Native(row, part) => {
            let mut ids: Vec<_> = part.frames.iter().map(|frame| builder.native(frame)).collect();
            ids.push(builder.artificial(mapping, &names::unattributed(row)));
            ids
        }
        What::Row(row) => vec![builder.artificial(mapping, &names::unattributed(row))],
        What::Gap(_) => vec![builder.artificial(mapping, names::GAP)],
    };
    let mut label = label.to_vec();
    if let Some(thread) = stack.thread {
        label.push(builder.label("tid", &thread.tid.to_string()));
        if !thread.name.is_empty() {
            label.push(builder.label("thread", &thread.name));
        }
    }
    if let (What::Row(row) | What::Native(row, _), Reader::Viewer) = (stack.what, reader) {
        label.push(builder.label("unattributed", row.reason.as_str()));
    }

    let values: Vec<_> = measures.iter().map(|measure| stack.value(*measure)).collect();
    let grew: Vec<_> = values.iter().map(|value| (*value).max(0)).collect();
    let shrank: Vec<_> = values.iter().map(|value| value.min(&0).saturating_neg()).collect();
    let any = |values: &[i64]| values.iter().any(|value| *value != 0);
    if any(&grew) {
        let (location_id, label) = (location_id.clone(), label.clone());
        builder.sample(Sample { location_id, value: grew, label });
    }
    if any(&shrank) {
        location_id.push(builder.artificial(mapping, stacks::SHRANK));
        builder.sample(Sample { location_id, value: shrank, label });
    }
}
