//! The maps of the allocator lens: what is recorded, live blocks, sums by stack and thread.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::{Array, Map, MapData};
use aya::{Ebpf, EbpfLoader};
use memtrace_common::lens::{Block, BlockKey, Lens, Order, Owner, Sums, Yard};
use memtrace_common::limits::{MAX_BLOCKS, MAX_OWNERS, MAX_SPACES, MAX_THREADS, MAX_YARDS};

use super::mender::Mender;
use super::multi::MultiPrograms;
use super::probes::{Crossing, KernelError, Table, io_error, map_error, table, take_map};
use super::uprobe::load_uprobe;

/// The program at the entry of functions that allocate,
pub const ALLOCATES: &str = "alloc_enter";
/// the one at their return,
pub const RETURNS: &str = "alloc_return";
/// the one at the entry of functions that free,
pub const FREES: &str = "alloc_free";
/// and the one that counts calls.
pub const COUNTS: &str = "yard";

/// The maps.
pub struct LensMaps {
    lenses: Table<u32, Lens>,
    blocks: Table<Crossing<BlockKey>, Block>,
    sums: Table<Crossing<Owner>, Sums>,
    /// The same two maps, to be read in large pieces.
    blocks_fd: OwnedFd,
    sums_fd: OwnedFd,
    yards: Array<MapData, Crossing<Yard>>,
    orders: Array<MapData, Crossing<Order>>,
    /// The programs, where one link can hold many probes; otherwise aya has them.
    pub(super) multi: Option<MultiPrograms>,
    /// Takes out what a `kill -9` leaves in targets, where there is `multi`.
    pub(super) mender: Option<Mender>,
}

impl LensMaps {
    /// Maps of the size that the lens needs. Without it they are as small as can be.
    pub(super) fn enlarge(loader: &mut EbpfLoader<'_>) {
        loader
            .map_max_entries("LENSES", MAX_SPACES)
            .map_max_entries("CALLS", MAX_THREADS)
            .map_max_entries("BLOCKS", MAX_BLOCKS)
            .map_max_entries("SUMS", MAX_OWNERS)
            .map_max_entries("YARDS", MAX_YARDS)
            .map_max_entries("ORDERS", MAX_YARDS);
    }

    /// Takes its maps and loads its programs; `many` says whether the kernel has links for many probes.
    pub(super) fn load(ebpf: &mut Ebpf, object: &[u8], many: bool) -> Result<Self, KernelError> {
        let names = [ALLOCATES, RETURNS, FREES, COUNTS];
        let multi = if many { MultiPrograms::load(object, ebpf, &names) } else { None };
        if multi.is_none() {
            for name in names {
                load_uprobe(ebpf, name)?;
            }
        }
        let program = multi.as_ref().and_then(MultiPrograms::for_mending);
        let mender = program.map(Mender::start).transpose();
        Ok(Self {
            mender: mender.map_err(io_error("starting what mends after a kill -9"))?,
            multi,
            blocks_fd: descriptor(ebpf, "BLOCKS")?,
            sums_fd: descriptor(ebpf, "SUMS")?,
            lenses: table(ebpf, "LENSES")?,
            blocks: table(ebpf, "BLOCKS")?,
            sums: table(ebpf, "SUMS")?,
            yards: array(ebpf, "YARDS")?,
            orders: array(ebpf, "ORDERS")?,
        })
    }

    /// What a space's lens says; `None` if it has none.
    #[must_use]
    pub fn get(&self, space: u32) -> Option<Lens> {
        self.lenses.get(&space, 0).ok().map(|lens| lens.0)
    }

