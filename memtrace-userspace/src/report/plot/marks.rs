//! What happened to a process, and when: it began, forked, called exec, ended.
//!
//! Words and times. Where on a picture they find room is the picture's business, but for
//! [`joined`], which puts into one what would stand in each other's way.

use std::collections::HashMap;

use super::scale;
use crate::profile::{Ending, ProcessProfile, Profile};
use crate::report::course::total;
use crate::units::Nanos;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Nanos,
    pub(super) event: Event,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Tracing it began: it ran already.
    Attached,
    /// It was started under trace.
    Started,
    /// Forked from this process.
    Forked(u32),
    /// The exec that made it what it is.
    AfterExec,
    /// It forked this process.
    Forks(u32),
    /// It called exec, which ended its memory.
    Exec,
    Exit,
}

/// Which processes of a profile called exec, so that what came next is no new process.
#[derive(Debug)]
pub(super) struct Lives<'a> {
    profile: &'a Profile,
    /// Whether what is there at time zero began before.
    begins_later: bool,
    execed: HashMap<u32, Vec<&'a ProcessProfile>>,
}

impl<'a> Lives<'a> {
    pub(super) fn of(profile: &'a Profile, begins_later: bool) -> Self {
        let mut execed: HashMap<u32, Vec<&ProcessProfile>> = HashMap::new();
        for process in &profile.processes {
            if process.ending == Ending::Execed {
                execed.entry(process.pid).or_default().push(process);
            }
        }
        Self { profile, begins_later, execed }
    }

    /// Whether it is not a process's first life.
    fn is_after_exec(&self, process: &ProcessProfile) -> bool {
        self.execed.get(&process.pid).into_iter().flatten().any(|earlier| {
            !std::ptr::eq(*earlier, process)
                && earlier.ended.is_some_and(|ended| ended <= process.began)
        })
    }

    /// All that happened to `process`, in the order of time.
    pub(super) fn marks(&self, process: &ProcessProfile) -> Vec<Mark> {
        let mut marks = vec![Mark { at: process.began, event: self.beginning(process) }];
        marks.retain(|mark| mark.at > Nanos(0) || !self.begins_later);
        let alive = process.began..=process.ended.unwrap_or(Nanos(u64::MAX));
        for child in &self.profile.processes {
            // What began with it was there already, and was attached with it.
            let own = child.parent == Some(process.pid) && child.began > process.began;
            if own && alive.contains(&child.began) && !self.is_after_exec(child) {
                marks.push(Mark { at: child.began, event: Event::Forks(child.pid) });
            }
        }
        let event = match process.ending {
            Ending::Running => None,
            Ending::Exited => Some(Event::Exit),
            Ending::Execed => Some(Event::Exec),
        };
        marks.extend(process.ended.zip(event).map(|(at, event)| Mark { at, event }));
        marks.sort_by_key(|mark| mark.at);
        marks
    }

    fn beginning(&self, process: &ProcessProfile) -> Event {
        match process.parent {
            _ if self.is_after_exec(process) => Event::AfterExec,
            // What was there at the start is a child of another that was.
            Some(parent) if process.began > Nanos(0) => Event::Forked(parent),
            _ if total(process.before) == 0 => Event::Started,
            _ => Event::Attached,
        }
    }
}

impl Event {
    /// In few words.
    pub(super) fn label(self) -> String {
        match self {
            Self::Attached => "attached".to_owned(),
            Self::Started => "start".to_owned(),
            Self::Forked(parent) => format!("forked from {parent}"),
            Self::AfterExec | Self::Exec => "exec".to_owned(),
            Self::Forks(child) => format!("fork {child}"),
            Self::Exit => "exit".to_owned(),
        }
    }
}

/// Marks that share one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// Of the first of them.
    pub(super) at: Nanos,
    pub(super) text: String,
}

/// Labels for `marks`, as many as can stand beside each other: `collide` says whether the label of
/// the one would touch the other's. Marks whose labels would collide get one label that counts them.
pub(super) fn joined(marks: &[Mark], collide: impl Fn(&Label, &Label) -> bool) -> Vec<Label> {
    let label = |marks: &[Mark]| Label { at: marks[0].at, text: text(marks) };
    let mut groups: Vec<Vec<Mark>> = Vec::new();
    for mark in marks {
        groups.push(vec![mark.clone()]);
        // A longer label may touch the one before it in turn.
        while let [.., before, last] = &groups[..]
            && collide(&label(before), &label(last))
        {
            let last = groups.pop().unwrap_or_default();
            if let Some(before) = groups.last_mut() {
                before.extend(last);
            }
        }
    }
    groups.iter().map(|marks| label(marks)).collect()
}

/// `fork 4243`, `3 forks, exit`
fn text(marks: &[Mark]) -> String {
    let forks: Vec<_> = marks.iter().filter(|mark| matches!(mark.event, Event::Forks(_))).collect();
    let mut words: Vec<String> = Vec::new();
    for mark in marks {
        match mark.event {
            Event::Forks(_) if forks.len() > 1 => {
                let all = format!("{} forks", forks.len());
                if !words.contains(&all) {
                    words.push(all);
                }
            }
            event => words.push(event.label()),
        }
    }
    words.join(", ")
}

/// When something was that lies between two times, in a plot of `shown`: `at 5 min`; where the
/// difference can be seen, `between 5 min and 6 min`.
pub(super) fn when(between: (Nanos, Nanos), shown: (Nanos, Nanos)) -> String {
    let span = |(from, to): (Nanos, Nanos)| to.0.saturating_sub(from.0) as f64;
    let (first, last) = (scale::time(between.0), scale::time(between.1));
    if span(between) * 50.0 > span(shown) && first != last {
        format!("between {first} and {last}")
    } else {
        format!("at {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_in_each_others_way_share_a_label() {
        let mark = |at, event| Mark { at: Nanos(at), event };
        let marks = [
            mark(0, Event::Attached),
            mark(30, Event::Forks(7)),
            mark(100, Event::Forks(8)),
            mark(101, Event::Forks(9)),
            mark(102, Event::Exit),
        ];
        let check = |width: u64, expected: &[(u64, &str)]| {
            let labels = joined(&marks, |a, b| b.at.0 - a.at.0 < width * a.text.len() as u64);
            let labels: Vec<_> =
                labels.iter().map(|label| (label.at.0, label.text.as_str())).collect();
            assert_eq!(labels, expected);
        };
        // `attached` has eight letters and 30 to itself, `fork 7` six and 70.
        check(3, &[(0, "attached"), (30, "fork 7"), (100, "2 forks, exit")]);
        check(4, &[(0, "attached, fork 7"), (100, "2 forks, exit")]);
        check(
            0,
            &[(0, "attached"), (30, "fork 7"), (100, "fork 8"), (101, "fork 9"), (102, "exit")],
        );
        check(1000, &[(0, "attached, 3 forks, exit")]);
    }
}
