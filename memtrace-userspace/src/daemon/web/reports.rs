//! Reports of a group or a process, of any time that is kept, in every form that memtrace has.

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::answer::{Kind, Problem, body, download};
use super::packed::Packer;
use crate::daemon::board::Board;
use crate::daemon::export;
use crate::daemon::group::GroupId;
use crate::daemon::store::{Kept, Parts};
use crate::history::entry::SpaceId;
use crate::profile::Profile;
use crate::profile::merge::Merging;
use crate::report::{
    Column, HtmlOptions, Measure, StackOptions, TableOptions, csv, flamegraph, folded, html, json,
    pprof, table,
};
use crate::source::{self, TargetFiles};
use crate::units::Nanos;

/// Which report of what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// A group's number; without it and `space`, all processes.
    group: Option<u32>,
    /// A process's number.
    space: Option<u32>,
    /// The beginning, in milliseconds since 1970.
    from: Option<u64>,
    /// The end.
    to: Option<u64>,
    /// The last so many seconds, in place of a beginning.
    last: Option<u64>,
    /// `table`, `json`, `csv`, `folded`, `pprof`, `flamegraph`, `html`, `recording`.
    format: Option<String>,
    /// Processes of a group each by itself.
    separate: bool,
    /// What gives stacks their size, or orders lines.
    measure: Option<String>,
}

/// What a report is made of, taken from the board.
pub(super) struct Material {
    kept: Kept,
    range: RangeInclusive<Nanos>,
    /// The wanted processes.
    spaces: HashMap<SpaceId, Option<Arc<TargetFiles>>>,
    /// The one that stands for them: its pid and arguments.
    root: (u32, Vec<String>),
    is_group: bool,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Json,
    Csv,
    Folded,
    Pprof,
    Flamegraph,
    Html,
    Recording,
}

const FORMS: [(&str, Form); 8] = [
    ("table", Form::Table),
    ("json", Form::Json),
    ("csv", Form::Csv),
    ("folded", Form::Folded),
    ("pprof", Form::Pprof),
    ("flamegraph", Form::Flamegraph),
    ("html", Form::Html),
    ("recording", Form::Recording),
];

/// Takes from the board what a query is about: as little as can be, since the loop waits meanwhile.
pub(super) fn material(board: &Board, query: &Query) -> Result<Material, Problem> {
    let kept = board.store.kept();
    let range = range(&kept, query)?;
    let group = match (query.group, query.space) {
        (Some(_), Some(_)) => return Err(Problem::wrong("name a group or a space, not both")),
        (Some(group), None) => Some(GroupId(group)),
        _ => None,
    };
    let wanted = board.processes().iter().filter(|(space, process)| {
        group.is_none_or(|group| process.group == group)
            && query.space.is_none_or(|wanted| space.0 == wanted)
    });
    let files = |group| board.group(group).and_then(|group| group.files.clone());
    let spaces: HashMap<_, _> =
        wanted.clone().map(|(space, process)| (*space, files(process.group))).collect();
    if spaces.is_empty() && (query.group.is_some() || query.space.is_some()) {
        return Err(Problem::nothing(
            "there is no such process, or its last window is no longer kept; /api/overview lists those \
             that are",
        ));
    }
    let root = match group.and_then(|group| board.group(group)) {
        Some(group) => (group.root, group.command.clone()),
        None => (0, vec!["the whole machine".to_owned()]),
    };
    let is_group = group.is_some();
    Ok(Material { kept, range, spaces, root, is_group })
}

fn range(kept: &Kept, query: &Query) -> Result<RangeInclusive<Nanos>, Problem> {
    let since_start = |milliseconds: u64| {
        let moment = UNIX_EPOCH + Duration::from_millis(milliseconds);
        let since = moment.duration_since(kept.head.started_at).unwrap_or_default();
        Nanos(since.as_nanos() as u64)
    };
    if query.from.zip(query.to).is_some_and(|(from, to)| from > to) {
        return Err(Problem::wrong("from is after to"));
    }
    let to = query.to.map_or(kept.to, since_start);
    let from = match (query.from, query.last) {
        (Some(_), Some(_)) => return Err(Problem::wrong("name from or last, not both")),
        (Some(from), None) => since_start(from),
        (None, Some(last)) => Nanos(to.0.saturating_sub(last.saturating_mul(1_000_000_000))),
        (None, None) => Nanos(0),
    };
    if from > to {
        return Err(Problem::wrong("from is after to"));
    }
    if to < kept.from {
        return Err(Problem::nothing(
            "that time is no longer kept; /api/overview says from when on windows are",
        ));
    }
    Ok(from..=to)
}

