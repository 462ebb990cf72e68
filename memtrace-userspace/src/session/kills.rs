//! Processes that were killed: by whom, as far as the kernel says.

/// What `exit_code` has of the signal (`WTERMSIG`, `include/uapi/linux/wait.h`).
const SIGNAL: u32 = 0x7f;

/// SIGKILLs among the targets' ends.
#[derive(Debug)]
pub(super) struct Kills {
    any: bool,
    /// Processes that the OOM killer has killed on this machine, when last looked at.
    by_oom_killer: u64,
}

impl Kills {
    pub(super) fn new() -> Self {
        Self { any: false, by_oom_killer: oom_kills() }
    }

    /// Whether any target was killed.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// A process has ended with this code: the sentence for its reader, if it was killed.
    pub(super) fn note(&mut self, exit_code: u32) -> Option<String> {
        if exit_code & SIGNAL != libc::SIGKILL.cast_unsigned() {
            return None;
        }
        self.any = true;
        let (before, now) = (self.by_oom_killer, oom_kills());
        self.by_oom_killer = now;
        Some(sentence(now > before))
    }
}

fn sentence(oom: bool) -> String {
    if oom {
        "it was killed by SIGKILL, and the OOM killer has killed a process at that time".to_owned()
    } else {
        "it was killed by SIGKILL, not by the OOM killer".to_owned()
    }
}

/// `oom_kill` of `/proc/vmstat`: kills of this machine, by memory groups' limits too.
fn oom_kills() -> u64 {
    let counters = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_from_other_ends() {
        let mut kills = Kills::new();
        for code in [0, 1 << 8, 15, 11 | 0x80] {
            assert_eq!(kills.note(code), None, "{code:#x}");
        }
        assert!(!kills.any());
        assert!(kills.note(9).is_some_and(|note| note.contains("SIGKILL")));
        assert!(kills.any());
    }
}
