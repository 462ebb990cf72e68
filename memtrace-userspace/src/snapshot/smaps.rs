//! `/proc/PID/smaps` and `smaps_rollup`: what the kernel counts as resident, mapping by mapping.
//!
//! Parsing is pure. The kernel's figures are taken as they are: what of a mapping is used for what
//! is found out elsewhere.

use std::fs::File;
use std::io::{self, Read};

use crate::python::maps::Mapping;

/// Bytes of `smaps` that are read: some 700 a mapping, so a million and a half mappings.
const SMAPS_LIMIT: u64 = 1 << 30;

/// What is counted of a mapping, or of all; bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// `Rss`
    pub(super) rss: u64,
    /// `Swap`
    pub(super) swap: u64,
    /// `AnonHugePages`, `ShmemPmdMapped` and `FilePmdMapped`: in RSS.
    pub(super) huge: u64,
    /// `Shared_Hugetlb` and `Private_Hugetlb`: not in RSS.
    pub(super) hugetlb: u64,
}

impl Counts {
    /// One line below a mapping's.
    fn line(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (key, value) = (&line[..colon], &line[colon + 1..]);
        let counter = match key {
            b"Rss" => &mut self.rss,
            b"Swap" => &mut self.swap,
            b"AnonHugePages" | b"ShmemPmdMapped" | b"FilePmdMapped" => &mut self.huge,
            b"Shared_Hugetlb" | b"Private_Hugetlb" => &mut self.hugetlb,
            _ => return None,
        };
        let number = value.strip_suffix(b" kB")?.trim_ascii();
        let kilobytes: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        *counter = counter.saturating_add(kilobytes.saturating_mul(1024));
        Some(())
    }

    /// Each count by itself.
    fn with(self, other: Self, one: fn(u64, u64) -> u64) -> Self {
        Self {
            rss: one(self.rss, other.rss),
            swap: one(self.swap, other.swap),
            huge: one(self.huge, other.huge),
            hugetlb: one(self.hugetlb, other.hugetlb),
        }
    }
}

/// A mapping and what is counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// The mapping.
    pub(super) mapping: Mapping,
    /// Its counts.
    pub(super) counts: Counts,
}

/// Reads the mappings of a process with their counts, by address.
///
/// # Errors
///
/// No such process, no permission.
pub(super) fn mappings(pid: u32) -> io::Result<Vec<Counted>> {
    Ok(parse(&read(pid, "smaps")?))
}

/// Reads the counts of all mappings together, which are `known` from a moment ago.
///
/// From Linux 6.1 on (c4c84f06285e) `show_smaps_rollup` in `fs/proc/task_mmu.c` leaves out the mapping that comes after one at
/// which somebody waits to change some; May 2024 mended it, not for all. Where a thread changes mappings all the time, half
/// of the readings had 7 MiB of 31 on Debian's 6.1.176, on 6.2 and on 6.5. So a count is never less than what the mappings
/// come to.
///
/// # Errors
///
/// No such process, no permission; a kernel older than 4.14.
pub(super) fn together(pid: u32, known: &[Counted]) -> io::Result<Counts> {
    let text = read(pid, "smaps_rollup")?;
    let mut counts = Counts::default();
    for line in text.split(|&byte| byte == b'\n') {
        counts.line(line);
    }
    let sum = known.iter().map(|it| it.counts);
    let sum = sum.fold(Counts::default(), |sum, one| sum.with(one, u64::saturating_add));
    Ok(counts.with(sum, u64::max))
}

fn read(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/{name}"))?.take(SMAPS_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

fn parse(text: &[u8]) -> Vec<Counted> {
    let mut all: Vec<Counted> = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        // A counter's line has no `-` in its first word, a mapping's begins with hexadecimals.
        if line.first().is_some_and(|byte| byte.is_ascii_uppercase()) {
            if let Some(last) = all.last_mut() {
                last.counts.line(line);
            }
        } else if let Some(mapping) = Mapping::parse(line) {
            all.push(Counted { mapping, counts: Counts::default() });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_belong_to_the_mapping_above_them() {
        let all = parse(
            b"7f10-7f20 rw-p 00000000 00:00 0 \nSize:  64 kB\nRss:                  12 kB\n\
              Pss:  6 kB\nAnonHugePages:     2048 kB\nSwap:                  8 kB\nSwapPss: 4 kB\n\
              THPeligible:           1\nVmFlags: rd wr mr mw me ac \n\
              7f20-7f30 r--p 00000000 fe:01 42 /srv/Rss: 9 kB\nRss:  4 kB\nSwap: 0 kB\n\
              Private_Hugetlb:     4096 kB\n",
        );
        assert_eq!(all.len(), 2);
        let first = Counts { rss: 12 << 10, swap: 8 << 10, huge: 2 << 20, hugetlb: 0 };
        assert_eq!(all[0].counts, first);
        assert_eq!(all[1].counts, Counts { rss: 4 << 10, hugetlb: 4 << 20, ..Counts::default() });
        assert_eq!(all[1].mapping.path.to_str(), Some("/srv/Rss: 9 kB"));
    }
}
