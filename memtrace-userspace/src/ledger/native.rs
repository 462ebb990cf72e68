//! Stacks with native frames above others.
//!
//! The kernel side tells more of them apart than there are: it goes by words of the stack. Those
//! that show the same frames are counted by one key, so that books grow with the program only.

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
    /// Leaf first, never empty.
    pub(super) frames: Rc<[Arc<NativeFrame>]>,
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
    by_frames: HashMap<(StackKey, Rc<[Arc<NativeFrame>]>), StackKey>,
    window: u64,
}

impl NativeStacks {
    /// A new one; without frames it is the stack below.
    pub(super) fn add(
        &mut self,
        key: StackKey,
        below: StackKey,
        frames: Vec<Arc<NativeFrame>>,
        window: u64,
    ) {
        self.window = window;
        let counted_by = if frames.is_empty() {
            below
        } else {
            let frames: Rc<[_]> = frames.into();
            let first = *self.by_frames.entry((below, Rc::clone(&frames))).or_insert(key);
            self.stacks.entry(first).or_insert((Above { below, frames }, window)).1 = window;
            first
        };
        self.aliases.insert(key, Alias { counted_by, used: window });
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
    pub(super) fn name(&mut self, key: StackKey, window: u64) -> Option<Above> {
        let (stack, used) = self.stacks.get_mut(&key)?;
        *used = window;
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
            self.by_frames.retain(|_, key| stacks.contains_key(key));
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

    fn frames(names: &[&str]) -> Vec<Arc<NativeFrame>> {
        let frame = |name: &&str| NativeFrame {
            function: (*name).to_owned(),
            library: "libx.so".to_owned(),
            file: String::new(),
            line: 0,
        };
        names.iter().map(frame).map(Arc::new).collect()
    }

    #[test]
    fn equal_frames_above_one_stack_are_counted_by_one_key() {
        let mut stacks = NativeStacks::default();
        stacks.add(11, 1, frames(&["memset", "fill"]), 0);
        stacks.add(13, 1, frames(&["memset", "fill"]), 0);
        stacks.add(15, 3, frames(&["memset", "fill"]), 0);
        stacks.add(17, 1, frames(&[]), 0);
        let counted = [11, 13, 15, 17, 1, 99].map(|key| stacks.counted_by(key));
        assert_eq!(counted, [11, 11, 15, 1, 1, 99]);
        assert_eq!((stacks.below(13), stacks.below(11), stacks.below(1)), (13, 1, 1));
        assert_eq!(stacks.name(11, 0).unwrap().frames.len(), 2);
        assert!(stacks.name(1, 0).is_none());
    }

    #[test]
    fn of_too_many_those_unused_for_longest_are_forgotten() {
        let mut stacks = NativeStacks::default();
        for key in 0..20 {
            stacks.add(key, 100, frames(&[&key.to_string()]), key);
        }
        stacks.close_window(10);
        assert_eq!(
            (stacks.aliases.len(), stacks.stacks.len(), stacks.by_frames.len()),
            (10, 10, 10)
        );
        assert_eq!(stacks.below(19), 100);
        assert_eq!(stacks.below(0), 0);
    }
}
