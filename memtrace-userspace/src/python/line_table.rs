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
        while let Some(&byte) = self.bytes.next() {
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

    fn ranges(kind: LineTableKind, first: i32, bytes: &[u8]) -> Vec<(u32, u32, Option<u32>)> {
        LineTable::new(kind, first, bytes)
            .lines()
            .map(|range| (range.start, range.end, range.line))
            .collect()
    }

    /// The example of `Objects/lnotab_notes.txt`: offsets 0, 6, 50, 350, 361 at lines 1, 2, 7,
    /// 207, 208.
    #[test]
    fn lnotab_follows_the_example_of_cpythons_notes() {
        let bytes = [6, 1, 44, 5, 255, 0, 45, 127, 0, 73, 11, 1];
        let table = LineTable::new(LineTableKind::Lnotab, 1, &bytes);
        for (offset, line) in
            [(0, 1), (5, 1), (6, 2), (49, 2), (50, 7), (349, 7), (350, 207), (361, 208), (999, 208)]
        {
            assert_eq!(table.line_at(offset), Some(line), "at {offset}");
        }
        assert_eq!(table.last_line(), 208);
        assert_eq!(table.line_at(-1), Some(1));
    }

    /// The example of `Objects/lnotab_notes.txt` for 3.10, with a range that has no line.
    #[test]
    fn pep626_follows_the_example_of_cpythons_notes() {
        let bytes = [0, 0, 6, 1, 44, 1, 0, 127, 254, 73, 46, 0, 8, 0x80, 2, 1];
        assert_eq!(
            ranges(LineTableKind::Pep626, 1, &bytes),
            [
                (0, 6, Some(2)),
                (6, 50, Some(3)),
                (50, 304, Some(203)),
                (304, 350, Some(203)),
                (350, 358, None),
                (358, 360, Some(204)),
            ]
        );
        let table = LineTable::new(LineTableKind::Pep626, 1, &bytes);
        assert_eq!((table.line_at(352), table.line_at(360)), (None, None));
    }

    /// What CPython 3.12.1 compiled for `def f(x):\n    y = [x]\n    return y` at line 10.
    #[test]
    fn pep657_reads_short_one_line_long_and_no_location_entries() {
        let bytes = [
            0x80, 0x00, // short: one unit, same line
            0xd8, 0x08, 0x0a, // one-line form, delta 1
            0xe9, 0x05, // no columns: two units, svarint -2
            0xf0, 0x42, 0x01, 0x00, 0x01, 0x02, // long: svarint 66 -> +33
            0xfb, // no location, four units
            0x80, 0x00, // same line as before it
        ];
        assert_eq!(
            ranges(LineTableKind::Pep657, 10, &bytes),
            [
                (0, 2, Some(10)),
                (2, 4, Some(11)),
                (4, 8, Some(9)),
                (8, 10, Some(42)),
                (10, 18, None),
                (18, 20, Some(42)),
            ]
        );
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
                table.last_line();
                for offset in [i32::MIN, -1, 0, random() as i32, i32::MAX] {
                    table.line_at(offset);
                }
            }
        }
    }
}
