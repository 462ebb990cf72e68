//! The kernel side's facade: load → attach → ask → drain → let go. The only module that names
//! aya; everything above it sees [`Event`]s and plain types.
//!
//! Every probe hangs on a link that dies with this process: a `kill -9` leaves nothing behind. Where it could, `mender`
//! comes after.

pub mod btf;
mod cpu_clock;
pub mod decode;
pub mod descriptors;
mod faults;
mod files;
mod lens;
mod mender;
mod multi;
mod object;
pub mod offsets;
mod probes;
mod programs;
mod ring;
pub mod support;
mod uprobe;

pub use cpu_clock::CpuClock;
pub use decode::{DecodeError, Event, decode};
pub use lens::{ALLOCATES, COUNTS, FREES, LensMaps, RETURNS};
pub use mender::mend;
pub use probes::{KernelError, Options, Probes};
pub use ring::Ring;
pub use uprobe::ProcessProbe;
