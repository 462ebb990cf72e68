//! Rules: which processes are meant.

use serde::Deserialize;

use super::{Config, Pattern};
use crate::daemon::group::Labels;

/// One rule. It is about the processes that all of its patterns match; a rule without a pattern is about
/// all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The arguments, with spaces between them.
    pub command: Option<Pattern>,
    /// The owner's name, or the user id.
    pub user: Option<Pattern>,
    /// The cgroup's path.
    pub cgroup: Option<Pattern>,
    /// The container's id or its name.
    pub container: Option<Pattern>,
    /// The pod's name.
    pub pod: Option<Pattern>,
    /// The pod's namespace.
    pub namespace: Option<Pattern>,
    /// The interpreter's version, like `3.12.1`.
    pub python: Option<Pattern>,
}

/// What rules are asked about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Its arguments.
    pub command: &'a [String],
    /// What else is known.
    pub labels: &'a Labels,
}

impl Rule {
    /// Whether it is about this process.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let labels = subject.labels;
        let of = |pattern: &Option<Pattern>, texts: &[&str]| match pattern {
            None => true,
            Some(pattern) => texts.iter().any(|text| !text.is_empty() && pattern.matches(text)),
        };
        let id = labels.container.as_ref().map_or("", |container| container.id.as_str());
        of(&self.user, &[&labels.user])
            && of(&self.cgroup, &[&labels.cgroup])
            && of(&self.container, &[id, &labels.named.container])
            && of(&self.pod, &[&labels.named.pod])
            && of(&self.namespace, &[&labels.named.namespace])
            && of(&self.python, &[&labels.python])
            && of(&self.command, &[&subject.command.join(" ")])
    }
}

impl Config {
    /// Whether a process is to be traced: one of `include` is about it, or there is none, and none of
    /// `exclude` is.
    #[must_use]
    pub fn wants(&self, subject: &Subject<'_>) -> bool {
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.matches(subject));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}
