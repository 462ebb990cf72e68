//! Between what a figure lies that was estimated from windows of time.
//!
//! A window's count stands for the time since the window before, so it is scaled by its *weight*: that
//! time by its own. How much counts vary by chance is seen in how windows differ. They are dealt into
//! groups, one after the other, so that what is kept of a line does not grow with time. Pure.

use crate::units::Nanos;

/// Groups into which windows are dealt.
pub const GROUPS: usize = 20;

/// The windows of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// The time that they stand for.
    pub time: Nanos,
    /// The sum of their weights' squares.
    pub squares: u64,
}

/// All windows that stand for more than themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// How many.
    pub windows: u64,
    /// The time in them. That for which they stand is in the groups.
    pub recorded: Nanos,
    /// Dealt into groups.
    pub groups: [Group; GROUPS],
}

impl Sample {
    /// Takes in a window that stands for `time`; in which group it is.
    pub fn add(&mut self, time: Nanos, recorded: Nanos) -> usize {
        let at = (self.windows % GROUPS as u64) as usize;
        let weight = time.0 as f64 / recorded.0.max(1) as f64;
        let group = &mut self.groups[at];
        group.time.0 += time.0;
        group.squares = group.squares.saturating_add((weight * weight).round() as u64);
        self.windows += 1;
        self.recorded.0 += recorded.0;
        at
    }

    /// Time without a window is taken to be as all before.
    pub fn stretch(&mut self, time: Nanos) {
        let factor = 1.0 + time.0 as f64 / self.time().max(1) as f64;
        for group in &mut self.groups {
            group.time = Nanos((group.time.0 as f64 * factor).round() as u64);
            group.squares = (group.squares as f64 * factor * factor) as u64;
        }
    }

    /// The time that the windows stand for.
    fn time(&self) -> u64 {
        self.groups.iter().map(|group| group.time.0).sum()
    }

    /// Between what a figure lies by chance with a probability of 95 %, `counts` being its estimate by
    /// group. `None` where it can't be told.
    ///
    /// It is Wilson's score interval: the usual one says nothing for what was seen in no window, and
    /// too little for what was seen in few.
    pub(super) fn interval(&self, counts: &[f64]) -> Option<(f64, f64)> {
        let used = GROUPS.min(usize::try_from(self.windows).unwrap_or(GROUPS));
        let quantile = QUANTILES.get(used.checked_sub(2)?)?;
        let total: f64 = counts.iter().sum();
        let grain = if total > 0.0 {
            self.variance(&counts[..used]) / total
        } else {
            self.time() as f64 / self.recorded.0.max(1) as f64
        };
        let half = quantile * quantile * grain / 2.0;
        let reach = quantile * (total * grain + half * grain / 2.0).sqrt();
        Some(((total + half - reach).max(0.0), total + half + reach))
    }

    /// The variance of an estimate's sum, by that of its groups.
    ///
    /// What one window says is off by about as much as what another says, then multiplied by its weight. So all of
    /// them tell how much that is for the one with the largest weight, which can't tell it by itself:
    /// the more it weighs, the nearer is the mean to it. Where windows differ more by weight, that is
    /// taken.
    fn variance(&self, counts: &[f64]) -> f64 {
        let groups = &self.groups[..counts.len()];
        let (total, time) = (counts.iter().sum::<f64>(), self.time() as f64);
        let (mut by_weight, mut by_window, mut squares) = (0.0, 0.0, 0.0);
        for (count, group) in counts.iter().zip(groups) {
            let off = (count - total * group.time.0 as f64 / time).powi(2);
            by_weight += off;
            by_window += off / group.squares.max(1) as f64;
            squares += group.squares as f64;
        }
        let used = counts.len() as f64;
        let variance = (by_weight * used).max(by_window * squares) / (used - 1.0);
        variance * (1.0 - self.recorded.0 as f64 / time).max(0.0)
    }
}

