//! Where one process's interpreter keeps what the walk needs: offsets and flags, no versions.
//!
//! User space fills a [`PyLayout`] per process (tables, `_Py_DebugOffsets`, slot discovery) and
//! puts it into the kernel's map. Facts about the fields: `docs/cpython.md`.

/// An offset that this interpreter does not have.
pub const ABSENT: u32 = u32::MAX;

/// How a thread's `PyThreadState*` is found from its thread pointer (`fsbase`, `tpidr_el0`).
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Not known: no walk.
    Unknown = 0,
    /// `*(pointer + first)`: glibc's first-level thread-specific data, or static TLS.
    Direct = 1,
    /// `*(*(pointer + first) + second)`: glibc keys from 32, and musl.
    TwoLevel = 2,
    /// The pthread key is read from `key_address` at each event, because the interpreter had not made
    /// it yet when the process was met. glibc's thread-specific data: the first level is at
    /// `pointer + first`, the second at `pointer + second`.
    KeyAt = 3,
    /// Bound by the frame-evaluation probe: a map from thread id to thread state.
    Bound = 4,
}

/// The instruction is an index (`f_lasti`, i32), not a pointer into the code object.
pub const FLAG_INSTR_IS_INDEX: u32 = 2;

/// A thread may change its thread state while it runs: there are several interpreters.
pub const FLAG_SLOT_MOVES: u32 = 4;

/// `thread_id` is `thread_below` bytes below the thread pointer, not the thread pointer itself.
pub const FLAG_THREAD_BELOW: u32 = 8;

/// The layout is another process's of the same interpreter: a thread state counts only when it says that
/// it is this thread's.
pub const FLAG_ASSUMED: u32 = 16;

/// Everything the kernel side knows of one process's interpreter.
///
/// All `*_at` fields are byte offsets inside the frame window, everything else is a byte offset
/// inside the structure it names, unless said otherwise. Addresses are the target's.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PyLayout {
    /// `Slot` as a number.
    pub slot: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// First-level offset from the thread pointer.
    pub slot_first: i64,
    /// Second-level offset.
    pub slot_second: i64,
    /// For [`Slot::KeyAt`]: address of `autoTSSkey` (u32 is_initialized, u32 key). For
    /// [`Slot::Bound`]: where the runtime names the GIL holder's thread state, if the
    /// frame-evaluation probe's first argument is none (3.8); otherwise 0.
    pub key_address: u64,
    /// Address of `gilstate.tstate_current` where several interpreters share a thread's slot
    /// (3.11 and older); 0 otherwise.
    pub current_tstate_address: u64,
    /// Pointer mask of the frame's code reference (`_PyStackRef` tags its low bits from 3.14).
    pub code_mask: u64,
    /// Address of `PyCode_Type`, against which `ob_type` is checked; 0 when unknown.
    pub code_type_address: u64,

    /// `PyThreadState.thread_id`.
    pub tstate_thread_id: u32,
    /// `PyThreadState.frame`, `.cframe` or `.current_frame`.
    pub tstate_frame: u32,
    /// `_PyCFrame.current_frame`, or [`ABSENT`] when `tstate_frame` is the frame itself.
    pub cframe_frame: u32,

    /// First byte of a frame that is read.
    pub window_start: u32,
    /// Bytes of a frame that are read, at most [`crate::limits::FRAME_WINDOW`].
    pub window_length: u32,
    /// Bytes before a frame that are read along with it, because its callers' frames are likely
    /// there: a multiple of eight, at most `FRAME_BLOCK - FRAME_WINDOW`; 0 where frames are
    /// objects of their own (3.10 and older).
    pub window_behind: u32,
    /// Code object reference.
    pub code_at: u32,
    /// Caller's frame.
    pub back_at: u32,
    /// `f_lasti`, `prev_instr` or `instr_ptr`.
    pub instr_at: u32,
    /// `owner` (i8), or [`ABSENT`].
    pub owner_at: u32,
    /// Frames whose owner is at least this are the interpreter's own and are skipped.
    pub skip_owner_min: u32,
    /// Bytes from the code object to its first instruction (`co_code_adaptive`).
    pub instr_base: u32,
    /// Bytes per unit of an index ([`FLAG_INSTR_IS_INDEX`]): 2 on 3.10, otherwise 1.
    pub instr_unit: u32,

    /// `PyCodeObject.co_filename`.
    pub code_file: u32,
    /// `PyCodeObject.co_qualname`, or `co_name` before 3.11.
    pub code_name: u32,
    /// `PyCodeObject.co_linetable` or `co_lnotab`.
    pub code_table: u32,
    /// `PyCodeObject.co_firstlineno` (i32).
    pub code_first_line: u32,
    /// `PyCodeObject._co_firsttraceable` (i32), or [`ABSENT`].
    pub code_first_traceable: u32,

    /// `PyObject.ob_type`.
    pub object_type: u32,
    /// `PyASCIIObject.length` (i64).
    pub str_length: u32,
    /// `PyASCIIObject.state` (u32): kind in bits 2-4, compact bit 5, ascii bit 6.
    pub str_state: u32,
    /// First byte of a compact ASCII string's data.
    pub str_ascii: u32,
    /// First byte of another compact string's data.
    pub str_compact: u32,
    /// `PyBytesObject.ob_size` (i64).
    pub bytes_length: u32,
    /// `PyBytesObject.ob_sval`.
    pub bytes_data: u32,
    /// Bytes from `thread_id` to the thread pointer, with [`FLAG_THREAD_BELOW`].
    pub thread_below: u32,
}

impl PyLayout {
    /// The offsets by which a code object is told from another at its address: of its first line, file, name and line
    /// table; of a str's length, state, and text of either form. Each fits into a byte.
    #[must_use]
    pub const fn naming_offsets(&self) -> [u32; 8] {
        [
            self.code_first_line,
            self.code_file,
            self.code_name,
            self.code_table,
            self.str_length,
            self.str_state,
            self.str_ascii,
            self.str_compact,
        ]
    }

    /// The `thread_id` of the thread with this thread pointer.
    #[inline(always)]
    #[must_use]
    pub fn thread_of(&self, thread_pointer: u64) -> u64 {
        if self.flags & FLAG_THREAD_BELOW == 0 {
            return thread_pointer;
        }
        thread_pointer.wrapping_sub(self.thread_below as u64)
    }

    /// No interpreter: every walk ends at once with [`crate::outcome::Outcome::NotPython`].
    pub const NONE: Self = Self {
        slot: Slot::Unknown as u32,
        flags: 0,
        slot_first: 0,
        slot_second: 0,
        key_address: 0,
        current_tstate_address: 0,
        code_mask: u64::MAX,
        code_type_address: 0,
        tstate_thread_id: ABSENT,
        tstate_frame: 0,
        cframe_frame: ABSENT,
        window_start: 0,
        window_length: 0,
        window_behind: 0,
        code_at: 0,
        back_at: 0,
        instr_at: 0,
        owner_at: ABSENT,
        skip_owner_min: ABSENT,
        instr_base: 0,
        instr_unit: 1,
        code_file: 0,
        code_name: 0,
        code_table: 0,
        code_first_line: 0,
        code_first_traceable: ABSENT,
        object_type: 8,
        str_length: 16,
        str_state: 32,
        str_ascii: 40,
        str_compact: 56,
        bytes_length: 16,
        bytes_data: 32,
        thread_below: 0,
    };
}

const _: () = assert!(size_of::<PyLayout>() == 160);
