//! From an instruction's offset to its line: CPython's three line-table formats.
//!
//! Pure. The bytes are a target's and may be anything: no input panics or loops, wrong input only
//! gives wrong or no lines. Columns are not decoded.
//!
//! Formats: `Objects/lnotab_notes.txt` (3.9: lnotab; 3.10: PEP 626), `Objects/locations.md` (3.11
//! and newer: PEP 657) in CPython's sources; checked live in `docs/cpython.md`, section 4.

use serde::Deserialize;

/// Which of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineTableKind {
    /// `co_lnotab`, 3.9 and older.
    Lnotab,
    /// `co_linetable` of 3.10.
    Pep626,
    /// `co_linetable` of 3.11 and newer.
    Pep657,
}

/// A code object's line table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTable<'a> {
    kind: LineTableKind,
    first_line: i32,
    bytes: &'a [u8],
}

/// Instructions of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRange {
    /// Byte offset of its first instruction from the code's first one.
    pub start: u32,
    /// One past its last byte; `u32::MAX` for the open end of an lnotab.
    pub end: u32,
    /// From 1; `None` for instructions that belong to no line.
    pub line: Option<u32>,
}

impl<'a> LineTable<'a> {
    /// `first_line` is `co_firstlineno`, `bytes` the table's content (perhaps cut).
    #[must_use]
    pub fn new(kind: LineTableKind, first_line: i32, bytes: &'a [u8]) -> Self {
        Self { kind, first_line, bytes }
    }

    /// The line of the instruction at this byte offset. A negative offset (not started) is the
    /// function's first line. `None`: the instruction belongs to no line, or the table ends
    /// before it; the function's first line is what to show then.
    #[must_use]
    pub fn line_at(&self, offset: i32) -> Option<u32> {
        let Ok(offset) = u32::try_from(offset) else { return positive(self.first_line) };
        self.lines().find(|range| (range.start..range.end).contains(&offset))?.line
    }

    /// All ranges in the order of their instructions.
    #[must_use]
    pub fn lines(&self) -> Lines<'a> {
        Lines {
            kind: self.kind,
            bytes: self.bytes.iter(),
            at: 0,
            line: self.first_line,
            finished: false,
        }
    }

    /// The highest line that the table names; the first line for an empty table.
    #[must_use]
    pub fn last_line(&self) -> u32 {
        let first = positive(self.first_line).unwrap_or(1);
        self.lines().filter_map(|range| range.line).fold(first, u32::max)
    }
}

/// The ranges of a [`LineTable`].
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    kind: LineTableKind,
    bytes: std::slice::Iter<'a, u8>,
    at: u32,
    line: i32,
    finished: bool,
}

impl Iterator for Lines<'_> {
    type Item = LineRange;

    fn next(&mut self) -> Option<LineRange> {
        match self.kind {
            LineTableKind::Lnotab => self.next_lnotab(),
            LineTableKind::Pep626 => self.next_pep626(),
            LineTableKind::Pep657 => self.next_pep657(),
        }
    }
}