impl Material {
    fn parts(&self) -> Parts<'_> {
        self.kept.parts(&self.range, &|space| self.spaces.contains_key(&space))
    }

    /// All processes as one.
    fn merged(&self, parts: &Parts<'_>) -> Profile {
        let mut merging = Merging::default();
        parts.processes().for_each(|(_, process)| merging.add(&process));
        let process = merging.finish(self.root.0, &self.root.1);
        Profile { processes: process.into_iter().collect(), ..parts.frame() }
    }

    /// The profile, and whose files belong to each of its processes.
    fn profile(&self, separate: bool) -> (Profile, Vec<Option<Arc<TargetFiles>>>) {
        let parts = self.parts();
        let files = |space| self.spaces.get(&space)?.clone();
        if separate || !self.is_group {
            let (files, processes) =
                parts.processes().map(|(space, it)| (files(space), it)).unzip();
            return (Profile { processes, ..parts.frame() }, files);
        }
        // All of a group are one program.
        let any = self.spaces.values().flatten().next().cloned();
        let merged = self.merged(&parts);
        let files = vec![any; merged.processes.len()];
        (merged, files)
    }
}

/// A report as an answer. Takes its time: not for the server's own thread.
pub(super) fn answer(material: &Material, query: &Query) -> Result<Response, Problem> {
    let name = query.format.as_deref().unwrap_or("html");
    let form = FORMS.iter().find(|(known, _)| *known == name).map(|(_, form)| *form);
    let Some(form) = form else {
        let known = FORMS.map(|(name, _)| name).join(", ");
        return Err(Problem::wrong(format!("there is no such format; there are {known}")));
    };
    let measure: Measure = match &query.measure {
        None => Measure::default(),
        Some(name) => name.parse().map_err(|_| {
            let known = Measure::ALL.map(Measure::name).join(", ");
            Problem::wrong(format!("there is no such measure; there are {known}"))
        })?,
    };
    if form == Form::Recording {
        let wanted = |space| material.spaces.contains_key(&space);
        let files = |space| material.spaces.get(&space)?.clone();
        let bytes = export::recording(&material.kept, &material.range, &wanted, &files)
            .map_err(Problem::failed)?;
        return Ok(download(Kind::Binary, "window.memtrace", bytes));
    }
    let mut out = Packer::default();
    let all_rows = matches!(form, Form::Json | Form::Csv);
    let written = if all_rows && (query.separate || !material.is_group) {
        write_parts(form, &mut out, &material.parts(), measure)
    } else {
        let (profile, files) = material.profile(query.separate);
        write(form, &mut out, &profile, &files, measure)
    };
    let out = written.and_then(|()| out.finish()).map_err(Problem::failed)?;
    Ok(match form {
        Form::Json => body(Kind::Json, out),
        Form::Csv => download(Kind::Csv, "lines.csv", out),
        Form::Pprof => download(Kind::Binary, "window.pb.gz", out),
        Form::Flamegraph => body(Kind::Svg, out),
        Form::Html => body(Kind::Html, out),
        Form::Table | Form::Folded | Form::Recording => body(Kind::Text, out),
    })
}

/// Forms that have rows of each process, and nothing of all: there may be thousands.
fn write_parts(
    form: Form,
    out: &mut Packer,
    parts: &Parts<'_>,
    measure: Measure,
) -> io::Result<()> {
    let processes = || parts.processes().map(|(_, process)| process);
    match form {
        Form::Csv => csv::write_parts(out, &parts.frame(), processes(), measure),
        _ => json::write_parts(out, &parts.frame(), processes),
    }
}

fn write(
    form: Form,
    out: &mut Packer,
    profile: &Profile,
    files: &[Option<Arc<TargetFiles>>],
    measure: Measure,
) -> io::Result<()> {
    let sources = |choice: &TableOptions| {
        source::gather(profile, choice, &|index| files.get(index)?.as_deref())
    };
    let stacks = StackOptions { measure, split_threads: false };
    match form {
        Form::Table => {
            let columns = vec![Column::Resident, Column::Returned, Column::Copied];
            let options = TableOptions { sort: measure, columns, ..TableOptions::default() };
            table::write(out, profile, &sources(&options), &options)
        }
        Form::Json => json::write(out, profile),
        Form::Csv => csv::write(out, profile, measure),
        Form::Folded => folded::write(out, profile, &stacks),
        Form::Pprof => pprof::write(out, profile, measure),
        Form::Flamegraph => flamegraph::write(out, profile, &stacks),
        Form::Html => {
            let options = HtmlOptions { measure, ..HtmlOptions::default() };
            html::write(out, profile, &sources(&options.choice()), &options)
        }
        Form::Recording => Ok(()),
    }
}

/// RSS over time.
#[derive(Debug, Serialize)]
pub(super) struct Timeline {
    schema: &'static str,
    from_ms: u64,
    to_ms: u64,
    /// Time in milliseconds since 1970, and RSS in bytes.
    points: Vec<(u64, i64)>,
}

/// RSS of a group or process over time.
pub(super) fn timeline(material: &Material) -> Timeline {
    let profile = material.merged(&material.parts());
    let started = profile.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = |nanos: Nanos| (started + Duration::from_nanos(nanos.0)).as_millis() as u64;
    let mut points = Vec::new();
    for process in &profile.processes {
        points.push((at(process.began), process.before.total().0));
        points.extend(process.moments.iter().map(|it| (at(it.at), it.rss.total().0)));
    }
    Timeline {
        schema: "memtrace.timeline/1",
        from_ms: at(Nanos(0)),
        to_ms: at(profile.duration),
        points,
    }
}
