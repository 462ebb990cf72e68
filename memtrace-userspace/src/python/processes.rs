//! The Python processes of this machine, for `memtrace ps` and whoever traces all of them.
//!
//! A process that vanishes while it is looked at is simply not there; one that may not be looked
//! at is listed if it calls itself Python. Nothing is printed here.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use super::image::Images;
use super::refusal::{DiscoverError, Refusal};
use super::{Discovery, Interpreter, discover};
use crate::units::Bytes;

/// One Python process.
#[derive(Debug)]
pub struct PythonProcess {
    /// In our pid namespace.
    pub pid: u32,
    /// Its owner's name, or the user id in digits.
    pub user: String,
    /// Resident memory now.
    pub rss: Bytes,
    /// Its arguments; its `comm` where it has none.
    pub command: Vec<String>,
    /// What it is.
    pub finding: Finding,
}

/// What is known of a Python process.
#[derive(Debug)]
pub enum Finding {
    /// It can be traced.
    Traceable(Box<Interpreter>),
    /// It can't.
    Refused(Refusal),
    /// It could not be looked at.
    Unknown(DiscoverError),
}

/// Bytes of a command line that are read.
const COMMAND_LIMIT: u64 = 64 << 10;

/// All Python processes, by pid.
///
/// # Errors
///
/// When `/proc` itself can't be read; never because of one process.
pub fn list(images: &mut Images) -> io::Result<Vec<PythonProcess>> {
    let users = users();
    Ok(pids()?.into_iter().filter_map(|pid| look_at(pid, images, &users)).collect())
}

/// All processes, in order.
fn pids() -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

fn look_at(pid: u32, images: &mut Images, users: &HashMap<u32, String>) -> Option<PythonProcess> {
    let finding = match discover(pid, images) {
        Ok(Discovery::Python(interpreter)) => Finding::Traceable(interpreter),
        Ok(Discovery::Refused(refusal)) => Finding::Refused(refusal),
        Ok(Discovery::NotPython) => return None,
        Err(DiscoverError::NoSuchProcess { .. } | DiscoverError::Exited { .. }) => return None,
        Err(error) if calls_itself_python(pid) => Finding::Unknown(error),
        Err(_) => return None,
    };
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    Some(PythonProcess {
        pid,
        user: users.get(&owner).cloned().unwrap_or_else(|| owner.to_string()),
        rss: rss(pid)?,
        command: command(pid)?,
        finding,
    })
}

/// `comm` can be read of any process.
fn calls_itself_python(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/comm"))
        .is_ok_and(|comm| comm.starts_with(b"python") || comm.starts_with(b"pypy"))
}

/// Resident pages, the second number of `statm`. Not exact to the page (the kernel sums its
/// per-CPU counters roughly there); good enough for a list.
fn rss(pid: u32) -> Option<Bytes> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Bytes(pages.saturating_mul(procfs::page_size().cast_signed())))
}

/// All processes that these have started, and those have, without these themselves.
///
/// # Errors
///
/// When `/proc` itself can't be read; never because of one process.
pub fn started_by(roots: &BTreeSet<u32>) -> io::Result<BTreeSet<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in pids()? {
        if let Ok(stat) = procfs::process::Process::new(pid.cast_signed()).and_then(|it| it.stat())
        {
            children.entry(stat.ppid.cast_unsigned()).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open: Vec<u32> = roots.iter().copied().collect();
    while let Some(parent) = open.pop() {
        // Taken out, so that pids which come again while they are listed make no circle.
        for child in children.remove(&parent).unwrap_or_default() {
            if !roots.contains(&child) && found.insert(child) {
                open.push(child);
            }
        }
    }
    Ok(found)
}

/// A process's arguments, or its `comm` where it has none; `None` when it is gone.
#[must_use]
pub fn command(pid: u32) -> Option<Vec<String>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(COMMAND_LIMIT).read_to_end(&mut bytes))
        .ok()?;
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        let comm = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
        return Some(vec![String::from_utf8_lossy(comm.trim_ascii_end()).into_owned()]);
    }
    let argument = |argument: &[u8]| String::from_utf8_lossy(argument).into_owned();
    Some(bytes.split(|&byte| byte == 0).map(argument).collect())
}

/// Names of users by id, of this root's `/etc/passwd`: a container's own users are shown as
/// numbers or by our names, as `ps` does.
pub(crate) fn users() -> HashMap<u32, String> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    String::from_utf8_lossy(&passwd).lines().filter_map(line).collect()
}
