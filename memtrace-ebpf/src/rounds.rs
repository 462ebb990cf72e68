//! Loops of more rounds than the verifier follows one by one: it checks the body once.
//!
//! By `bpf_loop` (Linux 5.17), or by going through the entries of an array (`bpf_for_each_map_elem`,
//! 5.13), whose values nobody looks at.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_for_each_map_elem, bpf_loop};

use crate::maps::{ROUNDS, field};

/// What is done in each round.
pub trait Body {
    /// What it is done with.
    type With;

    /// Rounds at most; where loops go through a map, no more than it has entries.
    const ROUNDS: u32;

    /// Round `number`, from 0 on; `false` ends the loop. To be inlined: it is used in two functions, and the verifier
    /// counts one more on the stack as 32 bytes.
    fn round(number: u32, with: &mut Self::With) -> bool;
}

/// Does the rounds of `B`.
#[inline(always)]
pub fn repeat<B: Body>(with: &mut B::With) {
    // The helpers take a pointer to the stack along, so a body gets a pointer to the pointer.
    let mut carried = &raw mut *with;
    let carried = (&raw mut carried).cast::<c_void>();
    if field!(has_loop) != 0 {
        let body = by_number::<B> as extern "C" fn(_, _) -> _;
        // SAFETY: the body has the type that the helper calls; what it carries outlives the loop.
        unsafe { bpf_loop(B::ROUNDS, body as *mut c_void, carried, 0) };
    } else {
        let body = by_entry::<B> as extern "C" fn(_, _, _, _) -> _;
        let map = (&raw const ROUNDS).cast_mut().cast();
        // SAFETY: as above.
        unsafe { bpf_for_each_map_elem(map, body as *mut c_void, carried, 0) };
    }
}

/// A round of `bpf_loop`; 1 ends it.
extern "C" fn by_number<B: Body>(number: u32, carried: *mut *mut B::With) -> i64 {
    // SAFETY: `repeat` passes a pointer to one of this type.
    i64::from(!B::round(number, unsafe { &mut **carried }))
}

/// A round of `bpf_for_each_map_elem`; 1 ends it.
extern "C" fn by_entry<B: Body>(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    carried: *mut *mut B::With,
) -> i64 {
    // SAFETY: the key of an array is the entry's number.
    let number = unsafe { *key };
    // SAFETY: as above.
    i64::from(number >= B::ROUNDS || !B::round(number, unsafe { &mut **carried }))
}
