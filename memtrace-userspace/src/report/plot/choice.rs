//! What a plot shows: which processes, and what has to be said about the others.
//!
//! The same for pictures and terminals. It draws nothing.

use std::cmp::Reverse;

use super::PlotOptions;
use crate::profile::{ProcessProfile, Profile};
use crate::report::course::{Course, total};
use crate::report::figures::{count, mib_unit};
use crate::report::remarks;
use crate::units::{Bytes, Nanos};

/// The processes shown, and the rest.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    /// In the profile's order.
    pub(super) shown: Vec<&'a ProcessProfile>,
    left_out: Vec<&'a ProcessProfile>,
}

impl<'a> Choice<'a> {
    /// The largest processes (by their peak), at most `most` of them; or those with the pid asked for.
    pub(super) fn of(profile: &'a Profile, options: &PlotOptions, most: usize) -> Self {
        let asked =
            |process: &&ProcessProfile| options.process.is_none_or(|pid| process.pid == pid);
        let mut processes: Vec<_> = profile.processes.iter().filter(asked).enumerate().collect();
        processes.sort_by_key(|(at, process)| (Reverse(size(process)), *at));
        let left_out = processes.split_off(processes.len().min(most));
        processes.sort_by_key(|(at, _)| *at);
        let only = |processes: Vec<(usize, &'a ProcessProfile)>| {
            processes.into_iter().map(|(_, process)| process).collect()
        };
        Self { shown: only(processes), left_out: only(left_out) }
    }

    /// The largest of those shown.
    pub(super) fn largest(&self) -> Option<&'a ProcessProfile> {
        // Of equals the first.
        self.shown.iter().rev().max_by_key(|process| size(process)).copied()
    }

    /// When the first process shown begins and the last one ends.
    pub(super) fn time(courses: &[Course<'_>]) -> (Nanos, Nanos) {
        let start = courses.iter().map(Course::start).min().unwrap_or_default();
        let end = courses.iter().map(Course::end).max().unwrap_or_default();
        (start, end)
    }

    /// Sentences about what the drawing doesn't show by itself.
    pub(super) fn notes(&self, courses: &[Course<'_>]) -> Vec<String> {
        let mut notes = Vec::new();
        for course in courses {
            let pid = course.process.pid;
            if course.process.moments.is_empty() {
                notes.push(format!(
                    "Process {pid}: only its beginning and its end are known; the line between them is drawn."
                ));
            } else if course.peak_time().is_none() {
                notes.push(format!("Process {pid}: the time of its peak is not known."));
            }
            if let Some(remark) = remarks::of_walks(course.process) {
                notes.push(format!("Process {pid}: {remark}."));
            }
            let below = course.below_zero();
            if below > 0 {
                let below = mib_unit(Bytes(below.min(i128::from(i64::MAX)) as i64));
                notes.push(format!(
                    "Process {pid}: up to {below} of what lines grew is no longer in RSS (swapped or \
                     reclaimed); the lowest areas are cut off by as much."
                ));
            }
        }
        if let Some(largest) = self.left_out.first() {
            let number = self.left_out.len() as u64;
            let more = count(number, "more process", "more processes");
            let each = if number > 1 { "at most " } else { "" };
            let each_end = if number > 1 { " each" } else { "" };
            notes.push(format!(
                "{more} not shown (peak {each}{}{each_end}).",
                mib_unit(largest.peak)
            ));
        }
        notes
    }
}

/// What a process is ranked by.
fn size(process: &ProcessProfile) -> i128 {
    i128::from(process.peak.0).max(total(process.before)).max(total(process.after))
}
