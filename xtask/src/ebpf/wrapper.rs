//! The compiler as cargo calls it for the kernel side, with the folder taken out of crate names.
//!
//! Cargo hashes the absolute folder of a path dependency outside the workspace into
//! `-C metadata`, rustc makes it part of every mangled name, and those names are in BTF: the same
//! sources in two folders would give two objects. So this program stands in for rustc
//! (`RUSTC_WRAPPER`), gives the project's own two crates a fixed `metadata`, and passes everything
//! else on. It touches no other crate and no other flag.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The environment variable that says "you are the compiler now".
pub(crate) const SIGN: &str = "MEMTRACE_XTASK_AS_RUSTC";

/// Whether cargo started this program as its compiler.
pub(crate) fn wanted() -> bool {
    std::env::var_os(SIGN).is_some()
}

/// Becomes the compiler.
pub(crate) fn run() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(rustc) = words.next() else {
        eprintln!("xtask: {SIGN} is set, but no compiler was named");
        return ExitCode::FAILURE;
    };
    let error = Command::new(&rustc).args(settled(words.collect())).exec();
    eprintln!("xtask: {} could not be started: {error}", rustc.to_string_lossy());
    ExitCode::FAILURE
}

/// The arguments with a fixed `metadata` where the crate is one of ours.
fn settled(words: Vec<OsString>) -> Vec<OsString> {
    let ours = words
        .windows(2)
        .any(|w| w[0] == "--crate-name" && (w[1] == "memtrace" || w[1] == "memtrace_common"));
    if !ours {
        return words;
    }
    let settle = |word: OsString| match word.to_str() {
        Some(text) if text.starts_with("metadata=") => "metadata=memtrace".into(),
        _ => word,
    };
    words.into_iter().map(settle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn our_crates_get_a_fixed_metadata() {
        let typed = words("--crate-name memtrace_common -C metadata=9f -C extra-filename=-9f");
        let meant =
            words("--crate-name memtrace_common -C metadata=memtrace -C extra-filename=-9f");
        assert_eq!(settled(typed), meant);
    }

    #[test]
    fn other_crates_are_passed_on_as_they_are() {
        let typed = words("--crate-name aya_ebpf -C metadata=9f");
        assert_eq!(settled(typed.clone()), typed);
    }
}
