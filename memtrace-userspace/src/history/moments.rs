//! RSS over time, in a bounded number of moments: when there are too many, each two neighbours
//! become one, so that any length of time is kept at some two thousandths of it.

use std::collections::HashMap;

use super::entry::PlaceId;
use crate::profile::Memory;
use crate::units::{Bytes, Nanos};

/// Moments kept at most: more than a plot of this width shows.
const MOST: usize = 1200;

/// A stretch of time.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// Its end.
    pub(super) at: Nanos,
    /// RSS at its end.
    pub(super) rss: Memory,
    /// Highest RSS in it.
    pub(super) peak: Bytes,
    /// Net growth by the leaf's place.
    pub(super) changes: HashMap<PlaceId, Bytes>,
}

impl Stretch {
    fn append(&mut self, next: Self) {
        self.at = next.at;
        self.rss = next.rss;
        self.peak = self.peak.max(next.peak);
        for (place, net) in next.changes {
            *self.changes.entry(place).or_default() += net;
        }
    }
}

/// Stretches of equal numbers of windows, oldest first.
#[derive(Debug)]
pub(super) struct Moments {
    stretches: Vec<Stretch>,
    /// Windows in a full stretch.
    windows: u32,
    /// Windows in the last one.
    in_last: u32,
}

impl Moments {
    pub(super) fn new() -> Self {
        Self { stretches: Vec::new(), windows: 1, in_last: 0 }
    }

    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Nothing will be added soon.
    pub(super) fn shrink(&mut self) {
        self.stretches.shrink_to_fit();
    }

    /// Adds a window.
    pub(super) fn add(&mut self, window: Stretch) {
        match self.stretches.last_mut() {
            Some(last) if self.in_last < self.windows => {
                last.append(window);
                self.in_last += 1;
            }
            _ => {
                self.stretches.push(window);
                self.in_last = 1;
            }
        }
        if self.stretches.len() > MOST && self.in_last == self.windows {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let all = std::mem::take(&mut self.stretches);
        // An odd one at the end has room for as much again.
        self.in_last = if all.len().is_multiple_of(2) { 2 * self.windows } else { self.windows };
        self.windows *= 2;
        let mut all = all.into_iter();
        while let Some(mut first) = all.next() {
            if let Some(second) = all.next() {
                first.append(second);
            }
            self.stretches.push(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_windows_keeps_its_sum_its_peak_and_its_end() {
        let mut moments = Moments::new();
        for second in 1..=36_000u64 {
            moments.add(Stretch {
                at: Nanos(second),
                rss: Memory { anon: Bytes(second as i64), ..Memory::ZERO },
                peak: Bytes(if second == 20_001 { 99_999 } else { second as i64 }),
                changes: HashMap::from([(PlaceId((second % 3) as u32), Bytes(1))]),
            });
            assert!(moments.stretches().len() <= MOST + 1);
        }
        let kept = moments.stretches();
        assert!(kept.len() > MOST / 2, "{}", kept.len());
        let sum: i64 = kept.iter().flat_map(|one| one.changes.values()).map(|bytes| bytes.0).sum();
        assert_eq!(sum, 36_000);
        assert_eq!(kept.iter().map(|one| one.peak.0).max(), Some(99_999));
        let last = kept.last().unwrap();
        assert_eq!((last.at, last.rss.anon), (Nanos(36_000), Bytes(36_000)));
        assert!(kept.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
