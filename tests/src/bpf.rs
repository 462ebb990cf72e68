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
fn uprobe_events() -> Result<String> {
    let path = "/sys/kernel/tracing/uprobe_events";
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.context(path),
    }
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
