//! memory_profiler's `.dat`: compared whole, and read by memory_profiler's own `mprof`.

use std::path::{Path, PathBuf};
use std::process::Command;

use memtrace::profile::{Ending, Memory, Profile};
use memtrace::report::mprof;
use memtrace::units::{Bytes, Nanos};
use resvg::tiny_skia::Pixmap;

use super::build::*;
use super::service::service;
use super::{check, document, indented, json_report};

fn printed(profile: &Profile) -> String {
    let mut out = Vec::new();
    mprof::write(&mut out, profile).unwrap();
    String::from_utf8(out).unwrap()
}

/// A server, and a worker that it forked after 30 s and that ended after 50 s with 6 MiB.
fn family() -> Profile {
    let mut worker = process(4243, &["python", "app.py"], memory(5.0, 0.0, 0.0));
    worker.parent = Some(4242);
    (worker.began, worker.ended) = (Nanos(30_000_000_000), Some(Nanos(50_000_000_000)));
    worker.ending = Ending::Exited;
    worker.after = memory(6.0, 0.0, 0.0);
    worker.peak = mib(7.0);
    profile(vec![server(), worker])
}

#[test]
fn the_mprof_file_of_a_server_and_its_worker() {
    // The server's windows end at 20, 40 and 60 s with 33.5, 55 and 51.75 MiB; within the second it came
    // to 56, which stands in its middle. `handle` has changes in all windows, the decoder too. When
    // the worker came to 7 MiB is not known: it stands in the middle of its life.
    let text = printed(&family());
    assert!(text.contains("\nMEM 56.000000 1785924030.0000\n"));
    assert!(text.contains("\nCHLD 4243 7.000000 1785924040.0000\n"));
    assert!(
        text.contains("\nFUNC app.handle 12.000000 1785924000.0000 51.750000 1785924060.0000 0\n")
    );
    check("mprof.dat", &text);
    assert!(document("mprof.md").contains(&indented(&text)), "docs/mprof.md");
}

#[test]
fn the_mprof_file_goes_on_after_exec_and_has_the_main_process_that_nobody_forked() {
    let mut before = process(7, &["sh"], memory(1.0, 0.0, 0.0));
    (before.ending, before.ended) = (Ending::Execed, Some(Nanos(10_000_000_000)));
    let mut after = process(7, &["python"], memory(4.0, 0.0, 0.0));
    after.began = Nanos(10_000_000_000);
    let mut child = process(8, &["python"], memory(100.0, 0.0, 0.0));
    child.parent = Some(7);
    let text = printed(&profile(vec![before, after, child]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "CMDLINE python",
            "MEM 1.000000 1785924000.0000",
            "MEM 1.000000 1785924010.0000",
            "MEM 4.000000 1785924010.0000",
            "MEM 4.000000 1785924060.0000",
            "CHLD 8 100.000000 1785924000.0000",
            "CHLD 8 100.000000 1785924060.0000",
        ]
    );
    assert_eq!(printed(&profile(vec![])), "");
}

/// mprof, as `cargo xtask setup` installs it, on a file with this text: what it printed.
fn run_mprof(action: &str, options: &[&str], folder: &Path, text: &str) -> String {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mprof = workspace.join(target).join("memtrace-tests/mprof");
    assert!(
        mprof.is_dir(),
        "`cargo xtask setup --for tests` installs mprof in {}",
        mprof.display()
    );
    let file = folder.join("trace.dat");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(mprof.join("interpreter"))
        .args(["-m", "mprof", action])
        .args(options)
        .arg(&file)
        .current_dir(folder)
        .env("PYTHONPATH", &mprof)
        .env("MPLBACKEND", "Agg")
        // Where it keeps its list of fonts, which takes seconds to make.
        .env("MPLCONFIGDIR", mprof.join("configuration"))
        .output()
        .unwrap();
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (printed(&output.stdout), printed(&output.stderr));
    assert!(output.status.success() && !err.contains("Error"), "{action}: {out}{err}\n{text}");
    out
}

#[test]
fn mprof_itself_prints_the_peaks_of_the_json_report() {
    let mut unknown = server();
    // Higher than any window says.
    unknown.peak = mib(60.5);
    let mut huge = process(1, &["p"], memory(8_388_608.0, 0.0, 0.0)); // 8 TiB
    huge.began = Nanos(1);
    for profile in [family(), service(), profile(vec![unknown]), profile(vec![huge])] {
        let folder = tempfile::tempdir().unwrap();
        let printed = run_mprof("peak", &[], folder.path(), &printed(&profile));
        let report: serde_json::Value =
            serde_json::from_str(&json_report::printed(&profile)).unwrap();
        let processes = report["processes"].as_array().unwrap();
        assert_eq!(printed.lines().count(), processes.len());
        for (line, process) in printed.lines().zip(processes) {
            let figure = line.strip_suffix(" MiB").unwrap().rsplit(['\t', ' ']).next().unwrap();
            let expected = process["rss_peak_bytes"].as_i64().unwrap();
            assert_eq!(figure, format!("{:.3}", Bytes(expected).mib()), "{printed}");
            if process["parent_pid"].is_u64() {
                assert!(line.contains(&format!("Child {}\t", process["pid"])), "{printed}");
            }
        }
    }
}

#[test]
fn mprof_itself_draws_processes_and_functions_whatever_their_names() {
    let mut hostile = family();
    let name = "/tmp/a b/$x^$ \u{1b}[2J\n数据.py";
    hostile.processes[0].command = vec!["python".into(), name.into(), "$".into()];
    hostile.processes[0].lines[0] = line(name, "_$f{ g\r\n", 1, 8, memory(32.0, 0.0, 0.0));
    hostile.processes[0].lines[2] = line("", "", 1, 1, memory(2.5, 0.0, 0.0));
    let nothing = profile(vec![process(1, &[], Memory::ZERO)]);
    for profile in [service(), hostile, nothing] {
        let text = printed(&profile);
        for options in [&["-o", "plot.png"][..], &["-o", "plot.png", "--flame"]] {
            let folder = tempfile::tempdir().unwrap();
            run_mprof("plot", options, folder.path(), &text);
            let picture = std::fs::read(folder.path().join("plot.png")).unwrap();
            let picture = Pixmap::decode_png(&picture).unwrap();
            // 14 by 6 inches of 90 pixels.
            assert_eq!((picture.width(), picture.height()), (1260, 540));
            let colors: std::collections::BTreeSet<[u8; 3]> = picture
                .pixels()
                .iter()
                .map(|pixel| [pixel.red(), pixel.green(), pixel.blue()])
                .collect();
            assert!(colors.len() > 50, "{} colours", colors.len());
        }
    }
}
