//! Which pages of a process are in RAM, and which in swap.
//!
//! Asked of the kernel page by page, never found out by touching: with `PAGEMAP_SCAN` where there
//! is one (Linux 6.7), else from `/proc/PID/pagemap`. The page of zeros that stands for memory
//! nobody has written to is not resident, as the kernel's own counters have it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::smaps::Counted;

/// Bytes of `pagemap` read at once.
const PIECE: u64 = 512 << 10;

/// `pagemap`: in RAM; in swap; of a file or shared memory; mapped by nobody else.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;

/// Sorted, disjoint ranges that know how much lies before each.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    runs: Vec<(Range<u64>, u64)>,
    total: u64,
}

impl Runs {
    /// Adds a range behind all others.
    fn push(&mut self, range: Range<u64>) {
        match self.runs.last_mut() {
            Some((last, _)) if last.end == range.start => last.end = range.end,
            _ => self.runs.push((range.clone(), self.total)),
        }
        self.total += range.end - range.start;
    }

    /// Bytes of them below an address.
    fn below(&self, address: u64) -> u64 {
        let index = self.runs.partition_point(|(range, _)| range.start < address);
        let Some((range, before)) = index.checked_sub(1).and_then(|at| self.runs.get(at)) else {
            return 0;
        };
        before + address.min(range.end) - range.start
    }

    /// Bytes of them in a range.
    #[must_use]
    pub(super) fn within(&self, range: &Range<u64>) -> u64 {
        self.below(range.end).saturating_sub(self.below(range.start))
    }
}

/// What is where at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Residence {
    /// In RAM.
    pub(super) ram: Runs,
    /// In swap.
    pub(super) swap: Runs,
}

impl Residence {
    /// Asks for all pages of these mappings, which are sorted by address.
    ///
    /// # Errors
    ///
    /// When `pagemap` can't be opened: gone, or not allowed.
    pub(super) fn of(pid: u32, mappings: &[Counted]) -> io::Result<Self> {
        let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
        let page = procfs::page_size();
        let mut all = Self::default();
        for Counted { mapping, counts } in mappings {
            // vsyscall has an address beyond all page tables.
            if (counts.rss == 0 && counts.swap == 0) || mapping.start > i64::MAX as u64 {
                continue;
            }
            let scanned = scan(&pagemap, mapping.range());
            let mut pages = scanned
                .or_else(|| entries(&pagemap, mapping.range(), page, false))
                .unwrap_or_default();
            if in_ram(&pages) > counts.rss {
                // A huge page of zeros, or any page of zeros where `PAGEMAP_SCAN` isn't there to
                // tell: it is mapped by others, too.
                let exclusive = entries(&pagemap, mapping.range(), page, true);
                pages = exclusive.filter(|it| in_ram(it) >= counts.rss).unwrap_or(pages);
            }
            for (range, state) in pages {
                match state {
                    State::Ram => all.ram.push(range),
                    // Guard pages (Linux 6.13) look as if they were in swap.
                    State::Swap if counts.swap > 0 => all.swap.push(range),
                    State::Swap => {}
                }
            }
        }
        Ok(all)
    }
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ram,
    Swap,
}

type Pages = Vec<(Range<u64>, State)>;

fn in_ram(pages: &Pages) -> u64 {
    let ram = pages.iter().filter(|(_, state)| *state == State::Ram);
    ram.map(|(range, _)| range.end - range.start).sum()
}

/// `struct pm_scan_arg` (`include/uapi/linux/fs.h`, Linux 6.7).
#[repr(C)]
#[derive(Default)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZEROS: u64 = 1 << 5;
/// `_IOWR('f', 16, struct pm_scan_arg)`
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610u32 as libc::Ioctl;

