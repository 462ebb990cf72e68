//! Reading source from this process's own root, and from roots made for the occasion.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::profile::Estimate;

/// A target whose root is a directory of ours: what a chroot or a container looks like.
fn rooted(root: &Path, directory: &str) -> TargetFiles {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    let reader = Reader::of(std::process::id()).unwrap();
    TargetFiles { root, _mounts: None, reader, directory: Some(directory.into()), started_at: None }
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

#[test]
fn a_file_younger_than_the_process_is_marked() {
    let root = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut files = rooted(root.path(), "/");
    files.started_at = Some(now);
    let check = |written, expected| {
        let file = fs::File::create(root.path().join("app.py")).unwrap();
        file.set_modified(written).unwrap();
        let SourceText::Text { changed, .. } = files.text("/app.py") else { panic!("unreadable") };
        assert_eq!(changed, expected);
    };
    check(now - Duration::from_secs(3600), false);
    check(now + Duration::from_secs(1), false); // within what the start is known to
    check(now + Duration::from_secs(3600), true);
}

#[test]
fn the_start_of_this_process_is_known() {
    let now = SystemTime::now();
    let start = started_at(std::process::id()).unwrap();
    assert!(start <= now && now < start + Duration::from_secs(3600), "{start:?}, now {now:?}");
}

#[test]
fn only_files_that_the_table_shows_are_read() {
    use crate::profile::{Ending, LineFigures, Memory, Overhead, Place, ProcessProfile, Profile};
    use crate::units::{Bytes, Nanos};

    let root = tempfile::tempdir().unwrap();
    for name in ["a.py", "b.py", "c.py"] {
        fs::write(root.path().join(name), "x = 1\n").unwrap();
    }
    let line = |file: &str, net: i64| LineFigures {
        place: std::sync::Arc::new(Place {
            file: file.into(),
            line: 1,
            function: "f".into(),
            function_line: 1,
        }),
        self_grown: Bytes(net),
        self_returned: Bytes::ZERO,
        self_net: Memory { anon: Bytes(net), ..Memory::ZERO },
        self_resident: Bytes(net),
        cumulative_net: Bytes(net),
        cumulative_resident: Bytes(net),
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        peak_rss: Bytes(net),
        self_estimate: Estimate::default(),
        cumulative_estimate: Estimate::default(),
        events: 1,
        self_events: 1,
        self_allocated: crate::profile::Allocated::default(),
        cumulative_allocated: crate::profile::Allocated::default(),
    };
    let process = ProcessProfile {
        pid: 1,
        parent: None,
        command: Vec::new(),
        python: None,
        ending: Ending::Running,
        began: Nanos(0),
        ended: None,
        before: Memory::ZERO,
        after: Memory::ZERO,
        peak: Bytes::ZERO,
        threads: Vec::new(),
        stacks: Vec::new(),
        lines: vec![line("/c.py", 1), line("/b.py", 3), line("/a.py", 2), line("/gone.py", 4)],
        functions: Vec::new(),
        unattributed: Vec::new(),
        moments: Vec::new(),
        events: 4,
        lost_events: 0,
        lost_bytes: Bytes::ZERO,
        overhead: Overhead::default(),
        lens: None,
        notes: Vec::new(),
        counts: Default::default(),
    };
    let profile = Profile {
        started_at: SystemTime::UNIX_EPOCH,
        duration: Nanos(0),
        kernel: String::new(),
        exact: true,
        processes: vec![process.clone(), process],
    };
    // The largest three of 4, 3, 2 and 1; of the second process nothing could be opened.
    let options = TableOptions { functions_of_top: 3, ..TableOptions::default() };
    let target = rooted(root.path(), "/");
    let texts = gather(&profile, &options, &|index| (index == 0).then_some(&target));
    let text = SourceText::new("x = 1\n", false);
    assert_eq!(texts.get(0, "/b.py"), Some(&text));
    assert_eq!(texts.get(0, "/a.py"), Some(&text));
    assert_eq!(texts.get(0, "/c.py"), None);
    assert!(matches!(texts.get(0, "/gone.py"), Some(SourceText::Unreadable(_))));
    assert!(matches!(texts.get(1, "/a.py"), Some(SourceText::Unreadable(_))));
}
