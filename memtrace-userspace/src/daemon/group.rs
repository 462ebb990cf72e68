//! Which processes belong together: a parent and the workers that it has forked.
//!
//! Forked processes have the places of one `exec` in common ([`Lineage`]), so that a tree is known also
//! when it was there before memtrace, when its parents have ended and when it renames itself. Pure.

use std::collections::HashMap;

use super::container::{Container, Named};
use crate::history::entry::SpaceId;
use crate::session::facts::{Facts, Lineage};

/// The number of a group; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// What a group is called, for people and for other systems.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels {
    /// The program: `gunicorn`, `app.py`.
    pub name: String,
    /// Python's version.
    pub python: String,
    /// Whose processes they are.
    pub user: String,
    /// The cgroup's path.
    pub cgroup: String,
    /// The container, where they are in one.
    pub container: Option<Container>,
    /// What that is called.
    pub named: Named,
}

/// The groups, and who is in which.
#[derive(Debug, Default)]
pub struct Groups {
    next: u32,
    by_lineage: HashMap<(Lineage, String), GroupId>,
    by_space: HashMap<SpaceId, GroupId>,
    by_pid: HashMap<u32, GroupId>,
}

impl Groups {
    /// The group of a process: that of its lineage; where that can't be known, its traced parent's.
    /// The second value says whether it is new.
    pub fn join(&mut self, space: SpaceId, facts: &Facts, parent: Option<u32>) -> (GroupId, bool) {
        if let Some(known) = self.by_space.get(&space) {
            return (*known, false);
        }
        let container = super::container::of_path(super::container::path(&facts.cgroup));
        let container = container.map(|container| container.id).unwrap_or_default();
        let lineage = facts.lineage.map(|lineage| (lineage, container));
        let found = match &lineage {
            Some(lineage) => self.by_lineage.get(lineage),
            None => parent.and_then(|parent| self.by_pid.get(&parent)),
        };
        let found = found.copied();
        let group = found.unwrap_or_else(|| {
            self.next += 1;
            GroupId(self.next)
        });
        if let Some(lineage) = lineage {
            self.by_lineage.insert(lineage, group);
        }
        self.by_space.insert(space, group);
        self.by_pid.insert(facts.pid, group);
        (group, found.is_none())
    }

    /// The group of a process.
    #[must_use]
    pub fn of(&self, space: SpaceId) -> Option<GroupId> {
        self.by_space.get(&space).copied()
    }

    /// A process has ended, and its last windows are gone.
    pub fn leave(&mut self, space: SpaceId, pid: u32) {
        let left = self.by_space.remove(&space);
        if let Some(group) = left {
            if self.by_pid.get(&pid) == Some(&group) {
                self.by_pid.remove(&pid);
            }
            if !self.by_space.values().any(|other| *other == group) {
                self.by_lineage.retain(|_, other| *other != group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pid: u32, lineage: Option<u64>) -> Facts {
        let lineage = lineage.map(|at| Lineage { stack: at, code: 1, heap: 2, arguments: 3 });
        Facts { pid, lineage, ..Facts::default() }
    }

    #[test]
    fn forked_workers_are_one_group_and_another_start_is_another() {
        let mut groups = Groups::default();
        let (tree, new) = groups.join(SpaceId(1), &facts(10, Some(7)), None);
        assert!(new);
        assert_eq!(groups.join(SpaceId(2), &facts(11, Some(7)), None), (tree, false));
        assert_ne!(groups.join(SpaceId(3), &facts(12, Some(8)), Some(10)).0, tree);
        // One that was gone before it could be looked at.
        assert_eq!(groups.join(SpaceId(4), &facts(13, None), Some(11)), (tree, false));
        for (space, pid) in [(1, 10), (2, 11), (4, 13)] {
            groups.leave(SpaceId(space), pid);
        }
        let (again, new) = groups.join(SpaceId(5), &facts(10, Some(7)), None);
        assert!(new && again != tree);
        assert_eq!(groups.of(SpaceId(1)), None);
    }

    #[test]
    fn one_program_in_two_containers_is_two_groups() {
        let mut groups = Groups::default();
        let inside = |digit: &str| Facts {
            cgroup: format!("0::/docker/{}\n", digit.repeat(64)),
            ..facts(1, Some(7))
        };
        let one = groups.join(SpaceId(1), &inside("a"), None).0;
        assert_ne!(groups.join(SpaceId(2), &inside("b"), None).0, one);
    }
}