impl Lines<'_> {
    /// Pairs (bytes: u8, lines: i8). A line holds until the next pair that moves the address.
    fn next_lnotab(&mut self) -> Option<LineRange> {
        while let (Some(&step), delta) = (self.bytes.next(), self.bytes.next()) {
            let (start, line) = (self.at, self.line);
            self.at = self.at.saturating_add(u32::from(step));
            self.line = self.line.saturating_add(i32::from(delta.copied().unwrap_or(0) as i8));
            if step != 0 {
                return Some(LineRange { start, end: self.at, line: positive(line) });
            }
        }
        if self.finished {
            return None;
        }
        self.finished = true;
        Some(LineRange { start: self.at, end: u32::MAX, line: positive(self.line) })
    }

    /// Pairs (bytes: u8, lines: i8), the delta first; -128 is "no line".
    fn next_pep626(&mut self) -> Option<LineRange> {
        loop {
            let (&step, &delta) = (self.bytes.next()?, self.bytes.next()?);
            let delta = delta as i8;
            if delta != i8::MIN {
                self.line = self.line.saturating_add(i32::from(delta));
            }
            let start = self.at;
            self.at = self.at.saturating_add(u32::from(step));
            if step != 0 {
                let line = if delta == i8::MIN { None } else { positive(self.line) };
                return Some(LineRange { start, end: self.at, line });
            }
        }
    }

    /// Entries: a byte with bit 7 set, the kind in bits 3-6, code units less one in bits 0-2.
    fn next_pep657(&mut self) -> Option<LineRange> {
        let &head = self.bytes.next()?;
        let start = self.at;
        self.at = self.at.saturating_add(2 * (u32::from(head & 7) + 1));
        let kind = (head >> 3) & 15;
        match kind {
            0..=9 => self.skip(1),
            10..=12 => {
                self.line = self.line.saturating_add(i32::from(kind) - 10);
                self.skip(2);
            }
            13 => self.add_svarint(),
            14 => {
                self.add_svarint();
                for _ in 0..3 {
                    self.varint();
                }
            }
            _ => {}
        }
        let line = if kind == 15 { None } else { positive(self.line) };
        Some(LineRange { start, end: self.at, line })
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.bytes.next();
        }
    }

    /// Six bits a byte, lowest first, bit 6 set when more follow.
    fn varint(&mut self) -> u32 {
        let mut value = 0u32;
        let mut shift = 0u32;
        for &byte in self.bytes.by_ref() {
            value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(6);
            if byte & 64 == 0 {
                break;
            }
        }
        value
    }

    /// A varint with the sign in bit 0.
    fn add_svarint(&mut self) {
        let value = self.varint();
        let magnitude = (value >> 1) as i32;
        self.line = if value & 1 == 0 {
            self.line.saturating_add(magnitude)
        } else {
            self.line.saturating_sub(magnitude)
        };
    }
}

