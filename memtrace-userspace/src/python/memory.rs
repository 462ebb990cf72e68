//! Reading a target's memory from outside, without changing what is measured.
//!
//! Only pages that are present are read (`/proc/PID/pagemap` is asked first: a read of another
//! page would bring it in and be growth of our making). A page of a file mapping that is neither
//! present nor swapped is what the file says, and is read from the file. Everything else that
//! isn't present is a failed read. Nothing is ever written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memtrace_common::memory::ReadMemory;

use super::maps::{Mapping, Mappings};

/// Bytes of one read; larger ones fail. Nothing that is read of an interpreter is near it.
pub const READ_LIMIT: usize = 16 << 20;

/// `pagemap`: the page is in RAM (`Documentation/admin-guide/mm/pagemap.rst`).
const PRESENT: u64 = 1 << 63;
/// `pagemap`: the page is in swap.
const SWAPPED: u64 = 1 << 62;

/// Another process's memory.
#[derive(Debug)]
pub struct TargetMemory {
    pid: u32,
    page: u64,
    pagemap: File,
    mappings: Mappings,
    /// Opened files of mappings, by the mapping's start; `None` for one that can't be opened.
    files: RefCell<HashMap<u64, Option<File>>>,
}

/// Where a page's bytes are to be had.
enum Source {
    Ram,
    File,
    Nowhere,
}

impl TargetMemory {
    /// Opens a process's memory for reading and takes stock of its mappings.
    ///
    /// # Errors
    ///
    /// No such process, or no permission (`CAP_SYS_PTRACE`, or the same user).
    pub fn open(pid: u32) -> io::Result<Self> {
        Self::with_mappings(pid, Mappings::of(pid)?)
    }

    /// The same, with mappings that were just read.
    ///
    /// # Errors
    ///
    /// As [`TargetMemory::open`]; `ESRCH` for a process without memory (kernel threads, and what
    /// has ended but has not been waited for).
    pub fn with_mappings(pid: u32, mappings: Mappings) -> io::Result<Self> {
        Ok(Self {
            pid,
            page: procfs::page_size(),
            mappings,
            pagemap: File::open(format!("/proc/{pid}/pagemap"))?,
            files: RefCell::default(),
        })
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What was mapped when this was opened.
    #[must_use]
    pub fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// Fills `into` from `address`; `false` when not all of it can be read.
    #[must_use]
    pub fn read(&self, address: u64, into: &mut [u8]) -> bool {
        if into.len() > READ_LIMIT || address.checked_add(into.len() as u64).is_none() {
            return false;
        }
        let mut at = address;
        let mut rest = into;
        while !rest.is_empty() {
            let in_page = (self.page - at % self.page).min(rest.len() as u64) as usize;
            let (part, after) = rest.split_at_mut(in_page);
            let read = match self.source(at) {
                Source::Ram => self.read_ram(at, part),
                Source::File => self.read_file(at, part),
                Source::Nowhere => false,
            };
            if !read {
                return false;
            }
            at += in_page as u64;
            rest = after;
        }
        true
    }

    /// `length` bytes at `address`, or `None`.
    #[must_use]
    pub fn bytes(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        if length > READ_LIMIT {
            return None;
        }
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes).then_some(bytes)
    }

    /// Reads those pages of a piece of memory that are in RAM at this moment, and says which: bit
    /// *n* of the answer for page *n*. What isn't in RAM stays as it is in `into`.
    ///
    /// `address` is the beginning of a page, and there are at most 64 pages; of others, nothing is
    /// read. In 64 pages two system calls, where [`TargetMemory::read`] needs 128.
    #[must_use]
    pub fn read_resident(&self, address: u64, into: &mut [u8]) -> u64 {
        let page = self.page as usize;
        let pages = into.len() / page;
        if !address.is_multiple_of(self.page) || pages == 0 || pages > 64 {
            return 0;
        }
        let mut entries = [0; 64 * 8];
        let entries = &mut entries[..pages * 8];
        if self.pagemap.read_exact_at(entries, address / self.page * 8).is_err() {
            return 0;
        }
        let present = |at: usize| {
            entries
                .get(at * 8..at * 8 + 8)
                .and_then(|it| it.try_into().ok())
                .map(u64::from_ne_bytes)
                .is_some_and(|entry| entry & PRESENT != 0)
        };
        let mut read = 0;
        let mut at = 0;
        while at < pages {
            let run = (at..pages).take_while(|&page| present(page)).count();
            let bytes = at * page..(at + run) * page;
            let start = address + bytes.start as u64;
            if run > 0 && self.read_ram(start, &mut into[bytes]) {
                read |= (u64::MAX >> (64 - run)) << at;
            }
            at += run.max(1);
        }
        read
    }

