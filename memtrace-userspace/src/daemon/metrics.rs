//! The figures for Prometheus, in its text format or in OpenMetrics'.
//!
//! Series are made anew at each scrape, so that those of programs that are gone go, too. How many there
//! can be follows from the configuration: so many groups, so many lines of each.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::board::Board;
use super::figures::{Figures, Key, Sums};
use crate::profile::Reason;
use crate::push::Counts;
use crate::report::printable;
use crate::units::Nanos;

/// What memtrace says of itself.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// CPU time.
    pub cpu: Nanos,
    /// RSS.
    pub rss_bytes: u64,
    /// Processes traced now.
    pub traced: usize,
    /// Python processes that can't be traced.
    pub refused: usize,
    /// Processes left out so far, by reason.
    pub left_out: [(&'static str, u64); 3],
    /// Windows closed.
    pub windows: u64,
    /// Windows let go of for want of memory.
    pub cut_short: u64,
    /// Memory for windows.
    pub store_bytes: usize,
    /// Stacks that have names.
    pub stacks: usize,
    /// Whether there are as many as there may be.
    pub full_of_stacks: bool,
    /// How often the configuration was read again.
    pub reloads: u64,
    /// How pushing goes, by store.
    pub stores: BTreeMap<String, Pushed>,
}

/// How pushing to a store goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Requests that came to an end, by outcome.
    pub requests: [(&'static str, u64); 3],
    /// Requests that wait.
    pub waiting: u64,
    /// Windows that came faster than they could be encoded.
    pub dropped_windows: u64,
}

impl Pushed {
    /// What the pusher counted.
    #[must_use]
    pub fn of(counts: &Counts) -> Self {
        let (waiting, dropped_windows) = (counts.waiting, counts.dropped_windows);
        let dropped = counts.dropped() - dropped_windows;
        let requests = [("sent", counts.sent), ("refused", counts.refused), ("dropped", dropped)];
        Self { requests, waiting, dropped_windows }
    }

    /// Two entries of the configuration with one address are one store.
    fn and(self, other: Self) -> Self {
        let mut sum = self;
        for (own, (outcome, more)) in sum.requests.iter_mut().zip(other.requests) {
            *own = (outcome, own.1 + more);
        }
        sum.waiting += other.waiting;
        sum.dropped_windows += other.dropped_windows;
        sum
    }
}

/// One scrape's figures.
#[derive(Debug)]
struct Scrape {
    figures: Figures,
    own: Own,
    lines: usize,
    groups: usize,
}

/// How many series there are.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Lines of each group.
    pub lines: usize,
    /// Groups.
    pub groups: usize,
}

impl Own {
    /// What the board and the kernel say of memtrace itself.
    #[must_use]
    pub fn of(board: &Board) -> Self {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        let left_out = board.left_out;
        let mut stores: BTreeMap<String, Pushed> = BTreeMap::new();
        for (store, meter) in &board.stores {
            let sum = stores.entry(store.clone()).or_default();
            *sum = sum.and(Pushed::of(&meter.counts()));
        }
        Self {
            cpu: Nanos(cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64),
            rss_bytes: pages * procfs::page_size(),
            traced: board.live(),
            refused: board.strangers.len(),
            left_out: [
                ("rules", left_out.by_rules),
                ("limit", left_out.by_limit),
                ("kernel", left_out.by_kernel),
            ],
            windows: board.windows,
            cut_short: board.store.cut_short(),
            store_bytes: board.store.bytes(),
            stacks: board.store.tables().stacks(),
            full_of_stacks: board.full_of_stacks,
            reloads: board.reloads,
            stores,
        }
    }
}

/// In OpenMetrics' text format.
#[must_use]
pub fn open_metrics(figures: Figures, own: Own, bound: Bound) -> String {
    let mut registry = Registry::default();
    let Bound { lines, groups } = bound;
    registry.register_collector(Box::new(Scrape { figures, own, lines, groups }));
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = text::encode(&mut out, &registry);
    out
}

/// The same in Prometheus' older text format, which has the types of counters under their full names.
#[must_use]
pub fn prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    // HELP comes before TYPE, which says whether it is about a counter.
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        let words = |prefix: &str| line.strip_prefix(prefix)?.split_once(' ');
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        if let Some(found) = words("# HELP ") {
            help = Some(found);
        } else if let Some((name, kind)) = words("# TYPE ") {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, said)) = help.take() {
                out.push_str(&format!("# HELP {name}{suffix} {said}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

type Labels = Vec<(&'static str, String)>;

fn labels_of(key: &Key) -> Labels {
    vec![
        ("group", value(&key.group)),
        ("container", value(&key.container)),
        ("pod", value(&key.pod)),
        ("namespace", value(&key.namespace)),
    ]
}

/// Text of a target as the value of a label: nothing that acts on a terminal, and nothing that ends the
/// value (prometheus-client writes values as they are).
fn value(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '\\' => safe.push_str("\\\\"),
            '"' => safe.push_str("\\\""),
            '\n' => safe.push_str("\\n"),
            other => safe.push(other),
        }
    }
    safe
}

fn with(labels: &Labels, more: &[(&'static str, String)]) -> Labels {
    labels.iter().chain(more).cloned().collect()
}

/// One metric: its name, what it is, and its series.
fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: impl IntoIterator<Item = (Labels, M)>,
) -> fmt::Result {
    let mut series = series.into_iter().peekable();
    let Some((_, first)) = series.peek() else { return Ok(()) };
    let kind = first.metric_type();
    let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, metric) in series {
        if labels.is_empty() {
            // A family without labels is the metric itself.
            metric.encode(encoder)?;
            return Ok(());
        }
        encode_one(&mut encoder, &labels, &metric)?;
    }
    Ok(())
}

fn encode_one<L: EncodeLabelSet, M: EncodeMetric>(
    encoder: &mut prometheus_client::encoding::MetricEncoder<'_>,
    labels: &L,
    metric: &M,
) -> fmt::Result {
    metric.encode(encoder.encode_family(labels)?)
}

fn counter(value: i64) -> ConstCounter<u64> {
    ConstCounter::new(value.max(0).cast_unsigned())
}

fn seconds(nanos: Nanos) -> ConstCounter<f64> {
    ConstCounter::new(nanos.0 as f64 / 1e9)
}

fn gauge(value: i64) -> ConstGauge<i64> {
    ConstGauge::new(value)
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (largest, other) = self.figures.largest(self.groups);
        let other_key = Key { group: "other".to_owned(), ..Key::default() };
        let mut groups: Vec<(Labels, &Sums)> =
            largest.into_iter().map(|(key, sums)| (labels_of(key), sums)).collect();
        self.counters(&mut encoder, &groups)?;
        self.lines(&mut encoder, &groups)?;
        // Who is among the others changes, so a counter of theirs would fall: they have gauges only.
        if let Some(other) = &other {
            groups.push((labels_of(&other_key), other));
        }
        self.gauges(&mut encoder, &groups)?;
        self.own(&mut encoder)
    }
}

impl Scrape {
    fn gauges(&self, e: &mut DescriptorEncoder<'_>, groups: &[(Labels, &Sums)]) -> fmt::Result {
        let kinds = |(labels, sums): &(Labels, &Sums)| {
            let rss = sums.rss();
            [("anon", rss.anon), ("file", rss.file), ("shmem", rss.shmem)]
                .map(|(kind, bytes)| (with(labels, &[("kind", kind.to_owned())]), gauge(bytes.0)))
        };
        let name =
            ("memtrace_group_resident_bytes", "RSS of a group's processes by kind of memory");
        family(e, name, groups.iter().flat_map(kinds))?;
        let name = ("memtrace_group_processes", "Traced processes of a group");
        let count = |sums: &Sums| gauge(sums.processes.len() as i64);
        family(e, name, groups.iter().map(|(labels, sums)| (labels.clone(), count(sums))))
    }

    fn counters(&self, e: &mut DescriptorEncoder<'_>, groups: &[(Labels, &Sums)]) -> fmt::Result {
        let name = ("memtrace_group_events", "Changes of RSS that were recorded or lost");
        let of = |sums: &Sums| ConstCounter::new(sums.events);
        family(e, name, groups.iter().map(|(labels, sums)| (labels.clone(), of(sums))))?;
        let name = ("memtrace_group_lost_events", "Records that did not fit into the ring buffer");
        let of = |sums: &Sums| ConstCounter::new(sums.lost_events);
        family(e, name, groups.iter().map(|(labels, sums)| (labels.clone(), of(sums))))?;
        let name = ("memtrace_group_copied_bytes", "Memory copied on write after a fork");
        let of = |sums: &Sums| counter(sums.copied.0);
        family(e, name, groups.iter().map(|(labels, sums)| (labels.clone(), of(sums))))?;
        let name = ("memtrace_group_probe_seconds", "Time in probes, in the group's own threads");
        let of = |sums: &Sums| seconds(sums.probe);
        family(e, name, groups.iter().map(|(labels, sums)| (labels.clone(), of(sums))))?;
        let name = ("memtrace_group_tracer_cpu_seconds", "CPU time of memtrace for the group");
        let of = |sums: &Sums| seconds(sums.userspace_cpu);
        family(e, name, groups.iter().map(|(labels, sums)| (labels.clone(), of(sums))))?;
        let rows = |(labels, sums): &(Labels, &Sums)| {
            let row = |(reason, (bytes, events)): (&Reason, &(_, u64))| {
                let labels = with(labels, &[("reason", reason.as_str().to_owned())]);
                (labels, *bytes, *events)
            };
            sums.unattributed.iter().map(row).collect::<Vec<_>>()
        };
        let rows: Vec<_> = groups.iter().flat_map(rows).collect();
        let name = ("memtrace_group_unattributed_bytes", "Net change that no line answers for");
        let of = |(labels, bytes, _): &(Labels, crate::units::Bytes, u64)| {
            (labels.clone(), gauge(bytes.0))
        };
        family(e, name, rows.iter().map(of))?;
        let name =
            ("memtrace_group_unattributed_events", "Changes that no line answers for, by reason");
        family(
            e,
            name,
            rows.into_iter().map(|(labels, _, events)| (labels, ConstCounter::new(events))),
        )
    }

    fn lines(&self, e: &mut DescriptorEncoder<'_>, groups: &[(Labels, &Sums)]) -> fmt::Result {
        let mut lines = Vec::new();
        for (labels, sums) in groups {
            for (place, line) in sums.top(self.lines) {
                let more = [
                    ("file", value(&place.file)),
                    ("line", place.line.to_string()),
                    ("function", value(&place.function)),
                ];
                lines.push((with(labels, &more), line));
            }
        }
        let of = |figure: fn(&super::figures::LineSums) -> i64| {
            lines.iter().map(move |(labels, line)| (labels.clone(), figure(line)))
        };
        let name = ("memtrace_line_grown_bytes", "Memory that a line has made resident");
        family(e, name, of(|line| line.grown.0).map(|(labels, n)| (labels, counter(n))))?;
        let name = ("memtrace_line_returned_bytes", "Of what a line has grown: given back");
        family(e, name, of(|line| line.returned.0).map(|(labels, n)| (labels, counter(n))))?;
        let name = (
            "memtrace_line_held_bytes",
            "What a line has grown less what was given back, in processes that run",
        );
        family(e, name, of(|line| line.held.0).map(|(labels, n)| (labels, gauge(n))))
    }

    fn own(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let own = &self.own;
        let none = Labels::new;
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        family(e, ("memtrace_build", "The memtrace that runs"), [(version, gauge(1))])?;
        let name = ("memtrace_cpu_seconds", "CPU time of memtrace itself");
        family(e, name, [(none(), seconds(own.cpu))])?;
        let name = ("memtrace_resident_memory_bytes", "RSS of memtrace itself");
        family(e, name, [(none(), gauge(own.rss_bytes as i64))])?;
        let name = ("memtrace_traced_processes", "Processes that are traced");
        family(e, name, [(none(), gauge(own.traced as i64))])?;
        let name = ("memtrace_refused_processes", "Python processes that can't be traced");
        family(e, name, [(none(), gauge(own.refused as i64))])?;
        let name =
            ("memtrace_left_out_processes", "Python processes that were left out, by reason");
        let reason = |(reason, count): (&str, u64)| {
            (vec![("reason", reason.to_owned())], ConstCounter::new(count))
        };
        family(e, name, own.left_out.map(reason))?;
        let name = ("memtrace_windows", "Windows of time that have closed");
        family(e, name, [(none(), ConstCounter::new(own.windows))])?;
        let name = ("memtrace_windows_cut_short", "Windows let go of early, for want of memory");
        family(e, name, [(none(), ConstCounter::new(own.cut_short))])?;
        let name = ("memtrace_store_bytes", "Memory for the windows that are kept");
        family(e, name, [(none(), gauge(own.store_bytes as i64))])?;
        let name = ("memtrace_stacks", "Stacks that have names");
        family(e, name, [(none(), gauge(own.stacks as i64))])?;
        let name = ("memtrace_stacks_full", "1 when further stacks have no lines");
        family(e, name, [(none(), gauge(own.full_of_stacks.into()))])?;
        let name = ("memtrace_reloads", "How often the configuration was read again");
        family(e, name, [(none(), ConstCounter::new(own.reloads))])?;
        self.stores(e)
    }

    fn stores(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stores = self.own.stores.iter();
        let stores = stores.map(|(store, pushed)| (vec![("store", value(store))], pushed));
        let stores: Vec<(Labels, &Pushed)> = stores.collect();
        let outcomes = |(labels, pushed): &(Labels, &Pushed)| {
            pushed.requests.map(|(outcome, count)| {
                let labels = with(labels, &[("outcome", outcome.to_owned())]);
                (labels, ConstCounter::new(count))
            })
        };
        let name = ("memtrace_push_requests", "Requests to a store that came to an end");
        family(e, name, stores.iter().flat_map(outcomes))?;
        let name = ("memtrace_push_waiting_requests", "Requests that wait for a store");
        let of = |pushed: &Pushed| gauge(pushed.waiting as i64);
        family(e, name, stores.iter().map(|(labels, pushed)| (labels.clone(), of(pushed))))?;
        let name = (
            "memtrace_push_dropped_windows",
            "Windows that came faster than they could be made into requests",
        );
        let of = |pushed: &Pushed| ConstCounter::new(pushed.dropped_windows);
        family(e, name, stores.iter().map(|(labels, pushed)| (labels.clone(), of(pushed))))
    }
}

#[cfg(test)]
mod tests;
