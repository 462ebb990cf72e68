//! Calls of a function, counted: the measure of a target's progress that probes don't slow down.
//!
//! A window of recording begins with one of its calls and ends with another, so that what was allocated
//! and how often it was called are of the same piece of work. Nothing else is looked at: the fewer
//! instructions, the cheaper the measure.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::programs::ProbeContext;
use memtrace_common::lens::WEIGHT_ONE;

use super::maps::{LENSES, ORDERS, YARDS};
use crate::atomic;

/// It is called. The kernel runs this for threads of the process only that it was attached to.
#[inline(always)]
pub fn passed(ctx: &ProbeContext) {
    // SAFETY: the helper takes the program's context.
    let slot = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } as u32;
    let Some(yard) = YARDS.get_ptr_mut(slot) else { return };
    // SAFETY: map memory; its words are changed by this program only.
    let yard = unsafe { &mut *yard };
    // SAFETY: a word of map memory.
    let count = unsafe { atomic::fetch_add(&mut yard.count, 1) } + 1;
    let Some(order) = ORDERS.get(slot) else { return };
    if order.calls == 0 {
        return;
    }
    if order.ticket != yard.ticket {
        let number = count.wrapping_add(order.shift) as u32;
        if !number.is_multiple_of(order.multiple.max(1)) {
            return;
        }
        // Of threads that come at the same time one begins.
        // SAFETY: as above.
        if unsafe { atomic::exchange(&mut yard.ticket, order.ticket) } != order.ticket {
            yard.opened = count;
            yard.closed = 0;
            record(order.space, WEIGHT_ONE);
        }
    } else if yard.closed == 0 && count.wrapping_sub(yard.opened) >= order.calls {
        record(order.space, 0);
        yard.closed = count;
    }
}

/// Sets what is recorded of a space from now on.
#[inline(always)]
fn record(space: u32, weight: u64) {
    let Some(lens) = LENSES.get_ptr_mut(space) else { return };
    // SAFETY: a word of map memory.
    unsafe { (*lens).weight = weight };
}
