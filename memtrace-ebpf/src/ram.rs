//! The target's memory without a helper's call: its page tables are walked, and its pages read where
//! the kernel has all RAM mapped (`Documentation/arch/x86/x86_64/mm.rst`, "direct mapping").
//!
//! A helper's read costs 90 ns here and a page that is found this way 10, each word in it one or
//! two. Nothing is written, nothing is brought in, and a page that isn't present is not found. Where
//! the mapping itself isn't found (five-level page tables, encrypted memory), the helper reads.

use memtrace_common::limits::RAM_GIB;
use memtrace_common::memory::ReadMemory;
use memtrace_common::settings::Ram;

use crate::maps::{RAM, field};
use crate::memory::{UserMemory, load_kernel};
use crate::rounds::{Body, repeat};
use crate::task::{Current, Task};

/// Bits of a page table's entry (`arch/x86/include/asm/pgtable_types.h`).
const PRESENT: u64 = 1;
const HUGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Bits of an address that one level of tables resolves.
const LEVEL_BITS: u64 = 9;

/// The mapping of RAM begins at a multiple of this (`arch/x86/mm/kaslr.c`: what an entry of a PUD
/// maps).
const GIB: u64 = 1 << 30;

/// How many pages are remembered: a walk looks at three or four (the thread's state, the stack of
/// frames, C's stack).
const FOUND: usize = 8;

/// Pages that walks on this CPU have found, all of one address space: what a TLB is to a processor.
/// They are void when a TLB's entries would be: the kernel counts that in the address space before it
/// lets go of a page that was mapped (`inc_mm_tlb_gen`, `arch/x86/include/asm/tlbflush.h`).
#[repr(C)]
pub struct FoundPages {
    /// The address space's number, which no other has or had.
    number: u64,
    /// Its count of translations that became void.
    generation: u64,
    /// Pages by number (address / 4096), each at a place that follows from it; 0 for none.
    numbers: [u64; FOUND],
    /// Where they can be loaded from.
    places: [u64; FOUND],
}

impl FoundPages {
    /// Forgets all unless they are of the address space `mm` as it is now.
    #[inline(always)]
    fn keep_valid(&mut self, mm: u64) {
        let number = load_kernel(mm.wrapping_add(u64::from(field!(mm_number))));
        let generation = load_kernel(mm.wrapping_add(u64::from(field!(mm_generation))));
        if self.number == number && self.generation == generation {
            return;
        }
        (self.number, self.generation) = (number, generation);
        for number in &mut self.numbers {
            // SAFETY: a place in the array; volatile, since BPF has no call to clear memory.
            unsafe { (&raw mut *number).write_volatile(0) };
        }
    }
}

/// Whether this kernel lets programs load from any address. A constant to the verifier.
#[inline(always)]
fn loads() -> bool {
    field!(counter_type) != 0
}

/// The way to pages of the running process that are looked at once.
pub struct PageTables {
    /// Address of the top-level table; 0 when there is none to walk.
    pub tables: u64,
    /// As [`Ram::base`].
    pub base: u64,
}

impl PageTables {
    /// Those of which nothing is known.
    pub const NONE: Self = Self { tables: 0, base: 0 };

    /// Those of the running process.
    #[inline(always)]
    pub fn of_current() -> Self {
        Self::of(Current::task().mm())
    }

    /// Those of the address space `mm`.
    #[inline(always)]
    fn of(mm: u64) -> Self {
        // SAFETY: map memory.
        let base = if loads() { RAM.get_ptr(0).map_or(0, |ram| unsafe { (*ram).base }) } else { 0 };
        let tables =
            if base == 0 { 0 } else { load_kernel(mm.wrapping_add(u64::from(field!(mm_pgd)))) };
        Self { tables, base }
    }

    /// Where the page that holds `address` can be loaded from; 0 when it can't.
    #[inline(always)]
    pub fn page(&self, address: u64) -> u64 {
        // The lower half is the process's own.
        if !loads() || self.tables == 0 || address >> 47 != 0 {
            return 0;
        }
        find_page(self.tables, self.base, address / PAGE)
    }
}

/// Memory of the process that runs.
pub struct PagedMemory {
    /// Address of its top-level page table; 0 when there is none to walk.
    pub tables: u64,
    /// As [`Ram::base`].
    pub base: u64,
    /// What is known of its pages.
    found: *mut FoundPages,
}

impl PagedMemory {
    /// That of the address space `mm`.
    #[inline(always)]
    pub fn of(mm: u64, found: &mut FoundPages) -> Self {
        let PageTables { tables, base } = PageTables::of(mm);
        if tables != 0 {
            found.keep_valid(mm);
        }
        Self { tables, base, found }
    }

