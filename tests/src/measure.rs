//! Ratios of runs that alternate, and what they say: medians and spread.

/// The middle value; `NaN` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which that part of the values lies, between neighbours in proportion.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a handful of values"
)]
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * part;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// Untraced and traced durations of the same work, taken in alternation.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Without memtrace.
    pub untraced: Vec<f64>,
    /// With it.
    pub traced: Vec<f64>,
}

impl Pairs {
    /// Traced by untraced, of each pair.
    #[must_use]
    pub fn ratios(&self) -> Vec<f64> {
        self.traced.iter().zip(&self.untraced).map(|(traced, untraced)| traced / untraced).collect()
    }

    /// The median of the pairs' ratios: what drifts over a run touches both of a pair alike.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        median(&self.ratios())
    }

    /// The middle half of the pairs' ratios.
    #[must_use]
    pub fn spread(&self) -> (f64, f64) {
        let ratios = self.ratios();
        (quantile(&ratios, 0.25), quantile(&ratios, 0.75))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_lies_between_the_middle_two() {
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!((median(&[5.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_pair_that_was_disturbed_does_not_move_the_ratio() {
        let pairs = Pairs { untraced: vec![1.0, 1.0, 9.0], traced: vec![1.1, 1.1, 9.9] };
        assert!((pairs.ratio() - 1.1).abs() < 1e-9);
    }
}
