//! The table: one golden file for each thing that it must be able to say.

use memtrace::profile::{Ending, Memory, ProcessProfile, Profile, Reason};
use memtrace::report::{Column, Measure, SourceText, SourceTexts, TableOptions, table};
use memtrace::units::Bytes;

use super::build::*;
use super::check;

pub(crate) fn printed(profile: &Profile, sources: &SourceTexts, options: &TableOptions) -> String {
    let mut out = Vec::new();
    table::write(&mut out, profile, sources, options).unwrap();
    String::from_utf8(out).unwrap()
}

/// `app.py` in the first process; the decoder was not to be had.
fn sources() -> SourceTexts {
    let mut sources = SourceTexts::new();
    sources.insert(0, APP, SourceText::new(APP_TEXT, false));
    sources.insert(0, DECODER, SourceText::Unreadable("permission denied".to_owned()));
    sources
}

#[test]
fn the_table_of_a_server() {
    // 12 + 38.5 + 1.25 = 51.75 MiB; 12582912 + 40370176 + 1310720 = 54263808 bytes.
    // Function tables: `handle` and `main` have a cumulative 32 and 36 MiB, the decoder 2.5.
    let text = printed(&profile(vec![server()]), &sources(), &TableOptions::default());
    assert!(text.contains(
        "before attach 12.000 MiB + lines 38.500 MiB + unattributed 1.250 MiB = RSS now 51.750 MiB"
    ));
    assert!(text.contains("in bytes: 12582912 + 40370176 + 1310720 = 54263808"));
    check("table.txt", &text);
}

#[test]
fn the_table_with_every_column() {
    let options = TableOptions { columns: Column::ALL.to_vec(), ..TableOptions::default() };
    check("table-columns.txt", &printed(&profile(vec![server()]), &sources(), &options));
}

#[test]
fn the_table_bold_and_narrow_and_with_few_lines() {
    // Two of five lines are shown; the others come to 2.5 + 0 + 0 MiB. Of three functions only
    // `handle`, which holds the first two lines.
    let options = TableOptions {
        top_lines: 2,
        functions_of_top: 2,
        width: 80,
        color: true,
        ..TableOptions::default()
    };
    let text = printed(&profile(vec![server()]), &sources(), &options);
    assert!(text.contains("… and 3 more lines, 2.500 MiB\n"));
    assert!(text.contains("… and 2 more functions have figures"));
    check("table-narrow.txt", &text);
}

#[test]
fn the_table_in_another_order_says_which() {
    // Net: 32, 4, 2.5 MiB, so that `handle` would come first. Events of their own, made to differ:
    let mut process = server();
    process.lines[2].self_events = 5000;
    let options = TableOptions { sort: Measure::Events, ..TableOptions::default() };
    let text = printed(&profile(vec![process]), &sources(), &options);
    let (_, top) = text.split_once("\nTop lines by events of their own (MiB)\n").unwrap();
    let places: Vec<_> =
        top.lines().skip(1).take(3).filter_map(|row| row.split_once(':')).collect();
    let numbers: Vec<_> =
        places.iter().filter_map(|(_, rest)| rest.split_whitespace().next()).collect();
    assert_eq!(numbers, ["353", "8", "10"]);
    let first = text.split_once("\nFunction: ").unwrap().1;
    assert!(first.starts_with("JSONDecoder.raw_decode\n"));
}

#[test]
fn the_table_of_several_processes() {
    // A server, a worker forked from it that came to nothing, a shell that is in the overview only
    // (0.5 MiB), a shell that is notable (2 MiB), and what a child was before it called exec.
    let mut worker = process(4243, &["python", "-c", "it's a worker"], memory(10.0, 4.0, 0.0));
    worker.parent = Some(4242);
    worker.ending = Ending::Exited;
    let shell = |pid, growth: f64, ending| {
        let row = unattributed(Reason::NotPython, "sh", memory(growth, 0.0, 0.0), 3);
        ProcessProfile {
            parent: Some(4242),
            python: None,
            ending,
            after: memory(growth, 0.0, 0.0),
            peak: mib(growth),
            unattributed: vec![row],
            events: 3,
            ..process(pid, &["sh", "-c", "ls *.py"], Memory::ZERO)
        }
    };
    let processes =
        vec![server(), worker, shell(4244, 0.5, Ending::Exited), shell(4245, 2.0, Ending::Execed)];
    let text = printed(&profile(processes), &sources(), &TableOptions::default());
    assert!(!text.contains("Process 4244"));
    assert!(text.contains("Process 4245"));
    check("table-processes.txt", &text);
}

#[test]
fn the_table_of_a_process_that_shrank() {
    // before 2 TiB anon; the line gave back 1 TiB more than it grew; swap took 0.5 MiB.
    // 2097152 - 1048576 - 0.5 = 1048575.5 MiB
    let mut free = line(APP, "handle", 6, 8, memory(-1_048_576.0, 0.0, 0.0));
    free.self_grown = Bytes::ZERO;
    free.self_returned = mib(1_048_576.0);
    free.self_resident = Bytes::ZERO;
    free.peak_rss = mib(2_097_152.0);
    let tiny = line(APP, "handle", 6, 10, Memory::ZERO);
    let process = ProcessProfile {
        after: memory(1_048_575.5, 0.0, 0.0),
        lines: vec![free, tiny],
        functions: vec![span(APP, "handle", 6, 11)],
        unattributed: vec![unattributed(Reason::Kernel, "kswapd0", memory(-0.5, 0.0, 0.0), 1)],
        events: 3,
        ..process(7, &["python"], memory(2_097_152.0, 0.0, 0.0))
    };
    let text = printed(&profile(vec![process]), &sources(), &TableOptions::default());
    assert!(text.contains("lines -1048576.000 MiB + unattributed -0.500 MiB"));
    check("table-shrank.txt", &text);
}

