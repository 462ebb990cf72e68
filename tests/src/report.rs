//! memtrace's JSON as its readers see it. Keys may be added; those named here must be there.

use anyhow::{Context, Result};
use serde::Deserialize;

/// `memtrace.report/1`
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Name and version of the format.
    pub schema: String,
    /// How long it was traced.
    pub duration_ns: u64,
    /// Whether the kernel's counters are exact at each event.
    pub exact: bool,
    /// One for each address space.
    pub processes: Vec<Process>,
}

/// One address space.
#[derive(Debug, Clone, Deserialize)]
pub struct Process {
    /// As the host sees it.
    pub pid: u32,
    /// Its arguments.
    pub command: Vec<String>,
    /// Its version, where it is Python.
    pub python: Option<String>,
    /// RSS when tracing began.
    pub rss_before_bytes: i64,
    /// RSS now, or at its end.
    pub rss_after_bytes: i64,
    /// Highest RSS seen.
    pub rss_peak_bytes: i64,
    /// The same by kind of memory.
    pub rss_before: Split,
    /// The same by kind of memory.
    pub rss_after: Split,
    /// Sum of the lines.
    pub attributed_bytes: i64,
    /// What no line can answer for.
    pub unattributed: Vec<Unattributed>,
    /// Changes recorded.
    pub events: u64,
    /// Records that didn't fit into the ring buffer.
    pub lost_events: u64,
    /// What they would have said.
    pub lost_bytes: i64,
    /// Per line.
    pub lines: Vec<Line>,
    /// What was left out to keep to a budget; absent where nothing was.
    pub thinned: Option<Thinned>,
    /// What limits these figures, and keys that this harness doesn't know.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// Bytes by kind of memory, as the kernel splits RSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[allow(missing_docs, reason = "the kernel's own words")]
pub struct Split {
    pub anon: i64,
    pub file: i64,
    pub shmem: i64,
}

impl Split {
    /// All kinds together: RSS.
    #[must_use]
    pub fn total(self) -> i64 {
        self.anon + self.file + self.shmem
    }
}

impl std::ops::Add for Split {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            anon: self.anon + other.anon,
            file: self.file + other.file,
            shmem: self.shmem + other.shmem,
        }
    }
}

/// What no line can answer for.
#[derive(Debug, Clone, Deserialize)]
pub struct Unattributed {
    /// Why.
    pub reason: String,
    /// Whose.
    #[serde(default)]
    pub name: String,
    /// Signed change.
    pub net_bytes: i64,
    /// The same by kind of memory.
    pub net: Split,
    /// What the allocator lens counted, where there was one.
    #[serde(flatten)]
    pub blocks: Blocks,
}

/// What the allocator lens counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "named as in the format's description")]
pub struct Blocks {
    pub allocations: u64,
    pub allocated_bytes: i64,
    #[serde(deserialize_with = "or_nothing")]
    pub freed_allocations: u64,
    #[serde(deserialize_with = "or_nothing")]
    pub freed_bytes: i64,
    #[serde(deserialize_with = "or_nothing")]
    pub live_allocations: i64,
    #[serde(deserialize_with = "or_nothing")]
    pub live_bytes: i64,
    pub temporary_allocations: u64,
    pub allocations_interval: Option<[u64; 2]>,
    pub allocated_bytes_interval: Option<[u64; 2]>,
}

/// A figure that is `null` where nobody knows it.
fn or_nothing<'de, D, T>(from: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What the allocator lens says of a process.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "named as in the format's description")]
pub struct Allocator {
    pub exact: bool,
    pub frees_seen: bool,
    pub windows: u64,
    pub lost_allocations: u64,
    pub hits: u64,
    pub cost_ns: u64,
    pub measured_by: Vec<Measured>,
    #[serde(flatten)]
    pub blocks: Blocks,
    pub live_ages: Vec<Age>,
}

/// A part of the time, and the function whose calls measured it.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "named as in the format's description")]
pub struct Measured {
    pub function: String,
    pub time_ns: u64,
}

/// Live blocks of one age.
#[derive(Debug, Clone, Copy, Deserialize)]
#[allow(missing_docs, reason = "named as in the format's description")]
pub struct Age {
    pub age_ns: u64,
    pub allocations: u64,
    pub bytes: i64,
}