    /// Four bytes.
    #[must_use]
    pub fn read_u32(&self, address: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes).then(|| u32::from_ne_bytes(bytes))
    }

    fn source(&self, address: u64) -> Source {
        let mut entry = [0; 8];
        let position = address / self.page * 8;
        if self.pagemap.read_exact_at(&mut entry, position).is_err() {
            return Source::Nowhere;
        }
        let entry = u64::from_ne_bytes(entry);
        if entry & PRESENT != 0 {
            Source::Ram
        } else if entry & SWAPPED == 0 && self.mappings.at(address).is_some_and(Mapping::is_file) {
            Source::File
        } else {
            Source::Nowhere
        }
    }

    fn read_ram(&self, address: u64, into: &mut [u8]) -> bool {
        let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
        // SAFETY: the local vector is `into`, writable for its length; the remote one is only
        // interpreted by the kernel, in the other process.
        let read = unsafe {
            libc::process_vm_readv(
                self.pid as libc::pid_t,
                &raw const local,
                1,
                &raw const remote,
                1,
                0,
            )
        };
        usize::try_from(read) == Ok(into.len())
    }

    fn read_file(&self, address: u64, into: &mut [u8]) -> bool {
        let Some(mapping) = self.mappings.at(address) else { return false };
        let mut files = self.files.borrow_mut();
        let file = files.entry(mapping.start).or_insert_with(|| mapping.open(self.pid).ok());
        let Some(file) = file else { return false };
        file.read_exact_at(into, address - mapping.start + mapping.offset).is_ok()
    }
}

/// What [`ReadMemory::read_raw`] fills, as a slice.
///
/// # Safety
///
/// `into` must be valid for writes of `length` bytes, and nobody else's for as long as the slice is in use.
pub(crate) unsafe fn zeroed<'a>(into: *mut u8, length: u32) -> &'a mut [u8] {
    // SAFETY: valid for `length` bytes, by the caller's word; initialised before a slice of them exists.
    unsafe {
        into.write_bytes(0, length as usize);
        std::slice::from_raw_parts_mut(into, length as usize)
    }
}

impl ReadMemory for TargetMemory {
    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
        // SAFETY: the caller promises the same.
        self.read(address, unsafe { zeroed(into, length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> TargetMemory {
        TargetMemory::open(std::process::id()).unwrap()
    }

    #[test]
    fn reads_across_pages_what_is_present() {
        let there: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
        assert_eq!(own().bytes(there.as_ptr() as u64, there.len()).unwrap(), there);
    }

    #[test]
    fn a_page_never_touched_is_not_brought_in() {
        let size = 4 << 20;
        // SAFETY: a fresh anonymous mapping of our own.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        let memory = own();
        assert_eq!(memory.read_u64(at as u64 + 8192), None);
        assert!(matches!(memory.source(at as u64 + 8192), Source::Nowhere));
        // SAFETY: mapped above.
        unsafe { libc::munmap(at, size) };
    }

    #[test]
    fn an_absent_page_of_a_file_is_read_from_the_file() {
        use std::os::fd::AsRawFd;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"memtrace", 4096 + 16).unwrap();
        file.set_len(3 * 4096).unwrap();
        // SAFETY: a fresh private mapping of a file of our own.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * 4096,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        let memory = own();
        let address = at as u64 + 4096 + 16;
        assert!(matches!(memory.source(address), Source::File));
        assert_eq!(memory.bytes(address, 8).unwrap(), b"memtrace");
        assert!(matches!(memory.source(address), Source::File), "the read brought the page in");
        // SAFETY: mapped above.
        unsafe { libc::munmap(at, 2 * 4096) };
    }

    #[test]
    fn impossible_addresses_and_lengths_fail() {
        let memory = own();
        assert_eq!(memory.read_u64(0), None);
        assert_eq!(memory.read_u64(u64::MAX - 3), None);
        assert_eq!(memory.read_u64(0xffff_8000_0000_0000), None);
        assert_eq!(memory.bytes(0, READ_LIMIT + 1), None);
    }
}
