//! A target chooses the names of its code, and memtrace reads files by these names, as root: what the
//! target itself may not read must not come into a report.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::interpreters::{Interpreter, supported};
use harness::memtrace::{self, finish};
use harness::{Context, Result, ensure, resources};

/// Grows 16 MiB by code that says it is the file given, and ends holding them.
const PROGRAM: &str = "import os, sys; \
    exec(compile('kept = bytearray(16 << 20)', sys.argv[1], 'exec')); os._exit(0)";

/// The table of a program of the user nobody, whose line is the first of that file.
fn table_of(python: &Interpreter, file: &Path) -> Result<String> {
    let user = ["run", "--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = memtrace::command(user)?;
    command.arg(&python.path).args(["-c", PROGRAM]).arg(file);
    let output = finish(&mut command)?;
    output.expect_code(0)?;
    let name = file.file_name().context("a name")?.to_string_lossy();
    ensure!(output.stderr.contains(&*name), "no line of {name} in {}", output.stderr);
    Ok(output.stderr)
}

#[test]
fn what_the_target_may_not_read_does_not_come_into_its_report() -> Result<()> {
    resources::root()?;
    let interpreters = supported()?;
    let python = interpreters.iter().find(|python| python.path.starts_with("/usr"));
    let python = python.context("this needs a Python that every user may run, as Debian's")?;
    let folder = tempfile::tempdir()?;
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    allow(folder.path(), 0o755)?;
    let hidden = folder.path().join("hidden");
    fs::create_dir(&hidden)?;
    allow(&hidden, 0o700)?;
    let open = folder.path().join("open.py");
    let (closed, inside) = (folder.path().join("closed.py"), hidden.join("inside.py"));
    for (path, mode) in [(&open, 0o644), (&closed, 0o600), (&inside, 0o644)] {
        fs::write(path, "the words of the file\n")?;
        allow(path, mode)?;
    }
    // Otherwise their absence proves nothing.
    let table = table_of(python, &open)?;
    ensure!(table.contains("the words of the file"), "not even an open file is shown: {table}");
    for path in [&closed, &inside] {
        let table = table_of(python, path)?;
        ensure!(!table.contains("the words of"), "{} is shown: {table}", path.display());
        ensure!(table.contains("ermission denied"), "the reason is not told: {table}");
    }
    Ok(())
}
