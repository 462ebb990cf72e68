//! Where kernels come from: which are booted, and by what package.

use super::architecture::Architecture;

/// A kernel that is booted.
pub(super) struct Source {
    /// What it is called here.
    pub(super) name: &'static str,
    pub(super) from: From,
}

/// Who built it.
pub(super) enum From {
    /// Debian, as the newest of the suite with this name.
    Debian,
    /// Ubuntu, which has several in a suite.
    Ubuntu {
        suite: &'static str,
        /// The kernel's package, or one that depends on the newest.
        package: &'static str,
    },
}

const fn debian(name: &'static str) -> Source {
    Source { name, from: From::Debian }
}

const fn ubuntu(name: &'static str, suite: &'static str, package: &'static str) -> Source {
    Source { name, from: From::Ubuntu { suite, package } }
}

/// Ubuntu 22.04 and 24.04.
const JAMMY: &str = "jammy-updates";
const NOBLE: &str = "noble-updates";

/// Oldest first. What Debian has; what Ubuntu's long-term releases began with; and, of what these had in between and
/// no longer change, one of each that the others leave out.
const X86_64: &[Source] = &[
    debian("bullseye"),                            // 5.10
    ubuntu("jammy", JAMMY, "linux-image-virtual"), // 5.15
    ubuntu("jammy-5.19", JAMMY, "linux-image-5.19.0-50-generic"),
    debian("bookworm"), // 6.1
    ubuntu("jammy-6.2", JAMMY, "linux-image-6.2.0-39-generic"),
    ubuntu("jammy-6.5", JAMMY, "linux-image-6.5.0-45-generic"),
    ubuntu("noble", NOBLE, "linux-image-virtual"), // 6.8
    ubuntu("noble-6.11", NOBLE, "linux-image-6.11.0-29-generic"),
    debian("trixie"), // 6.12
    debian("sid"),
];

const AARCH64: &[Source] = &[debian("trixie"), debian("sid")];

/// The kernels that are booted, oldest first.
pub(super) fn all(architecture: Architecture) -> &'static [Source] {
    match architecture {
        Architecture::X86_64 => X86_64,
        Architecture::Aarch64 => AARCH64,
    }
}
