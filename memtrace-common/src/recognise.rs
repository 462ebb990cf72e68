//! Recognising interpreters in the kernel: what user space has found out about a file holds for every
//! process that maps it, so a process need not be looked at again before its stacks can be walked.
//!
//! A file is known by device, inode and size, as the kernel has them. Nothing here knows a version.

use crate::event::Header;
use crate::layout::PyLayout;

/// Bytes of a new program's arguments that travel with its `exec`: enough for most, little beside the
/// records of its start. More are read from `/proc`, if it still runs then.
pub const MAX_ARGUMENTS: usize = 1024;

/// Files that are known to hold an interpreter. The least recently met are forgotten.
pub const MAX_IMAGES: u32 = 256;

/// A file, for as long as it is open.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileKey {
    /// `super_block.s_dev`: major in the upper bits, twenty of minor.
    pub device: u64,
    /// `inode.i_ino`
    pub inode: u64,
    /// `inode.i_size`
    pub size: u64,
}

impl FileKey {
    /// A device number as the kernel has it within (`MKDEV`, `include/linux/kdev_t.h`).
    #[must_use]
    pub const fn device(major: u32, minor: u32) -> u64 {
        (major as u64) << 20 | minor as u64
    }
}

/// An interpreter's file. Addresses in `layout` are relative to where the file is mapped first; 0 is none.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// For a process that was not looked at.
    pub layout: PyLayout,
    /// From `mm_struct.start_code` to the file's first mapping, when it is the program itself.
    pub from_code: u64,
    /// User space's number for it.
    pub number: u32,
    /// 1 when it is the program itself, 0 for a library.
    pub is_program: u32,
}

const _: () = assert!(size_of::<Image>() == 160 + 16);

impl Image {
    /// The layout in a process that has the file's first mapping at `base`.
    #[inline(always)]
    pub fn place(layout: &mut PyLayout, base: u64) {
        for address in [
            &mut layout.key_address,
            &mut layout.current_tstate_address,
            &mut layout.code_type_address,
        ] {
            if *address != 0 {
                *address = address.wrapping_add(base);
            }
        }
    }

    /// The same layout for any process: the other way round.
    pub fn lift(layout: &mut PyLayout, base: u64) {
        Self::place(layout, base.wrapping_neg());
    }
}

/// Offsets into kernel structures, on the ways to a mapped file and to what is known of a program.
/// All zero where this kernel lacks one: then nothing is recognised in the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileLayout {
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.fd`
    pub fdt_fd: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `inode.i_size`
    pub inode_size: u32,
    /// `inode.i_sb`
    pub inode_super: u32,
    /// `super_block.s_dev`
    pub super_device: u32,
    /// `mm_struct.exe_file`
    pub mm_exe: u32,
    /// `mm_struct.start_code`
    pub mm_code: u32,
    /// `mm_struct.start_brk`
    pub mm_heap: u32,
    /// `mm_struct.start_stack`
    pub mm_stack: u32,
    /// `mm_struct.arg_start`
    pub mm_arguments: u32,
    /// `mm_struct.arg_end`
    pub mm_arguments_end: u32,
    /// `task_struct.real_parent`
    pub task_parent: u32,
    /// `task_struct.start_boottime`
    pub task_started: u32,
}

const _: () = assert!(size_of::<FileLayout>() == 64);

/// What is known of a new program when it begins. Its arguments follow the record that has this.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Program {
    /// Nanoseconds from boot to the process's start.
    pub started_ns: u64,
    /// Where the kernel has put its stack.
    pub stack: u64,
    /// Its code.
    pub code: u64,
    /// Its heap.
    pub heap: u64,
    /// Its arguments.
    pub arguments: u64,
    /// Its parent's process id.
    pub parent: u32,
    /// Its user.
    pub user: u32,
    /// Bytes of arguments that follow.
    pub length: u32,
    /// Bytes of all its arguments.
    pub total: u32,
}

const _: () = assert!(size_of::<Program>() == 56);

/// An interpreter was recognised in a process: its layout is in place.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised {
    /// [`crate::event::tag::RECOGNISED`]
    pub header: Header,
    /// [`Image::number`]
    pub image: u32,
    /// 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Recognised>() == 16);
