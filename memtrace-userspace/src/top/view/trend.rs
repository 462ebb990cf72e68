//! Growth over the last windows in one line, one cell a window.
//!
//! The scale is fixed, so that bars can be compared from row to row and from minute to minute: each
//! step stands for four times as much.

use crate::units::Bytes;

/// A bar, and from where on.
const STEPS: [(i64, char); 8] = [
    (1, '▁'),
    (16 << 10, '▂'),
    (64 << 10, '▃'),
    (256 << 10, '▄'),
    (1 << 20, '▅'),
    (4 << 20, '▆'),
    (16 << 20, '▇'),
    (64 << 20, '█'),
];

/// What the help says of it.
pub(super) const LEGEND: [&str; 2] =
    ["▁ up to 16 KiB  ▂ 64 KiB  ▃ 256 KiB  ▄ 1 MiB", "▅ 4 MiB  ▆ 16 MiB  ▇ 64 MiB  █ more"];

/// The cells: a bar for growth, `-` for shrinking, `·` for neither, a blank for what nobody saw.
pub(super) fn trend(growth: &[Option<Bytes>]) -> String {
    growth.iter().map(|bytes| bytes.map_or(' ', cell)).collect()
}

fn cell(Bytes(bytes): Bytes) -> char {
    match bytes {
        0 => '·',
        ..0 => '-',
        _ => STEPS.iter().rev().find(|(from, _)| bytes >= *from).map_or('▁', |(_, bar)| *bar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_stands_for_four_times_as_much() {
        let growth = [-4096, 0, 4096, 16384, 65536, 262_144, 1 << 20, 1 << 22, 1 << 24, 1 << 40];
        let mut growth: Vec<_> = growth.map(|bytes| Some(Bytes(bytes))).to_vec();
        growth.insert(0, None);
        assert_eq!(trend(&growth), " -·▁▂▃▄▅▆▇█");
        assert_eq!(cell(Bytes((16 << 10) - 1)), '▁');
        assert_eq!(cell(Bytes(i64::MIN)), '-');
    }
}