/// CPython numbers lines from 1; `RESUME` of a module is at line 0, which is no line of a file.
fn positive(line: i32) -> Option<u32> {
    u32::try_from(line).ok().filter(|&line| line > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line tables that CPython compiled for one function at line 10 (`try`, `except`, `finally`,
    /// expressions over several lines, 300 empty lines, `with`), and what CPython itself says they
    /// mean (`dis.findlinestarts` on 3.8, `co_lines()` later): start, end, line (0: none).
    fn check(kind: LineTableKind, bytes: &[u8], expected: &[(i32, i32, u32)]) {
        let table = LineTable::new(kind, 10, bytes);
        for &(start, end, line) in expected {
            for offset in start..end {
                let found = table.line_at(offset).unwrap_or(0);
                assert_eq!(found, line, "{kind:?} at {offset}");
            }
        }
        assert_eq!(table.last_line(), 323);
        assert_eq!((table.line_at(-1), table.line_at(i32::MIN)), (Some(10), Some(10)));
    }

    #[test]
    #[rustfmt::skip]
    fn lnotab_says_what_cpython_3_8_says() {
        let bytes = [
            0, 1, 4, 1, 6, 1, 2, 255, 10, 2, 4, 1, 2, 255, 14, 2, 2, 1, 2, 255, 34, 3, 2, 1, 2, 255,
            6, 127, 0, 127, 0, 48, 10, 1, 10, 1,
        ];
        let expected = [
            (0, 4, 11), (4, 10, 12), (10, 12, 13), (12, 22, 12), (22, 26, 14), (26, 28, 15),
            (28, 42, 14), (42, 44, 16), (44, 46, 17), (46, 80, 16), (80, 82, 19), (82, 84, 20),
            (84, 90, 19), (90, 100, 321), (100, 110, 322), (110, 1000, 323),
        ];
        check(LineTableKind::Lnotab, &bytes, &expected);
    }

    #[test]
    #[rustfmt::skip]
    fn pep626_says_what_cpython_3_10_says() {
        let bytes = [
            4, 1, 6, 1, 2, 1, 10, 255, 4, 2, 2, 1, 12, 255, 2, 2, 2, 1, 16, 255, 2, 3, 2, 1, 6, 255,
            8, 128, 2, 251, 2, 254, 2, 7, 2, 1, 8, 255, 2, 1, 6, 255, 0, 127, 0, 127, 10, 48, 2, 1,
            10, 255, 4, 2, 16, 254, 4, 2,
        ];
        let expected = [
            (0, 4, 11), (4, 10, 12), (10, 12, 13), (12, 22, 12), (22, 26, 14), (26, 28, 15),
            (28, 40, 14), (40, 42, 16), (42, 44, 17), (44, 60, 16), (60, 62, 19), (62, 64, 20),
            (64, 70, 19), (70, 78, 0), (78, 80, 14), (80, 82, 12), (82, 84, 19), (84, 86, 20),
            (86, 94, 19), (94, 96, 20), (96, 102, 19), (102, 112, 321), (112, 114, 322),
            (114, 124, 321), (124, 128, 323), (128, 144, 321), (144, 148, 323),
        ];
        check(LineTableKind::Pep626, &bytes, &expected);
    }

    #[test]
    #[rustfmt::skip]
    fn pep657_says_what_cpython_3_12_says() {
        let bytes = [
            128, 0, 240, 2, 9, 5, 15, 224, 22, 23, 246, 3, 1, 13, 25, 216, 17, 18, 242, 3, 0, 14,
            15, 240, 0, 1, 13, 25, 136, 1, 241, 0, 1, 13, 25, 244, 14, 0, 9, 14, 216, 12, 13, 244,
            3, 1, 9, 15, 244, 92, 9, 0, 10, 14, 136, 97, 139, 23, 240, 0, 1, 5, 13, 144, 65, 216, 8,
            12, 247, 3, 1, 5, 13, 224, 11, 12, 128, 72, 249, 242, 111, 9, 1, 13, 25, 248, 228, 12,
            22, 220, 12, 21, 240, 3, 1, 12, 23, 242, 0, 3, 5, 19, 224, 16, 17, 216, 16, 17, 240, 3,
            1, 16, 19, 244, 0, 1, 9, 19, 244, 6, 0, 9, 14, 216, 12, 13, 245, 3, 1, 9, 15, 251, 240,
            11, 3, 5, 19, 251, 244, 10, 0, 9, 14, 216, 12, 13, 245, 3, 1, 9, 15, 250, 247, 92, 9, 1,
            5, 13, 224, 11, 12, 128, 72, 250,
        ];
        let expected = [
            (0, 2, 10), (2, 4, 11), (4, 6, 13), (6, 20, 12), (20, 22, 13), (22, 36, 12),
            (36, 46, 19), (46, 48, 20), (48, 58, 19), (58, 82, 321), (82, 84, 322),
            (84, 100, 321), (100, 104, 323), (104, 108, 0), (108, 114, 12), (114, 116, 0),
            (116, 126, 14), (126, 136, 15), (136, 144, 14), (144, 146, 16), (146, 148, 17),
            (148, 160, 16), (160, 170, 19), (170, 172, 20), (172, 184, 19), (184, 192, 0),
            (192, 194, 14), (194, 202, 0), (202, 212, 19), (212, 214, 20), (214, 226, 19),
            (226, 232, 0), (232, 248, 321), (248, 252, 323), (252, 258, 0),
        ];
        check(LineTableKind::Pep657, &bytes, &expected);
    }

    #[test]
    fn any_bytes_end_without_panic_and_in_order() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..3000 {
            let length = (random() % 300) as usize;
            let bytes: Vec<u8> = (0..length).map(|_| random() as u8).collect();
            let first = random() as i32;
            for kind in [LineTableKind::Lnotab, LineTableKind::Pep626, LineTableKind::Pep657] {
                let table = LineTable::new(kind, first, &bytes);
                let mut end = 0;
                for range in table.lines() {
                    assert!(range.start == end && range.end > range.start, "{kind:?} {range:?}");
                    end = range.end;
                }
                let _ = table.last_line();
                for offset in [i32::MIN, -1, 0, random() as i32, i32::MAX] {
                    let _ = table.line_at(offset);
                }
            }
        }
    }
}
