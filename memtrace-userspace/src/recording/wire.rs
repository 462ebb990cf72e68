//! Entries as they lie in a recording: protobuf messages in columns.
//!
//! Shapes only; [`super::encode`] fills them, [`super::decode`] checks them. A list of things is one
//! list for each of their parts: numbers of one kind beside each other compress best, and a column
//! that is zero throughout is left out. Tags are never given to anything else.

use prost::{Message, Oneof};

use super::allocations::{WireAllocations, WireLive};

/// The first frame.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Head {
    #[prost(uint64, tag = "1")]
    pub(super) started_at_seconds: u64,
    #[prost(uint32, tag = "2")]
    pub(super) started_at_nanos: u32,
    #[prost(string, tag = "3")]
    pub(super) kernel: String,
    #[prost(bool, tag = "4")]
    pub(super) exact: bool,
}

/// The last frame.
#[derive(Clone, PartialEq, Message)]
pub(super) struct End {
    /// Entries in the recording.
    #[prost(uint64, tag = "1")]
    pub(super) entries: u64,
    /// Why the recorder had to stop; empty when it ended as it was told.
    #[prost(string, tag = "2")]
    pub(super) abandoned: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Names(Box<Names>),
    #[prost(message, tag = "2")]
    Began(Began),
    #[prost(message, tag = "3")]
    Known(Known),
    #[prost(message, tag = "4")]
    Window(Box<Window>),
    #[prost(message, tag = "5")]
    Ended(Ended),
    #[prost(message, tag = "6")]
    Source(Source),
    #[prost(message, tag = "7")]
    Allocations(Box<WireAllocations>),
    #[prost(message, tag = "8")]
    Live(Box<WireLive>),
    #[prost(message, tag = "9")]
    Ran(Ran),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Names {
    #[prost(string, repeated, tag = "1")]
    pub(super) texts: Vec<String>,

    #[prost(uint32, repeated, tag = "2")]
    pub(super) function_file: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub(super) function_name: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub(super) function_first_line: Vec<u32>,
    /// Lines after the first one.
    #[prost(sint64, repeated, tag = "5")]
    pub(super) function_extent: Vec<i64>,

    #[prost(uint32, repeated, tag = "6")]
    pub(super) place_function: Vec<u32>,
    #[prost(uint32, repeated, tag = "7")]
    pub(super) place_line: Vec<u32>,

    /// For each stack: twice the number of its frames, plus one if it was cut; zero where a reason
    /// stands instead of frames; one for native frames above another stack.
    #[prost(uint32, repeated, tag = "8")]
    pub(super) stack_shape: Vec<u32>,
    /// All stacks' frames, each less the one before.
    #[prost(sint64, repeated, tag = "9")]
    pub(super) frame_place: Vec<i64>,
    /// For each stack without frames.
    #[prost(uint32, repeated, tag = "10")]
    pub(super) reason: Vec<u32>,
    #[prost(uint32, repeated, tag = "11")]
    pub(super) reason_name: Vec<u32>,

    #[prost(uint32, repeated, tag = "12")]
    pub(super) thread_space: Vec<u32>,
    #[prost(uint32, repeated, tag = "13")]
    pub(super) thread_tid: Vec<u32>,
    #[prost(uint32, repeated, tag = "14")]
    pub(super) thread_name: Vec<u32>,

    #[prost(uint32, repeated, tag = "15")]
    pub(super) native_function: Vec<u32>,
    #[prost(uint32, repeated, tag = "16")]
    pub(super) native_library: Vec<u32>,
    #[prost(uint32, repeated, tag = "17")]
    pub(super) native_file: Vec<u32>,
    #[prost(uint32, repeated, tag = "18")]
    pub(super) native_line: Vec<u32>,
    /// For each stack with native frames, whose shape is one: the stack below them, how many they
    /// are, and (of all such stacks) which, each less the one before.
    #[prost(uint32, repeated, tag = "19")]
    pub(super) native_below: Vec<u32>,
    #[prost(uint32, repeated, tag = "20")]
    pub(super) native_depth: Vec<u32>,
    #[prost(sint64, repeated, tag = "21")]
    pub(super) frame_native: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Memory {
    #[prost(sint64, tag = "1")]
    pub(super) anon: i64,
    #[prost(sint64, tag = "2")]
    pub(super) file: i64,
    #[prost(sint64, tag = "3")]
    pub(super) shmem: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Began {
    #[prost(uint32, tag = "1")]
    pub(super) space: u32,
    #[prost(uint64, tag = "2")]
    pub(super) at: u64,
    #[prost(uint32, tag = "3")]
    pub(super) pid: u32,
    #[prost(uint32, optional, tag = "4")]
    pub(super) parent: Option<u32>,
    #[prost(message, required, tag = "5")]
    pub(super) before: Memory,
    #[prost(string, repeated, tag = "6")]
    pub(super) command: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Known {
    #[prost(uint32, tag = "1")]
    pub(super) space: u32,
    #[prost(string, optional, tag = "2")]
    pub(super) python: Option<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) command: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) notes: Vec<String>,
}

/// Bytes are in pages of 4 KiB unless `in_bytes`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Window {
    #[prost(uint32, tag = "1")]
    pub(super) space: u32,
    /// Since the end of the last window of whichever space.
    #[prost(sint64, tag = "2")]
    pub(super) at: i64,
    #[prost(bool, tag = "3")]
    pub(super) in_bytes: bool,
    /// What it differs by from the RSS of the window before plus the changes.
    #[prost(message, optional, tag = "4")]
    pub(super) rss: Option<Memory>,
    /// Above the RSS at the window's end.
    #[prost(sint64, tag = "5")]
    pub(super) peak: i64,
    /// Beyond those of the changes.
    #[prost(sint64, tag = "6")]
    pub(super) events: i64,
    #[prost(uint64, tag = "7")]
    pub(super) lost_events: u64,
    #[prost(sint64, tag = "8")]
    pub(super) lost: i64,
    #[prost(uint64, tag = "9")]
    pub(super) probe: u64,

    /// Each less the one before.
    #[prost(sint64, repeated, tag = "10")]
    pub(super) stack: Vec<i64>,
    #[prost(uint32, repeated, tag = "11")]
    pub(super) thread: Vec<u32>,
    #[prost(sint64, repeated, tag = "12")]
    pub(super) grown_anon: Vec<i64>,
    #[prost(sint64, repeated, tag = "13")]
    pub(super) grown_file: Vec<i64>,
    #[prost(sint64, repeated, tag = "14")]
    pub(super) grown_shmem: Vec<i64>,
    #[prost(sint64, repeated, tag = "15")]
    pub(super) returned_anon: Vec<i64>,
    #[prost(sint64, repeated, tag = "16")]
    pub(super) returned_file: Vec<i64>,
    #[prost(sint64, repeated, tag = "17")]
    pub(super) returned_shmem: Vec<i64>,
    #[prost(sint64, repeated, tag = "18")]
    pub(super) copied: Vec<i64>,
    #[prost(sint64, repeated, tag = "19")]
    pub(super) released: Vec<i64>,
    #[prost(uint64, repeated, tag = "20")]
    pub(super) change_events: Vec<u64>,
    /// Below the window's peak.
    #[prost(sint64, repeated, tag = "21")]
    pub(super) peak_rss: Vec<i64>,

    #[prost(uint64, tag = "22")]
    pub(super) userspace_cpu: u64,

    #[prost(sint64, repeated, tag = "23")]
    pub(super) unseen_grown: Vec<i64>,
    #[prost(sint64, repeated, tag = "24")]
    pub(super) unseen_returned: Vec<i64>,
    /// In pages by pages.
    #[prost(uint64, repeated, tag = "25")]
    pub(super) grown_variance: Vec<u64>,
    #[prost(uint64, repeated, tag = "26")]
    pub(super) returned_variance: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ended {
    #[prost(uint32, tag = "1")]
    pub(super) space: u32,
    #[prost(uint64, tag = "2")]
    pub(super) at: u64,
    #[prost(uint32, tag = "3")]
    pub(super) ending: u32,
    /// Each less the one before.
    #[prost(sint64, repeated, tag = "4")]
    pub(super) present_stack: Vec<i64>,
    #[prost(uint32, repeated, tag = "5")]
    pub(super) present_thread: Vec<u32>,
    #[prost(sint64, repeated, tag = "6")]
    pub(super) present: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Source {
    #[prost(uint32, tag = "1")]
    pub(super) space: u32,
    #[prost(uint32, tag = "2")]
    pub(super) file: u32,
    #[prost(uint32, tag = "3")]
    pub(super) first_line: u32,
    #[prost(string, repeated, tag = "4")]
    pub(super) lines: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(super) changed: bool,
    #[prost(string, optional, tag = "6")]
    pub(super) unreadable: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ran {
    #[prost(uint32, tag = "1")]
    pub(super) space: u32,
    #[prost(uint64, tag = "2")]
    pub(super) at: u64,
    /// 0: executions of lines, 1: evaluations of functions.
    #[prost(uint32, tag = "3")]
    pub(super) counted: u32,
    /// Each less the one before.
    #[prost(sint64, repeated, tag = "4")]
    pub(super) place: Vec<i64>,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) count: Vec<u64>,
}
