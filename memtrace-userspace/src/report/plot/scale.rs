//! Where an axis has its ticks and what they say: times in seconds to days, bytes in KiB to TiB.
//!
//! Numbers in, numbers and words out. It draws nothing.

use crate::units::Nanos;

/// One tick.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Where, in the axis's own unit (nanoseconds, bytes).
    pub(super) at: f64,
    pub(super) label: String,
}

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Steps from a second up that fall on what clocks show.
const STEPS: [u64; 21] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
];

/// Ticks between two times, at most `most` and one.
pub(super) fn of_time(start: Nanos, end: Nanos, most: usize) -> Vec<Tick> {
    let span = end.0.saturating_sub(start.0);
    let enough = |step: &u64| span / step <= most.max(1) as u64;
    let below = decimal_steps(1).take_while(|step| *step < SECOND);
    let above = decimal_steps(10 * DAY);
    let step = below.chain(STEPS).chain(above).find(enough).unwrap_or(u64::MAX);
    let first = start.0.div_ceil(step);
    let tick = |number: u64| number.checked_mul(step).filter(|at| *at <= end.0);
    std::iter::successors(Some(first), |number| number.checked_add(1))
        .map_while(tick)
        .map(|at| Tick { at: at as f64, label: if at == 0 { "0".into() } else { time(Nanos(at)) } })
        .collect()
}

/// 1, 2, 5, 10, 20, … times `unit`, as far as they go.
fn decimal_steps(unit: u64) -> impl Iterator<Item = u64> {
    let tens = std::iter::successors(Some(unit), |unit| unit.checked_mul(10));
    tens.flat_map(|unit| [1, 2, 5].into_iter().filter_map(move |times| unit.checked_mul(times)))
}

/// A time in the two largest units that say something: `90 ms`, `12.5 s`, `3 min 20 s`, `2 d 5 h`.
pub(super) fn time(time: Nanos) -> String {
    let ns = time.0;
    let decimal = |unit: u64, name: &str| {
        let text = format!("{:.3}", ns as f64 / unit as f64);
        format!("{} {name}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    let two = |unit: u64, name: &str, smaller: u64, smaller_name: &str| {
        let (whole, rest) = (ns / unit, ns % unit / smaller);
        match rest {
            0 => format!("{whole} {name}"),
            _ => format!("{whole} {name} {rest} {smaller_name}"),
        }
    };
    match ns {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => decimal(1_000, "µs"),
        1_000_000..SECOND => decimal(1_000_000, "ms"),
        SECOND..MINUTE => decimal(SECOND, "s"),
        MINUTE..HOUR => two(MINUTE, "min", SECOND, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// Ticks from zero to `bound` bytes, at most `most` and one. There are always two at least.
pub(super) fn of_bytes(bound: f64, most: usize) -> Vec<Tick> {
    const UNITS: [(&str, i32); 5] =
        [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50)];
    let bound = bound.max(1024.0);
    let fits = |(_, power): &&(&str, i32)| bound >= 2_f64.powi(*power);
    let (name, power) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
    let unit = 2_f64.powi(*power);
    let size = bound / unit;
    let rough = size / most.max(1) as f64;
    let ten = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * ten);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999_999).unwrap_or(rough);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    (0..=(size / step * 1.000_001) as u64)
        .map(|number| number as f64 * step)
        .map(|at| Tick { at: at * unit, label: format!("{at:.decimals$} {name}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn times_have_the_ticks_of_a_clock() {
        let check = |start: u64, end: u64, expected: &[&str]| {
            assert_eq!(labels(&of_time(Nanos(start), Nanos(end), 6)), expected);
        };
        check(0, MINUTE, &["0", "10 s", "20 s", "30 s", "40 s", "50 s", "1 min"]);
        check(0, 7 * MINUTE, &["0", "2 min", "4 min", "6 min"]);
        check(
            0,
            100 * MINUTE,
            &["0", "15 min", "30 min", "45 min", "1 h", "1 h 15 min", "1 h 30 min"],
        );
        check(0, 10 * HOUR, &["0", "2 h", "4 h", "6 h", "8 h", "10 h"]);
        check(0, 5 * DAY / 2, &["0", "12 h", "1 d", "1 d 12 h", "2 d", "2 d 12 h"]);
        check(0, 60 * DAY, &["0", "14 d", "28 d", "42 d", "56 d"]);
        check(0, 3 * SECOND, &["0", "500 ms", "1 s", "1.5 s", "2 s", "2.5 s", "3 s"]);
        check(0, 25_000, &["0", "5 µs", "10 µs", "15 µs", "20 µs", "25 µs"]);
        check(
            75 * SECOND,
            130 * SECOND,
            &["1 min 20 s", "1 min 30 s", "1 min 40 s", "1 min 50 s", "2 min", "2 min 10 s"],
        );
        check(5, 5, &["5 ns"]);
        check(0, 0, &["0"]);
    }

    #[test]
    fn any_time_has_few_ticks_and_all_are_within() {
        for (start, end) in [(0, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX)] {
            let ticks = of_time(Nanos(start), Nanos(end), 6);
            assert!((1..=7).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn bytes_have_round_ticks_in_a_fitting_unit() {
        const MIB: f64 = 1_048_576.0;
        let check = |bound: f64, expected: &[&str]| {
            assert_eq!(labels(&of_bytes(bound, 5)), expected);
        };
        check(60.0 * MIB, &["0 MiB", "20 MiB", "40 MiB", "60 MiB"]);
        check(1024.0 * MIB, &["0.0 GiB", "0.2 GiB", "0.4 GiB", "0.6 GiB", "0.8 GiB", "1.0 GiB"]);
        check(7.5 * 1024.0 * MIB, &["0 GiB", "2 GiB", "4 GiB", "6 GiB"]);
        check(1.5 * MIB, &["0.0 MiB", "0.5 MiB", "1.0 MiB", "1.5 MiB"]);
        check(0.0, &["0.0 KiB", "0.2 KiB", "0.4 KiB", "0.6 KiB", "0.8 KiB", "1.0 KiB"]);
        check(3.0 * MIB * MIB * MIB, &["0 PiB", "1000 PiB", "2000 PiB", "3000 PiB"]);
        assert_eq!(of_bytes(60.0 * MIB, 5)[1].at, 20.0 * MIB);
    }
}
