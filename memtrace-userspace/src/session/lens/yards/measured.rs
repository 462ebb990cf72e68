//! What a window came to, as it is told.

use std::time::Duration;

/// What a window came to by the calls of the function.
#[derive(Debug, Clone, Copy)]
pub(in crate::session::lens) struct Measured {
    /// By how much what it recorded is to be multiplied.
    pub(in crate::session::lens) scale: f64,
    /// The target's own time since the window before, and that of the window.
    pub(in crate::session::lens) time: Duration,
    pub(in crate::session::lens) recorded: Duration,
    /// By how much longer that would have been, had it all been as slow as where calls were counted for
    /// what came before.
    pub(in crate::session::lens) slowed: Duration,
    /// How long it ran with all probes, and what of that they took.
    pub(in crate::session::lens) ran: Duration,
    pub(in crate::session::lens) cost: Duration,
    /// Calls that were counted, and what that took.
    pub(in crate::session::lens) calls: u64,
    pub(in crate::session::lens) counting: Duration,
}
