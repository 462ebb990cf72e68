//! Interpreters whose files user space knows are recognised here, at `exec` or when their library is
//! mapped: before their first instruction, and also in a process that has ended by the time that user
//! space hears of it.
//!
//! Whatever can't be followed is left to user space, which looks at each new process anyway.

use aya_ebpf::helpers::bpf_get_current_uid_gid;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use memtrace_common::event::{Execed, tag};
use memtrace_common::layout::Slot;
use memtrace_common::memory::ReadMemory;
use memtrace_common::recognise::{
    FileKey, FileLayout, Image, MAX_ARGUMENTS, MAX_IMAGES, Recognised,
};
use memtrace_common::settings::{LIVE, Space};

use crate::maps::SPACES;
use crate::memory::{UserMemory, at_most, read_kernel};
use crate::task::{Current, Task};
use crate::{emit, machine};

/// Written by user space before loading, as `KERNEL`.
#[unsafe(no_mangle)]
pub static FILES: FileLayout = FileLayout {
    task_files: 0,
    files_fdt: 0,
    fdt_fd: 0,
    file_inode: 0,
    inode_number: 0,
    inode_size: 0,
    inode_super: 0,
    super_device: 0,
    mm_exe: 0,
    mm_code: 0,
    mm_heap: 0,
    mm_stack: 0,
    mm_arguments: 0,
    mm_arguments_end: 0,
    task_parent: 0,
    task_started: 0,
};

/// A field of [`FILES`], read as it is now and not as it was compiled.
macro_rules! file_field {
    ($name:ident) => {
        // SAFETY: a field of a static; volatile because user space fills it after compilation.
        u64::from(unsafe { core::ptr::read_volatile(&raw const FILES.$name) })
    };
}

/// Files that hold an interpreter. Written by user space.
#[map]
pub static IMAGES: LruHashMap<FileKey, Image> = LruHashMap::with_max_entries(MAX_IMAGES, 0);

/// A record of an `exec` being made.
#[repr(C)]
pub struct ExecRecord {
    /// Its head.
    pub head: Execed,
    /// The program's arguments.
    pub arguments: [u8; MAX_ARGUMENTS],
}

/// More descriptors than that are not looked through.
const MOST_DESCRIPTORS: u64 = 1 << 20;

#[inline(always)]
fn pointer(address: u64) -> Option<u64> {
    read_kernel::<u64>(address).filter(|pointer| *pointer != 0)
}

/// What is known of this open file (`struct file *`).
#[inline(always)]
fn image_of(file: u64) -> Option<&'static Image> {
    let inode = pointer(file + file_field!(file_inode))?;
    let block = pointer(inode + file_field!(inode_super))?;
    let key = FileKey {
        device: u64::from(read_kernel::<u32>(block + file_field!(super_device))?),
        inode: read_kernel(inode + file_field!(inode_number))?,
        size: read_kernel(inode + file_field!(inode_size))?,
    };
    // SAFETY: map memory; user space replaces whole values.
    unsafe { IMAGES.get(key) }
}

/// The file with this descriptor of the running task.
#[inline(always)]
fn open_file(descriptor: u64) -> Option<u64> {
    if descriptor >= MOST_DESCRIPTORS {
        return None;
    }
    let files = pointer(Current::task().as_task().0 + file_field!(task_files))?;
    let table = pointer(files + file_field!(files_fdt))?;
    let array = pointer(table + file_field!(fdt_fd))?;
    pointer(array + descriptor * 8)
}

/// The running task has found a gap at `address` for its `mmap`.
#[inline(always)]
pub fn mapped(mm: u64, address: u64) {
    let Some(space) = SPACES.get_ptr_mut(mm) else { return };
    // SAFETY: map memory; concurrent writers touch single words.
    let space = unsafe { &mut *space };
    if space.state != LIVE
        || space.layout.slot != Slot::Unknown as u32
        || file_field!(task_files) == 0
    {
        return;
    }
    // SAFETY: the helper takes the task that the other helper returned.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
    // `mmap`'s fifth is a descriptor.
    let Some(descriptor) = read_kernel(registers + machine::fifth_argument()) else { return };
    let Some(image) = open_file(descriptor).and_then(image_of) else { return };
    if image.is_program == 0 {
        take(space, image, address);
    }
}

/// The running task has called `exec`: the interpreter may be the program itself.
#[inline(always)]
pub fn executed(space: &mut Space, mm: u64) {
    if file_field!(task_files) == 0 {
        return;
    }
    let Some(image) = pointer(mm + file_field!(mm_exe)).and_then(image_of) else { return };
    if image.is_program == 1 {
        let code: u64 = read_kernel(mm + file_field!(mm_code)).unwrap_or(0);
        take(space, image, code.wrapping_add(image.from_code));
    }
}

/// The process has this interpreter, its file's first mapping at `base`.
#[inline(always)]
fn take(space: &mut Space, image: &Image, base: u64) {
    space.layout = image.layout;
    Image::place(&mut space.layout, base);
    let header = emit::header(tag::RECOGNISED, space.id);
    emit::send(space, &Recognised { header, image: image.number, reserved: 0 });
}

/// What is known of the program that the running task has begun.
#[inline(always)]
pub fn describe(mm: u64, record: &mut ExecRecord) {
    let program = &mut record.head.program;
    program.length = 0;
    program.total = 0;
    program.user = bpf_get_current_uid_gid() as u32;
    if file_field!(task_files) == 0 {
        return;
    }
    let task = Current::task().as_task().0;
    let parent = pointer(task + file_field!(task_parent));
    program.parent = parent.map_or(0, |parent| Task(parent).tgid());
    program.started_ns = read_kernel(task + file_field!(task_started)).unwrap_or(0);
    program.stack = read_kernel(mm + file_field!(mm_stack)).unwrap_or(0);
    program.code = read_kernel(mm + file_field!(mm_code)).unwrap_or(0);
    program.heap = read_kernel(mm + file_field!(mm_heap)).unwrap_or(0);
    program.arguments = read_kernel(mm + file_field!(mm_arguments)).unwrap_or(0);
    let end: u64 = read_kernel(mm + file_field!(mm_arguments_end)).unwrap_or(0);
    let total = end.wrapping_sub(program.arguments);
    program.total = total as u32;
    let length = at_most::<{ MAX_ARGUMENTS as i32 }>(total);
    // SAFETY: `length` is at most the size of `arguments`.
    let read = unsafe {
        UserMemory.read_raw(program.arguments, record.arguments.as_mut_ptr(), length as u32)
    };
    // What can't be read, user space asks `/proc` for.
    if read {
        program.length = length as u32;
    }
}

/// Sends the record, and wakes the reader.
#[inline(always)]
pub fn send(space: &mut Space, record: &ExecRecord) {
    let length = at_most::<{ MAX_ARGUMENTS as i32 }>(record.head.program.length.into());
    let length = size_of::<Execed>() + length as usize;
    // SAFETY: head and arguments stand together, the length is at most theirs.
    unsafe { emit::send_raw_now(space, (&raw const *record).cast(), length) };
}
