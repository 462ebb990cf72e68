//! bcc's memleak, as built with libbpf: outstanding allocations of malloc by native stack. It knows no
//! line of Python. It wants a newer C library than this machine's, and so is started with its own.

use super::{Lines, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "bcc memleak",
        figure: "outstanding bytes by native stack; no lines of Python",
        start: Start::Attach(
            |place, pid| {
                let root = place.tools.join("bcc/usr");
                let path = |name: &str| root.join(name).display().to_string();
                vec![
                    // What it says arrives at once, not a buffer at a time.
                    "stdbuf".to_owned(),
                    "-oL".to_owned(),
                    path("lib64/ld-linux-x86-64.so.2"),
                    "--library-path".to_owned(),
                    path("lib/x86_64-linux-gnu"),
                    path("sbin/memleak-libbpf"),
                    "-p".to_owned(),
                    pid.to_string(),
                ]
            },
            "Attaching to",
        ),
        then: nothing,
        answer: |_| Ok(Lines::new()),
        by_line: false,
    }
}