/// 97.5 % quantiles of Student's t distribution for 1 to 19 degrees of freedom.
const QUANTILES: [f64; GROUPS - 1] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
];

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: u64 = 6_000_000;

    /// An xorshift's numbers from 0 to 1.
    struct Random(u64);

    impl Random {
        fn part(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// What windows of these weights show of a line that allocates once in each round of its program,
    /// windows being so many rounds long.
    fn rounds(weights: &[f64], length: f64, random: &mut Random) -> (Sample, Vec<f64>, f64) {
        let (mut sample, mut counts, mut truth) = (Sample::default(), vec![0.0; GROUPS], 0.0);
        for weight in weights {
            let begin = random.part();
            let seen = (begin + length).floor() - begin.floor();
            let time = (RECORDED as f64 * weight) as u64;
            counts[sample.add(Nanos(time), Nanos(RECORDED))] += seen * weight;
            truth += length * weight;
        }
        (sample, counts, truth)
    }

    /// Of 2000 traces, those with the truth inside; and the interval's width by its truth.
    fn within(weights: &[f64], length: f64) -> (u32, f64) {
        let (mut random, mut within, mut width) = (Random(0x9e37_79b9_7f4a_7c15), 0, 0.0);
        for _ in 0..2000 {
            let (sample, counts, truth) = rounds(weights, length, &mut random);
            let (low, high) = sample.interval(&counts).unwrap();
            within += u32::from(low <= truth && truth <= high);
            width += (high - low) / truth / 2000.0;
        }
        (within, width)
    }

    #[test]
    fn windows_of_equal_weight_hold_what_they_promise_and_not_much_more() {
        for windows in [10, 20, 45] {
            let (within, width) = within(&vec![50.0; windows], 5.4);
            assert!(within >= 1840, "{within} of 2000 with {windows}");
            // Twice 2.1 deviations of a count that is 5 or 6.
            let expected = 4.2 * 0.24_f64.sqrt() / 5.4 / (windows as f64).sqrt();
            assert!((0.9..1.15).contains(&(width / expected)), "{width}, {expected}");
        }
    }

    /// As traces begin: what the choice of a yardstick has cost is made good by a long pause.
    #[test]
    fn a_window_that_stands_for_a_third_of_the_time_is_not_taken_at_its_word() {
        let mut weights = vec![50.0; 21];
        weights[0] = 500.0;
        for length in [2.3, 5.4, 5.7] {
            let (within, _) = within(&weights, length);
            assert!(within >= 1860, "{within} of 2000 with windows of {length} rounds");
        }
    }

    #[test]
    fn lines_that_are_seen_in_few_windows_have_their_truth_inside() {
        // In one, two or four windows of 40, on average, a part of a round being looked at.
        for length in [0.025, 0.05, 0.1] {
            let (within, _) = within(&[50.0; 40], length);
            assert!(within >= 1840, "{within} of 2000 at {length}");
        }
    }

    #[test]
    fn a_line_that_was_in_no_window_may_have_been_between_them() {
        let mut sample = Sample::default();
        assert_eq!(sample.interval(&[0.0; GROUPS]), None);
        sample.add(Nanos(5000), Nanos(100));
        assert_eq!(sample.interval(&[0.0; GROUPS]), None);
        for _ in 0..19 {
            sample.add(Nanos(5000), Nanos(100));
        }
        let (low, high) = sample.interval(&[0.0; GROUPS]).unwrap();
        // Each that was seen would have stood for 50.
        assert!(low.abs() < 1e-9 && (high - 2.093 * 2.093 * 50.0).abs() < 1e-6, "{low} {high}");
    }

    /// Groups of 90 and 110 with nine tenths of the time unseen: the sum's deviation is
    /// sqrt(2 * 200 * 0.9) = 18.97, and t for one degree of freedom is 12.706.
    #[test]
    fn an_interval_follows_from_how_groups_differ() {
        let mut sample = Sample::default();
        let mut counts = [0.0; GROUPS];
        for count in [90.0, 110.0] {
            counts[sample.add(Nanos(50), Nanos(5))] = count;
        }
        let half = 12.706_f64.powi(2) * 360.0 / 200.0 / 2.0;
        let (low, high) = sample.interval(&counts).unwrap();
        let reach = (half * half + 12.706_f64.powi(2) * 360.0).sqrt();
        assert!((high - (200.0 + half + reach)).abs() < 1e-6, "{high}");
        assert!((low - (200.0 + half - reach)).abs() < 1e-6, "{low}");
        // Where one stands for so much more time, they don't differ.
        let mut sample = Sample::default();
        for time in [45, 55] {
            sample.add(Nanos(time), Nanos(5));
        }
        let (low, high) = sample.interval(&counts).unwrap();
        assert!((low - 200.0).abs() < 1e-6 && (high - 200.0).abs() < 1e-6, "{low} {high}");
    }

    #[test]
    fn time_without_windows_widens_in_proportion() {
        let mut random = Random(42);
        let (mut sample, mut counts, _) = rounds(&[50.0; 20], 5.4, &mut random);
        let (low, high) = sample.interval(&counts).unwrap();
        sample.stretch(Nanos(20 * 50 * RECORDED / 10));
        for count in &mut counts {
            *count *= 1.1;
        }
        let (stretched_low, stretched_high) = sample.interval(&counts).unwrap();
        assert!((stretched_low / low - 1.1).abs() < 1e-3, "{low} {stretched_low}");
        assert!((stretched_high / high - 1.1).abs() < 1e-3, "{high} {stretched_high}");
    }
}
