//! Trees of workers, and containers.

use std::fs;
use std::path::PathBuf;

use harness::daemon::{Daemon, config, tag};
use harness::interpreters::newest;
use harness::target::Target;
use harness::{Context, Result, check, ensure};

#[test]
fn a_parent_and_its_workers_are_one_group_with_the_line_that_copied_pages() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut target = Target::start(&python, "processes.py", &["child_writes_shared_pages", &tag])?;
    let daemon = Daemon::start(&config(&tag))?;
    daemon.process(target.pid)?;
    let truth = target.go()?;
    let child = truth.children[0];
    let (group, row) = daemon.process(child)?;
    ensure!(group["root_pid"] == target.pid, "{group}");
    ensure!(row["parent"] == target.pid && group["live"] == 2, "{group}");
    daemon.next_window()?;
    let whole = daemon.report(&format!("group={}", group["id"]))?;
    check::law(&whole)?;
    ensure!(whole.processes.len() == 1 && whole.processes[0].pid == target.pid, "one report");
    let mark = truth.mark("copies")?;
    let copied = whole.processes[0].figures(&mark.file, mark.line).copied;
    ensure!(copied >= 16 << 20, "{copied} bytes copied at the marked line");
    // And each by itself: the child alone has copied.
    let each = daemon.report(&format!("group={}&separate=true", group["id"]))?;
    ensure!(each.processes.len() == 2, "{} processes", each.processes.len());
    let by_child = each.process(child)?.figures(&mark.file, mark.line).copied;
    let by_parent = each.process(target.pid)?.figures(&mark.file, mark.line).copied;
    ensure!(by_child == copied && by_parent == 0, "{by_child} and {by_parent} of {copied}");
    let sum: i64 = each.processes.iter().map(|process| process.rss_after_bytes).sum();
    ensure!(whole.processes[0].rss_after_bytes == sum, "RSS is not the sum");
    // In the beginning there was the parent alone.
    let timeline = daemon.json(&format!("/api/timeline?group={}", group["id"]))?;
    let parent = each.process(target.pid)?.rss_before_bytes;
    ensure!(timeline["points"][0][1] == parent, "{parent}: {}", timeline["points"]);
    daemon.stop().map(drop)
}

#[test]
fn a_tree_that_was_there_before_is_a_group_too() -> Result<()> {
    let (tag, python) = (tag(), newest()?);
    let mut target = Target::start(&python, "processes.py", &["child_grows_and_stays", &tag])?;
    let truth = target.go()?;
    let other = Target::start(&python, "processes.py", &["child_grows_and_stays", &tag])?;
    let daemon = Daemon::start(&config(&tag))?;
    let parent = daemon.process(target.pid)?.0["id"].clone();
    ensure!(daemon.process(truth.children[0])?.0["id"] == parent, "two groups");
    // The same program started once more is another tree.
    ensure!(daemon.process(other.pid)?.0["id"] != parent, "one group");
    daemon.stop().map(drop)
}

/// A cgroup that is taken away again.
struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Busy while a process is in it; the test's own are gone by then, as a rule.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_container_is_known_by_its_cgroup_and_can_be_chosen_by_it() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let unified = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (place, kind) = (words.nth(1)?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    });
    let unified = unified.context("no cgroup v2 is mounted here")?;
    let id = format!("{:064x}", std::process::id());
    let cgroup = Cgroup(unified.join(format!("docker-{id}.scope")));
    fs::create_dir(&cgroup.0).context("making a cgroup")?;
    let (tag, python) = (tag(), newest()?);
    let inside = Target::start(&python, "resident.py", &["keeps", &tag])?;
    fs::write(cgroup.0.join("cgroup.procs"), inside.pid.to_string())?;
    let outside = Target::start(&python, "resident.py", &["keeps", &tag])?;
    let rule = format!("command = \"*{tag}*\"\ncontainer = \"{}*\"", &id[..60]);
    let daemon = Daemon::start(&config(&tag).replace(&format!("command = \"*{tag}*\""), &rule))?;
    let (group, _) = daemon.process(inside.pid)?;
    ensure!(group["container_id"] == id.as_str(), "{group}");
    ensure!(group["container_runtime"] == "docker", "{group}");
    let series = format!("container=\"{}\"", &id[..12]);
    ensure!(daemon.get("/metrics")?.text().contains(&series), "no series with {series}");
    daemon.next_window()?;
    let all = daemon.overview()?.to_string();
    ensure!(!all.contains(&format!("\"pid\":{},", outside.pid)), "the other one is not wanted");
    daemon.stop()?;
    drop(inside);
    drop(cgroup);
    Ok(())
}
