//! What a type is called, and how large its objects are.
//!
//! `module.qualified.Name`, as `type(x).__module__` and `__qualname__` say it: of a class, from
//! its dict and its `ht_qualname`; of a static type, from `tp_name` (`type_module` in
//! `Objects/typeobject.c`). Nothing is called in the target, so a metaclass that answers
//! otherwise is not heard.

use std::collections::HashMap;

use memtrace_common::memory::ReadMemory;

use super::blocks::Blocks;
use super::layout::Layout;
use crate::python::text;

/// `Py_TPFLAGS_HEAPTYPE`
const HEAP_TYPE: u64 = 1 << 9;
/// `Py_TPFLAGS_HAVE_GC`
const HAVE_GC: u64 = 1 << 14;
/// `Py_TPFLAGS_READY`
const READY: u64 = 1 << 12;
/// `Py_TPFLAGS_TYPE_SUBCLASS`: a metaclass.
const TYPE_SUBCLASS: u64 = 1 << 31;
/// `Py_TPFLAGS_MANAGED_WEAKREF`, `Py_TPFLAGS_MANAGED_DICT`: two pointers before the head.
const PRE_HEADER: u64 = 1 << 3 | 1 << 4;
/// Longest name that is read, in bytes.
const NAME_LIMIT: usize = 1024;
/// Entries of a type's dict that are searched for `__module__`, which is among the first.
const DICT_LIMIT: u64 = 4096;

/// Types that are kept where they are found at once.
const LAST: usize = 256;

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Type {
    /// `module.Name`
    pub(super) name: String,
    /// `tp_basicsize`
    pub(super) basic: u64,
    /// `tp_itemsize`
    pub(super) item: u64,
    /// Bytes before the object beside the collector's head.
    pub(super) before: u64,
}

/// The types that were met.
#[derive(Debug)]
pub(super) struct Types<'a> {
    layout: &'a Layout,
    minor: u8,
    known: HashMap<u64, Option<usize>>,
    types: Vec<Type>,
    /// Those that were asked for last, each in a place by its address: there are few, and one is
    /// asked for a million times.
    last: [(u64, Option<usize>); LAST],
}

impl<'a> Types<'a> {
    #[must_use]
    pub(super) fn new(layout: &'a Layout, minor: u8) -> Self {
        Self { layout, minor, known: HashMap::new(), types: Vec::new(), last: [(0, None); LAST] }
    }

    /// The type at an address; `None` if there is none.
    pub(super) fn at(&mut self, memory: &Blocks<'_>, address: u64) -> Option<usize> {
        let place = (address / 16) as usize % LAST;
        if let Some((known, index)) = self.last.get(place)
            && *known == address
        {
            return *index;
        }
        let index = match self.known.get(&address) {
            Some(known) => *known,
            None => {
                let index = self.read(memory, address).map(|found| {
                    self.types.push(found);
                    self.types.len() - 1
                });
                self.known.insert(address, index);
                index
            }
        };
        if let Some(last) = self.last.get_mut(place) {
            *last = (address, index);
        }
        index
    }

    /// A type that was met.
    #[must_use]
    pub(super) fn get(&self, index: usize) -> Option<&Type> {
        self.types.get(index)
    }

    fn read(&self, memory: &Blocks<'_>, address: u64) -> Option<Type> {
        let places = &self.layout.type_object;
        let word = |offset: u64| memory.read_u64(address.wrapping_add(offset));
        let flags = word(places.tp_flags)?;
        // Tracked objects are of types that say so, and a type's own type is a metaclass.
        let meta = memory.read_u64(address.wrapping_add(8))?;
        let meta_flags = memory.read_u64(meta.wrapping_add(places.tp_flags))?;
        if flags & HAVE_GC == 0 || flags & READY == 0 || meta_flags & TYPE_SUBCLASS == 0 {
            return None;
        }
        let size = |offset| word(offset).filter(|size| *size < 1 << 30);
        let managed =
            self.minor >= 12 && flags & PRE_HEADER != 0 || self.minor == 11 && flags & 1 << 4 != 0;
        Some(Type {
            name: self.name(memory, address, flags)?,
            basic: size(places.tp_basicsize)?,
            item: size(places.tp_itemsize)?,
            before: if managed { 16 } else { 0 },
        })
    }

