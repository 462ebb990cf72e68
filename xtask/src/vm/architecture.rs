//! The machines that QEMU stands for, and what differs between them.

/// A kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Architecture {
    /// This machine's own
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM, for which everything is cross-built
    Aarch64,
}

impl Architecture {
    /// As Rust and the kernel call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As people write it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian calls it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    pub(super) fn qemu(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Aarch64 => "qemu-system-aarch64",
        }
    }

    /// Debian's packages that a run needs.
    pub(super) fn packages(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86",
            Self::Aarch64 => "qemu-system-arm gcc-aarch64-linux-gnu",
        }
    }

    /// Machine and CPU. `machine.rs` says why one thread for x86-64; aarch64 patches code in another way.
    /// QEMU's own pointer authentication takes half of all time, so a quick one stands for it.
    pub(super) fn machine(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["-accel", "tcg,thread=single", "-cpu", "max"],
            Self::Aarch64 => {
                &["-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "max,pauth-impdef=on"]
            }
        }
    }

    /// The two serial lines: what QEMU is told of the one that `guest` speaks on, and how the kernel calls
    /// them. QEMU's board for aarch64 has one only; the other is a PCI card.
    pub(super) fn voice(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["-serial", "stdio"],
            Self::Aarch64 => &["-chardev", "stdio,id=voice", "-device", "pci-serial,chardev=voice"],
        }
    }

    /// The kernel's console and the device that `guest` speaks on.
    pub(super) fn lines(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("ttyS0", "ttyS1"),
            Self::Aarch64 => ("ttyAMA0", "ttyS0"),
        }
    }
}
