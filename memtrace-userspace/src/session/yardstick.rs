//! Which function's calls measure a target's progress, by what short trials of all candidates showed.
//!
//! Wanted is one that is called often enough in a window to tell how much work that was, evenly beside
//! the allocations, and seldom enough that counting it costs little: then it is counted all the time.
//! A more frequent one is counted now and then, and how fast it comes by time. Pure.

use std::time::Duration;

/// So many trials are made.
pub(super) const TRIALS: usize = 3;
/// The calls that a window must have at least.
const LEAST: f64 = 5.0;
/// The calls that all trials together must have had.
const SEEN: u64 = 12;
/// Windows that a trace has, about: what they say by chance evens out.
const WINDOWS: f64 = 12.0;
/// How well the cost of counting a call is known.
const COST_UNCERTAINTY: f64 = 0.2;
/// How much faster and slower a processor works from one moment to another, since it is shared and its
/// caches are: that is in the estimate where a moment stands for the rest of the time.
const UNEVEN: f64 = 0.25;
/// What is expected before trials show it, and counts as much as so many of them: calls by chance.
const BEFOREHAND: f64 = 2.0;
/// Of what is allowed, what counting all the time may take.
const SHARE: f64 = 0.2;

/// What is known when one is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Calls of the allocator in a window.
    pub(super) in_window: f64,
    /// The same in a second of the target's own time.
    pub(super) a_second: f64,
    /// What counting a call costs, in seconds.
    pub(super) cost: f64,
    /// Part of its time that the lens may take.
    pub(super) allowed: f64,
}

/// One that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) candidate: usize,
    /// Counted all the time.
    pub(super) always: bool,
    /// Calls in a window.
    pub(super) calls: f64,
}

/// Chooses by the calls of each candidate in each trial, and those of the allocator. `None` when none
/// fits.
pub(super) fn choose(trials: &[(u64, Vec<u64>)], known: Known) -> Option<Choice> {
    let candidates = trials.first()?.1.len();
    let choices = (0..candidates).filter_map(|candidate| {
        let counts: Vec<(f64, u64)> =
            trials.iter().map(|(all, counts)| (*all as f64, counts[candidate])).collect();
        appraise(candidate, &counts, known)
    });
    choices.min_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, choice)| choice)
}

/// The error to be expected, squared, and the choice.
fn appraise(candidate: usize, counts: &[(f64, u64)], known: Known) -> Option<(f64, Choice)> {
    let allocations: f64 = counts.iter().map(|(all, _)| all).sum();
    let calls: u64 = counts.iter().map(|(_, calls)| calls).sum();
    if calls < SEEN || allocations < 1.0 || counts.iter().any(|(_, calls)| *calls == 0) {
        return None;
    }
    let ratio = calls as f64 / allocations;
    let in_window = ratio * known.in_window;
    if in_window < LEAST {
        return None;
    }
    // 1 for calls that come by chance, 10 for those that come in tens.
    let squares: f64 = counts
        .iter()
        .map(|(all, calls)| (*calls as f64 - ratio * all).powi(2) / (ratio * all).max(1.0))
        .sum();
    let clustered = (squares + BEFOREHAND) / (counts.len() as f64 - 1.0 + BEFOREHAND);
    let slower = ratio * known.a_second * known.cost;
    let always = slower <= SHARE * known.allowed;
    let by_time =
        if always { 0.0 } else { UNEVEN * UNEVEN / WINDOWS + (COST_UNCERTAINTY * slower).powi(2) };
    let error = clustered / in_window / WINDOWS + by_time;
    Some((error, Choice { candidate, always, calls: in_window }))
}

/// How many calls the next window is to have, so that it lasts as long as it should: it had `calls`
/// and lasted `lasted`.
pub(super) fn next_calls(calls: u64, lasted: Duration, wanted: Duration) -> u64 {
    let factor = wanted.as_secs_f64() / lasted.as_secs_f64().max(1e-6);
    (calls as f64 * factor.clamp(0.5, 2.0)).round().max(2.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { in_window: 2000.0, a_second: 1e6, cost: 0.8e-6, allowed: 0.05 };

    fn chosen(trials: &[(u64, Vec<u64>)]) -> Option<(usize, bool)> {
        choose(trials, KNOWN).map(|choice| (choice.candidate, choice.always))
    }

    #[test]
    fn the_one_that_is_neither_seldom_nor_costly_nor_clustered_is_chosen() {
        // The allocator itself; 10,000 a second; the same in clusters; seldom; missing at times.
        let trial = |clustered, missing| (3000, vec![3000, 30, clustered, 1, missing]);
        let trials = [trial(90, 30), trial(2, 30), trial(5, 0), trial(23, 60)];
        assert_eq!(chosen(&trials), Some((1, true)));
        // Without it, the clusters are worse than the cost of the allocator's calls.
        let without = trials.map(|(all, mut counts)| {
            counts[1] = 0;
            (all, counts)
        });
        assert_eq!(chosen(&without), Some((0, false)));
    }

    #[test]
    fn a_more_frequent_one_is_counted_now_and_then() {
        let trials = vec![(3000, vec![3000, 300]); TRIALS];
        assert_eq!(chosen(&trials), Some((1, false)));
        assert_eq!(chosen(&[(3000, vec![0, 0])]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn windows_become_as_long_as_they_should_be() {
        let ms = Duration::from_millis;
        assert_eq!(next_calls(20, ms(10), ms(15)), 30);
        assert_eq!(next_calls(20, ms(150), ms(15)), 10);
        assert_eq!(next_calls(2, ms(100), ms(15)), 2);
    }
}
