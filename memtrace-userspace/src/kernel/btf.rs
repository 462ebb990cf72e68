//! Where the running kernel keeps the members of its structures, from its own BTF.
//!
//! Only that: names of structures to bit offsets of members. The crates that read all of BTF take
//! 170 ms for a kernel's 126,000 types, and a whole attach may take 300; one pass over the type
//! records takes five. Format: `Documentation/bpf/btf.rst`.

use std::collections::HashMap;

/// Why BTF can't answer.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// Not BTF, or cut off.
    #[error("the kernel's BTF is malformed at byte {0}")]
    Malformed(usize),
    /// A structure or member that this kernel does not have.
    #[error("this kernel has no {0}")]
    Missing(String),
}

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FUNCTION: u32 = 12;

/// Modifiers: `typedef`, `volatile`, `const`, `restrict`, `type_tag`.
const MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18];

/// A kernel's BTF, indexed for looking up structures.
pub struct KernelTypes<'a> {
    data: &'a [u8],
    strings: usize,
    /// Byte offset of each type's record, by type id.
    records: Vec<u32>,
    /// Names of structures to type ids.
    structures: HashMap<&'a [u8], u32>,
}

/// A member's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Bytes from the structure's start.
    pub offset: u32,
    /// Type id.
    type_id: u32,
}

impl<'a> KernelTypes<'a> {
    /// Indexes `data`, the content of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    ///
    /// [`BtfError::Malformed`] when it isn't BTF in this machine's byte order.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        if data.len() < 24 || u16::from_ne_bytes([data[0], data[1]]) != MAGIC {
            return Err(BtfError::Malformed(0));
        }
        let word = |at: usize| word(data, at);
        let header = word(4)? as usize;
        let (types, types_length) = (header + word(8)? as usize, word(12)? as usize);
        let strings = header + word(16)? as usize;
        let mut this = Self { data, strings, records: vec![u32::MAX], structures: HashMap::new() };
        let mut at = types;
        while at < types + types_length {
            let (name, info) = (word(at)?, word(at + 4)?);
            let (kind, count) = (kind(info), (info & 0xffff) as usize);
            if kind == KIND_STRUCT && name != 0 {
                let id = this.records.len() as u32;
                this.structures.entry(this.string(name)).or_insert(id);
            }
            this.records.push(at as u32);
            at += 12 + tail(kind, count).ok_or(BtfError::Malformed(at))?;
        }
        Ok(this)
    }

    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.data.get(self.strings + offset as usize..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Size of structure `name` in bytes.
    ///
    /// # Errors
    ///
    /// [`BtfError::Missing`] when there is none.
    pub fn size(&self, name: &str) -> Result<u32, BtfError> {
        let id = self.structure(name)?;
        word(self.data, self.records[id as usize] as usize + 8)
    }

    /// Number of the function `name`, by which a program calls it.
    ///
    /// # Errors
    ///
    /// [`BtfError::Missing`] when there is none.
    pub fn function(&self, name: &str) -> Result<u32, BtfError> {
        for (id, &at) in self.records.iter().enumerate().filter(|(_, at)| **at != u32::MAX) {
            let (named, info) = (word(self.data, at as usize)?, word(self.data, at as usize + 4)?);
            if kind(info) == KIND_FUNCTION && self.string(named) == name.as_bytes() {
                return Ok(id as u32);
            }
        }
        Err(BtfError::Missing(format!("function {name}()")))
    }

    /// Number of structure `name`.
    ///
    /// # Errors
    ///
    /// [`BtfError::Missing`] when there is none.
    pub fn structure(&self, name: &str) -> Result<u32, BtfError> {
        let known = self.structures.get(name.as_bytes()).copied();
        known.ok_or_else(|| BtfError::Missing(format!("struct {name}")))
    }

    /// Byte offset of `path` in structure `name`: `["thread", "fsbase"]` for
    /// `task_struct.thread.fsbase`. Members of anonymous structures and unions are found too.
    ///
    /// # Errors
    ///
    /// [`BtfError::Missing`] when there is no such structure or member.
    pub fn offset(&self, name: &str, path: &[&str]) -> Result<u32, BtfError> {
        let mut id = self.structure(name)?;
        let mut offset = 0;
        for step in path {
            let member = self
                .member(id, step.as_bytes())?
                .ok_or_else(|| BtfError::Missing(format!("{name}.{}", path.join("."))))?;
            offset += member.offset;
            id = member.type_id;
        }
        Ok(offset)
    }

    fn member(&self, id: u32, wanted: &[u8]) -> Result<Option<Member>, BtfError> {
        let Some((at, info)) = self.resolve(id)? else { return Ok(None) };
        for index in 0..(info & 0xffff) as usize {
            let entry = at + 12 + 12 * index;
            let name = self.string(word(self.data, entry)?);
            let type_id = word(self.data, entry + 4)?;
            let bits = word(self.data, entry + 8)?;
            // With the kind flag the upper byte is a bit-field's width.
            let bits = if info >> 31 == 1 { bits & 0xff_ffff } else { bits };
            if name == wanted {
                return Ok(Some(Member { offset: bits / 8, type_id }));
            }
            if name.is_empty()
                && let Some(inner) = self.member(type_id, wanted)?
            {
                return Ok(Some(Member { offset: bits / 8 + inner.offset, ..inner }));
            }
        }
        Ok(None)
    }

    /// The structure or union that a type id stands for, through its modifiers: where its record
    /// is, and its `info` word.
    fn resolve(&self, mut id: u32) -> Result<Option<(usize, u32)>, BtfError> {
        for _ in 0..16 {
            let Some(&at) = self.records.get(id as usize).filter(|at| **at != u32::MAX) else {
                return Ok(None);
            };
            let at = at as usize;
            let info = word(self.data, at + 4)?;
            if matches!(kind(info), KIND_STRUCT | KIND_UNION) {
                return Ok(Some((at, info)));
            }
            if !MODIFIERS.contains(&kind(info)) {
                return Ok(None);
            }
            id = word(self.data, at + 8)?;
        }
        Ok(None)
    }
}

fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

/// Bytes that follow the twelve of a type record of `kind`.
fn tail(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * count,
        6 | 13 => 8 * count,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn word(data: &[u8], at: usize) -> Result<u32, BtfError> {
    let bytes = data.get(at..at + 4).ok_or(BtfError::Malformed(at))?;
    Ok(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_anonymous_unions_are_found_in_the_running_kernel() {
        let data = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let types = KernelTypes::parse(&data).unwrap();
        // Both are inside anonymous members; a flat search finds neither.
        assert!(types.offset("mm_struct", &["rss_stat"]).unwrap() > 0);
        assert!(types.offset("bpf_array", &["pptrs"]).unwrap() > 0);
        assert!(types.offset("task_struct", &["no_such_member"]).is_err());
    }

    #[test]
    fn cut_off_data_is_an_error_and_no_panic() {
        let data = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        for length in [0, 3, 23, 24, 100, 4096] {
            assert!(KernelTypes::parse(&data[..length]).is_err(), "{length} bytes");
        }
    }
}
