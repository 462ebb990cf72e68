//! What tests need beside interpreters: root, a C library, numpy, folders.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

use crate::interpreters::{self, Interpreter};

/// Fails, in words, when this test doesn't run as root.
///
/// # Errors
/// When it isn't root.
pub fn root() -> Result<()> {
    // SAFETY: geteuid has no arguments and can't fail.
    let user = unsafe { libc::geteuid() };
    ensure!(user == 0, "this test loads BPF programs and must run as root; it runs as user {user}");
    Ok(())
}

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where builds go, and what tests keep between runs.
#[must_use]
pub fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it can't be run or says no; the message has what it printed.
pub fn succeed(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

/// Makes `path` once over all test processes: `make` fills a fresh place, which is then renamed.
fn made_once(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = path.parent().context("a folder")?;
    fs::create_dir_all(folder)?;
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let lock = File::create(beside(".lock"))?;
    lock.lock()?;
    if path.exists() {
        return Ok(());
    }
    let fresh = beside(".new");
    if fresh.is_dir() {
        fs::remove_dir_all(&fresh)?;
    }
    make(&fresh)?;
    fs::rename(&fresh, path).with_context(|| format!("{}", path.display()))
}

/// The library built from `programs/native.c`, whose threads never run Python; or the one that
/// `MEMTRACE_TEST_NATIVE` names, where there is no compiler.
///
/// # Errors
/// When there is no C compiler, or it fails.
pub fn native_library() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BUILT.get() {
        return Ok(built.clone());
    }
    if let Some(named) = std::env::var_os("MEMTRACE_TEST_NATIVE") {
        return Ok(named.into());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/native.c");
    let age = fs::metadata(&source)?.modified()?.duration_since(std::time::UNIX_EPOCH)?;
    let library = target_folder().join(format!("memtrace-tests/native-{}.so", age.as_nanos()));
    made_once(&library, |fresh| {
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-pthread", "-o"]).arg(fresh).arg(&source);
        succeed(&mut cc).map(drop)
    })?;
    Ok(BUILT.get_or_init(|| library).clone())
}

/// How much of an extension module's debug information there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbols {
    /// In the file itself.
    Debug,
    /// Exported names only.
    Stripped,
    /// In a file of its own, which the file names with its checksum (`.gnu_debuglink`).
    Separate,
}

/// The extension module built from `programs/growth.c`, below `folder`.
///
/// # Errors
/// When there is no C compiler or no binutils, or they fail.
pub fn growth_extension(folder: &Path, symbols: Symbols) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/growth.c");
    let (module, debug) = (folder.join("growth.abi3.so"), folder.join("growth.debug"));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-g", "-Wl,--build-id=none", "-o"])
        .arg(&module)
        .arg(source);
    succeed(&mut cc)?;
    if symbols == Symbols::Separate {
        succeed(Command::new("objcopy").arg("--only-keep-debug").arg(&module).arg(&debug))?;
    }
    if symbols != Symbols::Debug {
        succeed(Command::new("strip").arg(&module))?;
    }
    if symbols == Symbols::Separate {
        let link = format!("--add-gnu-debuglink={}", debug.display());
        succeed(Command::new("objcopy").arg(link).arg(&module))?;
    }
    Ok(module)
}

/// Cargo in the workspace, as if typed there: what cargo has set for this test would make ring, whose
/// build asks for it, and all that needs ring be built again, and again the next time without.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let of_a_package =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_a_package) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(workspace());
    cargo
}

/// The folder with npm's packages that open reports.
///
/// # Errors
/// When `cargo xtask setup` has not installed them.
pub fn viewers() -> Result<PathBuf> {
    let folder = target_folder().join("memtrace-tests/viewers/node_modules");
    ensure!(folder.is_dir(), "{} is missing: `cargo xtask setup` makes it", folder.display());
    Ok(folder)
}

/// A library of Debian's, by its name.
///
/// # Errors
/// When it isn't installed.
pub fn system_library(name: &str) -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|folder| folder.path().join(name));
    folders.into_iter().find(|path| path.is_file()).with_context(|| {
        format!("{name} is not below /usr/lib: `cargo xtask setup` installs its package")
    })
}

/// A folder that brings numpy to this interpreter by PYTHONPATH.
///
/// # Errors
/// When pip can't install it.
pub fn numpy(python: &Interpreter) -> Result<PathBuf> {
    from_pypi(python, "numpy", &["--no-deps"])
}

/// The same for pandas, with what it needs (numpy among it).
///
/// # Errors
/// When pip can't install it.
pub fn pandas(python: &Interpreter) -> Result<PathBuf> {
    from_pypi(python, "pandas", &[])
}

