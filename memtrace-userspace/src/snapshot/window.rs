//! Going through a target's memory from one end to the other: 64 pages at a time.
//!
//! Only pages that are in RAM when it comes to them are read. Nothing is kept; for going to and
//! fro there is `blocks`.

use crate::python::TargetMemory;

/// Pages of one reading.
const PAGES: u64 = 64;

/// The pages that were read last.
pub(super) struct Window<'a> {
    memory: &'a TargetMemory,
    page: u64,
    /// Where they begin; nothing was read yet if it is no page's beginning.
    start: u64,
    /// A bit a page.
    present: u64,
    bytes: Vec<u8>,
}

/// No page begins there.
const NOWHERE: u64 = u64::MAX;

impl<'a> Window<'a> {
    #[must_use]
    pub(super) fn new(memory: &'a TargetMemory) -> Self {
        let page = procfs::page_size();
        let bytes = vec![0; (PAGES * page) as usize];
        Self { memory, page, start: NOWHERE, present: 0, bytes }
    }

    /// Bytes of a page.
    #[must_use]
    pub(super) fn page_size(&self) -> u64 {
        self.page
    }

    /// What was read is to be read again.
    pub(super) fn forget(&mut self) {
        self.start = NOWHERE;
    }

    /// The page that an address is in, if it is in RAM.
    pub(super) fn page(&mut self, address: u64) -> Option<&[u8]> {
        let address = address / self.page * self.page;
        let into = address.checked_sub(self.start).filter(|it| *it < PAGES * self.page);
        let into = into.unwrap_or_else(|| {
            self.start = address;
            self.present = self.memory.read_resident(address, &mut self.bytes);
            0
        });
        if self.present & 1 << (into / self.page) == 0 {
            return None;
        }
        self.bytes.get(into as usize..(into + self.page) as usize)
    }

    /// The eight bytes at an address, all in one page.
    pub(super) fn word(&mut self, address: u64) -> Option<u64> {
        let at = (address % self.page) as usize;
        let bytes = self.page(address)?.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_wherever_they_are_asked_for_and_anew_when_forgotten() {
        let mut there: Vec<u64> = (0..200_000).collect();
        let memory = TargetMemory::open(std::process::id()).unwrap();
        let mut window = Window::new(&memory);
        let at = |index: usize| there.as_ptr() as u64 + 8 * index as u64;
        for index in [0, 1, 199_999, 70_000, 32_768, 100] {
            assert_eq!(window.word(at(index)), Some(index as u64));
        }
        let place = at(100);
        there[100] = 7;
        std::hint::black_box(&there);
        assert_eq!(window.word(place), Some(100), "what was read is not read again");
        window.forget();
        assert_eq!(window.word(place), Some(7));
        assert_eq!(window.word(16), None);
    }
}
