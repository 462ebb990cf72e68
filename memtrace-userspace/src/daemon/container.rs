//! From a process's cgroup to its container and its pod.
//!
//! Pure functions of text: what `/proc/PID/cgroup` says, what the kubelet calls its files. Nothing is
//! asked of a container runtime, whose sockets are as good as root.

use std::fmt;

mod names;

pub use names::{Named, Names, of_docker_config, of_log_link};

/// A container, as far as its cgroup tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Container {
    /// The runtime's id: 64 hexadecimal digits in most.
    pub id: String,
    /// Whose scheme the path follows.
    pub runtime: Runtime,
    /// The Kubernetes pod's uid, with hyphens.
    pub pod_uid: Option<String>,
}

/// Container runtimes by the way in which they name cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker Engine.
    Docker,
    /// containerd, mostly below a kubelet.
    Containerd,
    /// CRI-O.
    Crio,
    /// Podman.
    Podman,
    /// LXC and Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// A path of a container that doesn't say whose.
    #[default]
    Other,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Nspawn => "systemd-nspawn",
            Self::Other => "unknown",
        })
    }
}

/// The path of a process's cgroup: v2's, else that of the memory controller, else of systemd's own
/// hierarchy, else the first of any.
#[must_use]
pub fn path(cgroup_file: &str) -> &str {
    // hierarchy-ID:controller-list:cgroup-path, and paths may have colons.
    let line = |line: &'_ str| -> Option<(usize, usize, usize)> {
        let first = line.find(':')?;
        let second = first + 1 + line[first + 1..].find(':')?;
        Some((first, second, line.len()))
    };
    let mut best: Option<(u8, &str)> = None;
    for text in cgroup_file.lines() {
        let Some((first, second, end)) = line(text) else { continue };
        let (controllers, path) = (&text[first + 1..second], &text[second + 1..end]);
        let rank = match controllers {
            // On a hybrid machine v2 may hold nothing but the root.
            "" if path != "/" => 4,
            _ if controllers.split(',').any(|it| it == "memory") && path != "/" => 3,
            "name=systemd" if path != "/" => 2,
            _ => u8::from(path != "/"),
        };
        if best.is_none_or(|(than, _)| rank > than) {
            best = Some((rank, path));
        }
    }
    best.map_or("", |(_, path)| path)
}

/// The container that a cgroup path belongs to: the innermost one.
#[must_use]
pub fn of_path(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let pod_uid = parts.iter().rev().find_map(|part| pod_uid(part));
    let at = parts.iter().rposition(|part| named(part, "", &[]).is_some())?;
    let parent = at.checked_sub(1).map_or("", |at| parts[at]);
    let (runtime, id) = named(parts[at], parent, &parts)?;
    Some(Container { id: id.to_owned(), runtime, pod_uid })
}

/// The runtime and the id in one part of a path.
fn named<'a>(part: &'a str, parent: &str, all: &[&str]) -> Option<(Runtime, &'a str)> {
    let unit =
        part.strip_suffix(".scope").or_else(|| part.strip_suffix(".service")).unwrap_or(part);
    let prefixes = [
        ("cri-containerd-", Runtime::Containerd),
        ("containerd-", Runtime::Containerd),
        ("nerdctl-", Runtime::Containerd),
        ("docker-", Runtime::Docker),
        ("crio-", Runtime::Crio),
        ("libpod-", Runtime::Podman),
    ];
    for (prefix, runtime) in prefixes {
        if let Some(id) = unit.strip_prefix(prefix)
            && is_id(id)
        {
            return Some((runtime, id));
        }
    }
    for prefix in ["lxc.payload.", "lxc.payload/"] {
        if let Some(name) = part.strip_prefix(prefix).filter(|name| !name.is_empty()) {
            return Some((Runtime::Lxc, name));
        }
    }
    if let Some(name) = unit.strip_prefix("machine-").filter(|name| !name.is_empty()) {
        return (part.ends_with(".scope")).then_some((Runtime::Nspawn, name));
    }
    // cgroupfs drivers: the id alone, in a folder that says whose.
    let id = unit.rsplit_once(':').map_or(unit, |(_, id)| id);
    if !is_id(id) {
        return None;
    }
    let below = |word: &str| parent == word || all.iter().any(|part| part.starts_with(word));
    let runtime = if unit.contains(":cri-containerd:") {
        Runtime::Containerd
    } else if below("docker") {
        Runtime::Docker
    } else if below("libpod") {
        Runtime::Podman
    } else if below("crio") {
        Runtime::Crio
    } else {
        Runtime::Other
    };
    Some((runtime, id))
}

/// 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The pod's uid in one part of a path: `pod1a2b…` with the cgroupfs driver,
/// `kubepods-burstable-pod1a2b_….slice` with systemd's, which has no hyphens to spare.
fn pod_uid(part: &str) -> Option<String> {
    let unit = part.strip_suffix(".slice").unwrap_or(part);
    let at = unit.rfind("pod").filter(|at| *at == 0 || unit[..*at].ends_with('-'))?;
    let uid = unit[at + 3..].replace('_', "-");
    let is_uid = uid.len() >= 32
        && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && uid.bytes().filter(u8::is_ascii_hexdigit).count() == 32;
    is_uid.then_some(uid)
}

#[cfg(test)]
mod tests;
