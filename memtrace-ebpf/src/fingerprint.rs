//! What tells a code object from another one that takes over its address: its first line, where its texts
//! are, and the end of its file's name. Looked at for every frame of a new stack, and of every stack where code
//! comes and goes; the probe on dying code objects covers those that leave no trace here.

use memtrace_common::layout::PyLayout;
use memtrace_common::limits::{CODE_BYTES, STR_BYTES};
use memtrace_common::memory::ReadMemory;
use memtrace_common::walk::mix;

use crate::memory::{UserMemory, load_kernel};
use crate::ram::{PAGE, PageTables};

/// Words of a file name's end that are looked at where they can be loaded,
const TAIL: u64 = 8;
/// and where each takes a call of the helper.
const TAIL_READ: u64 = 4;

/// The fingerprint of the code object at this address of the running process.
#[inline(always)]
pub fn of(layout: &PyLayout, code: u64) -> u64 {
    let PageTables { tables, base } = PageTables::of_current();
    let mut packed = 0;
    for field in layout.naming_offsets() {
        packed = packed << 8 | u64::from(field as u8);
    }
    fingerprint(tables, base, code, packed)
}

/// As [`of`]. A function of its own, which the verifier follows once: it takes numbers only, the eight offsets
/// packed into one (all are below 256).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fingerprint(tables: u64, base: u64, code: u64, packed: u64) -> u64 {
    let tables = PageTables { tables, base };
    let offset = |index: u32| packed >> (56 - 8 * index) & 0xff;
    let fields = Part::at(&tables, code, CODE_BYTES.into());
    let file = fields.word(offset(1));
    let mut print = u64::from(fields.half(offset(0)));
    print = mix(print, file);
    print = mix(print, fields.word(offset(2)));
    print = mix(print, fields.word(offset(3)));
    // Texts of one size come to lie where the old ones lay: the file's name itself must tell.
    let text = Str::at(&tables, file, [offset(4), offset(5), offset(6), offset(7)]);
    mix(print, tail(&tables, &text))
}

/// Some bytes of the running process: loaded where they lie in one page that is found, else read by the helper.
struct Part {
    address: u64,
    /// Where they can be loaded from; 0 when they can't.
    place: u64,
}

impl Part {
    #[inline(always)]
    fn at(tables: &PageTables, address: u64, length: u64) -> Self {
        let inside = address & (PAGE - 1);
        let page = if inside + length <= PAGE { tables.page(address) } else { 0 };
        let place = if page == 0 { 0 } else { page + inside };
        Self { address, place }
    }

    #[inline(always)]
    fn word(&self, offset: u64) -> u64 {
        if self.place == 0 {
            return UserMemory.read_u64(self.address.wrapping_add(offset)).unwrap_or(0);
        }
        load_kernel(self.place + offset)
    }

    #[inline(always)]
    fn half(&self, offset: u64) -> u32 {
        if self.place != 0 {
            return load_kernel(self.place + offset);
        }
        let (mut value, at) = (0u32, self.address.wrapping_add(offset));
        // SAFETY: four bytes into a u32.
        let read = unsafe { UserMemory.read_raw(at, (&raw mut value).cast(), 4) };
        if read { value } else { 0 }
    }
}

/// A text of the running process.
pub struct Str {
    /// Address of its first character.
    pub address: u64,
    /// Bytes.
    pub total: u64,
    /// Bytes of a character.
    pub width: u8,
}

impl Str {
    /// The str at this address (`PyASCIIObject`, `Include/cpython/unicodeobject.h`; only compact strings occur
    /// as names).
    #[inline(always)]
    pub fn of(layout: &PyLayout, object: u64) -> Self {
        let offsets = [layout.str_length, layout.str_state, layout.str_ascii, layout.str_compact];
        Self::at(&PageTables::NONE, object, offsets.map(u64::from))
    }

    /// The offsets are those of the length, the state, and the text of either form.
    #[inline(always)]
    fn at(
        tables: &PageTables,
        object: u64,
        [length, state, ascii_text, compact_text]: [u64; 4],
    ) -> Self {
        let head = Part::at(tables, object, STR_BYTES.into());
        let (length, state) = (head.word(length), head.half(state));
        let width = (state >> 2) & 7;
        let ascii = state & (1 << 6) != 0;
        let text = if ascii { ascii_text } else { compact_text };
        Self {
            address: object.wrapping_add(text),
            // A length that would overflow is cut to the limit with all others.
            total: (length & u64::from(u32::MAX)) * u64::from(width),
            width: width as u8,
        }
    }
}

/// A hash of the text's last words. It begins at a word; what is behind its end in the last one belongs to it and
/// stays as it is, what is before its beginning does not. Word by word also where the helper reads: an array would
/// not fit, since all calls together have 512 bytes of stack.
#[inline(always)]
fn tail(tables: &PageTables, text: &Str) -> u64 {
    let first = ((text.address + text.total + 7) & !7) - TAIL * 8;
    let part = Part::at(tables, first, TAIL * 8);
    // All ones from the text's beginning on, without a branch for the verifier to follow.
    let own = |word: u64| !(((first + word * 8).wrapping_sub(text.address) as i64) >> 63) as u64;
    let mut hash = 0;
    if part.place != 0 {
        for word in 0..TAIL {
            hash = mix(hash, load_kernel::<u64>(part.place + word * 8) & own(word));
        }
    } else {
        for word in TAIL - TAIL_READ..TAIL {
            hash = mix(hash, part.word(word * 8) & own(word));
        }
    }
    hash
}
