//! Reading source from this process's own root, and from roots made for the occasion.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

/// A target whose root is a directory of ours: what a chroot or a container looks like.
fn rooted(root: &Path, directory: &str) -> TargetFiles {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    TargetFiles { root, _mounts: None, directory: Some(directory.into()) }
}

#[test]
fn a_name_is_resolved_inside_the_targets_root() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("srv/lib")).unwrap();
    fs::write(root.path().join("srv/app.py"), "x = 1\n").unwrap();
    fs::write(root.path().join("srv/lib/mod.py"), "y = 2\n").unwrap();
    symlink("/srv/app.py", root.path().join("main.py")).unwrap();
    let files = rooted(root.path(), "/srv/lib");

    assert_eq!(files.read("/srv/app.py").unwrap(), "x = 1\n");
    assert_eq!(files.read("mod.py").unwrap(), "y = 2\n");
    assert_eq!(files.read("../app.py").unwrap(), "x = 1\n");
    // An absolute link is absolute in there, and no number of steps up leaves the root.
    assert_eq!(files.read("/main.py").unwrap(), "x = 1\n");
    assert_eq!(files.read("/../../../srv/app.py").unwrap(), "x = 1\n");
}

#[test]
fn no_link_leads_out_of_the_root() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.py");
    fs::write(&secret, "secret\n").unwrap();
    symlink(&secret, root.path().join("absolute.py")).unwrap();
    symlink(
        Path::new("../../../../..").join(secret.strip_prefix("/").unwrap()),
        root.path().join("relative.py"),
    )
    .unwrap();
    let files = rooted(root.path(), "/");

    for name in ["/absolute.py", "/relative.py", secret.to_str().unwrap()] {
        assert!(matches!(files.read(name), Err(SourceError::Missing { .. })), "{name}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::write(path("app.pyz"), "PK").unwrap();
    fs::create_dir(path("package")).unwrap();
    fs::File::create(path("large.py")).unwrap().set_len(MAX_SOURCE + 1).unwrap();
    rustix::fs::mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let files = rooted(root.path(), "/");

    let check = |name: &str, reason: &str| {
        assert_eq!(files.read(name).unwrap_err().to_string(), reason, "{name}");
    };
    let not_a_file = "not a file: the code was made from a string or is built into the interpreter";
    check("<string>", not_a_file);
    check("<frozen importlib._bootstrap>", not_a_file);
    check("", not_a_file);
    check("a\0b", not_a_file);
    check("/gone.py", "no such file at /gone.py in the target's root");
    check(
        "gone.py",
        "no such file at /gone.py in the target's root (the name is relative; the \
                      program may have changed its directory)",
    );
    check("/app.pyz/pkg/mod.py", "inside the archive /app.pyz, which memtrace does not unpack");
    check("/package", "not a regular file");
    check("/pipe", "not a regular file"); // and reading it doesn't hang
    check("/large.py", "larger than 16 MiB");
}

#[test]
fn a_file_as_large_as_the_bound_is_read() {
    let root = tempfile::tempdir().unwrap();
    fs::File::create(root.path().join("a.py")).unwrap().set_len(MAX_SOURCE).unwrap();
    let text = rooted(root.path(), "/").read("/a.py").unwrap();
    assert_eq!(text.len() as u64, MAX_SOURCE);
}

#[test]
fn files_can_be_read_after_the_process_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("app.py"), "x = 1\n").unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .current_dir(directory.path())
        .spawn()
        .unwrap();
    let files = TargetFiles::open(child.id());
    child.kill().unwrap();
    child.wait().unwrap();

    let files = files.unwrap();
    assert_eq!(files.read("app.py").unwrap(), "x = 1\n");
    let absolute = directory.path().join("app.py");
    assert_eq!(files.read(absolute.to_str().unwrap()).unwrap(), "x = 1\n");
    assert!(TargetFiles::open(child.id()).is_err());
}
