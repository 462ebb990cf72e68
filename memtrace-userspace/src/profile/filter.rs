//! Part of a profile: some processes, some threads, some files.
//!
//! What is left out of a process stays in its sum, as one unattributed row, so that the law holds
//! for any part. A stack belongs to the file of its leaf: the line that grew. Nothing is read or
//! printed here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::lines_of;
use super::{
    Allocated, Counts, Memory, Moment, Place, ProcessProfile, Profile, Reason, StackFigures,
    Thread, Unattributed,
};

/// A pattern of names: `*` and `?` match `/` too; `[a-z]`, `{a,b}`.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    matcher: GlobMatcher,
}

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; a pattern is like '*.py', '/srv/*' or '*/{{api,web}}/*.py'")]
pub struct BadGlob {
    reason: String,
}

impl Glob {
    fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    /// Without a `/` it is about a file's own name, whatever folder it is in.
    fn matches_file(&self, file: &str) -> bool {
        let own =
            if self.text.contains('/') { file } else { file.rsplit('/').next().unwrap_or("") };
        self.matches(own) || self.matches(file)
    }
}

impl FromStr for Glob {
    type Err = BadGlob;

    fn from_str(text: &str) -> Result<Self, BadGlob> {
        match GlobBuilder::new(text).build() {
            Ok(glob) if !text.is_empty() => {
                Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
            }
            Ok(_) => Err(BadGlob { reason: "an empty pattern matches nothing".to_owned() }),
            Err(error) => Err(BadGlob { reason: error.kind().to_string() }),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What to keep. Empty lists keep everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Process ids, as the host sees them.
    pub processes: Vec<u32>,
    /// Threads, by the pattern of their name or by their number.
    pub threads: Vec<Glob>,
    /// Only files that one of these matches.
    pub include: Vec<Glob>,
    /// No files that one of these matches.
    pub exclude: Vec<Glob>,
}

/// A part of a filter that matches nothing in a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// No process has this id.
    Process(u32),
    /// No thread that changed RSS is called so.
    Thread(String),
    /// No line that changed RSS by itself is in such a file: all is left out if no other matches.
    Include(String),
    /// Likewise: nothing is left out by it.
    Exclude(String),
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "there is no process {pid}"),
            Self::Thread(name) => write!(f, "no thread with figures is called {name:?}"),
            Self::Include(glob) => write!(f, "no file with figures matches {glob:?}"),
            Self::Exclude(glob) => write!(f, "no file with figures matches {glob:?} to leave out"),
        }
    }
}

impl Filter {
    /// Whether it keeps everything.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        self.processes.is_empty() && self.keeps_all_stacks()
    }

    fn keeps_all_stacks(&self) -> bool {
        self.threads.is_empty() && self.include.is_empty() && self.exclude.is_empty()
    }

    fn keeps_process(&self, process: &ProcessProfile) -> bool {
        self.processes.is_empty() || self.processes.contains(&process.pid)
    }

    fn keeps(&self, process: &ProcessProfile, stack: &StackFigures) -> bool {
        let thread = process.threads.get(stack.thread);
        (self.threads.is_empty() || self.threads.iter().any(|glob| is_thread(glob, thread)))
            && self.keeps_file(leaf(stack))
    }

    fn keeps_file(&self, file: &str) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches_file(file));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

fn is_thread(glob: &Glob, thread: Option<&Thread>) -> bool {
    thread.is_some_and(|thread| glob.matches(&thread.name) || glob.text.parse() == Ok(thread.tid))
}

fn leaf(stack: &StackFigures) -> &str {
    stack.frames.first().map_or("", |place| &place.file)
}

/// What `filter` keeps of `profile`. Of a process that is kept, everything is kept but the stacks
/// that the filter leaves out; they are one row with [`Reason::LeftOut`].
#[must_use]
pub fn filtered(profile: &Profile, filter: &Filter) -> Profile {
    let kept = profile.processes.iter().filter(|process| filter.keeps_process(process));
    let part = |process: &ProcessProfile| {
        if filter.keeps_all_stacks() { process.clone() } else { part_of(process, filter) }
    };
    Profile { processes: kept.map(part).collect(), ..profile.clone() }
}

/// The parts of `filter` that match nothing in `profile`.
#[must_use]
pub fn idle(profile: &Profile, filter: &Filter) -> Vec<Idle> {
    let mut idle = Vec::new();
    for pid in &filter.processes {
        if !profile.processes.iter().any(|process| process.pid == *pid) {
            idle.push(Idle::Process(*pid));
        }
    }
    let kept = || profile.processes.iter().filter(|process| filter.keeps_process(process));
    for glob in &filter.threads {
        if !kept().any(|process| process.threads.iter().any(|it| is_thread(glob, Some(it)))) {
            idle.push(Idle::Thread(glob.text.clone()));
        }
    }
    let files: HashSet<&str> = kept().flat_map(|process| &process.stacks).map(leaf).collect();
    let unmatched = |glob: &&Glob| !files.iter().any(|file| glob.matches_file(file));
    let texts = |globs: &[Glob], idle: fn(String) -> Idle| -> Vec<Idle> {
        globs.iter().filter(unmatched).map(|glob| idle(glob.text.clone())).collect()
    };
    idle.extend(texts(&filter.include, Idle::Include));
    idle.extend(texts(&filter.exclude, Idle::Exclude));
    idle
}

