//! What was taken for a report is the kernel's again afterwards.
//!
//! glibc keeps what is freed: each thread has an arena of its own, which gets smaller only at its end. It
//! decides nothing about what is taken.

/// Gives back whole pages of all arenas that nobody uses. Takes milliseconds for each 100 MB that are
/// there: for who has just made something large.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the locks of the arenas that it looks at, and nothing in use moves.
    unsafe {
        libc::malloc_trim(0)
    };
}