#[test]
fn the_table_after_losses_and_with_a_gap_in_the_law() {
    // The server, but 8 KiB of anonymous memory more and 4 KiB of shared memory less than its rows
    // say: a gap of 4096 bytes. And 7 records lost, whose 0.5 MiB are a row (so no gap).
    let mut process = server();
    process.after += Memory { anon: Bytes(8192), file: Bytes(0), shmem: Bytes(-4096) };
    process.after.anon += mib(0.5);
    process.unattributed.push(unattributed(Reason::Lost, "", memory(0.5, 0.0, 0.0), 7));
    (process.lost_events, process.lost_bytes) = (7, mib(0.5));
    process.ending = Ending::Exited;
    process.notes = vec!["the interpreter's JIT is on: a line may stand for the one before".into()];
    let mut profile = profile(vec![process]);
    (profile.exact, profile.kernel) = (false, "5.10.0".to_owned());
    let text = printed(&profile, &sources(), &TableOptions::default());
    assert!(text.contains("differ by 4096 bytes (anon +8192, file +0, shmem -4096)"));
    // 54263808 + 524288 + 4096
    assert!(text.contains("12582912 + 40370176 + 1835008 + 4096 = 54792192"));
    check("table-gap.txt", &text);
}

#[test]
fn the_table_is_loud_when_gaps_of_two_kinds_cancel() {
    let mut process = server();
    process.after += memory(1.0, -1.0, 0.0);
    let text = printed(&profile(vec![process]), &sources(), &TableOptions::default());
    assert!(text.contains("differ by 0 bytes (anon +1048576, file -1048576, shmem +0)"));
}

#[test]
fn the_table_of_a_process_with_hostile_names() {
    let file = "/tmp/\x1b[2J\u{202e}evil\n  !! forged row\r.py";
    let function = "数据处理\x07<lambda>";
    let before = memory(1.0, 0.0, 0.0);
    let thread = "thread\x1b]0;owned\x07";
    let process = ProcessProfile {
        python: Some("3.12\x1b[0m".to_owned()),
        after: memory(4.0, 0.0, 0.0),
        lines: vec![line(file, function, 1, 2, memory(2.0, 0.0, 0.0))],
        // It claims to span four thousand million lines.
        functions: vec![span(file, function, 1, u32::MAX)],
        unattributed: vec![unattributed(Reason::NativeThread, thread, memory(1.0, 0.0, 0.0), 1)],
        events: 2,
        notes: vec!["a note\nwith \x1b[31mcolour".to_owned()],
        ..process(9, &["python\n", "\x1b[8m", "", "it's; rm -rf"], before)
    };
    let mut sources = SourceTexts::new();
    let text = "def 数据处理():\n\treturn '\x1b[2J' # \u{9b}31m\u{2028}\n";
    sources.insert(0, file, SourceText::new(text, false));
    let text = printed(&profile(vec![process]), &sources, &TableOptions::default());
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{2028}';
    assert!(!text.contains(acts));
    assert!(!text.lines().any(|line| line.starts_with("  !! forged")));
    check("table-hostile.txt", &text);
}

#[test]
fn the_table_of_a_long_file_and_of_changed_ones() {
    // `main` has figures on line 17, but its file has three lines now. The module's own code spans
    // 1000 lines and has figures on 2 and 500: shown are the first line and three around each.
    let long: String = (1..=1000).map(|number| format!("x{number} = {number}\n")).collect();
    let process = ProcessProfile {
        after: memory(4.0, 0.0, 0.0),
        lines: vec![
            line("/srv/long.py", "<module>", 1, 2, memory(1.0, 0.0, 0.0)),
            line("/srv/long.py", "<module>", 1, 500, memory(1.0, 0.0, 0.0)),
            line(APP, "main", 14, 17, memory(1.0, 0.0, 0.0)),
        ],
        functions: vec![span("/srv/long.py", "<module>", 1, 1000), span(APP, "main", 14, 17)],
        events: 3,
        ..process(8, &["python"], memory(1.0, 0.0, 0.0))
    };
    let mut sources = SourceTexts::new();
    sources.insert(0, "/srv/long.py", SourceText::new(&long, true));
    sources.insert(0, APP, SourceText::new("a\nb\nc\n", true));
    let text = printed(&profile(vec![process]), &sources, &TableOptions::default());
    for (shown, hidden) in [(1, 6), (5, 496), (497, 504), (503, 1000)] {
        assert!(text.contains(&format!("x{shown} = {shown}\n")), "{shown}");
        assert!(!text.contains(&format!("x{hidden} = {hidden}\n")), "{hidden}");
    }
    check("table-files.txt", &text);
}

#[test]
fn the_table_of_nothing() {
    check("table-nothing.txt", &printed(&profile(vec![]), &sources(), &TableOptions::default()));
}

#[test]
fn the_table_bounds_the_processes_in_full() {
    let processes = (1..=30).map(|pid| ProcessProfile {
        events: u64::from(pid),
        ..process(pid, &["python"], memory(1.0, 0.0, 0.0))
    });
    let text = printed(&profile(processes.collect()), &sources(), &TableOptions::default());
    assert_eq!(text.matches("\nProcess ").count(), 20);
    assert!(text.contains("\n10 processes in this table only"));
    assert!(!text.contains("Process 10:") && text.contains("Process 11:")); // most events
}