    fn name(&self, memory: &Blocks<'_>, address: u64, flags: u64) -> Option<String> {
        let places = &self.layout.type_object;
        let word = |offset: u64| memory.read_u64(address.wrapping_add(offset));
        if flags & HEAP_TYPE == 0 {
            let name = c_string(memory, word(places.tp_name)?)?;
            return Some(match name.contains('.') {
                true => name,
                false => format!("builtins.{name}"),
            });
        }
        let name = self.text(memory, word(places.ht_qualname)?)?;
        // `tp_dict` follows `tp_base` (`Include/cpython/object.h`, the same in 3.8 to 3.15).
        let module = word(places.tp_base + 8).and_then(|dict| self.module(memory, dict));
        Some(match module {
            Some(module) => format!("{module}.{name}"),
            None => name,
        })
    }

    /// `__module__` in a dict.
    fn module(&self, memory: &Blocks<'_>, dict: u64) -> Option<String> {
        // `ma_used`, `ma_version_tag`, `ma_keys` (`Include/cpython/dictobject.h`).
        let keys = memory.read_u64(dict.wrapping_add(32))?;
        let table = KeyTable::read(memory, keys, self.minor)?;
        for index in 0..table.entries.min(DICT_LIMIT) {
            let entry = table.first.wrapping_add(index * table.entry_size);
            let key = memory.read_u64(entry.wrapping_add(table.entry_size - 16))?;
            if key == 0 || self.text(memory, key).as_deref() != Some("__module__") {
                continue;
            }
            let value = memory.read_u64(entry.wrapping_add(table.entry_size - 8))?;
            return self.text(memory, value);
        }
        None
    }

    /// A `str`; `None` for what is none of those that names are made of.
    fn text(&self, memory: &Blocks<'_>, address: u64) -> Option<String> {
        let places = &self.layout.unicode;
        let length = memory.read_u64(address.wrapping_add(places.length))?;
        let state = memory.read_u64(address.wrapping_add(places.state))? as u32;
        let (width, compact, ascii) = ((state >> 2 & 7) as u8, state >> 5 & 1, state >> 6 & 1);
        if !matches!(width, 1 | 2 | 4) || compact == 0 || length > NAME_LIMIT as u64 {
            return None;
        }
        let data = if ascii == 1 { places.ascii_data } else { places.compact_data };
        let mut bytes = vec![0; length as usize * usize::from(width)];
        memory.read(address.wrapping_add(data), &mut bytes).then(|| text::decode(&bytes, width))
    }
}

/// `PyDictKeysObject`, as far as it is needed to go through its entries: the key and the value are
/// the last two words of each.
struct KeyTable {
    first: u64,
    entries: u64,
    entry_size: u64,
}

impl KeyTable {
    /// Layouts: `Objects/dict-common.h` (3.8 to 3.10), `Include/internal/pycore_dict.h` (later).
    fn read(memory: &Blocks<'_>, keys: u64, minor: u8) -> Option<Self> {
        let word = |offset: u64| memory.read_u64(keys.wrapping_add(offset));
        if minor <= 10 {
            let size = word(8).filter(|size| *size < 1 << 32)?;
            let index_bytes = match size {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                _ => 4,
            };
            let first = keys.wrapping_add(40).wrapping_add(size * index_bytes);
            return Some(Self { first, entries: word(32)?, entry_size: 24 });
        }
        let bytes = word(8)?.to_le_bytes();
        let (log2_index_bytes, kind) = (bytes[1], bytes[2]);
        if log2_index_bytes > 40 {
            return None;
        }
        let first = keys.wrapping_add(32).wrapping_add(1 << log2_index_bytes);
        // DICT_KEYS_GENERAL has hashes; tables of strings only have not.
        let entry_size = if kind == 0 { 24 } else { 16 };
        Some(Self { first, entries: word(24)?, entry_size })
    }
}

fn c_string(memory: &Blocks<'_>, address: u64) -> Option<String> {
    let mut name = Vec::new();
    while name.len() < NAME_LIMIT {
        let mut byte = [0];
        if !memory.read(address.wrapping_add(name.len() as u64), &mut byte) {
            return None;
        }
        if byte == [0] {
            return Some(String::from_utf8_lossy(&name).into_owned());
        }
        name.push(byte[0]);
    }
    None
}
