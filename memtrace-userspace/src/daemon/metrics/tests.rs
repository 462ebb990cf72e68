//! What a scrape looks like, also of programs that mean harm.

use super::*;
use crate::history::Tables;
use crate::history::entry::{
    Change, Function, FunctionId, Names, PlaceId, PlaceName, SpaceId, StackId, StackName, TextId,
    ThreadId, Window,
};
use crate::profile::Memory;
use crate::units::Bytes;

fn figures(group: &str, file: &str) -> Figures {
    let mut tables = Tables::default();
    let row = StackName::Unattributed { reason: Reason::Lost, name: TextId(1) };
    let lines = StackName::Lines { frames: vec![PlaceId(0)], truncated: false };
    tables
        .add(&Names {
            texts: vec![file.to_owned(), "work".to_owned()],
            functions: vec![Function {
                file: TextId(0),
                name: TextId(1),
                first_line: 1,
                last_line: 9,
            }],
            places: vec![PlaceName { function: FunctionId(0), line: 7 }],
            stacks: vec![lines, row],
            ..Names::default()
        })
        .unwrap();
    let change = |stack, bytes| Change {
        grown: Memory { anon: Bytes(bytes), ..Memory::ZERO },
        events: 2,
        ..Change::none(StackId(stack), ThreadId(0))
    };
    let mut figures = Figures::default();
    let key = Key { group: group.to_owned(), ..Key::default() };
    figures.begin(SpaceId(1), &key, Memory::ZERO);
    let window = Window {
        space: SpaceId(1),
        at: Nanos(0),
        rss: Memory { anon: Bytes(12288), ..Memory::ZERO },
        peak: Bytes(12288),
        events: 4,
        lost_events: 2,
        lost: Bytes(4096),
        probe: Nanos(1_500_000_000),
        userspace_cpu: Nanos(1),
        changes: vec![change(0, 8192), change(1, 4096)],
    };
    figures.window(&window, &tables);
    figures
}

fn text(figures: Figures) -> String {
    prometheus_text(&open_metrics(figures, Own::default(), Bound { lines: 5, groups: 5 }))
}

#[test]
fn figures_are_told_in_the_units_that_their_names_say() {
    let text = text(figures("app", "app.py"));
    let labels = r#"group="app",container="",pod="",namespace="""#;
    for line in [
        "# TYPE memtrace_line_grown_bytes_total counter".to_owned(),
        format!(
            r#"memtrace_line_grown_bytes_total{{{labels},file="app.py",line="7",function="work"}} 8192"#
        ),
        format!(r#"memtrace_group_resident_bytes{{{labels},kind="anon"}} 12288"#),
        format!("memtrace_group_events_total{{{labels}}} 4"),
        format!("memtrace_group_lost_events_total{{{labels}}} 2"),
        format!("memtrace_group_probe_seconds_total{{{labels}}} 1.5"),
        format!(
            r#"memtrace_group_unattributed_bytes{{{labels},reason="lost (ring buffer full)"}} 4096"#
        ),
        r#"memtrace_left_out_processes_total{reason=""} 0"#.to_owned(),
        "memtrace_cpu_seconds_total 0.0".to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
    }
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
}

#[test]
fn names_of_targets_can_t_end_a_value_or_reach_a_terminal() {
    let hostile = "a\"} 1\nfake_metric 7\u{1b}[31m\\\u{202e}";
    let text = text(figures(hostile, hostile));
    assert!(!text.lines().any(|line| line.starts_with("fake_metric")), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    let escaped = r#"file="a\"} 1\\x0afake_metric 7\\x1b[31m\\\\u{202e}""#;
    assert!(text.contains(escaped), "no {escaped} in\n{text}");
}

#[test]
fn a_program_that_is_gone_has_no_series() {
    let mut figures = figures("app", "app.py");
    figures.end(SpaceId(1), Nanos(5));
    assert!(text(figures.clone()).contains("group=\"app\""));
    figures.forget(Nanos(6));
    assert!(!text(figures).contains("group=\"app\""));
}

#[test]
fn what_became_of_requests_is_told_by_store_each_once() {
    let counts = |sent| Counts {
        sent,
        refused: 2,
        waiting: 3,
        dropped_full: 4,
        dropped_expired: 5,
        dropped_windows: 6,
        ..Counts::default()
    };
    // The same address twice is no second series.
    let both = Pushed::of(&counts(1)).and(Pushed::of(&counts(10)));
    let stores = [("parca at http://p:7070".to_owned(), both)].into();
    let own = Own { stores, ..Own::default() };
    let scraped = open_metrics(Figures::default(), own, Bound { lines: 5, groups: 5 });
    let store = r#"store="parca at http://p:7070""#;
    for line in [
        format!(r#"memtrace_push_requests_total{{{store},outcome="sent"}} 11"#),
        format!(r#"memtrace_push_requests_total{{{store},outcome="refused"}} 4"#),
        format!(r#"memtrace_push_requests_total{{{store},outcome="dropped"}} 18"#),
        format!("memtrace_push_waiting_requests{{{store}}} 6"),
        format!("memtrace_push_dropped_windows_total{{{store}}} 12"),
    ] {
        assert!(scraped.lines().any(|it| it == line), "no {line} in\n{scraped}");
    }
    assert!(!text(Figures::default()).contains("memtrace_push"));
}