/// Runs of pages by `PAGEMAP_SCAN`; `None` where the kernel has no such thing.
fn scan(pagemap: &File, range: Range<u64>) -> Option<Pages> {
    let mut pages = Vec::new();
    let mut regions = [Region::default(); 512];
    let mut start = range.start;
    while start < range.end {
        let mut argument = ScanArgument {
            size: size_of::<ScanArgument>() as u64,
            start,
            end: range.end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: regions.len() as u64,
            category_inverted: IS_ZEROS,
            category_mask: IS_ZEROS,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT | IS_SWAPPED,
            ..ScanArgument::default()
        };
        // SAFETY: the argument has the layout and the size that the kernel knows it by, and `vec`
        // has room for `vec_len` regions.
        let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut argument) };
        let found = regions.get(..usize::try_from(found).ok()?)?;
        for region in found {
            let swapped = region.categories & IS_SWAPPED != 0;
            let state = if swapped { State::Swap } else { State::Ram };
            pages.push((region.start..region.end, state));
        }
        if argument.walk_end <= start {
            break;
        }
        start = argument.walk_end;
    }
    Some(pages)
}

/// Runs of pages by their entries in `pagemap`; without those of anonymous memory that others map
/// as well, if `exclusive`.
fn entries(pagemap: &File, range: Range<u64>, page: u64, exclusive: bool) -> Option<Pages> {
    let mut pages: Pages = Vec::new();
    let mut buffer = vec![0; PIECE as usize];
    let mut address = range.start;
    while address < range.end {
        let bytes = ((range.end - address) / page * 8).min(PIECE) as usize;
        pagemap.read_exact_at(&mut buffer[..bytes], address / page * 8).ok()?;
        for entry in buffer[..bytes].chunks_exact(8) {
            let entry = u64::from_ne_bytes(entry.try_into().ok()?);
            let state = match entry {
                _ if entry & SWAPPED != 0 => Some(State::Swap),
                _ if entry & PRESENT == 0 => None,
                _ if exclusive && entry & (FILE | EXCLUSIVE) == 0 => None,
                _ => Some(State::Ram),
            };
            if let Some(state) = state {
                match pages.last_mut() {
                    Some((last, of)) if last.end == address && *of == state => last.end += page,
                    _ => pages.push((address..address + page, state)),
                }
            }
            address += page;
        }
    }
    Some(pages)
}

#[cfg(test)]
mod tests {
    use super::super::smaps;
    use super::*;

    #[test]
    fn bytes_of_runs_are_counted_within_any_range() {
        let mut runs = Runs::default();
        for range in [10..20, 20..30, 50..60, 100..101] {
            runs.push(range);
        }
        assert_eq!(runs.runs.len(), 3, "neighbours are one");
        let check = |range: Range<u64>, bytes| assert_eq!(runs.within(&range), bytes, "{range:?}");
        check(0..1000, 31);
        check(0..10, 0);
        check(15..25, 10);
        check(25..55, 10);
        check(30..50, 0);
        check(100..101, 1);
        check(70..90, 0);
    }

    /// Both ways of asking agree with what was done, and with each other.
    #[test]
    fn touched_pages_are_resident_and_pages_of_zeros_are_not() {
        let size = 1 << 20;
        // SAFETY: a fresh anonymous mapping of our own, with ordinary pages.
        let at = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let at = libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | 2, flags, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            libc::madvise(at, size, libc::MADV_NOHUGEPAGE);
            at.cast::<u8>()
        };
        for page in [1, 2, 3, 40] {
            // SAFETY: within the mapping.
            unsafe { at.add(page * 4096).write_volatile(1) };
        }
        // SAFETY: within the mapping; reading maps the page of zeros.
        assert_eq!(unsafe { at.add(100 * 4096).read_volatile() }, 0);
        let own = std::process::id();
        let start = at as u64;
        let range = start..start + size as u64;
        let mappings = smaps::mappings(own).unwrap();
        let residence = Residence::of(own, &mappings).unwrap();
        assert_eq!(residence.ram.within(&range), 4 * 4096);
        assert_eq!(residence.ram.within(&(start + 4096..start + 4 * 4096)), 3 * 4096);
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let simple = entries(&pagemap, range.clone(), 4096, true).unwrap();
        assert_eq!(in_ram(&simple), 4 * 4096);
        if let Some(scanned) = scan(&pagemap, range) {
            assert_eq!(scanned, simple);
        }
        // SAFETY: mapped above.
        unsafe { libc::munmap(at.cast(), size) };
    }
}
