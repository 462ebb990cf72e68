//! The figures beside source text: by line number, whatever the function.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Choice, Scope};
use super::totals::of_stack;
use crate::profile::ProcessProfile;
use crate::units::Bytes;

/// Figures of the lines of a file that have any. In cumulative scope each stack counts once for
/// each line that it is on.
#[must_use]
pub fn margin(process: &ProcessProfile, file: &str, choice: &Choice) -> BTreeMap<u32, Bytes> {
    let mut figures: BTreeMap<u32, Bytes> = BTreeMap::new();
    let mut lines = BTreeSet::new();
    for stack in &process.stacks {
        let frames = match choice.scope {
            Scope::Own => stack.frames.get(..1).unwrap_or_default(),
            Scope::Cumulative => &stack.frames[..],
        };
        lines.clear();
        lines.extend(frames.iter().filter(|place| place.file == file).map(|place| place.line));
        for line in &lines {
            *figures.entry(*line).or_default() += of_stack(stack, choice.measure);
        }
    }
    figures
}
