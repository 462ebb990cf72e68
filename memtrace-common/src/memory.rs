//! How the walker gets at a target's memory: in the kernel by `bpf_probe_read_user`, in the tests
//! through `/proc/PID/mem`.

/// Read access to another program's memory. A failed read is an answer, not an error: targets are
/// never trusted.
pub trait ReadMemory {
    /// Copies `length` bytes at `address` of the target to `into`; `false` when they can't all be
    /// read, in which case `into` holds nothing of use.
    ///
    /// # Safety
    ///
    /// `into` must be valid for writes of `length` bytes.
    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool;

    /// Whether there are pages that can be loaded from ([`Self::page`]).
    #[inline(always)]
    fn has_pages(&self) -> bool {
        false
    }

    /// Where the page that holds `address` can be loaded from, by [`Self::load`]; 0 when it can't.
    #[inline(always)]
    fn page(&self, _address: u64) -> u64 {
        0
    }

    /// The eight bytes at a place in such a page. They must lie in the page, or are any.
    #[inline(always)]
    fn load(&self, _place: u64) -> u64 {
        0
    }

    /// The eight bytes at `address`, in the machine's byte order.
    #[inline(always)]
    fn read_u64(&self, address: u64) -> Option<u64> {
        let mut value = 0u64;
        // SAFETY: `value` is eight bytes long and lives through the call.
        if unsafe { self.read_raw(address, (&raw mut value).cast(), 8) } {
            Some(value)
        } else {
            None
        }
    }
}
