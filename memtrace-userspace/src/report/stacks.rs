//! The profile as stacks: what the folded, pprof and flame graph reports have in common.
//!
//! The lines' stacks, then a stack of one frame for each row that no line answers for and, should
//! the law be broken, one for the gap, so that the sum over all of them is the change of RSS. Viewers
//! of stacks know no negative sizes: what came to less than nothing goes, with its size, below a
//! root of its own, [`SHRANK`]. The stacks outside of it less those inside are the profile's figure.
//! It writes no format.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::measure::Measure;
use crate::profile::{
    Memory, NativeRow, Place, ProcessProfile, Profile, StackFigures, Thread, Unattributed,
};

pub(crate) mod names;

/// The root of what came to less than nothing.
pub(crate) const SHRANK: &str = "shrank";

/// What to show of stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StackOptions {
    /// The figure that gives stacks their size.
    pub measure: Measure,
    /// A frame for the thread between the process and its functions. Without it, what several
    /// threads did at one stack is one stack.
    pub split_threads: bool,
}

/// One stack of a profile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stack<'a> {
    /// Who did it, where one thread did.
    pub(crate) thread: Option<&'a Thread>,
    pub(crate) what: What<'a>,
}

/// What a stack is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'a> {
    /// Of lines.
    Lines(&'a StackFigures),
    /// Of what no line answers for and no native frame is known of.
    Row(&'a Unattributed),
    /// Of what no line answers for, by native frames.
    Native(&'a Unattributed, &'a NativeRow),
    /// Of what breaks the law.
    Gap(Memory),
}

impl Stack<'_> {
    pub(crate) fn value(&self, measure: Measure) -> i64 {
        match (self.what, measure) {
            (What::Lines(stack), _) => measure.of_stack(stack),
            (What::Row(row), _) => {
                let native: i64 = row.native.iter().map(|part| measure.of_native_row(part)).sum();
                measure.of_row(row) - native
            }
            (What::Native(_, part), _) => measure.of_native_row(part),
            (What::Gap(_), Measure::Events) => 0,
            (What::Gap(gap), _) => gap.total().0,
        }
    }
}

/// All stacks of a process. They come to the change of its RSS: if the lines' stacks and the rows
/// don't, the gap is one of them.
pub(crate) fn of(process: &ProcessProfile) -> impl Iterator<Item = Stack<'_>> {
    let lines: Memory = process.stacks.iter().map(StackFigures::net).sum();
    let gap = process.after - (process.before + lines + process.unattributed_net());
    let gap = Some(gap).filter(|gap| *gap != Memory::ZERO).map(What::Gap);
    let rows = process.unattributed.iter().flat_map(|row| {
        let native = row.native.iter().map(move |part| What::Native(row, part));
        native.chain([What::Row(row)])
    });
    let lines = process
        .stacks
        .iter()
        .map(|stack| Stack { thread: process.threads.get(stack.thread), what: What::Lines(stack) });
    lines.chain(rows.chain(gap).map(|what| Stack { thread: None, what }))
}

/// Stacks as text, frames from the root on between `;`, with their sizes: those that are equal
/// added up, those that came to nothing left out.
pub(super) fn folded(profile: &Profile, options: StackOptions) -> BTreeMap<String, u64> {
    let mut signed: BTreeMap<String, i64> = BTreeMap::new();
    let mut lines = LineNames::default();
    for process in &profile.processes {
        let root = names::process(process);
        for stack in of(process) {
            let mut text = root.clone();
            push_frames(&mut text, &stack, options.split_threads, &mut lines);
            *signed.entry(text).or_default() += stack.value(options.measure);
        }
    }
    let sized = |(text, value): (String, i64)| match value {
        0 => None,
        1.. => Some((text, value.unsigned_abs())),
        _ => Some((format!("{SHRANK};{text}"), value.unsigned_abs())),
    };
    signed.into_iter().filter_map(sized).collect()
}

/// A line is on many stacks; its name is made once.
type LineNames = HashMap<*const Place, String>;

/// Appends a stack's frames below its process, the outermost first.
fn push_frames(text: &mut String, stack: &Stack<'_>, split_threads: bool, lines: &mut LineNames) {
    let mut push = |frame: &str| {
        text.push(';');
        text.push_str(frame);
    };
    match stack.what {
        What::Lines(figures) => {
            if let Some(thread) = stack.thread.filter(|_| split_threads) {
                push(&names::thread(thread));
            }
            for place in figures.frames.iter().rev() {
                push(lines.entry(Arc::as_ptr(place)).or_insert_with(|| names::line(place)));
            }
            for frame in figures.native.iter().rev() {
                push(&names::native(frame));
            }
        }
        What::Native(row, part) => {
            push(&names::unattributed(row));
            for frame in part.frames.iter().rev() {
                push(&names::native(frame));
            }
        }
        What::Row(row) => push(&names::unattributed(row)),
        What::Gap(_) => push(names::GAP),
    }
}
