//! `cargo xtask ebpf`: builds the kernel side, and proves that the committed object is its build.
//!
//! The object and its record live in `memtrace-userspace/ebpf` and are written here only. The
//! build is reproducible: folders are mapped to fixed names, crates get fixed metadata
//! ([`wrapper`]), and debug sections, which no loader reads, are stripped (BTF stays).

pub(crate) mod record;
pub(crate) mod wrapper;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::record::Record;
use crate::process::{self, root};
use crate::source_hash;
use crate::toolchain::{self, TARGET, Toolchain};

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail when the committed object isn't the build of the sources
    #[arg(long)]
    check: bool,
}

impl Options {
    /// As if typed with `--check`.
    pub(crate) const CHECK: Self = Self { check: true };
}

/// How much could be proved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Rebuilt, and the same byte for byte.
    Rebuilt,
    /// The sources' and the object's hashes are those recorded; why it wasn't rebuilt.
    Hashes(String),
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        match check(&root())? {
            Proof::Rebuilt => println!("eBPF object: rebuilt from source, the same byte for byte"),
            Proof::Hashes(why) => {
                println!("eBPF object: hashes of source and object compared, not rebuilt: {why}");
            }
        }
        return Ok(());
    }
    let root = root();
    let tools = toolchain::find().map_err(|missing| {
        anyhow::anyhow!(
            "the eBPF toolchain is incomplete: {}; `cargo xtask setup --for ebpf` installs it",
            missing.join(", ")
        )
    })?;
    let object = build(&root, &tools, false)?;
    let folder = folder(&root);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let record = Record {
        sources: source_hash::of_sources(&root)?,
        object: source_hash::of_bytes(&object),
        tools: tools.versions,
    };
    write(&folder.join("memtrace.bpf.o"), &object)?;
    write(&folder.join("SOURCE_HASH"), record.to_string().as_bytes())?;
    println!("memtrace-userspace/ebpf/memtrace.bpf.o: {} bytes", object.len());
    Ok(())
}

/// Compares the committed object with its sources, by hash, and by building where the same
/// toolchain is installed.
pub(crate) fn check(root: &Path) -> Result<Proof> {
    const MEND: &str = "run `cargo xtask ebpf` and commit memtrace-userspace/ebpf";
    let (object, record) = committed(root, MEND)?;
    if source_hash::of_sources(root)? != record.sources {
        bail!("the eBPF sources have changed since the committed object was built: {MEND}");
    }
    if source_hash::of_bytes(&object) != record.object {
        bail!("the committed eBPF object is not the one that its SOURCE_HASH describes: {MEND}");
    }
    let tools = match toolchain::find() {
        Err(missing) => return Ok(Proof::Hashes(format!("missing {}", missing.join(", ")))),
        Ok(tools) => tools,
    };
    if tools.versions != record.tools {
        let why = format!("it was built with {}, here are {}", record.tools, tools.versions);
        return Ok(Proof::Hashes(why));
    }
    if build(root, &tools, true)? != object {
        bail!("the committed eBPF object differs from a build of its sources: {MEND}");
    }
    Ok(Proof::Rebuilt)
}

/// The committed object and its record.
fn committed(root: &Path, mend: &str) -> Result<(Vec<u8>, Record)> {
    let folder = folder(root);
    let object = fs::read(folder.join("memtrace.bpf.o"))
        .with_context(|| format!("cannot read memtrace-userspace/ebpf/memtrace.bpf.o: {mend}"))?;
    let record = fs::read_to_string(folder.join("SOURCE_HASH"))
        .with_context(|| format!("cannot read memtrace-userspace/ebpf/SOURCE_HASH: {mend}"))?;
    Ok((object, record.parse().context(mend.to_owned())?))
}

/// Where the committed object is.
fn folder(root: &Path) -> PathBuf {
    root.join("memtrace-userspace/ebpf")
}

/// Where the kernel side is built: a folder for each toolchain, since cargo doesn't notice that
/// the linker is another one.
fn target_folder(root: &Path, tools: &Toolchain) -> PathBuf {
    let versions = source_hash::of_bytes(tools.versions.as_bytes());
    root.join("target/ebpf").join(&versions[..8])
}

/// A program of Debian's Rust in the crate of the kernel side, free of what rustup's cargo left in
/// the environment.
pub(crate) fn command(program: impl AsRef<OsStr>, root: &Path, tools: &Toolchain) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let keep = text == "CARGO_HOME" || text.starts_with("CARGO_NET_");
        let foreign = ["CARGO", "RUST", "LD_LIBRARY_PATH"].iter().any(|p| text.starts_with(p));
        if foreign && !keep {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(root.join("memtrace-ebpf"))
        .env("RUSTC", &tools.rustc)
        // aya-ebpf uses unstable features; this compiler is a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target_folder(root, tools));
    command
}

/// Builds the object and gives its bytes.
fn build(root: &Path, tools: &Toolchain, locked: bool) -> Result<Vec<u8>> {
    if !root.join("memtrace-ebpf/Cargo.toml").is_file() {
        bail!("there is no memtrace-ebpf/Cargo.toml in {}", root.display());
    }
    let locked = locked.then_some("--locked");
    // First fetch, so that the folders of the registry's sources are there to be mapped.
    process::run(
        command(&tools.cargo, root, tools)
            .args(["fetch", "--quiet", "--target", TARGET])
            .args(locked),
    )?;
    let flags = flags(root, tools)?;
    process::run(
        command(&tools.cargo, root, tools)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("RUSTC_WRAPPER", std::env::current_exe().context("cannot find my own path")?)
            .env(wrapper::SIGN, "1")
            .args(["build", "--quiet", "--release", "--target", TARGET])
            .args(locked),
    )?;
    let built = target_folder(root, tools).join(TARGET).join("release/memtrace");
    let stripped = target_folder(root, tools).join(format!("memtrace.{}.o", std::process::id()));
    process::run(Command::new(&tools.objcopy).arg("--strip-debug").arg(&built).arg(&stripped))?;
    let bytes = fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()));
    // Another build may have its own; ours has been read.
    drop(fs::remove_file(&stripped));
    bytes
}

/// The compiler's flags. Folders get fixed names, so that the object tells no machine from another.
fn flags(root: &Path, tools: &Toolchain) -> Result<Vec<String>> {
    let mut flags = vec![
        format!("-Clinker={}", tools.linker.display()),
        "-Clink-arg=--btf".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        // Atomic operations that give the old value. The kernels that memtrace runs on know them.
        "-Ctarget-cpu=v3".to_owned(),
    ];
    let mut map = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    map(&root.join("memtrace-ebpf"), "/memtrace/memtrace-ebpf");
    map(&root.join("memtrace-common"), "/memtrace/memtrace-common");
    let sources = process::cargo_home()?.join("registry/src");
    let registries = fs::read_dir(&sources)
        .with_context(|| format!("cannot list cargo's sources in {}", sources.display()))?;
    for registry in registries {
        map(&registry?.path(), "/memtrace/registry");
    }
    Ok(flags)
}

/// Leaves nothing half-written: a new file, then a rename.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
