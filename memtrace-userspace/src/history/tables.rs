//! Names by their ids. Every reference is checked when it comes, so that looking up can't fail later.

use std::sync::Arc;

use super::Inconsistent;
use super::entry::{FunctionId, Names, NativeId, PlaceId, StackId, StackName, TextId, ThreadId};
use crate::profile::{FunctionSpan, NativeFrame, Place, Reason, Thread};

/// A stack, resolved.
#[derive(Debug, Clone)]
pub(super) enum Stack {
    /// Leaf first, never empty.
    Lines { frames: Vec<PlaceId>, truncated: bool },
    /// Why no line answers, and whose name that has.
    Unattributed { reason: Reason, name: String },
    /// Native frames above a stack of the other kinds.
    Native { frames: Vec<NativeId>, below: StackId },
}

/// A place, and the function it is in.
#[derive(Debug, Clone)]
pub(super) struct NamedPlace {
    pub(super) place: Arc<Place>,
    pub(super) function: usize,
}

/// The tables of a trace.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    texts: Vec<String>,
    functions: Vec<FunctionSpan>,
    places: Vec<NamedPlace>,
    natives: Vec<Arc<NativeFrame>>,
    stacks: Vec<Stack>,
    threads: Vec<Thread>,
}

fn unnamed<T>(found: Option<T>, what: &'static str, number: u32) -> Result<T, Inconsistent> {
    found.ok_or(Inconsistent::Unnamed { what, number })
}

impl Tables {
    /// Adds names; those before a bad one stay.
    ///
    /// # Errors
    ///
    /// [`Inconsistent`]: a name refers to one that was never told.
    pub fn add(&mut self, names: &Names) -> Result<(), Inconsistent> {
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
        for native in &names.natives {
            let native = Arc::new(NativeFrame {
                function: self.text(native.function)?.to_owned(),
                library: self.text(native.library)?.to_owned(),
                file: self.text(native.file)?.to_owned(),
                line: native.line,
            });
            self.natives.push(native);
        }
        for stack in &names.stacks {
            let stack = match stack {
                StackName::Lines { frames, .. } if frames.is_empty() => {
                    return Err(Inconsistent::NoFrames);
                }
                StackName::Lines { frames, truncated } => {
                    for PlaceId(number) in frames {
                        unnamed(self.places.get(*number as usize), "place", *number)?;
                    }
                    Stack::Lines { frames: frames.clone(), truncated: *truncated }
                }
                StackName::Native { frames, below } => {
                    for NativeId(number) in frames {
                        unnamed(self.natives.get(*number as usize), "native frame", *number)?;
                    }
                    if frames.is_empty() || matches!(self.stack(*below)?, Stack::Native { .. }) {
                        return Err(Inconsistent::NoFrames);
                    }
                    Stack::Native { frames: frames.clone(), below: *below }
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

    /// The line that a stack ends at; `None` where no line answers for it.
    #[must_use]
    pub fn leaf(&self, stack: StackId) -> Option<&Arc<Place>> {
        match self.stack(stack) {
            Ok(Stack::Lines { frames, .. }) => Some(&self.place(frames[0]).place),
            Ok(Stack::Native { below, .. }) => self.leaf(*below),
            _ => None,
        }
    }

    /// The lines of a stack, leaf first, with their functions, and whether it was cut; or why there
    /// are none.
    ///
    /// # Errors
    ///
    /// The reason, and whose name it has; `None` when there is no such stack.
    #[expect(
        clippy::type_complexity,
        reason = "one of two, neither of which has a name of its own"
    )]
    pub fn lines(
        &self,
        stack: StackId,
    ) -> Result<(Vec<(&Place, &FunctionSpan)>, bool), Option<(Reason, &str)>> {
        match self.stack(stack) {
            Err(_) => Err(None),
            Ok(Stack::Unattributed { reason, name }) => Err(Some((*reason, name))),
            Ok(Stack::Native { below, .. }) => self.lines(*below),
            Ok(Stack::Lines { frames, truncated }) => {
                let of = |id: &PlaceId| {
                    let named = self.place(*id);
                    (&*named.place, &self.functions[named.function])
                };
                Ok((frames.iter().map(of).collect(), *truncated))
            }
        }
    }

    /// A thread's name.
    #[must_use]
    pub fn thread_name(&self, thread: ThreadId) -> &str {
        self.thread(thread).map_or("", |thread| &thread.name)
    }

    /// How many stacks are named.
    #[must_use]
    pub fn stacks(&self) -> usize {
        self.stacks.len()
    }

    pub(super) fn text(&self, TextId(number): TextId) -> Result<&str, Inconsistent> {
        unnamed(self.texts.get(number as usize).map(String::as_str), "text", number)
    }

    pub(super) fn stack(&self, StackId(number): StackId) -> Result<&Stack, Inconsistent> {
        unnamed(self.stacks.get(number as usize), "stack", number)
    }

    /// A stack, and the native frames above it. What is returned has none itself.
    pub(super) fn parted(&self, stack: StackId) -> Result<(&Stack, &[NativeId]), Inconsistent> {
        match self.stack(stack)? {
            Stack::Native { frames, below } => Ok((self.stack(*below)?, frames)),
            stack => Ok((stack, &[])),
        }
    }

    /// A native frame whose id was checked.
    pub(super) fn native(&self, NativeId(number): NativeId) -> &Arc<NativeFrame> {
        &self.natives[number as usize]
    }

    pub(super) fn thread(&self, ThreadId(number): ThreadId) -> Result<&Thread, Inconsistent> {
        unnamed(self.threads.get(number as usize), "thread", number)
    }

    /// A place whose id was checked.
    pub(super) fn place(&self, PlaceId(number): PlaceId) -> &NamedPlace {
        &self.places[number as usize]
    }

    pub(super) fn functions(&self) -> &[FunctionSpan] {
        &self.functions
    }
}
