//! The allocator lens: what its programs and user space share.

/// What the arguments of one function of an allocator are: a uprobe's cookie. For each there is a
/// nibble: its position, counted from 1, or 0 where the function has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads(pub u64);

impl Reads {
    /// A function that takes nothing.
    pub const NOTHING: Self = Self(0);

    /// The size is in this argument.
    #[must_use]
    pub const fn size(self, position: u64) -> Self {
        Self(self.0 | position)
    }

    /// The size is to be multiplied by this argument (`calloc`).
    #[must_use]
    pub const fn count(self, position: u64) -> Self {
        Self(self.0 | position << 4)
    }

    /// A block that goes is in this argument (`free`, `realloc`).
    #[must_use]
    pub const fn old(self, position: u64) -> Self {
        Self(self.0 | position << 8)
    }

    /// Where the block's address is to be written is in this argument (`posix_memalign`).
    #[must_use]
    pub const fn out(self, position: u64) -> Self {
        Self(self.0 | position << 12)
    }

    /// Position of the size.
    #[must_use]
    pub const fn size_at(self) -> u64 {
        self.0 & 15
    }

    /// Position of the factor.
    #[must_use]
    pub const fn count_at(self) -> u64 {
        self.0 >> 4 & 15
    }

    /// Position of the block that goes.
    #[must_use]
    pub const fn old_at(self) -> u64 {
        self.0 >> 8 & 15
    }

    /// Position of the place for the address.
    #[must_use]
    pub const fn out_at(self) -> u64 {
        self.0 >> 12 & 15
    }
}

/// A weight of one: the block stands for itself.
pub const WEIGHT_ONE: u64 = 1 << 10;

/// What is recorded of a space's allocator, and what was hit. Written by user space but for the
/// counts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lens {
    /// How many blocks each recorded one stands for, in units of 1/[`WEIGHT_ONE`]; 0 while none is
    /// recorded.
    pub weight: u64,
    /// Changes with each attaching of the probes: a call that began before has no return.
    pub epoch: u64,
    /// Hits at the entry of functions that allocate.
    pub entered: u64,
    /// Hits at their return.
    pub returned: u64,
    /// Hits of functions that free.
    pub freed: u64,
    /// Frees of blocks that were not recorded.
    pub unknown: u64,
    /// Blocks whose address came again before they were seen freed.
    pub unseen: u64,
    /// Allocations that there was no room for.
    pub lost: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Stacks that could not be walked, since another walk was interrupted on the same CPU.
    pub interrupted: u64,
    /// Time in walks, in nanoseconds, extrapolated from one in [`TIMED_ONE_IN`].
    pub walk_ns: u64,
}

const _: () = assert!(size_of::<Lens>() == 88);

/// A counter of calls: of a function that is called in proportion to the target's work. Written by the
/// kernel side only, at its slot.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Yard {
    /// Calls so far.
    pub count: u64,
    /// The order that was begun last.
    pub ticket: i64,
    /// The call at which that began,
    pub opened: u64,
    /// and that at which it ended; 0 before.
    pub closed: u64,
}

const _: () = assert!(size_of::<Yard>() == 32);

/// That allocations of a space are to be recorded from a call of a function to the one that comes so many
/// calls later. Written by user space only.
///
/// The call that it begins with is chosen by its number: the first one after some moment would mostly be
/// the first of those that come together.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// Another one for each order, from 1 on.
    pub ticket: i64,
    /// How many calls; 0 for no order.
    pub calls: u64,
    /// The space,
    pub space: u32,
    /// and it begins with a call whose number is a multiple of this one, not 0,
    pub multiple: u32,
    /// when this is added to it.
    pub shift: u64,
}

const _: () = assert!(size_of::<Order>() == 32);

/// One walk in so many is timed; a power of two.
pub const TIMED_ONE_IN: u32 = 16;

/// A live block, by space and address.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// Its address.
    pub address: u64,
    /// Its space, widened to leave no padding.
    pub space: u64,
}

/// What is known of a live block.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Block {
    /// Bytes that were asked for.
    pub size: u64,
    /// Id of the stack that asked.
    pub stack: u64,
    /// When, as `CLOCK_MONOTONIC` has it, in nanoseconds.
    pub born: u64,
    /// What it stands for, as [`Lens::weight`].
    pub weight: u64,
    /// Thread id as the host sees it.
    pub tid: u32,
    /// Its number among the thread's allocations; wraps.
    pub order: u32,
}

const _: () = assert!(size_of::<Block>() == 40);

/// Who is counted for: a stack in a thread.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Id of the stack.
    pub stack: u64,
    /// The space.
    pub space: u32,
    /// Thread id as the host sees it.
    pub tid: u32,
}

/// What an owner has come to, in units of 1/[`WEIGHT_ONE`]. Only ever grows.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Allocations.
    pub allocations: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of them, those freed.
    pub freed: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// Of the freed ones, those that the same thread freed before it had allocated twice again.
    pub temporary: u64,
    /// Their bytes.
    pub temporary_bytes: u64,
}

const _: () = assert!(size_of::<Sums>() == 48);
