//! Where not every stack was walked: what those that were walked stand for beyond themselves.
//!
//! A change whose stack was walked with a probability of 1 in n stands for n like it (Horvitz and
//! Thompson's estimator). What was measured stays what it is; the rest of the n is kept beside it, with
//! its variance. So measured figures add up to the byte, and estimates are right on average.

use std::ops::AddAssign;

use super::{LineFigures, ProcessProfile, Reason, StackFigures};
use crate::units::{Bytes, PAGE};

/// What a stack's changes stand for beyond themselves, in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unseen {
    /// More grown.
    pub grown: Bytes,
    /// Of what it had grown: more returned.
    pub returned: Bytes,
    /// Variance of `grown`, in pages by pages.
    pub grown_variance: u64,
    /// Of `grown_variance`: what belongs to pages that were returned.
    pub returned_variance: u64,
}

impl AddAssign for Unseen {
    fn add_assign(&mut self, more: Self) {
        self.grown += more.grown;
        self.returned += more.returned;
        self.grown_variance = self.grown_variance.saturating_add(more.grown_variance);
        self.returned_variance = self.returned_variance.saturating_add(more.returned_variance);
    }
}

impl Unseen {
    /// What `pages` that grew and those that were returned stand for, one in two to the power of `thin`
    /// of which was walked; with the squares of their numbers.
    #[must_use]
    pub fn of(thin: u8, (grown, returned): (i64, i64), squares: (u64, u64)) -> Self {
        let weight = 1_u64 << thin.min(31);
        let more = |pages: i64| Bytes::from_pages(pages * (weight - 1).cast_signed());
        let variance = |squares: u64| squares.saturating_mul(weight * (weight - 1));
        Self {
            grown: more(grown),
            returned: more(returned),
            grown_variance: variance(squares.0),
            returned_variance: variance(squares.1),
        }
    }

    /// Of net growth in a range of time, before which the stack's variance was `before`. Who gave back
    /// pages of before, and who those of the range, is not known: the larger variance is taken.
    #[must_use]
    pub fn net(&self, before: u64) -> Estimate {
        let (grown, returned) =
            (i128::from(self.grown_variance), i128::from(self.returned_variance));
        let variance = grown - returned + 2 * returned.min(before.into());
        let variance = u64::try_from(variance.max(0)).unwrap_or(u64::MAX);
        Estimate { more: self.grown - self.returned, variance }
    }

    /// The variance of what is held at the end of the range, `before` being that at its beginning.
    #[must_use]
    pub fn held_variance(&self, before: u64) -> u64 {
        before.saturating_add(self.grown_variance).saturating_sub(self.returned_variance)
    }
}

/// What stands beside a measured net figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// So much more than was measured, on average.
    pub more: Bytes,
    /// The variance of that, in pages by pages.
    pub variance: u64,
}

impl AddAssign for Estimate {
    fn add_assign(&mut self, more: Self) {
        self.more += more.more;
        self.variance = self.variance.saturating_add(more.variance);
    }
}

/// 97.5 % quantile of the normal distribution.
const QUANTILE: f64 = 1.96;

impl Estimate {
    /// Pages that one walked page stands for, where that can be told.
    fn grain(&self) -> Option<f64> {
        let pages = self.more.0 as f64 / PAGE as f64;
        (pages > 0.0 && self.variance > 0).then(|| self.variance as f64 / pages)
    }

    /// Between what the true figure lies with a probability of 95 %, `measured` being what was measured
    /// and `grain` the most that any walked page stands for.
    ///
    /// How many are walked of those that could have been varies as counts do, so the interval is that of
    /// Wilson's score: it holds for a handful of walks, too, and for none.
    fn interval(&self, measured: Bytes, grain: f64) -> (Bytes, Bytes) {
        let more = self.more.0 as f64 / PAGE as f64;
        let (middle, reach) = if more > 0.0 || self.variance == 0 {
            let grain = self.grain().unwrap_or(grain);
            let half = QUANTILE * QUANTILE * grain / 2.0;
            (more + half, QUANTILE * (more * grain + half * grain / 2.0).max(0.0).sqrt())
        } else {
            (more, QUANTILE * (self.variance as f64).sqrt())
        };
        let bytes = |pages: f64| measured + Bytes((pages * PAGE as f64).round() as i64);
        (bytes(middle - reach), bytes(middle + reach))
    }
}

/// An estimate as reports show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimated {
    /// The true figure, on average.
    pub bytes: Bytes,
    /// Between what it lies with a probability of 95 %.
    pub interval: (Bytes, Bytes),
}