/// What one line did.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "named as in the format's description, docs of `design.md`")]
pub struct Line {
    pub file: String,
    pub line: u32,
    pub function: String,
    pub self_grown_bytes: i64,
    pub self_returned_bytes: i64,
    pub self_net_bytes: i64,
    pub self_net: Split,
    pub self_resident_bytes: i64,
    pub cumulative_net_bytes: i64,
    pub cumulative_resident_bytes: i64,
    pub copied_bytes: i64,
    pub released_bytes: i64,
    pub peak_rss_bytes: i64,
    pub events: u64,
    #[serde(flatten)]
    pub blocks: Blocks,
    pub occurrences: Option<u64>,
    pub estimated_bytes: Option<i64>,
    pub estimated_interval: Option<[i64; 2]>,
}

/// What was left out to keep to a budget.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "as in the report")]
pub struct Thinned {
    pub events_not_walked: u64,
    pub not_walked_bytes: i64,
}

/// One source line's own figures, over all functions that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "as in `Line`")]
pub struct Figures {
    pub grown: i64,
    pub returned: i64,
    pub net: i64,
    pub resident: i64,
    pub cumulative_net: i64,
    pub copied: i64,
    pub released: i64,
    pub events: u64,
}

impl Report {
    /// The last life of the process with this pid.
    ///
    /// # Errors
    /// When it isn't in the report.
    pub fn process(&self, pid: u32) -> Result<&Process> {
        let known: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
        self.lives(pid).last().copied().with_context(|| format!("no process {pid} in {known:?}"))
    }

    /// All lives (one for each `exec`) of that pid, in order.
    #[must_use]
    pub fn lives(&self, pid: u32) -> Vec<&Process> {
        self.processes.iter().filter(|process| process.pid == pid).collect()
    }
}

impl Process {
    /// The own figures of one line; zero where the report doesn't name it.
    #[must_use]
    pub fn figures(&self, file: &str, line: u32) -> Figures {
        let mut sum = Figures::default();
        for one in self.lines.iter().filter(|one| one.file == file && one.line == line) {
            sum.grown += one.self_grown_bytes;
            sum.returned += one.self_returned_bytes;
            sum.net += one.self_net_bytes;
            sum.resident += one.self_resident_bytes;
            sum.cumulative_net += one.cumulative_net_bytes;
            sum.copied += one.copied_bytes;
            sum.released += one.released_bytes;
            sum.events += one.events;
        }
        sum
    }

    /// What one line allocated itself; nothing where the report doesn't name it.
    #[must_use]
    pub fn blocks(&self, file: &str, line: u32) -> Blocks {
        let mut lines = self.lines.iter();
        let line = lines.find(|one| one.file == file && one.line == line);
        line.map(|line| line.blocks).unwrap_or_default()
    }

    /// What the allocator lens says of the process.
    ///
    /// # Errors
    /// When there was none.
    pub fn allocator(&self) -> Result<Allocator> {
        let keys = self.more.get("allocator").context("no key `allocator`")?;
        Ok(serde_json::from_value(keys.clone())?)
    }

    /// Net change in the rows whose reason begins so.
    #[must_use]
    pub fn unattributed_net(&self, reason: &str) -> i64 {
        let rows = self.unattributed.iter().filter(|row| row.reason.starts_with(reason));
        rows.map(|row| row.net_bytes).sum()
    }

    /// Net change, by kind, in the rows with this reason and name.
    #[must_use]
    pub fn net_of(&self, reason: &str, name: &str) -> Split {
        let rows = self.unattributed.iter().filter(|row| row.reason == reason && row.name == name);
        rows.fold(Split::default(), |sum, row| Split {
            anon: sum.anon + row.net.anon,
            file: sum.file + row.net.file,
            shmem: sum.shmem + row.net.shmem,
        })
    }

    /// The sentences that limit its figures, in one text.
    #[must_use]
    pub fn notes(&self) -> String {
        self.more.get("notes").map(ToString::to_string).unwrap_or_default()
    }

    /// Its largest lines, for messages.
    #[must_use]
    pub fn top(&self) -> String {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by_key(|line| -line.self_grown_bytes.abs());
        let mut text = String::new();
        for line in lines.iter().take(12) {
            let name = line.file.rsplit('/').next().unwrap_or_default();
            text += &format!(
                "  {name}:{} {}: grown {} returned {} net {} resident {}\n",
                line.line,
                line.function,
                line.self_grown_bytes,
                line.self_returned_bytes,
                line.self_net_bytes,
                line.self_resident_bytes
            );
        }
        for row in &self.unattributed {
            text += &format!("  ({} {}: {})\n", row.reason, row.name, row.net_bytes);
        }
        text
    }
}
