//! `cargo xtask setup`: installs what is missing, from package registries only, and says what.
//!
//! Four kinds of need: Debian packages by name, programs by `cargo install`, from PyPI numpy for each
//! Python series and mprof, from npm readers of report formats; the last two below the build folder,
//! so that no Python installation and no node of the machine is touched.
//! It never removes or upgrades anything.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process::{self, root};
use crate::python::{self, Python};
use crate::toolchain::{self, LINKER_VERSION, LLVM};
use crate::{browser, instructions, interpreters, mprof, pip, viewers, vm};

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install nothing; say what is missing, and fail when something is
    #[arg(long)]
    check: bool,
    /// What for
    #[arg(long = "for", value_enum, default_value_t = Purpose::All)]
    purpose: Purpose,
}

/// What an installation is for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// Tests and eBPF toolchain
    All,
    /// What `cargo xtask test` needs
    Tests,
    /// What `cargo xtask test --long` needs
    Long,
    /// What rebuilds the eBPF object
    Ebpf,
}

impl Options {
    /// As if typed without `--check`.
    pub(crate) fn install(purpose: Purpose) -> Self {
        Self { check: false, purpose }
    }
}

/// Something missing.
#[derive(Debug)]
enum Need {
    /// A Debian package.
    Package(&'static str),
    /// bpf-linker in the pinned version.
    Linker,
    /// cargo-nextest.
    Nextest,
    /// numpy for an interpreter, in this folder.
    Numpy(Python, PathBuf),
    /// Readers of report formats.
    Viewers,
    /// memory_profiler's mprof, in this folder.
    Mprof(PathBuf),
}

/// Allocators that take libc's place in a test.
const ALLOCATORS: [&str; 3] = ["libjemalloc2", "libtcmalloc-minimal4", "libmimalloc2.0"];

impl Need {
    fn name(&self) -> String {
        match self {
            Self::Package(name) => format!("Debian package {name}"),
            Self::Linker => format!("bpf-linker {LINKER_VERSION} (cargo install)"),
            Self::Nextest => "cargo-nextest (cargo install)".to_owned(),
            Self::Numpy(python, _) => format!("numpy for Python {} (pip)", python.series()),
            Self::Viewers => {
                format!("{} (npm)", viewers::PACKAGES.map(|(name, _)| name).join(", "))
            }
            Self::Mprof(_) => "mprof and matplotlib (pip)".to_owned(),
        }
    }
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.purpose != Purpose::Ebpf {
        interpreters::try_to_have(options.check);
    }
    let needs = missing(options.purpose);
    if needs.is_empty() {
        println!("setup: nothing is missing");
        return Ok(());
    }
    println!("setup: missing are");
    for need in &needs {
        println!("  {}", need.name());
    }
    if options.check {
        bail!("not complete; `cargo xtask setup` installs what is missing");
    }
    let start = Instant::now();
    install(&needs)?;
    let left = missing(options.purpose);
    if !left.is_empty() {
        let names: Vec<_> = left.iter().map(Need::name).collect();
        bail!("still missing after the installation: {}", names.join(", "));
    }
    println!("setup: done in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// What is missing for a purpose.
fn missing(purpose: Purpose) -> Vec<Need> {
    let mut needs = Vec::new();
    if purpose != Purpose::Ebpf {
        if process::find_program("bpftool").is_none() {
            needs.push(Need::Package("bpftool"));
        }
        if process::find_program("promtool").is_none() {
            needs.push(Need::Package("prometheus"));
        }
        if process::find_program("systemd-analyze").is_none() {
            needs.push(Need::Package("systemd"));
        }
        needs.extend(
            ALLOCATORS.iter().copied().filter(|name| !is_installed(name)).map(Need::Package),
        );
        if process::find_program("valgrind").is_none() {
            needs.push(Need::Package(instructions::PACKAGE));
        }
        needs.extend(browser::missing().iter().copied().map(Need::Package));
        if process::ask(process::cargo().args(["nextest", "--version"])).is_none() {
            needs.push(Need::Nextest);
        }
        needs.extend(missing_numpy());
        needs.extend(missing_viewers());
        needs.extend(Some(mprof::folder()).filter(|folder| !folder.exists()).map(Need::Mprof));
    }
    if purpose == Purpose::Long {
        needs.extend(vm::missing_package().map(Need::Package));
        // libFuzzer is compiled from its source.
        if process::find_program("g++").is_none() {
            needs.push(Need::Package("g++"));
        }
    }
    if !matches!(purpose, Purpose::Tests | Purpose::Long) {
        let absent = toolchain::PACKAGES.iter().copied().filter(|name| !is_installed(name));
        needs.extend(absent.map(Need::Package));
        let linker = process::find_program("bpf-linker")
            .and_then(|path| process::ask(Command::new(path).arg("--version")));
        if linker.as_deref() != Some(&format!("bpf-linker {LINKER_VERSION}")) {
            needs.push(Need::Linker);
        }
    }
    needs
}

/// Whether Debian's package manager has a package installed.
fn is_installed(package: &str) -> bool {
    process::ask(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .as_deref()
        == Some("installed")
}

/// numpy for each Python series, in the folder where the tests look for it. Of several
/// interpreters of a series the first with pip serves. A series without pip is no need: the test
/// that wants numpy there says so.
fn missing_numpy() -> Vec<Need> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let folder = root().join(target).join("memtrace-tests");
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    for python in python::find() {
        let own = folder.join(format!("numpy-{}", python.series()));
        if !own.exists() && !needs.contains_key(&python.series()) && python.has_module("pip") {
            needs.insert(python.series(), Need::Numpy(python, own));
        }
    }
    needs.into_values().collect()
}

/// The readers of report formats, and what installs them.
fn missing_viewers() -> Vec<Need> {
    let mut needs = Vec::new();
    if process::find_program("npm").is_none() {
        needs.push(Need::Package("npm"));
    }
    if !viewers::are_there() {
        needs.push(Need::Viewers);
    }
    needs
}

fn install(needs: &[Need]) -> Result<()> {
    let packages: Vec<_> = needs
        .iter()
        .filter_map(|need| if let Need::Package(name) = need { Some(*name) } else { None })
        .collect();
    install_packages(&packages)?;
    for need in needs {
        match need {
            Need::Package(_) => {}
            Need::Linker => install_linker()?,
            Need::Nextest => {
                process::run(process::cargo().args(["install", "--locked", "cargo-nextest"]))?;
            }
            Need::Numpy(python, folder) => install_numpy(python, folder)?,
            Need::Viewers => viewers::install()?,
            Need::Mprof(folder) => mprof::install(folder)?,
        }
    }
    Ok(())
}

fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if process::find_program("apt-get").is_none() {
        bail!(
            "these packages (Debian's names) are needed, and there is no apt-get here to install \
             them with: {names}"
        );
    }
    if !process::is_root() {
        bail!(
            "installing packages needs root; run `sudo apt-get install {names}`, then this again"
        );
    }
    process::run(Command::new("apt-get").args(["update", "-q"]))?;
    process::run(
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages),
    )
    .context("if Debian no longer has one of these packages, the committed eBPF object still works")
}

fn install_linker() -> Result<()> {
    println!("$ export LLVM_PREFIX={LLVM} LLVM_SYS_221_PREFIX={LLVM}");
    process::run(
        process::cargo()
            .env("LLVM_PREFIX", LLVM)
            .env("LLVM_SYS_221_PREFIX", LLVM)
            .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--force"])
            .args(["--no-default-features", "--features", "llvm-22"]),
    )
}

fn install_numpy(python: &Python, folder: &Path) -> Result<()> {
    pip::install(python, folder, &["--no-deps", "numpy"], |_| Ok(()))
}