/// That stack walks were thinned in a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thinned {
    /// Changes whose stack was not walked.
    pub not_walked: u64,
    /// Of all.
    pub events: u64,
    /// What they grew, less what of it was returned.
    pub net: Bytes,
    /// The most pages that a walked one stands for.
    grain: f64,
}

impl Thinned {
    /// The part of the changes whose stack was walked.
    #[must_use]
    pub fn walked(&self) -> f64 {
        if self.events == 0 { 1.0 } else { 1.0 - self.not_walked as f64 / self.events as f64 }
    }

    /// The estimate of a measured figure.
    #[must_use]
    pub fn estimated(&self, measured: Bytes, estimate: &Estimate) -> Estimated {
        Estimated {
            bytes: measured + estimate.more,
            interval: estimate.interval(measured, self.grain),
        }
    }

    /// Of a line's own net growth.
    #[must_use]
    pub fn of_self(&self, line: &LineFigures) -> Estimated {
        self.estimated(line.self_net.total(), &line.self_estimate)
    }

    /// Of a line's cumulative net growth.
    #[must_use]
    pub fn of_cumulative(&self, line: &LineFigures) -> Estimated {
        self.estimated(line.cumulative_net, &line.cumulative_estimate)
    }
}

impl ProcessProfile {
    /// What there is to say where not every stack was walked; `None` where every one was.
    #[must_use]
    pub fn thinned(&self) -> Option<Thinned> {
        let rows = || self.unattributed.iter().filter(|row| row.reason == Reason::NotWalked);
        let not_walked: u64 = rows().map(|row| row.events).sum();
        let net: Bytes = rows().map(|row| row.net.total()).sum();
        let grain = |stack: &StackFigures| stack.estimate.grain();
        let grain = self.stacks.iter().filter_map(grain).fold(1.0, f64::max);
        let any = not_walked > 0 || net != Bytes::ZERO || grain > 1.0;
        any.then_some(Thinned { not_walked, events: self.events.max(not_walked), net, grain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks of pages of which each is walked with a probability of one in 2^thin, by an xorshift.
    fn walked(pages: i64, thin: u8, random: &mut u64) -> i64 {
        let mut walked = 0;
        for _ in 0..pages {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            walked += i64::from(*random >> 20 & ((1 << thin) - 1) == 0);
        }
        walked
    }

    fn single_pages(thin: u8, walked: i64) -> Unseen {
        Unseen::of(thin, (walked, 0), (walked.cast_unsigned(), 0))
    }

    #[test]
    fn estimates_are_unbiased_and_intervals_hold_what_they_promise() {
        let mut random = 0x9e37_79b9_7f4a_7c15;
        for (pages, thin) in [(20, 2), (100, 4), (1000, 4), (1000, 6), (10_000, 6)] {
            let (mut sum, mut within, trials) = (0.0, 0, 1000);
            for _ in 0..trials {
                let seen = walked(pages, thin, &mut random);
                let estimate = single_pages(thin, seen).net(0);
                let measured = Bytes::from_pages(seen);
                sum += (measured + estimate.more).0 as f64 / PAGE as f64;
                let (low, high) = estimate.interval(measured, f64::from(1_u32 << thin));
                let truth = Bytes::from_pages(pages);
                within += i32::from(low <= truth && truth <= high);
            }
            let (mean, truth) = (sum / f64::from(trials), pages as f64);
            // Five standard deviations of the mean of so many trials.
            let deviation = (truth * f64::from((1 << thin) - 1) / f64::from(trials)).sqrt();
            assert!((mean - truth).abs() < 5.0 * deviation, "{mean} of {truth} at {thin}");
            assert!(within >= trials * 92 / 100, "{within} of {trials}: {pages} at {thin}");
        }
    }

    #[test]
    fn what_was_walked_whole_has_no_interval_of_its_own() {
        let estimate = Unseen::of(0, (100, 20), (100, 20)).net(0);
        assert_eq!(estimate, Estimate::default());
        // But some of it may have gone by unseen while others were thinned.
        let (low, high) = estimate.interval(Bytes::from_pages(80), 64.0);
        assert_eq!(low, Bytes::from_pages(80));
        assert_eq!(
            high,
            Bytes::from_pages(80) + Bytes((QUANTILE * QUANTILE * 64.0 * 4096.0).round() as i64)
        );
    }

    #[test]
    fn pages_that_come_and_go_leave_no_variance() {
        let mut sum = Unseen::default();
        for _ in 0..1000 {
            sum += Unseen::of(6, (1, 1), (1, 1));
        }
        assert_eq!(sum.net(0), Estimate::default());
        // In a later range nobody knows whose pages went: at most all of those before.
        assert_eq!(sum.net(4032).variance, 2 * 4032);
        assert_eq!(sum.held_variance(4032), 4032);
    }
}
