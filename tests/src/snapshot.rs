//! All that a process can see of itself, taken from outside without changing it: only pages that
//! are present are read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};

use crate::memory::{self, Resident};

const PAGE: u64 = 4096;
const PRESENT: u64 = 1 << 63;

/// One moment of a parked process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    maps: String,
    memory: Resident,
    status: BTreeMap<String, String>,
    /// Of each thread: the system call that it waits in, its arguments, stack pointer and
    /// instruction pointer.
    registers: BTreeMap<String, String>,
    /// Hash of each present page of writable memory, by address.
    pages: BTreeMap<u64, u64>,
}

/// `start-end perms …`
fn range(line: &str) -> Option<(u64, u64, &str)> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?, rest.get(..4)?))
}

impl Snapshot {
    /// Looks at a parked process.
    ///
    /// # Errors
    /// When it doesn't hold still.
    pub fn take(pid: u32) -> Result<Self> {
        let memory = memory::settled(pid)?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let pages = writable_pages(pid, &maps)?;
        ensure!(memory::resident(pid)? == memory, "looking at process {pid} changed its memory");
        let mut status = BTreeMap::new();
        let mut registers = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            let tid = task.file_name().to_string_lossy().into_owned();
            let of_task = |name: &str| fs::read_to_string(task.path().join(name));
            registers.insert(tid.clone(), of_task("syscall")?);
            let leader = tid == pid.to_string();
            for line in of_task("status")?.lines() {
                let (key, value) = line.split_once(':').context("status")?;
                // Signals queued for all processes of the user, not for this one.
                if key != "SigQ" {
                    let key = if leader { key.to_owned() } else { format!("{key} of {tid}") };
                    status.insert(key, value.trim().to_owned());
                }
            }
        }
        Ok(Self { maps, memory, status, registers, pages })
    }

    /// Nothing in it differs from an earlier one.
    ///
    /// # Errors
    /// Says what differs.
    pub fn expect_same(&self, earlier: &Self, when: &str) -> Result<()> {
        ensure!(self.maps == earlier.maps, "{when}: mappings changed:\n{}", self.maps);
        ensure!(
            self.memory == earlier.memory,
            "{when}: memory changed from {:?} to {:?}",
            earlier.memory,
            self.memory
        );
        for (key, value) in &self.status {
            let old = earlier.status.get(key);
            ensure!(old == Some(value), "{when}: {key} in status changed from {old:?} to {value}");
        }
        ensure!(
            self.registers == earlier.registers,
            "{when}: registers changed from {:?} to {:?}",
            earlier.registers,
            self.registers
        );
        ensure!(
            self.status.get("TracerPid").is_some_and(|pid| pid == "0"),
            "{when}: it is ptraced"
        );
        for (address, hash) in &self.pages {
            if earlier.pages.get(address) != Some(hash) {
                bail!("{when}: the page at {address:#x} was written, or brought in");
            }
        }
        ensure!(self.pages.len() == earlier.pages.len(), "{when}: pages went away");
        Ok(())
    }

    /// The same but for what comes of having been stopped and having run on: the kernel counts
    /// context switches, and notes the CPU in each thread's own page (`rseq`).
    ///
    /// # Errors
    /// Says what differs.
    pub fn expect_same_memory(&self, earlier: &Self, when: &str) -> Result<()> {
        let mut earlier = earlier.clone();
        for key in ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"] {
            if let Some(now) = self.status.get(key) {
                earlier.status.insert(key.to_owned(), now.clone());
            }
        }
        let noted = self.pages.iter().filter(|(at, hash)| earlier.pages.get(at) != Some(hash));
        if let [(at, hash)] = noted.map(|(at, hash)| (*at, *hash)).collect::<Vec<_>>()[..] {
            earlier.pages.insert(at, hash);
        }
        self.expect_same(&earlier, when)
    }

    /// How many pages it compares: more than none, or it proves nothing.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages.len()
    }
}

fn writable_pages(pid: u32, maps: &str) -> Result<BTreeMap<u64, u64>> {
    let open = |name: &str| File::open(format!("/proc/{pid}/{name}")).context(name.to_owned());
    let (contents, presence) = (open("mem")?, open("pagemap")?);
    let mut pages = BTreeMap::new();
    for (start, end, permissions) in maps.lines().filter_map(range) {
        if !permissions.starts_with("rw") || start >= 1 << 47 {
            continue;
        }
        let mut entries = vec![0; usize::try_from((end - start) / PAGE * 8)?];
        presence.read_exact_at(&mut entries, start / PAGE * 8)?;
        for (address, entry) in (start..end).step_by(4096).zip(entries.chunks_exact(8)) {
            if u64::from_ne_bytes(entry.try_into()?) & PRESENT == 0 {
                continue;
            }
            let mut page = [0; 4096];
            contents.read_exact_at(&mut page, address)?;
            let mut hasher = DefaultHasher::new();
            page.hash(&mut hasher);
            pages.insert(address, hasher.finish());
        }
    }
    Ok(pages)
}
