//! bcc's memleak: outstanding allocations of malloc by native stack. It knows no line of Python, and it
//! compiles its program on the spot, for which it needs the running kernel's headers.

use super::{Lines, Start, Tool, nothing};

pub(super) fn tool() -> Tool {
    Tool {
        name: "bcc memleak",
        figure: "outstanding bytes by native stack; no lines of Python",
        start: Start::Attach(
            |place, pid| {
                let root = place.tools.join("bcc");
                let path = |name: &str| root.join(name).display().to_string();
                vec![
                    "env".to_owned(),
                    format!("LD_LIBRARY_PATH={}", path("usr/lib/x86_64-linux-gnu")),
                    format!("PYTHONPATH={}", path("usr/lib/python3/dist-packages")),
                    "PYTHONUNBUFFERED=1".to_owned(),
                    "/usr/bin/python3".to_owned(),
                    path("usr/sbin/memleak-bpfcc"),
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
