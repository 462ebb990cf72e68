//! What can't be recorded is found before anything is traced, and what was there stays.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::interpreters::newest;
use harness::memtrace::{self, Output, finish};
use harness::process::Process;
use harness::{Context, Result, ensure, resources};

/// `memtrace record … -o FILE`, which must not come to recording.
fn refused(file: &Path, arguments: &[&str]) -> Result<Output> {
    resources::root()?;
    let mut command = memtrace::command(["record", "-o"])?;
    let output = finish(command.arg(file).args(arguments))?;
    output.no_panic()?;
    ensure!(!output.stderr.contains("recording "), "it recorded first: {}", output.stderr);
    Ok(output)
}

#[test]
fn a_file_that_is_there_is_kept_without_force() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.memtrace");
    fs::write(&file, "precious")?;
    let python = Process::waiting(&newest()?.path)?;
    refused(&file, &[&python.pid()])?.expect_code(1)?.expect_words(&["a.memtrace", "--force"])?;
    ensure!(fs::read(&file)? == b"precious", "it was written over");
    // Forced, and then there is nothing to record.
    let sleep = Process::start(Command::new("sleep").arg("1000"))?;
    refused(&file, &["--force", &sleep.pid()])?.expect_code(1)?.expect_words(&["Python"])?;
    ensure!(fs::read(&file)? == b"precious", "it is lost though nothing was recorded");
    // Forced in earnest.
    let mut command = memtrace::command(["record", "--force", "--duration", "300ms", "-o"])?;
    finish(command.arg(&file).arg(python.pid()))?.expect_code(0)?;
    ensure!(fs::read(&file)?.starts_with(b"memtrace"), "no recording");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_tracing() -> Result<()> {
    let python = Process::waiting(&newest()?.path)?;
    let folder = tempfile::tempdir()?;
    for (path, force) in [
        (folder.path().join("missing/a.memtrace").as_path(), false),
        (folder.path(), false),
        (folder.path(), true),
        (Path::new("/proc/version"), true),
    ] {
        let pid = python.pid();
        let options = if force { &["--force", &*pid][..] } else { &[&*pid] };
        let output = refused(path, options).with_context(|| path.display().to_string())?;
        output.expect_code(1)?.expect_words(&[&path.display().to_string()])?;
    }
    Ok(())
}

#[test]
fn what_fails_before_recording_leaves_no_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.memtrace");
    let sleep = Process::start(Command::new("sleep").arg("1000"))?;
    let python = Process::waiting(&newest()?.path)?;
    for (arguments, code) in [
        (&[&*sleep.pid()][..], 1),
        (&[&*python.pid(), &*sleep.pid()], 1),
        (&["--", "no-such-command-here"], 1),
        (&["--window", "1ms", &*python.pid()], 2),
        (&["--start-at-rss", "much", &*python.pid()], 2),
        (&["--start-at-growth", "50MiB", &*python.pid()], 2),
        (&["--start-at-rss", "1GiB", "--", "true"], 2),
        (&[], 2),
    ] {
        let output = refused(&file, arguments).with_context(|| format!("{arguments:?}"))?;
        output.expect_code(code).with_context(|| format!("{arguments:?}"))?;
        ensure!(!file.exists(), "{arguments:?} left a file");
    }
    Ok(())
}

#[test]
fn what_is_no_recording_is_named_by_every_command() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.txt");
    let mut newer = b"memtrace\x02\0\0\0".to_vec();
    newer.extend(crc32(&newer).to_le_bytes());
    for (bytes, words) in [
        (&b"hello"[..], "is not a memtrace recording"),
        (b"", "is empty"),
        (b"memtrace", "cut off in its header"),
        (&newer, "made by a newer memtrace (format 2)"),
    ] {
        fs::write(&file, bytes)?;
        for command in ["report", "plot", "diff"] {
            let mut memtrace = memtrace::command([command])?;
            memtrace.arg(&file);
            if command == "diff" {
                memtrace.arg(&file);
            }
            let output = finish(&mut memtrace)?;
            output.expect_code(1)?.expect_words(&["a.txt", words])?;
        }
    }
    Ok(())
}

/// CRC-32 as zip and PNG have it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    };
    !bytes.iter().fold(!0, step)
}
