//! The part of a window that one process's figures are, and how it is made smaller.
//!
//! A part obeys the law on its own: its `after` is what its stacks come to.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Identity, Window};
use crate::profile::{Memory, Place, ProcessProfile, Profile, StackFigures};

/// One process's figures, or some of them.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) identity: &'a Identity,
    /// Its only process has no lines, functions and moments: stores have no use for them.
    pub(super) profile: Profile,
    /// Which, of those that a process was cut into.
    pub(super) number: u32,
}

impl Part<'_> {
    pub(super) fn process(&self) -> Option<&ProcessProfile> {
        self.profile.processes.first()
    }

    /// Two of half the size; `None` when there is one stack only.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        let process = self.process()?;
        let stacks = process.stacks.len();
        if stacks < 2 {
            return None;
        }
        let half = |stacks: &[StackFigures], with_rows: bool, number: u32| {
            let mut part = self.clone();
            part.number = number;
            let own = &mut part.profile.processes[0];
            own.stacks = stacks.to_vec();
            let gap = process.law_gap_of_stacks();
            if !with_rows {
                own.unattributed.clear();
            }
            let sum: Memory = own.stacks.iter().map(StackFigures::net).sum();
            own.after = own.before + sum + own.unattributed_net();
            if with_rows {
                own.after += gap;
            }
            part
        };
        let (first, second) = process.stacks.split_at(stacks / 2);
        // As in a binary heap, so that no two parts of a process have one number.
        let number = self.number * 2;
        Some([half(first, true, number + 1), half(second, false, number + 2)])
    }
}

impl ProcessProfile {
    /// What is missing when stacks, not lines, are summed up.
    fn law_gap_of_stacks(&self) -> Memory {
        let sum: Memory = self.stacks.iter().map(StackFigures::net).sum();
        self.after - (self.before + sum + self.unattributed_net())
    }
}

/// A window's parts, one for each process.
pub(super) fn parts(window: &Window) -> Vec<Part<'_>> {
    let Profile { started_at, duration, ref kernel, exact, .. } = window.profile;
    let with_identities = window.profile.processes.iter().zip(&window.identities);
    with_identities
        .map(|(process, identity)| {
            let mut own = ProcessProfile {
                lines: Vec::new(),
                functions: Vec::new(),
                moments: Vec::new(),
                ..process.clone()
            };
            if !window.split_threads {
                own.stacks = threads_merged(&process.stacks);
                own.threads.clear();
            }
            let kernel = kernel.clone();
            let processes = vec![own];
            let profile = Profile { started_at, duration, kernel, exact, processes };
            Part { identity, profile, number: 0 }
        })
        .collect()
}

/// Equal stacks of all threads as one.
fn threads_merged(stacks: &[StackFigures]) -> Vec<StackFigures> {
    let mut merged: Vec<StackFigures> = Vec::new();
    let mut positions: HashMap<Vec<*const Place>, usize> = HashMap::new();
    for stack in stacks {
        let key = stack.frames.iter().map(Arc::as_ptr).collect();
        if let Some(position) = positions.get(&key) {
            let sum = &mut merged[*position];
            sum.grown += stack.grown;
            sum.returned += stack.returned;
            sum.resident += stack.resident;
            sum.copied += stack.copied;
            sum.released += stack.released;
            sum.events += stack.events;
            sum.peak_rss = sum.peak_rss.max(stack.peak_rss);
        } else {
            positions.insert(key, merged.len());
            merged.push(stack.clone());
        }
    }
    merged
}
