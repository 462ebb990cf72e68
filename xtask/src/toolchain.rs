//! The compiler, linker and objcopy that the committed eBPF object is built with.
//!
//! Rust's own distribution has no prebuilt `core` for BPF on stable; Debian's `rustc-web` has one.
//! It stands in `/usr/bin` beside whatever rustup installed. This file finds the parts and says
//! which versions they are; installing them is `setup`'s work.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The target of the kernel side.
pub(crate) const TARGET: &str = "bpfel-unknown-none";
/// The version of bpf-linker that `setup` installs.
pub(crate) const LINKER_VERSION: &str = "0.13.0";
/// LLVM's folder, as Debian's `llvm-22` lays it.
pub(crate) const LLVM: &str = "/usr/lib/llvm-22";
/// Debian's packages: the compiler with its `core` for BPF, and what bpf-linker is built from.
pub(crate) const PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "rust-web-llvm",
    "rust-web-clippy",
    "llvm-22",
    "llvm-22-dev",
    "libclang-22-dev",
    "libpolly-22-dev",
    "zlib1g-dev",
    "libzstd-dev",
    "libxml2-dev",
    "g++",
];

/// A complete set, with its versions.
pub(crate) struct Toolchain {
    /// Debian's rustc.
    pub(crate) rustc: PathBuf,
    /// Debian's cargo.
    pub(crate) cargo: PathBuf,
    /// bpf-linker.
    pub(crate) linker: PathBuf,
    /// LLVM's objcopy.
    pub(crate) objcopy: PathBuf,
    /// All versions in one line, recorded beside the object.
    pub(crate) versions: String,
}

/// Finds the set, or says what is missing of it.
pub(crate) fn find() -> Result<Toolchain, Vec<String>> {
    let rustc = PathBuf::from("/usr/bin/rustc");
    let cargo = PathBuf::from("/usr/bin/cargo");
    let objcopy = Path::new(LLVM).join("bin/llvm-objcopy");
    let mut missing = Vec::new();

    let rustc_version = version(&rustc, "rustc");
    if rustc_version.is_none() || !has_core(&rustc) {
        missing.push("/usr/bin/rustc with a prebuilt core for BPF (rustc-web)".to_owned());
    }
    if version(&cargo, "cargo").is_none() {
        missing.push("/usr/bin/cargo (cargo-web)".to_owned());
    }
    let objcopy_version =
        process::ask(Command::new(&objcopy).arg("--version")).and_then(|text| llvm_version(&text));
    if objcopy_version.is_none() {
        missing.push(format!("{} (llvm-22)", objcopy.display()));
    }
    let linker = process::find_program("bpf-linker");
    let linker_version = linker.as_deref().and_then(|path| version(path, "bpf-linker"));
    if linker_version.as_deref() != Some(LINKER_VERSION) {
        missing.push(format!(
            "bpf-linker {LINKER_VERSION} ({})",
            linker_version.as_deref().map_or("not installed".to_owned(), |v| format!("found {v}"))
        ));
    }
    match (rustc_version, objcopy_version, linker) {
        (Some(r), Some(o), Some(linker)) if missing.is_empty() => {
            let versions = format!("rustc {r}, bpf-linker {LINKER_VERSION}, llvm-objcopy {o}");
            Ok(Toolchain { rustc, cargo, linker, objcopy, versions })
        }
        _ => Err(missing),
    }
}

/// `1.96.0` of `rustc 1.96.0 (ac68faa20 2026-05-25)`.
fn version(program: &Path, name: &str) -> Option<String> {
    let text = process::ask(Command::new(program).arg("--version"))?;
    let rest = text.strip_prefix(name)?.trim_start();
    Some(rest.split_whitespace().next()?.to_owned())
}

/// `22.1.8` of a text that has the words `LLVM version 22.1.8`.
fn llvm_version(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("LLVM version ")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

/// Whether the compiler brings `core` for [`TARGET`].
fn has_core(rustc: &Path) -> bool {
    let ask =
        process::ask(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    let Some(Ok(folder)) = ask.map(std::fs::read_dir) else { return false };
    folder.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

#[cfg(test)]
mod tests {
    use super::llvm_version;

    #[test]
    fn llvm_tells_its_version_in_the_middle_of_a_text() {
        let text = "llvm-objcopy, compatible with GNU objcopy\nDebian LLVM version 22.1.8\n";
        assert_eq!(llvm_version(text).as_deref(), Some("22.1.8"));
        assert_eq!(llvm_version("GNU objcopy 2.40"), None);
    }
}