fn part_of(process: &ProcessProfile, filter: &Filter) -> ProcessProfile {
    let (kept, left_out): (Vec<_>, Vec<_>) =
        process.stacks.iter().cloned().partition(|stack| filter.keeps(process, stack));
    let lines = lines_of(&kept);
    let (counts, of_all) = counts(process, filter);
    let executed = counts.executions.iter().flat_map(BTreeMap::keys);
    let of_lines: HashSet<_> = lines
        .iter()
        .map(|line| &line.place)
        .chain(executed)
        .map(|place| (&place.file, place.function_line, &place.function))
        .collect();
    let functions = process
        .functions
        .iter()
        .filter(|span| of_lines.contains(&(&span.file, span.first_line, &span.function)))
        .cloned()
        .collect();
    let mut notes = process.notes.clone();
    let (moments, shared) = moments(process, &lines, &left_out);
    if shared > 0 {
        notes.push(format!(
            "{shared} lines ran in threads that are left out, too: what they grew over time is not \
             known for the others alone"
        ));
    }
    if of_all {
        notes.push(
            "lines and functions were counted in all threads: what ran in the others is in these counts"
                .to_owned(),
        );
    }
    ProcessProfile {
        unattributed: rows(process, &left_out),
        counts,
        stacks: kept,
        lines,
        functions,
        moments,
        notes,
        ..process.clone()
    }
}

/// The counts of files that are kept, and whether there are some of threads that are not: counts know
/// none.
fn counts(process: &ProcessProfile, filter: &Filter) -> (Counts, bool) {
    let part = |counts: &BTreeMap<Arc<Place>, u64>| -> BTreeMap<Arc<Place>, u64> {
        let kept = counts.iter().filter(|(place, _)| filter.keeps_file(&place.file));
        kept.map(|(place, count)| (Arc::clone(place), *count)).collect()
    };
    let Counts { executions, evaluations } = &process.counts;
    let counts = Counts {
        executions: executions.as_ref().map(part),
        evaluations: evaluations.as_ref().map(part),
    };
    let any =
        [&counts.executions, &counts.evaluations].into_iter().flatten().any(|it| !it.is_empty());
    (counts, any && !filter.threads.is_empty())
}

/// The process's rows, and one for what is left out.
fn rows(process: &ProcessProfile, left_out: &[StackFigures]) -> Vec<Unattributed> {
    let mut rows = process.unattributed.clone();
    if left_out.is_empty() {
        return rows;
    }
    let net: Memory = left_out.iter().map(StackFigures::net).sum();
    let events: u64 = left_out.iter().map(|stack| stack.events).sum();
    let mut allocated = Allocated::default();
    for stack in left_out {
        allocated += &stack.allocated;
    }
    match rows.iter_mut().find(|row| row.reason == Reason::LeftOut) {
        Some(row) => {
            row.net += net;
            row.events += events;
            row.allocated += &allocated;
        }
        None => {
            rows.push(Unattributed {
                reason: Reason::LeftOut,
                name: String::new(),
                net,
                events,
                allocated,
                native: Vec::new(),
            });
            rows.sort_by(|a, b| (a.reason, &a.name).cmp(&(b.reason, &b.name)));
        }
    }
    rows
}

/// The course of the lines that are kept, and for how many of them it can't be told: moments know
/// lines, not threads.
fn moments(
    process: &ProcessProfile,
    lines: &[super::LineFigures],
    left_out: &[StackFigures],
) -> (Vec<Moment>, usize) {
    let partly: HashSet<_> = left_out.iter().filter_map(|stack| stack.frames.first()).collect();
    let mut shared = 0;
    let mut now = HashMap::new();
    for (index, line) in lines.iter().enumerate() {
        if !partly.contains(&line.place) {
            now.insert(&line.place, index);
        } else if line.self_events > 0 {
            shared += 1;
        }
    }
    let change = |(line, net): &(usize, crate::units::Bytes)| {
        let place = &process.lines.get(*line)?.place;
        Some((*now.get(place)?, *net))
    };
    let moments = process.moments.iter().map(|moment| Moment {
        changes: moment.changes.iter().filter_map(change).collect(),
        ..moment.clone()
    });
    (moments.collect(), shared)
}
