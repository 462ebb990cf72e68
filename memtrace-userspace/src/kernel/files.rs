//! Recognising interpreters in the kernel: its offsets, and the files that it is told of.

use memtrace_common::recognise::{FileKey, FileLayout, Image};
use tracing::debug;

use super::btf::{BtfError, KernelTypes};
use super::probes::{Crossing, Table};

/// The offsets, or none of them: then nothing is recognised in the kernel.
pub(super) fn offsets(types: &KernelTypes<'_>) -> FileLayout {
    read(types).unwrap_or_else(|error| {
        debug!("interpreters are not recognised in the kernel: {error}");
        FileLayout::default()
    })
}

fn read(types: &KernelTypes<'_>) -> Result<FileLayout, BtfError> {
    let of = |name: &str, member: &str| types.offset(name, &[member]);
    Ok(FileLayout {
        task_files: of("task_struct", "files")?,
        files_fdt: of("files_struct", "fdt")?,
        fdt_fd: of("fdtable", "fd")?,
        file_inode: of("file", "f_inode")?,
        inode_number: of("inode", "i_ino")?,
        inode_size: of("inode", "i_size")?,
        inode_super: of("inode", "i_sb")?,
        super_device: of("super_block", "s_dev")?,
        mm_exe: of("mm_struct", "exe_file")?,
        mm_code: of("mm_struct", "start_code")?,
        mm_heap: of("mm_struct", "start_brk")?,
        mm_stack: of("mm_struct", "start_stack")?,
        mm_arguments: of("mm_struct", "arg_start")?,
        mm_arguments_end: of("mm_struct", "arg_end")?,
        task_parent: of("task_struct", "real_parent")?,
        task_started: of("task_struct", "start_boottime")?,
    })
}

/// Files that the kernel side recognises.
pub(super) type ImageTable = Table<FileKeyBytes, Image>;

/// A [`FileKey`] as a map takes it.
pub(super) type FileKeyBytes = Crossing<FileKey>;

/// Tells the kernel side of a file.
pub(super) fn teach(images: &mut ImageTable, file: FileKey, image: Image) {
    if let Err(error) = images.insert(Crossing(file), Crossing(image), 0) {
        debug!("the kernel side was not told of an interpreter: {error}");
    }
}
