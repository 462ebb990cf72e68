//! Who calls a line: the stacks that a row stands for, told apart by the next frame outwards.

use std::collections::HashMap;
use std::sync::Arc;

use super::choice::{Choice, Scope};
use super::recent::Subject;
use super::rows::RowKey;
use super::totals::of_stack;
use crate::profile::{Place, ProcessProfile, StackFigures};
use crate::units::Bytes;

/// The next frame outwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// This line calls.
    Line(Arc<Place>),
    /// The stack begins here (or was cut here).
    Nobody,
}

/// A caller, and what the stacks come to that lead through it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) caller: Caller,
    pub(super) value: Bytes,
    pub(super) events: u64,
    /// Whether somebody calls the caller.
    pub(super) has_callers: bool,
}

/// The callers of a row, largest first. Their figures add up to the row's: each of its stacks leads
/// through one of them. Empty when nothing but the row's own line is on them.
pub(super) fn of(process: &ProcessProfile, choice: &Choice, key: &RowKey) -> Vec<Found> {
    let mut found: HashMap<Caller, Found> = HashMap::new();
    for stack in &process.stacks {
        let Some(rest) = outwards(stack, choice.scope, key) else { continue };
        let caller = rest.first().map_or(Caller::Nobody, |place| Caller::Line(Arc::clone(place)));
        let entry = found.entry(caller.clone()).or_insert_with(|| Found {
            caller,
            value: Bytes::ZERO,
            events: 0,
            has_callers: false,
        });
        entry.value += of_stack(stack, choice.measure);
        entry.events += stack.events;
        entry.has_callers |= rest.len() > 1;
    }
    if found.len() == 1 && found.contains_key(&Caller::Nobody) {
        return Vec::new();
    }
    let mut found: Vec<Found> = found.into_values().collect();
    found.sort_by(|a, b| {
        (b.value, b.events).cmp(&(a.value, a.events)).then_with(|| a.caller.cmp(&b.caller))
    });
    found
}

/// The frames beyond the row's, if this is one of its stacks. A line that is on a stack several
/// times counts as the innermost of them.
fn outwards<'a>(stack: &'a StackFigures, scope: Scope, key: &RowKey) -> Option<&'a [Arc<Place>]> {
    let Subject::Line(line) = &key.subject else { return None };
    let at = match scope {
        Scope::Own => 0,
        Scope::Cumulative => stack.frames.iter().position(|place| same(place, line))?,
    };
    let (innermost, mut beyond) = stack.frames[at..].split_first()?;
    if !same(innermost, line) {
        return None;
    }
    for caller in &key.callers {
        match (caller, beyond.split_first()) {
            (Caller::Line(wanted), Some((next, others))) if same(next, wanted) => beyond = others,
            _ => return None,
        }
    }
    Some(beyond)
}

/// Equal places are the same one more often than not.
fn same(a: &Arc<Place>, b: &Arc<Place>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