    /// The same in the middle of a walk.
    #[inline(always)]
    pub fn again(tables: u64, base: u64, found: &mut FoundPages) -> Self {
        Self { tables, base, found }
    }
}

impl ReadMemory for PagedMemory {
    #[inline(always)]
    fn has_pages(&self) -> bool {
        loads() && self.tables != 0
    }

    #[inline(always)]
    unsafe fn read_raw(&self, address: u64, into: *mut u8, length: u32) -> bool {
        // SAFETY: the caller vouches for `into`.
        unsafe { UserMemory.read_raw(address, into, length) }
    }

    #[inline(always)]
    fn page(&self, address: u64) -> u64 {
        // The lower half is the process's own.
        if address >> 47 != 0 {
            return 0;
        }
        let number = address / PAGE;
        // Neighbouring pages get different places, and so do those at the same place of a megabyte.
        let at = (number ^ (number >> 8)) as usize & (FOUND - 1);
        // SAFETY: `found` outlives the walk; `at` is below FOUND.
        unsafe {
            let known = (&raw mut (*self.found).numbers).cast::<u64>().add(at);
            let place = (&raw mut (*self.found).places).cast::<u64>().add(at);
            // Not known, or not present then: a page may come without a word. The kernel's addresses
            // have their upper bit set; one branch instead of two, for the verifier's sake.
            if (known.read_volatile() ^ number) | ((place.read_volatile() >> 63) ^ 1) != 0 {
                known.write_volatile(number);
                place.write_volatile(find_page(self.tables, self.base, number));
            }
            place.read_volatile()
        }
    }

    #[inline(always)]
    fn load(&self, place: u64) -> u64 {
        load_kernel(place)
    }
}

/// Where the page with this number can be loaded from, by the page tables; 0 if it can't. A function of
/// its own, which the verifier follows once and not again at each page of a walk.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_page(tables: u64, base: u64, number: u64) -> u64 {
    let address = number * PAGE;
    let mut entry = entry(tables, address, 39);
    if entry & PRESENT == 0 {
        return 0;
    }
    let mut inside = 0;
    entry = self::entry(base + (entry & ADDRESS), address, 30);
    if entry & HUGE != 0 {
        inside = (1 << 30) - PAGE;
    } else if entry & PRESENT != 0 {
        entry = self::entry(base + (entry & ADDRESS), address, 21);
        if entry & HUGE != 0 {
            inside = (1 << 21) - PAGE;
        } else if entry & PRESENT != 0 {
            entry = self::entry(base + (entry & ADDRESS), address, 12);
        }
    }
    if entry & PRESENT == 0 {
        return 0;
    }
    base + (entry & ADDRESS & !inside) + (address & inside)
}

/// The entry for `address` in the table at `table`, which resolves the bits from `shift`.
#[inline(always)]
fn entry(table: u64, address: u64, shift: u64) -> u64 {
    load_kernel(table + ((address >> shift) & ((1 << LEVEL_BITS) - 1)) * 8)
}

/// The task iterator meets a task: if it is user space's own, looks for the mapping of RAM.
#[inline(always)]
pub fn find(task: Task) {
    if !loads() {
        return;
    }
    let Some(ram) = RAM.get_ptr_mut(0) else { return };
    // SAFETY: map memory, written by user space before the iterator runs.
    let ram = unsafe { &mut *ram };
    if u64::from(task.tid()) != ram.pid || ram.base != 0 {
        return;
    }
    let mut tables: u64 = load_kernel(task.mm() + u64::from(field!(mm_pgd)));
    repeat::<TryBases>(&mut tables);
}

/// Takes the mapping to begin `number` steps below the tables, which are in it; `false` when it does.
struct TryBases;

impl Body for TryBases {
    type With = u64;
    const ROUNDS: u32 = RAM_GIB;

    #[inline(always)]
    fn round(number: u32, tables: &mut u64) -> bool {
        let Some(ram) = RAM.get_ptr_mut(0) else { return false };
        // SAFETY: map memory.
        let (ram, tables): (&mut Ram, u64) = unsafe { (&mut *ram, *tables) };
        let base = (tables & !(GIB - 1)).wrapping_sub(u64::from(number) * GIB);
        let page = find_page(tables, base, ram.address / PAGE);
        if page == 0 {
            return true;
        }
        let place = page + (ram.address & (PAGE - 1));
        if load_kernel::<u64>(place) != ram.words[0]
            || load_kernel::<u64>(place + 8) != ram.words[1]
        {
            return true;
        }
        ram.base = base;
        false
    }
}
