//! The one font of pictures: DejaVu Sans, which comes inside the crate `dejavu`.
//!
//! Nothing of the machine's own fonts is looked at, so that a picture is the same everywhere. The
//! font's licence (Bitstream Vera's, with DejaVu's changes in the public domain) allows embedding.
//! An SVG only names the font, and Verdana, which has the same widths, for viewers without it.

use std::sync::LazyLock;

use ttf_parser::Face;

/// As an SVG names it.
pub(super) const FAMILY: &str = "DejaVu Sans";

const ELLIPSIS: &str = "…";

/// The files that make up the family here.
pub(super) fn files() -> [&'static [u8]; 2] {
    [dejavu::sans::regular(), dejavu::sans::bold()]
}

/// How heavy text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// The length of `text` at this size, in the size's unit.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    static FACES: LazyLock<[Option<Face<'static>>; 2]> =
        LazyLock::new(|| files().map(|file| Face::parse(file, 0).ok()));
    let face = &FACES[usize::from(weight == Weight::Bold)];
    let advance = |c: char| {
        let face = face.as_ref()?;
        let glyph = face.glyph_index(c)?;
        Some(f64::from(face.glyph_hor_advance(glyph)?) / f64::from(face.units_per_em()))
    };
    // What the font lacks comes from another one, as wide as it is high at most.
    text.chars().map(|c| advance(c).unwrap_or(1.0)).sum::<f64>() * size
}

/// `text` in at most `room`, its middle replaced by `…`: of a path, both ends say something. The end
/// gets two thirds of the room.
pub(super) fn fit(text: &str, room: f64, size: f64, weight: Weight) -> String {
    if width(text, size, weight) <= room {
        return text.to_owned();
    }
    let room = room - width(ELLIPSIS, size, weight);
    let mut head = 0.0;
    let mut tail = 0.0;
    let of = |c: char| width(c.encode_utf8(&mut [0; 4]), size, weight);
    let within = |used: &mut f64, c: char, room: f64| {
        *used += of(c);
        *used <= room
    };
    let first: String = text.chars().take_while(|c| within(&mut head, *c, room / 3.0)).collect();
    let left = room - width(&first, size, weight);
    let last: Vec<char> = text.chars().rev().take_while(|c| within(&mut tail, *c, left)).collect();
    let last: String = last.into_iter().rev().collect();
    if room <= 0.0 { String::new() } else { format!("{first}{ELLIPSIS}{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_and_cut_to_fit() {
        let of = |text: &str| width(text, 10.0, Weight::Regular);
        // DejaVu Sans: `0` is 1303 of 2048 units wide, `i` 569.
        assert!((of("0") - 6.362).abs() < 0.001, "{}", of("0"));
        assert!((of("i0i") - of("0") - 2.0 * 2.778).abs() < 0.001);
        assert!(width("a", 10.0, Weight::Bold) > of("a"));
        // Not in the font: as wide as it is high.
        assert!((of("\u{e000}") - 10.0).abs() < 0.001);

        let path = "/usr/lib/python3.12/json/decoder.py:353";
        assert_eq!(fit(path, 1000.0, 10.0, Weight::Regular), path);
        for room in [0.0, 5.0, 20.0, 60.0, 120.0, 200.0] {
            let cut = fit(path, room, 10.0, Weight::Regular);
            assert!(of(&cut) <= room, "{cut:?} is wider than {room}");
            assert!(room < 60.0 || (cut.starts_with("/u") && cut.ends_with(":353")), "{cut:?}");
        }
    }
}
