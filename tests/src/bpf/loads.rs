//! Whether anything was loaded into the kernel since a moment, even if it is gone by now.
//!
//! The kernel gives ids of programs and of maps out in turn (`idr_alloc_cyclic` in kernel/bpf/syscall.c, since
//! 4.13), so a program and a map of our own mark a moment, and those of two moments tell how many came in between.
//! That counts everybody's: a count of nothing can be expected only where nobody else uses BPF.

use std::fs;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

/// A moment.
#[derive(Debug, Clone, Copy)]
pub struct Loads {
    program: u64,
    map: u64,
}

/// Commands, types and instructions of include/uapi/linux/bpf.h.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
/// `r0 = 0; exit`
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// The beginning of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// The same for `BPF_PROG_LOAD`.
#[repr(C)]
struct ProgramLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: *const u64,
    license: *const libc::c_char,
}

fn made<A>(command: libc::c_long, attributes: &A) -> Result<OwnedFd> {
    // SAFETY: the pointer and the size are those of one value, whose pointers are to constants.
    let descriptor = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>())
    };
    ensure!(descriptor >= 0, "bpf, command {command}: {}", Error::last_os_error());
    // SAFETY: the kernel made it for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor)?) })
}

/// The id that the kernel gave to what is behind a descriptor.
fn id(descriptor: &OwnedFd, key: &str) -> Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()))?;
    let found = info.lines().find_map(|line| line.strip_prefix(key));
    Ok(found.with_context(|| format!("no {key} in {info}"))?.trim().parse()?)
}

impl Loads {
    /// This moment.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn now() -> Result<Self> {
        let (key_size, value_size, max_entries) = (4, 4, 1);
        let map = MapCreate { map_type: BPF_MAP_TYPE_ARRAY, key_size, value_size, max_entries };
        let program = ProgramLoad {
            prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
            insn_cnt: 2,
            insns: NOTHING.as_ptr(),
            license: c"GPL".as_ptr(),
        };
        let (map, program) = (made(BPF_MAP_CREATE, &map)?, made(BPF_PROG_LOAD, &program)?);
        Ok(Self { program: id(&program, "prog_id:")?, map: id(&map, "map_id:")? })
    }

    /// How many programs and maps were loaded between two moments, by anybody.
    #[must_use]
    pub fn until(&self, later: &Self) -> (u64, u64) {
        (later.program - self.program - 1, later.map - self.map - 1)
    }

    /// The last ids at that moment.
    pub(super) fn last(&self) -> [(&'static str, u64); 2] {
        [("prog", self.program), ("map", self.map)]
    }
}
