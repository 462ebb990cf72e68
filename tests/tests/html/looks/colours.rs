//! The chart's colours can be told apart, also by those who see fewer.
//!
//! Computed from the style itself: colours as people without one kind of cone see them (Machado,
//! Oliveira and Fernandes 2009, full severity), and their distance in CIELAB, where 2.3 is just
//! noticeable.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../../../memtrace-userspace/src/report/html/style.css");

/// Layers that lie on each other.
const TOUCHING: f64 = 20.0;
/// Any two of the chart, which also have their numbers.
const ANYWHERE: f64 = 10.0;

type Matrix = [[f64; 3]; 3];

const SIGHTS: [(&str, Matrix); 4] = [
    ("all cones", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

fn apply(matrix: &Matrix, colour: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(colour).map(|(a, b)| a * b).sum())
}

/// sRGB without its curve, from `#rrggbb`.
fn linear(colour: &str) -> [f64; 3] {
    [1, 3, 5].map(|at| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
}

/// CIELAB, under daylight.
fn lab(linear: [f64; 3]) -> [f64; 3] {
    const XYZ: Matrix = [
        [0.412_456_4, 0.357_576_1, 0.180_437_5],
        [0.212_672_9, 0.715_152_2, 0.072_175_0],
        [0.019_333_9, 0.119_192_0, 0.950_304_1],
    ];
    let curve = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let [x, y, z] = apply(&XYZ, linear);
    let [x, y, z] = [curve(x / 0.950_47), curve(y), curve(z / 1.088_83)];
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn distance(a: &str, b: &str, sight: &Matrix) -> f64 {
    let seen = |colour| lab(apply(sight, linear(colour)).map(|value| value.clamp(0.0, 1.0)));
    seen(a).iter().zip(seen(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// `--name: #rrggbb` in a part of the style.
fn named(part: &str) -> BTreeMap<&str, &str> {
    let declared = part.split("--").filter_map(|rest| rest.split_once(": "));
    declared
        .filter(|(_, value)| value.starts_with('#'))
        .map(|(name, value)| (name, &value[..7]))
        .collect()
}

#[test]
fn the_layers_of_the_chart_can_be_told_apart_whatever_cones_one_has() {
    let (light, rest) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
    let (dark, _) = rest.split_once("\n}\n").unwrap();
    for (scheme, part) in [("light", light), ("dark", dark)] {
        let colours = named(part);
        let mut layers = vec!["base".to_owned()];
        layers.extend((1..=10).map(|number| format!("c{number}")));
        layers.push("rest".to_owned());
        for (sight, matrix) in &SIGHTS {
            for (at, one) in layers.iter().enumerate() {
                for (below, other) in layers.iter().enumerate().take(at) {
                    let apart = distance(colours[one.as_str()], colours[other.as_str()], matrix);
                    let least = if at - below == 1 { TOUCHING } else { ANYWHERE };
                    assert!(
                        apart > least,
                        "{scheme}, {sight}: {one} and {other} are {apart:.1} apart"
                    );
                }
            }
        }
    }
}

#[test]
fn distances_are_computed_as_published() {
    // Lab of sRGB red: 53.24, 80.09, 67.20. Black and white are 100 apart.
    let [l, a, b] = lab(linear("#ff0000"));
    assert!((l - 53.24).abs() < 0.05 && (a - 80.09).abs() < 0.1 && (b - 67.20).abs() < 0.1);
    assert!((distance("#000000", "#ffffff", &SIGHTS[0].1) - 100.0).abs() < 0.1);
    // Red and green of the same lightness: far apart, but not without the green cone.
    let (red, green) = ("#c05050", "#5a8a3a");
    assert!(distance(red, green, &SIGHTS[0].1) > 2.0 * distance(red, green, &SIGHTS[2].1));
}
