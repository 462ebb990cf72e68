//! What each reason means, for readers who meet it for the first time, on the page itself.

use crate::profile::Reason;

/// When a change has this reason.
pub(super) fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::NativeThread => "a thread that runs no Python",
        Reason::InterpreterStartup => "no frame yet, or no more: the interpreter begins or ends",
        Reason::NotPython => "a followed process that is no Python, or not yet known to be",
        Reason::Kernel => "the kernel on its own, or a shrinking that names no range",
        Reason::OtherProcess => "another process changed it",
        Reason::BeforeAttachReturned => "memory from before tracing was given back",
        Reason::Reclaimed => "pages that a line grew had left RSS before they were given back",
        Reason::StackUnreadable => "the interpreter's structures could not be followed",
        Reason::StackLost | Reason::Lost => "events came faster than they were read",
        Reason::UnderWay => "the kernel had begun to report a return and not finished",
        Reason::LeftOut => "lines that the report was told to leave out",
        Reason::Remainder => "the counter moved in a way that no event told",
        Reason::BeyondLimit => "lines of more stacks than the daemon may name",
        Reason::Ended => "what processes that ended took with them",
        Reason::NotWalked => "growth of lines whose stacks were not walked, to keep to the budget",
        Reason::BeganLater => "what processes that began later had at their beginning",
    }
}
