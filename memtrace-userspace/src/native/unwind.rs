//! A file's unwind tables: for framehop, which unwinds by them, and for what they say of functions
//! that have no name.

use std::ops::Range;

use framehop::{ExplicitModuleSectionInfo, Module};
use gimli::{
    BaseAddresses, CallFrameInstruction, CfaRule, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice,
    FrameDescriptionEntry, LittleEndian, Operation, UnwindContext, UnwindExpression, UnwindSection,
    UnwindTableRow,
};
use object::{Object, ObjectSegment};

use super::limits::{MAX_RULES, MAX_UNWIND_SECTION};
use super::sections::{self, Bytes, Elf};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Fde<'a> = FrameDescriptionEntry<Slice<'a>>;

/// The tables of one file.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Lowest address of a segment.
    base: u64,
    text: Option<Range<u64>>,
    got: Option<Range<u64>>,
    frame: Option<(Range<u64>, Bytes)>,
    header: Option<(Range<u64>, Bytes)>,
}

impl Tables {
    pub(super) fn read(elf: &Elf<'_>) -> Self {
        let section = |name: &str| {
            Some((sections::addresses(elf, name)?, sections::bytes(elf, name, MAX_UNWIND_SECTION)?))
        };
        let base = elf.segments().map(|segment| segment.address()).min().unwrap_or(0);
        if base >> 47 != 0 {
            // No process has anything there, and framehop adds to it.
            return Self::default();
        }
        let tables = Self {
            base,
            text: sections::addresses(elf, ".text"),
            got: sections::addresses(elf, ".got"),
            frame: section(".eh_frame"),
            header: section(".eh_frame_hdr"),
        };
        let is_sound = tables.header.is_some() || tables.ends();
        if is_sound { tables } else { Self { frame: None, ..tables } }
    }

    /// The file as framehop has it, loaded into `range`, its addresses moved by `bias`.
    pub(super) fn module(&self, range: Range<u64>, bias: u64) -> Module<Bytes> {
        let addresses = |section: &Option<(Range<u64>, Bytes)>| Some(section.as_ref()?.0.clone());
        let bytes =
            |section: &Option<(Range<u64>, Bytes)>| Some(Bytes::clone(&section.as_ref()?.1));
        let info = ExplicitModuleSectionInfo {
            base_svma: self.base,
            text_svma: self.text.clone(),
            got_svma: self.got.clone(),
            eh_frame_svma: addresses(&self.frame),
            eh_frame: bytes(&self.frame),
            eh_frame_hdr_svma: addresses(&self.header),
            eh_frame_hdr: bytes(&self.header),
            ..Default::default()
        };
        Module::new(String::new(), range, self.base.wrapping_add(bias), info)
    }

    /// The addresses of the function, or the part of one, that covers `address`.
    pub(super) fn function(&self, address: u64) -> Option<Range<u64>> {
        let (fde, ..) = self.entry(address).filter(|(fde, ..)| fde.contains(address))?;
        Some(fde.initial_address()..fde.end_address())
    }

    /// Where the header's table says that the entry for an address is, and where it says that entries begin.
    fn looked_up(&self, address: u64) -> Option<(u64, u64)> {
        let (_, bases) = self.eh_frame()?;
        let (at, header) = self.header.as_ref()?;
        let bases = bases.set_eh_frame_hdr(at.start);
        let parsed = EhFrameHdr::new(header, LittleEndian).parse(&bases, 8).ok()?;
        let entry = parsed.table()?.lookup(address, &bases).ok()?;
        Some((entry.direct().ok()?, parsed.eh_frame_ptr().direct().ok()?))
    }

    /// The entry that the header's table has for an address, as framehop looks it up: whether it covers it or not.
    fn entry(&self, address: u64) -> Option<(Fde<'_>, EhFrame<Slice<'_>>, BaseAddresses)> {
        let (frame, bases) = self.eh_frame()?;
        let bases = bases.set_eh_frame_hdr(self.header.as_ref()?.0.start);
        let (at, begin) = self.looked_up(address)?;
        let offset = EhFrameOffset(usize::try_from(at.checked_sub(begin)?).ok()?);
        let fde = frame.fde_from_offset(&bases, offset, EhFrame::cie_from_offset).ok()?;
        Some((fde, frame, bases))
    }

    /// Whether unwinding from an address of the file comes to an end: expressions that jump back need not, and
    /// framehop evaluates them without a bound. Nor does it ask whether an entry is before the first one.
    pub(super) fn ends_at(&self, address: u64) -> bool {
        // Without a header framehop has a table of its own, of entries that were looked at as they were read.
        self.looked_up(address).is_none_or(|(at, begin)| at >= begin)
            && self.entry(address).is_none_or(|(fde, frame, bases)| ends(&fde, &frame, &bases))
    }

