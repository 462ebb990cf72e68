//! Finding Python from outside: which interpreter a process runs, where it keeps its things, and
//! what its code objects, strings and line tables say.
//!
//! Everything reads only; a target is neither stopped nor written to, and no page of it is
//! brought in by being looked at. It knows neither aya nor the ledger: [`discover`] turns a pid
//! into an [`Interpreter`], whose [`PyLayout`](memtrace_common::layout::PyLayout) is what the
//! kernel side works from. Facts about CPython: `docs/cpython.md`.

mod bounded_read;
pub mod code_object;
pub mod debug_offsets;
mod discover;
mod file_state;
pub mod image;
pub mod interpreter;
pub mod layouts;
mod likeness;
pub mod line_table;
mod locate;
pub mod maps;
pub mod memory;
pub mod offsets;
pub mod processes;
pub mod refusal;
pub mod runtime;
mod settle;
pub mod slot;
pub mod text;
pub mod thread_area;
mod tls;
pub mod version;

pub(crate) use bounded_read::BoundedRead;
pub use discover::{Discovery, discover};
pub(crate) use file_state::FileState;
pub(crate) use image::FILE_LIMIT;
pub use image::{Image, Images};
pub use interpreter::{Build, Interpreter, ProbePoint};
pub use likeness::Likeness;
pub use line_table::{LineRange, LineTable, LineTableKind};
pub use maps::{Mapping, Mappings};
pub use memory::TargetMemory;
pub(crate) use memory::zeroed;
pub use refusal::{DiscoverError, Refusal};
pub use version::Version;
