//! Stacks with native frames above others.
//!
//! The kernel side tells more of them apart than there are: it goes by words of the stack. Those
//! with the same calls are counted by one key, so that books grow with the program only. Frames for
//! calls come later, before anything of a stack is told: looking their names up takes its time.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::StackKey;
use crate::profile::NativeFrame;

/// A stack with native frames.
#[derive(Debug, Clone)]
pub(super) struct Above {
    /// The stack below them.
    pub(super) below: StackKey,
    /// Leaf first; empty until they come.
    pub(super) frames: Rc<[Arc<NativeFrame>]>,
}

/// Calls, leaf first: places in code of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Calls {
    /// Another number when other code lies at the same addresses.
    pub generation: u32,
    /// Addresses, each inside of the call.
    pub addresses: Rc<[u64]>,
}

/// What the kernel side calls a stack, and what the books do.
#[derive(Debug, Clone, Copy)]
struct Alias {
    counted_by: StackKey,
    /// The window that last met it.
    used: u64,
}

/// All of one address space.
#[derive(Debug, Default)]
pub(super) struct NativeStacks {
    aliases: HashMap<StackKey, Alias>,
    stacks: HashMap<StackKey, (Above, u64)>,
    by_calls: HashMap<(StackKey, Calls), StackKey>,
    window: u64,
}

impl NativeStacks {
    /// A new one; without calls it is the stack below. `true` when its frames are wanted.
    pub(super) fn add(&mut self, key: StackKey, below: StackKey, calls: Calls) -> bool {
        let used = self.window;
        let counted_by = match calls.addresses.is_empty() {
            true => below,
            false => *self.by_calls.entry((below, calls)).or_insert(key),
        };
        self.aliases.insert(key, Alias { counted_by, used });
        if counted_by == below {
            return false;
        }
        let mut is_new = false;
        let (_, last) = self.stacks.entry(counted_by).or_insert_with(|| {
            is_new = true;
            (Above { below, frames: Rc::default() }, used)
        });
        *last = used;
        is_new && counted_by == key
    }

    /// The frames of a stack that were wanted.
    pub(super) fn supply(&mut self, key: StackKey, frames: Vec<Arc<NativeFrame>>) {
        if let Some((stack, _)) = self.stacks.get_mut(&key) {
            stack.frames = frames.into();
        }
    }

    /// What a stack is counted by; any other stack by itself.
    pub(super) fn counted_by(&mut self, key: StackKey) -> StackKey {
        if self.aliases.is_empty() {
            return key;
        }
        let window = self.window;
        self.aliases.get_mut(&key).map_or(key, |alias| {
            alias.used = window;
            alias.counted_by
        })
    }

    /// The stack that is counted by this key, if it has native frames.
    pub(super) fn name(&mut self, key: StackKey) -> Option<Above> {
        let (stack, used) = self.stacks.get_mut(&key)?;
        *used = self.window;
        Some(stack.clone())
    }

    /// The stack below the native frames of this one.
    pub(super) fn below(&self, key: StackKey) -> StackKey {
        self.stacks.get(&key).map_or(key, |(stack, _)| stack.below)
    }

    /// A window of time is over: as [`super::StackTable::close_window`].
    pub(super) fn close_window(&mut self, most: usize) {
        self.window += 1;
        if self.aliases.len() > most {
            let median = median(self.aliases.values().map(|alias| alias.used));
            self.aliases.retain(|_, alias| alias.used >= median);
        }
        if self.stacks.len() > most {
            let median = median(self.stacks.values().map(|(_, used)| *used));
            self.stacks.retain(|_, (_, used)| *used >= median);
            let stacks = &self.stacks;
            self.by_calls.retain(|_, key| stacks.contains_key(key));
        }
    }
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(addresses: &[u64]) -> Calls {
        Calls { generation: 0, addresses: addresses.into() }
    }

    #[test]
    fn equal_calls_above_one_stack_are_counted_by_one_key_and_named_once() {
        let mut stacks = NativeStacks::default();
        let wanted = [
            stacks.add(11, 1, calls(&[100, 200])),
            stacks.add(13, 1, calls(&[100, 200])),
            stacks.add(15, 3, calls(&[100, 200])),
            stacks.add(17, 1, calls(&[])),
            stacks.add(19, 1, Calls { generation: 1, ..calls(&[100, 200]) }),
        ];
        assert_eq!(wanted, [true, false, true, false, true]);
        let counted = [11, 13, 15, 17, 19, 1, 99].map(|key| stacks.counted_by(key));
        assert_eq!(counted, [11, 11, 15, 1, 19, 1, 99]);
        assert_eq!((stacks.below(13), stacks.below(11), stacks.below(1)), (13, 1, 1));
        assert!(stacks.name(11).unwrap().frames.is_empty());
        let frame = NativeFrame {
            function: "f".to_owned(),
            library: "libx.so".to_owned(),
            file: String::new(),
            line: 0,
        };
        stacks.supply(11, vec![Arc::new(frame)]);
        assert_eq!(stacks.name(11).unwrap().frames.len(), 1);
        assert!(stacks.name(1).is_none());
    }

    #[test]
    fn of_too_many_those_unused_for_longest_are_forgotten() {
        let mut stacks = NativeStacks::default();
        for key in 0..20 {
            stacks.add(key, 100, calls(&[key]));
            stacks.close_window(100);
        }
        stacks.close_window(10);
        assert_eq!(
            (stacks.aliases.len(), stacks.stacks.len(), stacks.by_calls.len()),
            (10, 10, 10)
        );
        assert_eq!((stacks.below(19), stacks.below(0)), (100, 0));
    }
}