    /// [`Tables::ends_at`] for every entry.
    fn ends(&self) -> bool {
        let Some((frame, bases)) = self.eh_frame() else { return true };
        let mut entries = frame.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let gimli::CieOrFde::Fde(partial) = entry else { continue };
            let parsed = partial.parse(EhFrame::cie_from_offset);
            if parsed.is_ok_and(|fde| !ends(&fde, &frame, &bases)) {
                return false;
            }
        }
        true
    }

    fn eh_frame(&self) -> Option<(EhFrame<Slice<'_>>, BaseAddresses)> {
        let (at, bytes) = self.frame.as_ref()?;
        let start = |range: &Option<Range<u64>>| range.as_ref().map_or(0, |range| range.start);
        let bases = BaseAddresses::default()
            .set_eh_frame(at.start)
            .set_text(start(&self.text))
            .set_got(start(&self.got));
        Some((EhFrame::new(bytes, LittleEndian), bases))
    }

    /// Parts that gcc has put elsewhere (`.cold`) of the functions at `whole`, which a stripped file
    /// has no names for. The entry of such a part follows its function's own, and the part begins in
    /// the middle of it: with a frame as large as the function's largest, and its registers saved.
    pub(super) fn cold_parts(&self, whole: &[Range<u64>]) -> Vec<Range<u64>> {
        let Some((frame, bases)) = self.eh_frame() else { return Vec::new() };
        let mut context = UnwindContext::new();
        let mut parts = Vec::new();
        // The largest frame of the function whose parts may follow.
        let mut expected = None;
        let mut entries = frame.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let gimli::CieOrFde::Fde(partial) = entry else { continue };
            let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
            let range = fde.initial_address()..fde.end_address();
            if whole.iter().any(|whole| whole.contains(&range.start)) {
                expected = frames(&fde, &frame, &bases, &mut context).map(|(_, largest)| largest);
            } else if let Some(largest) = &expected {
                match frames(&fde, &frame, &bases, &mut context) {
                    Some((first, _)) if first == *largest => parts.push(range),
                    _ => expected = None,
                }
            }
        }
        parts
    }
}

/// Whether the rules of an entry come to an end.
fn ends(fde: &Fde<'_>, frame: &EhFrame<Slice<'_>>, bases: &BaseAddresses) -> bool {
    let encoding = fde.cie().encoding();
    let is_endless = |expression: UnwindExpression<usize>| {
        let Ok(expression) = expression.get(frame) else { return false };
        let mut operations = expression.operations(encoding);
        while let Ok(Some(operation)) = operations.next() {
            if matches!(operation, Operation::Skip { target } | Operation::Bra { target } if target < 0)
            {
                return true;
            }
        }
        false
    };
    let rules = [fde.cie().instructions(frame, bases), fde.instructions(frame, bases)];
    let mut left = MAX_RULES;
    for mut rules in rules {
        while let Ok(Some(rule)) = rules.next() {
            let expression = match rule {
                CallFrameInstruction::DefCfaExpression { expression }
                | CallFrameInstruction::Expression { expression, .. }
                | CallFrameInstruction::ValExpression { expression, .. } => Some(expression),
                _ => None,
            };
            left -= 1;
            if left == 0 || expression.is_some_and(is_endless) {
                return false;
            }
        }
    }
    true
}

/// A function's frame: how many registers it has saved, how large it is, and where they are.
type Frame = (usize, u64, Vec<String>);

/// The frame at a function's first instruction, and the largest that it has.
fn frames(
    fde: &Fde<'_>,
    frame: &EhFrame<Slice<'_>>,
    bases: &BaseAddresses,
    context: &mut UnwindContext<usize>,
) -> Option<(Frame, Frame)> {
    let mut table = fde.rows(frame, bases, context).ok()?;
    let mut first = None;
    let mut largest = None;
    while let Ok(Some(row)) = table.next_row() {
        let frame = Some(described(row));
        first = first.or_else(|| frame.clone());
        largest = largest.max(frame);
    }
    Some((first?, largest?))
}

fn described(row: &UnwindTableRow<usize>) -> Frame {
    let size = match row.cfa() {
        CfaRule::RegisterAndOffset { offset, .. } => offset.unsigned_abs(),
        CfaRule::Expression(_) => 0,
    };
    let mut registers: Vec<String> =
        row.registers().map(|(register, rule)| format!("{}:{rule:?}", register.0)).collect();
    registers.sort();
    (registers.len(), size, registers)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use object::elf::{SHT_DYNSYM, SHT_SYMTAB};

    use super::*;
    use crate::native::limits::MAX_FILE_BYTES;
    use crate::native::symbols;
    use crate::python::BoundedRead;

    /// Any program with symbols will do: what the tables say of its parts must be what they say.
    #[test]
    fn parts_are_found_by_unwind_tables_as_by_names() {
        let file = File::open("/proc/self/exe").unwrap();
        let cache = BoundedRead::new(&file, MAX_FILE_BYTES);
        let tables = Tables::read(&object::File::parse(&cache).unwrap());
        let own = parts_are_found_by_unwind_tables_as_by_names as *const () as u64;
        let whole = symbols::ranges(&cache, SHT_SYMTAB, |name| {
            name.windows(10).any(|part| part == b"cold_parts")
        });
        assert!(!whole.is_empty() && own != 0);
        for range in &whole {
            assert_eq!(tables.function(range.start + 1), Some(range.clone()));
        }
        // rustc puts no part of a function elsewhere, and a neighbour is none.
        assert_eq!(tables.cold_parts(&whole), []);
        assert_eq!(symbols::ranges(&cache, SHT_DYNSYM, |name| name == b"cold_parts"), []);
    }
}
