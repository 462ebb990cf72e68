//! Colours of frames: a hue for each package, a shade for each file in it.
//!
//! The package of a file is what stands after `site-packages` in its path, the standard library, or
//! else its folder: so the own code of a program, its frameworks and Python's are told apart at a
//! glance, and a file has the same colour in each report. What is no line is grey.

use inferno::flamegraph::color::{Color, PaletteMap};

use crate::profile::{NativeFrame, Place, Profile};
use crate::report::stacks::{SHRANK, names};

/// Behind the frames.
pub(super) const BACKGROUND: Color = Color { r: 0xfa, g: 0xfa, b: 0xfa };
/// The same as SVG writes it.
pub(super) const BACKGROUND_NAME: &str = "#fafafa";

const ALL: Color = Color { r: 0xd4, g: 0xd4, b: 0xd4 };
const PROCESS: Color = Color { r: 0xc8, g: 0xcc, b: 0xd0 };
const UNATTRIBUTED: Color = Color { r: 0xb4, g: 0xb4, b: 0xb4 };
/// The one frame that says the reverse of all others.
const DOWN: Color = Color { r: 0x8f, g: 0xb8, b: 0xe8 };

/// Gives each frame of the profile its colour, so that none is left to chance.
pub(super) fn choose(palette: &mut PaletteMap, profile: &Profile) {
    palette.insert("", ALL);
    palette.insert(SHRANK, DOWN);
    palette.insert(names::GAP, UNATTRIBUTED);
    for process in &profile.processes {
        palette.insert(names::process(process), PROCESS);
        for thread in &process.threads {
            palette.insert(names::thread(thread), PROCESS);
        }
        // The lines of all stacks, each once.
        for line in &process.lines {
            palette.insert(names::line(&line.place), of_line(&line.place));
        }
        for stack in &process.stacks {
            stack.native.iter().for_each(|frame| native(palette, frame));
        }
        for row in &process.unattributed {
            palette.insert(names::unattributed(row), UNATTRIBUTED);
            let frames = row.native.iter().flat_map(|part| &part.frames);
            frames.for_each(|frame| native(palette, frame));
        }
    }
}

/// Native code is paler than lines, a hue for each library.
fn native(palette: &mut PaletteMap, frame: &NativeFrame) {
    let hue = (spread(&frame.library) % 360) as f64;
    palette.insert(names::native(frame), from_hsl(hue, 0.25, 0.86));
}

fn of_line(place: &Place) -> Color {
    let hue = (spread(package(&place.file)) % 360) as f64;
    // 70 to 82 in a hundred: black text is readable on all of them.
    let lightness = 0.70 + (spread(&place.file) % 13) as f64 / 100.0;
    from_hsl(hue, 0.6, lightness)
}

/// The package that a file is of.
fn package(file: &str) -> &str {
    for folder in ["/site-packages/", "/dist-packages/"] {
        if let Some((_, inside)) = file.rsplit_once(folder) {
            return inside.split('/').next().unwrap_or(inside);
        }
    }
    let parts = || file.split('/');
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let versioned = |part: &str| part.strip_prefix("python3.").is_some_and(digits);
    let is_library = parts().zip(parts().skip(1)).any(|(a, b)| a == "lib" && versioned(b));
    if is_library || file.starts_with("<frozen ") {
        return "the standard library";
    }
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A number that is far from that of similar texts (FNV-1a).
fn spread(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A colour from hue (degrees), saturation and lightness (0 to 1).
fn from_hsl(hue: f64, saturation: f64, lightness: f64) -> Color {
    let reach = saturation * lightness.min(1.0 - lightness);
    let part = |offset: f64| {
        let at = (offset + hue / 30.0) % 12.0;
        let value = lightness - reach * (at - 3.0).min(9.0 - at).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    Color { r: part(0.0), g: part(8.0), b: part(4.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_packages() {
        let check = |file: &str, name: &str| assert_eq!(package(file), name, "{file}");
        check("/usr/lib/python3/dist-packages/numpy/core/x.py", "numpy");
        check("/srv/venv/lib/python3.12/site-packages/flask/app.py", "flask");
        check("/srv/venv/lib/python3.12/site-packages/six.py", "six.py");
        check("/usr/lib/python3.12/json/decoder.py", "the standard library");
        check("<frozen importlib._bootstrap>", "the standard library");
        check("/srv/app/views.py", "/srv/app");
        check("/srv/lib/python3.py", "/srv/lib");
        check("app.py", "");
    }

    #[test]
    fn colours_are_what_their_numbers_say() {
        let check = |hue, saturation, lightness, (r, g, b)| {
            assert_eq!(from_hsl(hue, saturation, lightness), Color { r, g, b });
        };
        check(0.0, 1.0, 0.5, (255, 0, 0));
        check(120.0, 1.0, 0.5, (0, 255, 0));
        check(240.0, 1.0, 0.5, (0, 0, 255));
        check(60.0, 1.0, 0.25, (128, 128, 0));
        check(200.0, 0.0, 0.6, (153, 153, 153));
    }

    #[test]
    fn every_line_colour_bears_black_text() {
        for number in 0..2000 {
            let place = Place {
                file: format!("/srv/{}/f{number}.py", number % 97),
                line: 1,
                function: String::new(),
                function_line: 1,
            };
            let Color { r, g, b } = of_line(&place);
            // Relative luminance, roughly: 4.5 to 1 against black is 0.175.
            let linear = |part: u8| (f64::from(part) / 255.0).powf(2.2);
            let luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
            assert!((luminance + 0.05) / 0.05 >= 4.5, "{r} {g} {b}");
        }
    }
}
