//! Programs that are attached to many functions by one link (`BPF_TRACE_UPROBE_MULTI`, Linux 6.6).
//!
//! aya 0.14 has no such link, and the kernel wants to know at loading that a program is for one. So the
//! programs of the allocator lens are loaded here, from the same object and with aya's own maps. It is
//! worth the while: closing a link waits for grace periods, and the kernel closes single uprobes one
//! after the other, 80 ms each, while their breakpoints stay in the target.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::Object;

use super::btf::KernelTypes;
use super::lens::FREES;

/// `BPF_PROG_LOAD`, `BPF_BTF_LOAD`, `BPF_LINK_CREATE` (`include/uapi/linux/bpf.h`).
const PROG_LOAD: libc::c_int = 5;
const BTF_LOAD: libc::c_int = 18;
const LINK_CREATE: libc::c_int = 28;
/// `BPF_PROG_TYPE_KPROBE`
const KPROBE: u32 = 2;
/// `BPF_TRACE_UPROBE_MULTI`
const UPROBE_MULTI: u32 = 48;
/// `BPF_F_UPROBE_MULTI_RETURN`
const AT_RETURN: u32 = 1;

/// `union bpf_attr`, as `BPF_PROG_LOAD` has it.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// The same, as `BPF_BTF_LOAD` has it.
#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    btf: u64,
    log_buf: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    log_true_size: u32,
}

/// The same, as `BPF_LINK_CREATE` has it for uprobes.
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    reserved: u32,
}

/// A link that holds all its probes.
pub(super) type Link = OwnedFd;

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are those of the command, and their pointers outlive the call.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: these commands return a descriptor of the caller's own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The loaded programs, by name.
pub(super) struct MultiPrograms {
    programs: HashMap<&'static str, OwnedFd>,
}

impl MultiPrograms {
    /// Whether a kernel with these types has such links. Before 6.6 it loads the programs all the same, and refuses
    /// them later.
    pub(super) fn are_known(types: &KernelTypes<'_>) -> bool {
        types.structure("bpf_uprobe_multi_link").is_ok()
    }

    /// Loads `names` from the object, with the maps that aya has made for it. `None` where that fails.
    pub(super) fn load(object: &[u8], ebpf: &Ebpf, names: &[&'static str]) -> Option<Self> {
        match load(object, ebpf, names) {
            Ok(programs) => Some(Self { programs }),
            Err(error) => {
                tracing::debug!("programs for many uprobes: {error}; each gets a link of its own");
                None
            }
        }
    }

    /// Attaches a program to places of one file in one process. Each place has a cookie.
    pub(super) fn attach(
        &self,
        name: &str,
        pid: u32,
        path: &Path,
        places: &[(u64, u64)],
        at_return: bool,
    ) -> io::Result<Link> {
        let program = self.programs.get(name).ok_or(io::ErrorKind::NotFound)?;
        link(program.as_fd(), pid, path, places, at_return)
    }

    /// A program for a process that mends what memtrace could not ([`super::mender`]).
    pub(super) fn for_mending(&self) -> Option<BorrowedFd<'_>> {
        self.programs.get(FREES).map(OwnedFd::as_fd)
    }
}

/// Attaches a program to places of one file in one process. Each place has a cookie.
pub(super) fn link(
    program: BorrowedFd<'_>,
    pid: u32,
    path: &Path,
    places: &[(u64, u64)],
    at_return: bool,
) -> io::Result<Link> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let (offsets, cookies): (Vec<u64>, Vec<u64>) = places.iter().copied().unzip();
    bpf(
        LINK_CREATE,
        &LinkCreate {
            prog_fd: program.as_raw_fd() as u32,
            attach_type: UPROBE_MULTI,
            path: path.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
            cookies: cookies.as_ptr() as u64,
            count: places.len() as u32,
            multi_flags: if at_return { AT_RETURN } else { 0 },
            pid,
            ..LinkCreate::default()
        },
    )
}

/// A map's data, of the kinds that the object has.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerfEventArray(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}

fn load(
    bytes: &[u8],
    ebpf: &Ebpf,
    names: &[&'static str],
) -> Result<HashMap<&'static str, OwnedFd>, Box<dyn std::error::Error>> {
    let mut object = Object::parse(bytes)?;
    let features = aya::features().btf().ok_or("no BTF")?;
    let btf = object.fixup_and_sanitize_btf(features)?.ok_or("no BTF in the object")?.to_bytes();
    let btf = bpf(
        BTF_LOAD,
        &BtfLoad { btf: btf.as_ptr() as u64, size: btf.len() as u32, ..BtfLoad::default() },
    )?;
    let definitions = std::mem::take(&mut object.maps);
    let mut maps = Vec::new();
    for (name, definition) in &definitions {
        let map = ebpf.map(name).and_then(data).ok_or("a map of no known kind")?;
        maps.push((name.as_str(), map.fd().as_fd().as_raw_fd(), definition));
    }
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(maps.into_iter(), &sections)?;
    object.relocate_calls(&sections)?;
    object.sanitize_functions(aya::features());
    let mut programs = HashMap::new();
    for name in names {
        let program = object.programs.get(*name).ok_or("no such program")?;
        let function = object.functions.get(&program.function_key()).ok_or("no such function")?;
        let functions = function.func_info.func_info_bytes();
        let lines = function.line_info.line_info_bytes();
        let mut attributes = ProgLoad {
            prog_type: KPROBE,
            insn_cnt: function.instructions.len() as u32,
            insns: function.instructions.as_ptr() as u64,
            license: program.license.as_ptr() as u64,
            expected_attach_type: UPROBE_MULTI,
            prog_btf_fd: btf.as_raw_fd() as u32,
            ..ProgLoad::default()
        };
        let length = name.len().min(attributes.prog_name.len() - 1);
        attributes.prog_name[..length].copy_from_slice(&name.as_bytes()[..length]);
        if function.func_info_rec_size > 0 {
            attributes.func_info = functions.as_ptr() as u64;
            attributes.func_info_cnt = function.func_info.func_info.len() as u32;
            attributes.func_info_rec_size = function.func_info_rec_size as u32;
        }
        if function.line_info_rec_size > 0 {
            attributes.line_info = lines.as_ptr() as u64;
            attributes.line_info_cnt = function.line_info.line_info.len() as u32;
            attributes.line_info_rec_size = function.line_info_rec_size as u32;
        }
        programs.insert(*name, bpf(PROG_LOAD, &attributes)?);
    }
    Ok(programs)
}