    /// Sets what is recorded. What was counted meanwhile stays.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn set(&mut self, space: u32, weight: u64, epoch: u64) -> Result<(), KernelError> {
        // Counts that come between the two are lost; they are few, since the probes are about to be
        // attached or were just taken off.
        let lens = Lens { weight, epoch, ..self.get(space).unwrap_or_default() };
        self.lenses.insert(space, Crossing(lens), 0).map_err(map_error("LENSES"))
    }

    /// Whether calls can be counted: probes that come and go at once are needed for that.
    #[must_use]
    pub fn counts_calls(&self) -> bool {
        self.multi.is_some()
    }

    /// What was counted at a slot.
    #[must_use]
    pub fn yard(&self, slot: u32) -> Yard {
        self.yards.get(&slot, 0).map(|yard| yard.0).unwrap_or_default()
    }

    /// Says what is to be recorded by the calls that are counted at a slot.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn order(&mut self, slot: u32, order: Order) -> Result<(), KernelError> {
        self.orders.set(slot, Crossing(order), 0).map_err(map_error("ORDERS"))
    }

    /// Forgets a space: its lens, its live blocks and its sums.
    pub fn forget(&mut self, space: u32, owners: impl IntoIterator<Item = Owner>) {
        // Gone already is as good, here and below.
        let _ = self.lenses.remove(&space);
        for owner in owners {
            self.forget_owner(owner);
        }
    }

    /// Takes an owner's sums out.
    pub fn forget_owner(&mut self, owner: Owner) {
        let _ = self.sums.remove(&Crossing(owner));
    }

    /// Takes a live block out.
    pub fn forget_block(&mut self, block: BlockKey) {
        let _ = self.blocks.remove(&Crossing(block));
    }

    /// All sums.
    ///
    /// # Errors
    ///
    /// [`KernelError::Io`].
    pub fn sums(&self) -> Result<HashMap<Owner, Sums>, KernelError> {
        let mut sums = HashMap::new();
        each::<Owner, Sums>(self.sums_fd.as_raw_fd(), MAX_OWNERS, |owner, sum| {
            sums.insert(owner, sum);
        })
        .map_err(io_error("reading the sums of the allocator lens"))?;
        Ok(sums)
    }

    /// Hands out all live blocks.
    ///
    /// # Errors
    ///
    /// [`KernelError::Io`].
    pub fn each_block(&self, take: impl FnMut(BlockKey, Block)) -> Result<(), KernelError> {
        each(self.blocks_fd.as_raw_fd(), MAX_BLOCKS, take)
            .map_err(io_error("reading the live blocks"))
    }
}

fn array<T: Copy + 'static>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<Array<MapData, Crossing<T>>, KernelError> {
    Array::try_from(take_map(ebpf, name)?).map_err(map_error(name))
}

/// A descriptor of our own for a map.
fn descriptor(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, KernelError> {
    match ebpf.map(name) {
        Some(Map::HashMap(data)) => data
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(io_error("a descriptor for a map of the allocator lens")),
        _ => Err(KernelError::Absent(name)),
    }
}

/// `BPF_MAP_LOOKUP_BATCH` (`include/uapi/linux/bpf.h`, Linux 5.6): aya asks for entries one by one,
/// with two system calls for each.
const LOOKUP_BATCH: libc::c_int = 24;

/// `union bpf_attr`, as this command has it.
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Hands out all entries of a hash map with at most `most` entries.
fn each<K: Copy + Zero, V: Copy + Zero>(
    fd: i32,
    most: u32,
    mut take: impl FnMut(K, V),
) -> io::Result<()> {
    // A bucket must fit; on a full map the longest has some dozen.
    let mut room = 8192.min(most.max(64)) as usize;
    let (mut keys, mut values) = (vec![K::zero(); room], vec![V::zero(); room]);
    let (mut place, mut next) = (0u32, 0u32);
    let mut begun = false;
    loop {
        let mut batch = Batch {
            in_batch: if begun { (&raw mut place) as u64 } else { 0 },
            out_batch: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: room as u32,
            map_fd: fd as u32,
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the structure is as the kernel wants it, and its pointers lead to room for `count`
        // keys and values.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut batch, size_of::<Batch>())
        };
        let error = (result < 0).then(io::Error::last_os_error);
        let code = error.as_ref().and_then(io::Error::raw_os_error);
        if code == Some(libc::ENOSPC) {
            room *= 2;
            keys.resize(room, K::zero());
            values.resize(room, V::zero());
            continue;
        }
        if let (Some(error), true) = (error, code != Some(libc::ENOENT)) {
            return Err(error);
        }
        for (key, value) in keys.iter().zip(&values).take(batch.count as usize) {
            take(*key, *value);
        }
        if code == Some(libc::ENOENT) {
            return Ok(());
        }
        (place, begun) = (next, true);
    }
}

/// What crosses: integers only, so that zeros are a value.
trait Zero {
    fn zero() -> Self;
}

macro_rules! zero {
    ($($type:ty: $value:expr;)*) => {
        $(impl Zero for $type {
            fn zero() -> Self {
                $value
            }
        })*
    };
}

zero! {
    Owner: Owner { stack: 0, space: 0, tid: 0 };
    BlockKey: BlockKey { address: 0, space: 0 };
    Sums: Sums::default();
    Block: Block::default();
}
