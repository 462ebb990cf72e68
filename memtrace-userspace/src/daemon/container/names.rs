//! Names of containers, from the names and files that the kubelet and Docker leave on the host.
//!
//! Reading is for the folders given; what a name or a file says is a pure function of its text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Container, Runtime};

/// What people call a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// Its own name.
    pub container: String,
    /// The pod's.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
}

/// `POD_NAMESPACE_CONTAINER-ID.log`, as the kubelet calls its links in `/var/log/containers`. Neither
/// pods nor namespaces can have an underscore.
#[must_use]
pub fn of_log_link(file_name: &str) -> Option<(String, Named)> {
    let name = file_name.strip_suffix(".log")?;
    let (name, id) = name.rsplit_once('-')?;
    if !super::is_id(id) {
        return None;
    }
    let mut parts = name.splitn(3, '_');
    let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    let named = Named {
        container: container.to_owned(),
        pod: pod.to_owned(),
        namespace: namespace.to_owned(),
    };
    Some((id.to_owned(), named))
}

/// The name in Docker's `config.v2.json`; for pods of a kubelet its labels.
#[must_use]
pub fn of_docker_config(text: &str) -> Option<Named> {
    let config: serde_json::Value = serde_json::from_str(text).ok()?;
    let label = |name: &str| {
        config["Config"]["Labels"][format!("io.kubernetes.{name}")].as_str().map(ToOwned::to_owned)
    };
    if let (Some(container), Some(pod), Some(namespace)) =
        (label("container.name"), label("pod.name"), label("pod.namespace"))
    {
        return Some(Named { container, pod, namespace });
    }
    let container = config["Name"].as_str()?.trim_start_matches('/').to_owned();
    Some(Named { container, ..Named::default() })
}

/// More of a configuration is not read.
const CONFIG_LIMIT: u64 = 1 << 20;

/// Names that were looked up. What was not found is looked for again: a kubelet's files may come later.
#[derive(Debug)]
pub struct Names {
    links: PathBuf,
    docker: PathBuf,
    known: HashMap<String, Named>,
}

/// Containers remembered; beyond that all are looked up anew.
const MOST_KNOWN: usize = 4096;

impl Names {
    /// Names from the usual folders below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            links: root.join("var/log/containers"),
            docker: root.join("var/lib/docker/containers"),
            known: HashMap::new(),
        }
    }

    /// What a container is called; empty names where nothing tells.
    pub fn of(&mut self, container: &Container) -> Named {
        if let Some(known) = self.known.get(&container.id) {
            return known.clone();
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let named = self.named_by_link(&container.id).or_else(|| self.named_by_docker(container));
        if let Some(named) = named {
            self.known.insert(container.id.clone(), named.clone());
            return named;
        }
        // The id says it where people have chosen it.
        match container.runtime {
            Runtime::Lxc | Runtime::Nspawn => {
                Named { container: container.id.clone(), ..Named::default() }
            }
            _ => Named::default(),
        }
    }

    fn named_by_link(&self, id: &str) -> Option<Named> {
        let links = std::fs::read_dir(&self.links).ok()?;
        links.flatten().find_map(|link| {
            let (of, named) = of_log_link(link.file_name().to_str()?)?;
            (of == id).then_some(named)
        })
    }

    fn named_by_docker(&self, container: &Container) -> Option<Named> {
        if container.runtime != Runtime::Docker {
            return None;
        }
        let file =
            std::fs::File::open(self.docker.join(&container.id).join("config.v2.json")).ok()?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, CONFIG_LIMIT), &mut text)
            .ok()?;
        of_docker_config(&text)
    }
}
