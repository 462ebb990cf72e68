//! Names by their ids. Every reference is checked when it comes, so that looking up can't fail later.

use std::sync::Arc;

use super::Inconsistent;
use super::entry::{FunctionId, Names, PlaceId, StackId, StackName, TextId, ThreadId};
use crate::profile::{FunctionSpan, Place, Reason, Thread};

/// A stack, resolved.
#[derive(Debug)]
pub(super) enum Stack {
    /// Leaf first, never empty.
    Lines { frames: Vec<PlaceId>, truncated: bool },
    /// Why no line answers, and whose name that has.
    Unattributed { reason: Reason, name: String },
}

/// A place, and the function it is in.
#[derive(Debug)]
pub(super) struct NamedPlace {
    pub(super) place: Arc<Place>,
    pub(super) function: usize,
}

/// The tables of a trace.
#[derive(Debug, Default)]
pub(super) struct Tables {
    texts: Vec<String>,
    functions: Vec<FunctionSpan>,
    places: Vec<NamedPlace>,
    stacks: Vec<Stack>,
    threads: Vec<Thread>,
}

fn unnamed<T>(found: Option<T>, what: &'static str, number: u32) -> Result<T, Inconsistent> {
    found.ok_or(Inconsistent::Unnamed { what, number })
}

impl Tables {
    /// Adds names; those before a bad one stay.
    pub(super) fn add(&mut self, names: &Names) -> Result<(), Inconsistent> {
        self.texts.extend(names.texts.iter().cloned());
        for function in &names.functions {
            let span = FunctionSpan {
                file: self.text(function.file)?.to_owned(),
                first_line: function.first_line,
                last_line: function.last_line,
                function: self.text(function.name)?.to_owned(),
            };
            self.functions.push(span);
        }
        for place in &names.places {
            let FunctionId(number) = place.function;
            let function = number as usize;
            let span = unnamed(self.functions.get(function), "function", number)?;
            let place = Arc::new(Place {
                file: span.file.clone(),
                line: place.line,
                function: span.function.clone(),
                function_line: span.first_line,
            });
            self.places.push(NamedPlace { place, function });
        }
        for stack in &names.stacks {
            let stack = match stack {
                StackName::Lines { frames, .. } if frames.is_empty() => {
                    return Err(Inconsistent::NoFrames);
                }
                StackName::Lines { frames, truncated } => {
                    frames.iter().try_for_each(|place| self.check_place(*place))?;
                    Stack::Lines { frames: frames.clone(), truncated: *truncated }
                }
                StackName::Unattributed { reason, name } => {
                    Stack::Unattributed { reason: *reason, name: self.text(*name)?.to_owned() }
                }
            };
            self.stacks.push(stack);
        }
        for thread in &names.threads {
            let name = self.text(thread.name)?.to_owned();
            self.threads.push(Thread { tid: thread.tid, name });
        }
        Ok(())
    }

    pub(super) fn text(&self, TextId(number): TextId) -> Result<&str, Inconsistent> {
        unnamed(self.texts.get(number as usize).map(String::as_str), "text", number)
    }

    pub(super) fn stack(&self, StackId(number): StackId) -> Result<&Stack, Inconsistent> {
        unnamed(self.stacks.get(number as usize), "stack", number)
    }

    pub(super) fn thread(&self, ThreadId(number): ThreadId) -> Result<&Thread, Inconsistent> {
        unnamed(self.threads.get(number as usize), "thread", number)
    }

    /// Whether there is such a place.
    pub(super) fn check_place(&self, PlaceId(number): PlaceId) -> Result<(), Inconsistent> {
        unnamed(self.places.get(number as usize), "place", number).map(drop)
    }

    /// A place whose id was checked.
    pub(super) fn place(&self, PlaceId(number): PlaceId) -> &NamedPlace {
        &self.places[number as usize]
    }

    pub(super) fn functions(&self) -> &[FunctionSpan] {
        &self.functions
    }
}
