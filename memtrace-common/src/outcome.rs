//! Numbered reasons for how a stack walk ended. They cross the ring buffer, so numbers are fixed.

/// How the walk of one thread's Python stack ended.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every frame, down to the thread's first one.
    Complete = 0,
    /// More frames than [`crate::limits::MAX_FRAMES`]: cut at the root.
    Truncated = 1,
    /// A frame further down couldn't be read: cut there, the leaf side is kept.
    CutByUnreadableFrame = 2,
    /// No thread state: a thread that has never run Python, or has left it.
    NativeThread = 3,
    /// The interpreter has not started yet (or has ended).
    InterpreterNotStarted = 4,
    /// A thread state without frames: between two calls into Python.
    NoFrames = 5,
    /// Thread state or first frame unreadable.
    Unreadable = 6,
    /// The process is followed but is not (yet) known to be Python.
    NotPython = 7,
    /// The change was made by another process or by the kernel on its own.
    NotByTarget = 8,
}

impl Outcome {
    /// The outcome with this number, or `None`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Complete,
            1 => Self::Truncated,
            2 => Self::CutByUnreadableFrame,
            3 => Self::NativeThread,
            4 => Self::InterpreterNotStarted,
            5 => Self::NoFrames,
            6 => Self::Unreadable,
            7 => Self::NotPython,
            8 => Self::NotByTarget,
            _ => return None,
        })
    }

    /// Whether the frames of the walk can answer for a line.
    #[must_use]
    pub fn has_frames(self) -> bool {
        matches!(self, Self::Complete | Self::Truncated | Self::CutByUnreadableFrame)
    }
}
