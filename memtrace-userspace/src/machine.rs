//! The machine that memtrace runs on, and the constants that differ for it.
//!
//! No other file asks for the compiler's target: who does something in another way on another machine
//! looks at [`HERE`], so that all of it is compiled, and tested, everywhere.

/// A kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64
    X86_64,
    /// 64-bit ARM, little-endian
    Aarch64,
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
compile_error!(
    "memtrace traces on x86-64 and aarch64: page faults and registers of others are not known"
);

/// This one.
pub const HERE: Machine =
    if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 };

impl Machine {
    /// As its users call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// `e_machine` of its ELF files.
    #[must_use]
    pub const fn elf(self) -> u16 {
        match self {
            Self::X86_64 => object::elf::EM_X86_64,
            Self::Aarch64 => object::elf::EM_AARCH64,
        }
    }

    /// Where `brk`'s heap can't reach: the region of `mmap`. The heap follows the program, which lies
    /// at two thirds of the 47 or 48 bits of addresses (`ELF_ET_DYN_BASE`), or low.
    #[must_use]
    pub const fn heap_ceiling(self) -> u64 {
        match self {
            Self::X86_64 => 0x7000_0000_0000,
            Self::Aarch64 => 0xe000_0000_0000,
        }
    }

    /// Whether its kernel has tracepoints for page faults (`exceptions:page_fault_user` and
    /// `page_fault_kernel`). Elsewhere the software event tells of them.
    #[must_use]
    pub const fn traces_faults(self) -> bool {
        matches!(self, Self::X86_64)
    }
}

/// What can't be done on this machine yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not supported on {}: {instead}", HERE.name())]
pub struct NotHere {
    /// The option, or what it gives.
    pub what: &'static str,
    /// What to do.
    pub instead: &'static str,
}
