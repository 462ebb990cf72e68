//! A file's unwind tables: for framehop, which unwinds by them, and for what they say of functions
//! that have no name.

use std::ops::Range;

use framehop::{ExplicitModuleSectionInfo, Module};
use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, FrameDescriptionEntry, LittleEndian,
    UnwindContext, UnwindSection, UnwindTableRow,
};
use object::{Object, ObjectSegment};

use super::limits::MAX_UNWIND_SECTION;
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
        Self {
            base: elf.segments().map(|segment| segment.address()).min().unwrap_or(0),
            text: sections::addresses(elf, ".text"),
            got: sections::addresses(elf, ".got"),
            frame: section(".eh_frame"),
            header: section(".eh_frame_hdr"),
        }
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
        let (frame, bases) = self.eh_frame()?;
        let (at, header) = self.header.as_ref()?;
        let bases = bases.set_eh_frame_hdr(at.start);
        let parsed = EhFrameHdr::new(header, LittleEndian).parse(&bases, 8).ok()?;
        let table = parsed.table()?;
        let fde = table.fde_for_address(&frame, &bases, address, EhFrame::cie_from_offset).ok()?;
        Some(fde.initial_address()..fde.end_address())
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
    /// has no names for. Such a part begins in the middle of its function: with its frame made and
    /// its registers saved, where a function of its own begins with nothing but a return address.
    /// A part whose frame is as large as the function's largest, and as no other function's, is its.
    pub(super) fn cold_parts(&self, whole: &[Range<u64>]) -> Vec<Range<u64>> {
        let Some((frame, bases)) = self.eh_frame() else { return Vec::new() };
        let mut context = UnwindContext::new();
        let mut sizes: Vec<String> = Vec::new();
        let mut parts = Vec::new();
        let mut entries = frame.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let gimli::CieOrFde::Fde(partial) = entry else { continue };
            let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
            let range = fde.initial_address()..fde.end_address();
            if whole.iter().any(|whole| whole.contains(&range.start)) {
                sizes.extend(rows(&fde, &frame, &bases, &mut context).map(|rows| rows.saved));
            } else if let Some(rows) = rows(&fde, &frame, &bases, &mut context)
                && !rows.begins_a_function
            {
                parts.push((range, rows.first));
            }
        }
        parts.retain(|(_, first)| sizes.contains(first));
        parts.into_iter().map(|(range, _)| range).collect()
    }
}

/// What a function's unwind table says, as far as it tells its parts.
struct Rows {
    /// Whether nothing but the return address is on the stack at its first instruction.
    begins_a_function: bool,
    first: String,
    /// The row with the largest frame.
    saved: String,
}

fn rows(
    fde: &Fde<'_>,
    frame: &EhFrame<Slice<'_>>,
    bases: &BaseAddresses,
    context: &mut UnwindContext<usize>,
) -> Option<Rows> {
    let mut table = fde.rows(frame, bases, context).ok()?;
    let mut found: Option<(Rows, usize)> = None;
    while let Ok(Some(row)) = table.next_row() {
        let (text, saved) = (described(row), row.registers().count());
        match &mut found {
            None => {
                let begins_a_function = saved <= 1;
                let rows = Rows { begins_a_function, first: text.clone(), saved: text };
                found = Some((rows, saved));
            }
            Some((rows, most))
                if saved > *most || (saved == *most && longer(&text, &rows.saved)) =>
            {
                rows.saved = text;
                *most = saved;
            }
            Some(_) => {}
        }
    }
    found.map(|(rows, _)| rows)
}

fn longer(text: &str, than: &str) -> bool {
    (text.len(), text) > (than.len(), than)
}

/// Where a row has the frame and the saved registers.
fn described(row: &UnwindTableRow<usize>) -> String {
    let mut registers: Vec<String> =
        row.registers().map(|(register, rule)| format!("{}:{rule:?}", register.0)).collect();
    registers.sort();
    format!("{:?} {}", row.cfa(), registers.join(" "))
}