/// A folder that brings a package to this interpreter by PYTHONPATH, with what it needs.
///
/// # Errors
/// When pip can't install it.
pub fn package(python: &Interpreter, name: &str) -> Result<PathBuf> {
    from_pypi(python, name, &[])
}

fn from_pypi(python: &Interpreter, package: &str, options: &[&str]) -> Result<PathBuf> {
    let (major, minor, _) = python.version;
    let folder = target_folder().join(format!("memtrace-tests/{package}-{major}.{minor}"));
    made_once(&folder, |fresh| {
        // Debian's interpreters come without pip: another serves them, of the same version first.
        let others = interpreters::all();
        let has_pip = |one: &&Interpreter| {
            succeed(Command::new(&one.path).args(["-m", "pip", "--version"])).is_ok()
        };
        let same = others.iter().filter(|one| one.minor() == (major, minor));
        let with_pip = same.chain(others.iter().rev()).find(has_pip).context("no pip anywhere")?;
        let mut pip = Command::new(&with_pip.path);
        pip.arg("-m").arg("pip").arg("install").arg(format!("--python-version={major}.{minor}"));
        pip.args(options).args(["--quiet", "--disable-pip-version-check"]);
        pip.args(["--root-user-action=ignore", "--only-binary", ":all:", "--target"]);
        succeed(pip.arg(fresh).arg(package)).map(drop).with_context(|| {
            format!("tests need {package} from PyPI (or a folder with it at the place named here)")
        })
    })
    .with_context(|| format!("{package} for {python} in {}", folder.display()))?;
    Ok(folder)
}

/// `programs/frozen.py` as PyInstaller packs it into one program, below `folder`.
///
/// # Errors
/// When pip can't install PyInstaller, or it fails.
pub fn frozen(python: &Interpreter, folder: &Path) -> Result<PathBuf> {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let mut pack = Command::new(&python.path);
    pack.env("PYTHONPATH", package(python, "pyinstaller")?).current_dir(folder);
    pack.args(["-m", "PyInstaller", "--onefile", "--log-level=ERROR", "--name=frozen", "--paths"]);
    pack.arg(&programs).arg("--add-data").arg(programs.join("unusual.py:."));
    succeed(pack.arg(programs.join("frozen.py")))?;
    Ok(folder.join("dist/frozen"))
}

/// The extension module built from `programs/callback.cpp` with pybind11, in `folder`.
///
/// # Errors
/// When pip can't install pybind11, or there is no C++ compiler, or it fails.
pub fn callback_extension(python: &Interpreter, folder: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/callback.cpp");
    let mut ask = Command::new(&python.path);
    ask.args(["-c", "import sysconfig; print(sysconfig.get_path('include'))"]);
    let headers = succeed(&mut ask)?;
    let mut cc = Command::new("c++");
    cc.args(["-shared", "-fPIC", "-O1", "-std=c++17", "-pthread", "-I", headers.trim(), "-I"]);
    cc.arg(package(python, "pybind11")?.join("pybind11/include"));
    cc.arg("-o").arg(folder.join("callback.abi3.so")).arg(source);
    succeed(&mut cc).map(drop)
}

/// The program built from `programs/host.c`, which loads an interpreter when it runs; with
/// `archive`, one that has that interpreter linked in.
///
/// # Errors
/// When there is no C compiler, or it fails.
pub fn host(archive: Option<&Path>) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/host.c");
    let age = fs::metadata(&source)?.modified()?.duration_since(std::time::UNIX_EPOCH)?;
    let kind = archive.and_then(|archive| archive.file_stem()?.to_str()).unwrap_or("loads");
    let name = format!("memtrace-tests/host-{kind}-{}", age.as_nanos());
    let program = target_folder().join(name);
    made_once(&program, |fresh| {
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-pthread", "-o"]).arg(fresh).arg(&source);
        if let Some(archive) = archive {
            // Extension modules take what they need of the interpreter from the program.
            cc.args(["-no-pie", "-Wl,--export-dynamic", "-Wl,--whole-archive"]).arg(archive);
            cc.args(["-Wl,--no-whole-archive", "-lm", "-lutil"]);
        }
        succeed(cc.arg("-ldl")).map(drop)
    })?;
    Ok(program)
}

/// Major and minor of this kernel, by its own word.
///
/// # Errors
/// When they can't be read.
pub fn release() -> Result<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().context("a number")?.parse::<u32>().context("a number");
    Ok((next()?, next()?))
}
