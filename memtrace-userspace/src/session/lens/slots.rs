//! Which slots of the kernel side's counters are whose.

use memtrace_common::limits::{MAX_YARDS, YARDS};

/// Slots, in blocks of [`YARDS`].
#[derive(Debug, Default)]
pub(super) struct Slots {
    given: u32,
    back: Vec<u32>,
}

impl Slots {
    /// The first slot of a block; `None` when there is none left.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(first) = self.back.pop() {
            return Some(first);
        }
        let first = self.given * YARDS;
        if first + YARDS > MAX_YARDS {
            return None;
        }
        self.given += 1;
        Some(first)
    }

    pub(super) fn give_back(&mut self, first: Option<u32>) {
        self.back.extend(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_given_until_there_is_none_and_come_back() {
        let mut slots = Slots::default();
        let all: Vec<u32> = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!(all.len() as u32, MAX_YARDS / YARDS);
        assert!(all.is_sorted_by(|one, next| one + YARDS == *next));
        slots.give_back(Some(all[3]));
        assert_eq!((slots.take(), slots.take()), (Some(all[3]), None));
    }
}
