//! Being first on a busy machine, for the few milliseconds in which it matters: a program that has
//! just begun runs unrecognised until it is looked at, and what it grows until then has no line.
//!
//! Best effort: it takes `CAP_SYS_NICE`, and is nothing that tracing depends on. Only memtrace's own
//! thread becomes more urgent, and it takes half a millisecond of each millisecond at most.

use rustix::process::{getpriority_process, setpriority_process};

/// The nice value while a new program is awaited.
const URGENT: i32 = -15;

/// The nice value of a thread that reads what a whole machine does, which takes little of its time.
const LEADING: i32 = -10;

/// Comes before others for good, as far as that is allowed.
pub(super) fn lead() {
    if getpriority_process(None).is_ok_and(|usual| usual > LEADING) {
        let _ = setpriority_process(None, LEADING);
    }
}

/// Whether memtrace's thread is more urgent than usual, and what is usual.
#[derive(Debug, Default)]
pub(super) struct Haste {
    usual: Option<i32>,
}

impl Haste {
    /// Becomes urgent, or usual again.
    pub(super) fn set(&mut self, urgent: bool) {
        match (urgent, self.usual) {
            (true, None) => {
                if let Ok(usual) = getpriority_process(None)
                    && usual > URGENT
                    && setpriority_process(None, URGENT).is_ok()
                {
                    self.usual = Some(usual);
                }
            }
            (false, Some(usual)) => {
                // Becoming less urgent is always allowed.
                let _ = setpriority_process(None, usual);
                self.usual = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haste_ends_where_it_began() {
        let usual = getpriority_process(None).unwrap();
        let mut haste = Haste::default();
        haste.set(true);
        haste.set(true);
        assert!(getpriority_process(None).unwrap() <= usual);
        haste.set(false);
        assert_eq!(getpriority_process(None).unwrap(), usual);
    }
}
