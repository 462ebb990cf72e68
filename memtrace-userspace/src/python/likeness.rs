//! What an interpreter has in common with every other process that maps the same file: the kernel side
//! recognises those by it, without anybody looking at them.

use memtrace_common::layout::{FLAG_ASSUMED, PyLayout};
use memtrace_common::recognise::{FileKey, Image};

use super::locate::Located;
use super::memory::TargetMemory;

/// An interpreter's file, and the layout of any process that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likeness {
    /// The file.
    pub file: FileKey,
    /// For the kernel side; its number is still to be given.
    pub image: Image,
}

impl Likeness {
    /// Of an interpreter that was found, with a layout as a process has it that has only begun; `None`
    /// where that can't be said of others.
    pub(super) fn of(memory: &TargetMemory, located: &Located, begun: PyLayout) -> Option<Self> {
        let (image, mapping) = (&located.image, &located.mapping);
        let first = image.segments().iter().map(|segment| segment.address).min()?;
        let base = located.bias.wrapping_add(first & !(procfs::page_size() - 1));
        let mut from_code = 0;
        if image.program {
            let process = procfs::process::Process::new(memory.pid().cast_signed()).ok()?;
            let code = process.stat().ok()?.startcode;
            // Under a loader that was given the program, it is the loader's.
            memory.mappings().at(code).filter(|code| code.same_file(mapping))?;
            from_code = base.wrapping_sub(code);
        }
        let (major, minor) = mapping.device;
        let file = FileKey {
            device: FileKey::device(major, minor),
            inode: mapping.inode,
            size: located.file.metadata().ok()?.len(),
        };
        let mut layout = PyLayout { flags: begun.flags | FLAG_ASSUMED, ..begun };
        Image::lift(&mut layout, base);
        let is_program = u32::from(image.program);
        Some(Self { file, image: Image { layout, from_code, number: 0, is_program } })
    }
}
