//! What the page shows of the machine, in JSON: bytes and nanoseconds as integers, times as
//! milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::daemon::board::{Board, Group, Process};
use crate::daemon::group::GroupId;
use crate::daemon::metrics::Own;
use crate::history::entry::SpaceId;
use crate::profile::{Ending, Memory};
use crate::units::Nanos;

/// Lines shown.
const LINES: usize = 50;

/// The answer to `/api/overview`.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    schema: &'static str,
    version: &'static str,
    kernel: String,
    started_ms: u64,
    kept_from_ms: u64,
    kept_to_ms: u64,
    own: OwnFigures,
    left_out: LeftOut,
    groups: Vec<GroupRow>,
    lines: Vec<LineRow>,
    refused: Vec<RefusedRow>,
}

#[derive(Debug, Serialize)]
struct OwnFigures {
    cpu_ns: u64,
    rss_bytes: u64,
    store_bytes: usize,
    traced: usize,
    windows: u64,
    windows_cut_short: u64,
    stacks: usize,
    stacks_full: bool,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    by_rules: u64,
    by_limit: u64,
    by_kernel: u64,
}

#[derive(Debug, Serialize)]
struct GroupRow {
    id: u32,
    name: String,
    command: Vec<String>,
    root_pid: u32,
    python: String,
    user: String,
    cgroup: String,
    container_id: String,
    container_runtime: String,
    container: String,
    pod: String,
    pod_uid: String,
    namespace: String,
    rss_bytes: i64,
    live: usize,
    processes: Vec<ProcessRow>,
}

#[derive(Debug, Serialize)]
struct ProcessRow {
    space: u32,
    pid: u32,
    parent: Option<u32>,
    command: Vec<String>,
    began_ms: u64,
    ended_ms: Option<u64>,
    ending: &'static str,
    rss_bytes: i64,
    peak_bytes: i64,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LineRow {
    group: String,
    container: String,
    pod: String,
    namespace: String,
    file: String,
    line: u32,
    function: String,
    held_bytes: i64,
    grown_bytes: i64,
    returned_bytes: i64,
    last_window_bytes: i64,
    events: u64,
}

#[derive(Debug, Serialize)]
struct RefusedRow {
    pid: u32,
    command: Vec<String>,
    why: String,
}

/// A moment of the wall clock in milliseconds since 1970.
fn milliseconds(started_at: SystemTime, at: Nanos) -> u64 {
    let moment = started_at + Duration::from_nanos(at.0);
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(super) fn overview(board: &Board) -> Overview {
    let kept = board.store.kept();
    let started_at = kept.head.started_at;
    let own = Own::of(board);
    let mut groups: Vec<GroupRow> =
        board.groups().iter().map(|(id, group)| group_row(board, *id, group, started_at)).collect();
    groups.sort_by_key(|row| (std::cmp::Reverse(row.rss_bytes), row.id));
    let left_out = board.left_out;
    Overview {
        schema: "memtrace.overview/1",
        version: env!("CARGO_PKG_VERSION"),
        kernel: kept.head.kernel.clone(),
        started_ms: milliseconds(started_at, Nanos(0)),
        kept_from_ms: milliseconds(started_at, kept.from),
        kept_to_ms: milliseconds(started_at, kept.to),
        own: OwnFigures {
            cpu_ns: own.cpu.0,
            rss_bytes: own.rss_bytes,
            store_bytes: own.store_bytes,
            traced: own.traced,
            windows: own.windows,
            windows_cut_short: own.cut_short,
            stacks: own.stacks,
            stacks_full: own.full_of_stacks,
        },
        left_out: LeftOut {
            by_rules: left_out.by_rules,
            by_limit: left_out.by_limit,
            by_kernel: left_out.by_kernel,
        },
        groups,
        lines: lines(board),
        refused: board
            .strangers
            .iter()
            .map(|stranger| RefusedRow {
                pid: stranger.pid,
                command: stranger.command.clone(),
                why: stranger.why.clone(),
            })
            .collect(),
    }
}

fn group_row(board: &Board, id: GroupId, group: &Group, started_at: SystemTime) -> GroupRow {
    let processes = board.processes().iter().filter(|(_, process)| process.group == id);
    let live = |(_, process): &(&SpaceId, &Process)| process.ended.is_none();
    let rss: Memory = processes.clone().filter(live).map(|(_, process)| process.rss).sum();
    let labels = &group.labels;
    let container = labels.container.clone().unwrap_or_default();
    GroupRow {
        id: id.0,
        name: labels.name.clone(),
        command: group.command.clone(),
        root_pid: group.root,
        python: labels.python.clone(),
        user: labels.user.clone(),
        cgroup: labels.cgroup.clone(),
        container_runtime: match &labels.container {
            Some(container) => container.runtime.to_string(),
            None => String::new(),
        },
        container_id: container.id,
        container: labels.named.container.clone(),
        pod: labels.named.pod.clone(),
        pod_uid: container.pod_uid.unwrap_or_default(),
        namespace: labels.named.namespace.clone(),
        rss_bytes: rss.total().0,
        live: group.live,
        processes: processes
            .map(|(space, process)| process_row(*space, process, started_at))
            .collect(),
    }
}

fn process_row(SpaceId(space): SpaceId, process: &Process, started_at: SystemTime) -> ProcessRow {
    ProcessRow {
        space,
        pid: process.pid,
        parent: process.parent,
        command: process.command.clone(),
        began_ms: milliseconds(started_at, process.began),
        ended_ms: process.ended.map(|(at, _)| milliseconds(started_at, at)),
        ending: match process.ended {
            None => "running",
            Some((_, Ending::Exited)) => "exited",
            Some((_, Ending::Execed)) => "execed",
            Some((_, Ending::Running)) => "let go of",
        },
        rss_bytes: process.rss.total().0,
        peak_bytes: process.peak.0,
        notes: process.notes.clone(),
    }
}

/// The lines of the whole machine that hold most.
fn lines(board: &Board) -> Vec<LineRow> {
    let mut rows = Vec::new();
    for (key, sums) in board.figures.programs() {
        for (place, line) in sums.top(LINES) {
            rows.push(LineRow {
                group: key.group.clone(),
                container: key.container.clone(),
                pod: key.pod.clone(),
                namespace: key.namespace.clone(),
                file: place.file.clone(),
                line: place.line,
                function: place.function.clone(),
                held_bytes: line.held.0,
                grown_bytes: line.grown.0,
                returned_bytes: line.returned.0,
                last_window_bytes: line.just_now.0,
                events: line.events,
            });
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.held_bytes, row.grown_bytes)));
    rows.truncate(LINES);
    rows
}
