//! The eBPF object: built by `cargo xtask ebpf`, committed, proved against its source in CI.

/// The object, aligned as ELF wants it.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/memtrace.bpf.o");
