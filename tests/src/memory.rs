//! What the kernel says of a process's memory, from the page tables: the ground truth of the law.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::{resources, wait};

/// One process's resident memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// `Rss` of `smaps_rollup`, exact on every kernel.
    pub rss: i64,
    /// `RssAnon` of `status`, where that is exact.
    pub anon: i64,
    /// `RssFile`, likewise
    pub file: i64,
    /// `RssShmem`, likewise
    pub shmem: i64,
}

/// Since then `status` is exact. Before, each number may be behind by some pages per processor
/// (`percpu_counter_read_positive` in `get_mm_counter`, `include/linux/mm.h`), or wait in tasks. Later releases of older
/// kernels have the mend, too, and are asked in the other way all the same.
const EXACT_STATUS: (u32, u32) = (6, 17);

fn kilobytes(text: &str, key: &str) -> Result<i64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .with_context(|| format!("no {key} in {text:?}"))?;
    let number = value.trim().trim_end_matches(" kB");
    Ok(number.parse::<i64>().with_context(|| format!("{key}: {value:?}"))? * 1024)
}

/// What is resident, and of that anonymous pages and those of files, by the page tables of each mapping. What is in
/// a tmpfs is the third kind.
fn by_mapping(pid: u32) -> Result<(i64, i64, i64)> {
    let (mut rss, mut anon, mut file) = (0, 0, 0);
    for mapping in procfs::process::Process::new(i32::try_from(pid)?)?.smaps()? {
        let bytes = |key| mapping.extension.map.get(key).copied().unwrap_or(0);
        rss += i64::try_from(bytes("Rss"))?;
        let others = bytes("Rss") - bytes("Anonymous");
        anon += i64::try_from(bytes("Anonymous"))?;
        if others != 0 && !is_shared_memory(pid, mapping.address) {
            file += i64::try_from(others)?;
        }
    }
    Ok((rss, anon, file))
}

/// Whether this mapping is of a file in a tmpfs. The kernel's own (`[vdso]`) are of no file.
fn is_shared_memory(pid: u32, (from, to): (u64, u64)) -> bool {
    let file = format!("/proc/{pid}/map_files/{from:x}-{to:x}");
    rustix::fs::statfs(file).is_ok_and(|about| about.f_type == libc::TMPFS_MAGIC)
}

/// Reads a process's resident memory.
///
/// # Errors
/// When the process is gone or the kernel has no `smaps_rollup`.
pub fn resident(pid: u32) -> Result<Resident> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    };
    let (rollup, status) = (read("smaps_rollup")?, read("status")?);
    let rss = kilobytes(&rollup, "Rss")?;
    if resources::release()? >= EXACT_STATUS {
        let of = |key| kilobytes(&status, key);
        let (anon, file, shmem) = (of("RssAnon")?, of("RssFile")?, of("RssShmem")?);
        return Ok(Resident { rss, anon, file, shmem });
    }
    let (sum, anon, file) = by_mapping(pid)?;
    // Some releases from 6.1 to 6.9 leave mappings out of `smaps_rollup` while somebody waits to change one.
    let rss = rss.max(sum);
    Ok(Resident { rss, anon, file, shmem: rss - anon - file })
}

/// The highest RSS the process ever had, in bytes (`VmHWM`).
///
/// # Errors
/// When the process is gone.
pub fn peak(pid: u32) -> Result<i64> {
    let path = format!("/proc/{pid}/status");
    kilobytes(&fs::read_to_string(&path).with_context(|| format!("read {path}"))?, "VmHWM")
}

/// The fields of `stat` after the name: state first.
fn stat_fields(path: &str) -> Result<Vec<String>> {
    let stat = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let rest = stat.rsplit_once(')').with_context(|| format!("{path}: {stat:?}"))?.1;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// What must hold still in a parked process: its memory, its faults, its CPU time; and whether
/// every thread of it sleeps.
fn stillness(pid: u32) -> Result<(bool, [String; 4], Resident)> {
    let mut asleep = true;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = task?.path().join("stat");
        // A thread that ends while we look is not at rest.
        asleep &= stat_fields(&stat.to_string_lossy()).is_ok_and(|fields| fields[0] == "S");
    }
    let fields = stat_fields(&format!("/proc/{pid}/stat"))?;
    // minflt, majflt, utime, stime: fields 10, 12, 14, 15 of proc(5), which counts pid and name.
    let counters = [7, 9, 11, 12].map(|index: usize| fields[index].clone());
    Ok((asleep, counters, resident(pid)?))
}

/// Waits until the process and its memory hold still, and gives its memory.
///
/// # Errors
/// When it goes away or never comes to rest.
pub fn settled(pid: u32) -> Result<Resident> {
    let mut last = None;
    let mut same = 0;
    wait::until(&format!("process {pid} to hold still"), || {
        let now = stillness(pid)?;
        same = if now.0 && last.as_ref() == Some(&now) { same + 1 } else { 0 };
        let memory = now.2;
        last = Some(now);
        Ok((same >= 3).then_some(memory))
    })
}

/// Whether the process runs or sleeps (a zombie does not).
#[must_use]
pub fn alive(pid: u32) -> bool {
    stat_fields(&format!("/proc/{pid}/stat")).is_ok_and(|fields| !matches!(&*fields[0], "Z" | "X"))
}

/// The living descendants of a process.
///
/// # Errors
/// When /proc can't be read.
pub fn descendants(pid: u32) -> Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Ok(fields) = stat_fields(&format!("/proc/{child}/stat"))
            && fields[0] != "Z"
        {
            parents.push((child, fields[1].parse::<u32>()?));
        }
    }
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for (child, parent) in &parents {
            if *parent == pid || found.contains(parent) {
                found.insert(*child);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// One field of `status`, as text.
///
/// # Errors
/// When the process is gone or has no such field.
pub fn status_field(pid: u32, key: &str) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("no {key} in status"))?.trim().to_owned())
}

/// Checks that a parked process's counters in `status` and its page tables agree here.
///
/// # Errors
/// When they don't.
pub fn consistent(memory: Resident) -> Result<()> {
    let sum = memory.anon + memory.file + memory.shmem;
    ensure!(sum == memory.rss, "status says {sum}, smaps_rollup {}", memory.rss);
    Ok(())
}
