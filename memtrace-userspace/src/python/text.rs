//! Text that comes from a target: decoding CPython's strings.
//!
//! Pure. What makes text safe to print is the reports' (`crate::report::printable`).

/// Decodes the data of a `str`: `width` bytes a character (1, 2 or 4, PEP 393), in the machine's
/// byte order. Width 1 is Latin-1, of which ASCII is a part. What is no character (a lone
/// surrogate, a number beyond Unicode, a cut last character, another width) becomes U+FFFD.
#[must_use]
pub fn decode(bytes: &[u8], width: u8) -> String {
    let unit = |unit: &[u8]| match *unit {
        [a] => u32::from(a),
        [a, b] => u32::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => u32::MAX,
    };
    if !matches!(width, 1 | 2 | 4) {
        return char::REPLACEMENT_CHARACTER.to_string();
    }
    bytes
        .chunks(usize::from(width))
        .map(|bytes| {
            let whole = bytes.len() == usize::from(width);
            char::from_u32(if whole { unit(bytes) } else { u32::MAX })
                .unwrap_or(char::REPLACEMENT_CHARACTER)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_width_is_decoded() {
        assert_eq!(decode(b"caf\xe9", 1), "caf\u{e9}");
        let wide: Vec<u8> =
            [0x0416u16, 0x4e2d, 0x41].iter().flat_map(|c| c.to_ne_bytes()).collect();
        assert_eq!(decode(&wide, 2), "\u{416}\u{4e2d}A");
        let wider: Vec<u8> = [0x1f40du32, 0x41].iter().flat_map(|c| c.to_ne_bytes()).collect();
        assert_eq!(decode(&wider, 4), "\u{1f40d}A");
        assert_eq!(decode(b"", 1), "");
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        let surrogate: Vec<u8> = [0xd800u16, 0x42].iter().flat_map(|c| c.to_ne_bytes()).collect();
        assert_eq!(decode(&surrogate, 2), "\u{fffd}B");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 1], 4), "\u{fffd}\u{fffd}");
        assert_eq!(decode(b"abc", 3), "\u{fffd}");
        assert_eq!(decode(b"abc", 0), "\u{fffd}");
    }
}
