//! One hash over everything that the eBPF object is made of.
//!
//! It is what a machine without the eBPF toolchain can still check: that nobody changed the
//! sources without rebuilding the object. It says nothing about the compiler; see `toolchain`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// What the object is made of, relative to the workspace. A folder stands for all its files.
const SOURCES: &[&str] = &[
    "memtrace-common/Cargo.toml",
    "memtrace-common/src",
    "memtrace-ebpf/.cargo",
    "memtrace-ebpf/Cargo.lock",
    "memtrace-ebpf/Cargo.toml",
    "memtrace-ebpf/src",
];

/// The hash of the sources below `root`, in hex.
pub(crate) fn of_sources(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    let mut named = Vec::with_capacity(files.len());
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        named.push((name, content));
    }
    named.sort();
    let mut hash = Sha256::new();
    for (name, content) in &named {
        // Lengths first, so that no two lists of files are one sequence of bytes.
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

/// The hash of some bytes, in hex.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files at or below `path`; none when there is no such path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
    } else if path.is_dir() {
        let folder =
            fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
        for entry in folder {
            collect(&entry?.path(), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const BASE: &[(&str, &str)] =
        &[("memtrace-ebpf/src/main.rs", "one"), ("memtrace-common/src/lib.rs", "two")];

    #[test]
    fn two_folders_with_the_same_sources_have_one_hash() {
        let (a, b) = (tree(BASE), tree(BASE));
        assert_eq!(of_sources(a.path()).unwrap(), of_sources(b.path()).unwrap());
    }

    #[test]
    fn each_change_of_a_source_changes_the_hash() {
        let base = of_sources(tree(BASE).path()).unwrap();
        let changes: &[&[(&str, &str)]] = &[
            &[("memtrace-ebpf/src/main.rs", "one!"), BASE[1]],
            &[("memtrace-ebpf/src/other.rs", "one"), BASE[1]],
            &[BASE[0], BASE[1], ("memtrace-ebpf/Cargo.lock", "")],
            &[BASE[0], BASE[1], ("memtrace-ebpf/.cargo/config.toml", "x")],
            &[BASE[0], ("memtrace-common/src/lib.rs", "tw"), ("memtrace-common/src/o.rs", "o")],
        ];
        for change in changes {
            assert_ne!(base, of_sources(tree(change).path()).unwrap(), "{change:?}");
        }
    }

    #[test]
    fn files_beside_the_sources_do_not_count() {
        let base = of_sources(tree(BASE).path()).unwrap();
        let more = tree(&[BASE[0], BASE[1], ("memtrace-ebpf/target/x", ""), ("README.md", "")]);
        assert_eq!(base, of_sources(more.path()).unwrap());
    }
}
