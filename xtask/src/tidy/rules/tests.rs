//! Each rule is shown to fail, and to pass on its nearest neighbour.

use super::super::{Source, examine};

/// The findings for one file whose text opens properly.
fn check(path: &str, body: &str) -> Vec<String> {
    examine(&[Source::new(path, format!("//! For a test.\n{body}"))])
}

fn fails(path: &str, body: &str, with: &str) {
    let found = check(path, body);
    assert!(
        found.len() == 1 && found[0].contains(with),
        "{path}: {body:?} should give one finding about {with:?}, gave {found:?}"
    );
}

fn passes(path: &str, body: &str) {
    assert_eq!(check(path, body), Vec::<String>::new(), "{path}: {body:?}");
}

const ANY: &str = "memtrace-userspace/src/session.rs";
const PURE: &str = "memtrace-userspace/src/ledger/pages.rs";

#[test]
fn a_file_of_501_lines_is_too_long() {
    fails(ANY, &"// x\n".repeat(500), "501 lines");
    passes(ANY, &"// x\n".repeat(499));
    passes(ANY, &format!("// @generated\n{}", "// x\n".repeat(600)));
    passes("docs/cpython.md", &"x\n".repeat(600));
}

#[test]
fn the_architecture_has_at_most_300_lines() {
    fails("ARCHITECTURE.md", &"x\n".repeat(300), "301 lines");
    passes("ARCHITECTURE.md", &"x\n".repeat(299));
}

#[test]
fn a_rust_file_opens_with_what_it_is_for() {
    let found = examine(&[Source::new(ANY, "use std::fmt;\n".to_owned())]);
    assert!(found.len() == 1 && found[0].contains("does not open"), "{found:?}");
    assert!(examine(&[Source::new("a.py", "import os\n".to_owned())]).is_empty());
}

#[test]
fn only_kernel_names_aya() {
    fails(ANY, "use aya::Ebpf;", "names aya");
    fails("memtrace-userspace/src/main.rs", "use aya_log::EbpfLogger;", "names aya");
    passes("memtrace-userspace/src/kernel.rs", "use aya::Ebpf;");
    passes("memtrace-userspace/src/kernel/object.rs", "use aya::Ebpf;");
    passes(ANY, "// aya::Ebpf is kernel's\nlet x = \"aya=warn\";");
    passes(ANY, "let playa = malaya;");
    passes("memtrace-ebpf/src/maps.rs", "use aya_ebpf::maps::RingBuf;");
}

#[test]
fn ledger_profile_report_and_what_the_screen_shows_are_pure() {
    for body in [
        "use clap::Parser;",
        "use tokio::time;",
        "use std::fs;",
        "use std::net::TcpStream;",
        "use std::{fmt, fs};",
        "use std::{\n    fmt,\n    net::TcpStream,\n};",
        "let t = SystemTime::now();",
        "use std::time::Instant;",
    ] {
        fails(PURE, body, "are pure");
        fails("memtrace-userspace/src/profile.rs", body, "are pure");
        fails("memtrace-userspace/src/report/table.rs", body, "are pure");
        fails("memtrace-userspace/src/top/model.rs", body, "are pure");
        fails("memtrace-userspace/src/top/view/lines.rs", body, "are pure");
        passes("memtrace-userspace/src/top/show.rs", body);
        passes(ANY, body);
    }
    passes(PURE, "use std::{fmt, collections::BTreeMap};\nuse std::time::SystemTime;");
    passes(PURE, "#[cfg(test)]\nmod tests {\n    use std::fs;\n}");
}

#[test]
fn aya_in_a_pure_module_breaks_two_rules() {
    assert_eq!(check(PURE, "use aya::Ebpf;").len(), 2);
}

#[test]
fn no_machine_is_named() {
    for folder in ["root", "work", "home"] {
        let path = format!("see /{folder}/x");
        fails("docs/report.md", &path, "machine's path");
        fails(ANY, &format!("let p = \"/{folder}/x\";"), "machine's path");
    }
    passes(ANY, "/proc/PID/root is not a home; a/work/b neither");
}

#[test]
fn what_is_committed_is_finished() {
    fails(ANY, "fn f() { todo!() }", "todo!");
    fails(ANY, "fn f() { unimplemented!() }", "unimplemented!");
    fails(ANY, "#[ignore]\nfn f() {}", "#[ignore");
    fails(ANY, "#[ignore = \"slow\"]\nfn f() {}", "#[ignore");
    passes(ANY, "// todo! is for later\nlet x = \"#[ignore]\";");
}

#[test]
fn only_emit_touches_the_ring_buffer() {
    for body in [
        "EVENTS.output(&record, 0);",
        "EVENTS.output::<[u8]>(bytes, 0);",
        "let entry = EVENTS.reserve::<Growth>(0);",
        "entry.submit(0);",
        "unsafe { bpf_ringbuf_output(a, b, c, d) };",
    ] {
        fails("memtrace-ebpf/src/growth.rs", body, "outside emit.rs");
        passes("memtrace-ebpf/src/emit.rs", body);
        passes("memtrace-userspace/src/kernel/ring.rs", body);
    }
    passes("memtrace-ebpf/src/growth.rs", "emit::send(space, &record);");
}

#[test]
fn a_lint_exception_says_why() {
    let reason = "without `reason";
    fails(ANY, "#[allow(dead_code)]\nfn f() {}", reason);
    fails(ANY, "#![expect(clippy::panic)]", reason);
    fails(ANY, "#[cfg_attr(test, allow(dead_code))]\nfn f() {}", reason);
    passes(ANY, "#[expect(\n    dead_code,\n    reason = \"for later [sic]\"\n)]\nfn f() {}");
    passes(ANY, "#[derive(Debug)]\nstruct S([u8; 3]);\nlet x = y.expect(\"z\");");
}
