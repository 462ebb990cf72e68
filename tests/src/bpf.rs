//! What a memtrace has in the kernel while it runs, and whether any of it is there afterwards.
//!
//! Objects are known by their kernel ids, taken from memtrace's open descriptors, so that the
//! answer holds beside any other user of BPF on the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::resources::succeed;
use crate::wait;

mod loads;

pub use loads::Loads;

/// Ids by kind: `prog`, `map`, `link`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    ids: BTreeMap<&'static str, BTreeSet<u64>>,
    uprobes: String,
}

const KINDS: [&str; 3] = ["prog", "map", "link"];

/// Everything that one process holds.
///
/// # Errors
/// When its descriptors can't be read.
pub fn held_by(pid: u32) -> Result<Held> {
    let mut held = Held { uprobes: uprobe_events()?, ..Held::default() };
    let folder = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
        // A descriptor may be closed between the listing and the reading.
        let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
        for kind in KINDS {
            let key = format!("{kind}_id:");
            let id = |line: &str| line.strip_prefix(&*key)?.trim().parse::<u64>().ok();
            let ids = info.lines().filter_map(id);
            held.ids.entry(kind).or_default().extend(ids);
        }
    }
    Ok(held)
}

/// The ids that the kernel has now, by bpftool.
fn existing(kind: &str) -> Result<BTreeSet<u64>> {
    // bpftool gives up when an object of somebody else's goes while it walks the list.
    let mut listed = succeed(Command::new("bpftool").args(["--json", kind, "show"]));
    for _ in 0..20 {
        if listed.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        listed = succeed(Command::new("bpftool").args(["--json", kind, "show"]));
    }
    let text = listed.context("this test needs bpftool (Debian: apt-get install bpftool)")?;
    let list: serde_json::Value = serde_json::from_str(&text)?;
    let list = list.as_array().with_context(|| format!("bpftool {kind}: {text}"))?;
    Ok(list.iter().filter_map(|entry| entry["id"].as_u64()).collect())
}

/// Probes made through tracefs outlive their maker; memtrace must not make any.
///
/// # Errors
/// When they can't be read.
pub fn uprobe_events() -> Result<String> {
    let path = "/sys/kernel/tracing/uprobe_events";
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.context(path),
    }
}

/// What the kernel has counted for one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunTime {
    /// Nanoseconds in it, two readings of the clock included.
    pub nanoseconds: u64,
    /// How often it ran.
    pub runs: u64,
}

impl RunTime {
    /// Nanoseconds a run since `before`; `NaN` when it did not run.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of some seconds")]
    pub fn mean_since(&self, before: &Self) -> f64 {
        (self.nanoseconds - before.nanoseconds) as f64 / (self.runs - before.runs) as f64
    }
}

/// Counting of run times, for all programs of this machine (`kernel.bpf_stats_enabled`); with the end of
/// the value the setting is what it was.
#[derive(Debug)]
pub struct Counting {
    before: String,
}

const COUNTING: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Counting {
    /// # Errors
    /// When the kernel refuses.
    pub fn begin() -> Result<Self> {
        let before = fs::read_to_string(COUNTING).context(COUNTING)?;
        fs::write(COUNTING, "1").context(COUNTING)?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = fs::write(COUNTING, &self.before);
    }
}

/// What was counted for the program that the process has at this raw tracepoint.
///
/// # Errors
/// When it has none there.
pub fn run_time(pid: u32, tracepoint: &str) -> Result<RunTime> {
    let folder = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
        let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
        let field = |key: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|value| value.trim().to_owned())
        };
        if field("tp_name:").as_deref() != Some(tracepoint) {
            continue;
        }
        let id = field("prog_id:").context("a link without a program")?;
        let shown = succeed(Command::new("bpftool").args(["--json", "prog", "show", "id", &id]))?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let number = |key: &str| shown[key].as_u64().unwrap_or_default();
        return Ok(RunTime { nanoseconds: number("run_time_ns"), runs: number("run_cnt") });
    }
    anyhow::bail!("process {pid} has no program at {tracepoint}")
}

impl Held {
    /// It has programs, maps and something that attaches them: otherwise "gone" proves nothing.
    ///
    /// # Errors
    /// When there are none.
    pub fn is_tracing(&self) -> Result<()> {
        for kind in ["prog", "map"] {
            let some = self.ids.get(kind).is_some_and(|ids| !ids.is_empty());
            ensure!(some, "memtrace holds no BPF {kind} while it traces: {self:?}");
            let alive = existing(kind)?;
            ensure!(self.ids[kind].is_subset(&alive), "bpftool doesn't see them: {self:?}");
        }
        Ok(())
    }

    /// All programs and maps of it were loaded after this moment.
    ///
    /// # Errors
    /// When one was there before.
    pub fn is_younger_than(&self, moment: &Loads) -> Result<()> {
        for (kind, last) in moment.last() {
            let first = self.ids.get(kind).and_then(BTreeSet::first).copied();
            ensure!(first.is_none_or(|first| first > last), "{kind} {first:?} was there at {last}");
        }
        Ok(())
    }

    /// It has no program, map or link at all.
    ///
    /// # Errors
    /// When it has one.
    pub fn is_nothing(&self) -> Result<()> {
        ensure!(self.ids.values().all(BTreeSet::is_empty), "memtrace holds {self:?}");
        Ok(())
    }

    /// None of it is left. The kernel frees in its own time, so it is asked for a while.
    ///
    /// # Errors
    /// When something stays.
    pub fn is_gone(&self) -> Result<()> {
        let gone = wait::until("memtrace's BPF objects to go", || {
            for (kind, ids) in &self.ids {
                if !ids.is_disjoint(&existing(kind)?) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        });
        gone.with_context(|| format!("left behind, of {self:?}"))?;
        let uprobes = uprobe_events()?;
        ensure!(uprobes == self.uprobes, "uprobes left in tracefs: {uprobes}");
        Ok(())
    }
}
