//! What only the kernel side can find out about this kernel, before anything is traced.

use std::hash::{BuildHasher as _, RandomState};

use aya::maps::Array;
use memtrace_common::limits::MAX_CPUS;
use memtrace_common::settings::Ram;
use tracing::debug;

use super::{Crossing, KernelError, Probes, map_error, take_map};

impl Probes {
    /// Measures, once, how far each CPU's memory is from a per-CPU pointer: from the addresses of
    /// a per-CPU map's parts and the map's own per-CPU pointer. The kernel's `__per_cpu_offset`
    /// would say the same, but few kernels export it.
    pub(super) fn locate_cpus(&mut self, cpus: usize) -> Result<(), KernelError> {
        self.iterate("locate_cpus")?;
        let probe: Array<_, Crossing<[u64; MAX_CPUS + 1]>> =
            Array::try_from(take_map(&mut self.ebpf, "CPU_PROBE")?)
                .map_err(map_error("CPU_PROBE"))?;
        let found = probe.get(&0, 0).map_err(map_error("CPU_PROBE"))?.0;
        let pointer = found[MAX_CPUS];
        let mut offsets = [0u64; MAX_CPUS];
        for (offset, at) in offsets.iter_mut().zip(found).take(cpus) {
            *offset = at.wrapping_sub(pointer);
        }
        let mut map: Array<_, Crossing<[u64; MAX_CPUS]>> =
            Array::try_from(take_map(&mut self.ebpf, "CPU_OFFSETS")?)
                .map_err(map_error("CPU_OFFSETS"))?;
        map.set(0, Crossing(offsets), 0).map_err(map_error("CPU_OFFSETS"))
    }

    /// Lets the kernel side find where all RAM is mapped, by two words of ours. Where it doesn't
    /// find them, it reads its targets by a helper, which is slower.
    pub(super) fn find_ram(&mut self) -> Result<(), KernelError> {
        /// Aligned, so that no page ends between them.
        #[repr(align(16))]
        struct Words([u64; 2]);

        let random = RandomState::new();
        let Words(ref words) = Words([random.hash_one(0), random.hash_one(1)]);
        // Not taken: programs that are loaded later refer to it.
        let map = self.ebpf.map_mut("RAM").ok_or(KernelError::Absent("RAM"))?;
        let mut map: Array<_, Crossing<Ram>> = Array::try_from(map).map_err(map_error("RAM"))?;
        let (pid, address) = (std::process::id().into(), words.as_ptr() as u64);
        map.set(0, Crossing(Ram { pid, address, words: *words, base: 0 }), 0)
            .map_err(map_error("RAM"))?;
        self.iterate("find_ram")?;
        let map = self.ebpf.map("RAM").ok_or(KernelError::Absent("RAM"))?;
        let map: Array<_, Crossing<Ram>> = Array::try_from(map).map_err(map_error("RAM"))?;
        let base = map.get(&0, 0).map_err(map_error("RAM"))?.0.base;
        if base == 0 {
            debug!("the kernel's mapping of RAM was not found: targets are read by a helper");
        }
        Ok(())
    }
}
