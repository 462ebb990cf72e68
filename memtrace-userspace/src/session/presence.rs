//! Which of the ledger's pages are in memory now, asked of `/proc/PID/pagemap`: eight bytes a
//! page, nothing of the target is read or touched.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::ledger::PageLedger;

/// Bytes of an entry, and the bit that says that the page is present
/// (`Documentation/admin-guide/mm/pagemap.rst`).
const ENTRY: u64 = 8;
const PRESENT: u64 = 1 << 63;

/// Entries read at once: 256 KiB.
const CHUNK: u64 = 32 << 10;

/// Present pages per owner of the ledger.
///
/// # Errors
///
/// When the process is gone or may not be looked at.
pub(super) fn present_pages(pid: u32, pages: &PageLedger) -> io::Result<HashMap<u32, i64>> {
    let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
    let mut present = HashMap::new();
    let mut buffer = vec![0u8; (CHUNK * ENTRY) as usize];
    for extent in pages.extents() {
        let mut page = extent.start;
        while page < extent.end {
            let count = (extent.end - page).min(CHUNK);
            let bytes = &mut buffer[..(count * ENTRY) as usize];
            pagemap.read_exact_at(bytes, page * ENTRY)?;
            let here = bytes
                .as_chunks::<8>()
                .0
                .iter()
                .filter(|entry| u64::from_ne_bytes(**entry) & PRESENT != 0)
                .count();
            *present.entry(extent.stack).or_default() += here as i64;
            page += count;
        }
    }
    Ok(present)
}
