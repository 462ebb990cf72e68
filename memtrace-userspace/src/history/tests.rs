//! Histories of scripted entries: what the profile of each range of time must say.

use std::time::SystemTime;

use super::entry::*;
use super::*;
use crate::profile::{Ending, Memory, Reason, Unseen};
use crate::units::Bytes;

const SPACE: SpaceId = SpaceId(1);

fn anon(bytes: i64) -> Memory {
    Memory { anon: Bytes(bytes), ..Memory::ZERO }
}

fn head() -> Head {
    Head { started_at: SystemTime::UNIX_EPOCH, kernel: "6.18.0".to_owned(), exact: true }
}

/// `f` (lines 2 and 3) called by `main` (line 9); stack 0 is 3 ← 9, stack 1 is 2 ← 9, stack 2 the row
/// `native thread`.
fn names() -> Entry {
    let function = |name, first_line, last_line| Function {
        file: TextId(0),
        name: TextId(name),
        first_line,
        last_line,
    };
    let place = |function, line| PlaceName { function: FunctionId(function), line };
    let lines = |frames: &[u32]| StackName::Lines {
        frames: frames.iter().map(|place| PlaceId(*place)).collect(),
        truncated: false,
    };
    Entry::Names(Names {
        texts: ["app.py", "f", "main", "python"].map(str::to_owned).to_vec(),
        functions: vec![function(1, 1, 4), function(2, 7, 9)],
        places: vec![place(0, 3), place(0, 2), place(1, 9)],
        natives: Vec::new(),
        stacks: vec![
            lines(&[0, 2]),
            lines(&[1, 2]),
            StackName::Unattributed { reason: Reason::NativeThread, name: TextId(3) },
        ],
        threads: vec![ThreadName { space: SPACE, tid: 77, name: TextId(3) }],
    })
}

fn began() -> Entry {
    let command = vec!["python".to_owned()];
    let (at, before) = (Nanos(0), anon(1000));
    Entry::Began(Began { space: SPACE, at, pid: 77, parent: None, before, command })
}

/// A window with (stack, grown, returned) for each change.
fn window(at: u64, rss: i64, peak: i64, changes: &[(u32, i64, i64)]) -> Entry {
    let change = |(stack, grown, returned): &(u32, i64, i64)| Change {
        stack: StackId(*stack),
        thread: ThreadId(0),
        grown: anon(*grown),
        returned: anon(*returned),
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        events: 1,
        peak_rss: Bytes(peak),
        unseen: Unseen::default(),
    };
    Entry::Window(Window {
        space: SPACE,
        at: Nanos(at),
        rss: anon(rss),
        peak: Bytes(peak),
        events: changes.len() as u64,
        lost_events: 0,
        lost: Bytes::ZERO,
        probe: Nanos(1),
        userspace_cpu: Nanos(2),
        changes: changes.iter().map(change).collect(),
    })
}

fn entries() -> Vec<Entry> {
    vec![
        names(),
        began(),
        window(10, 1600, 1700, &[(0, 500, 0), (1, 100, 0)]),
        window(20, 2110, 2200, &[(0, 600, 100), (2, 10, 0)]),
        window(30, 1310, 2110, &[(0, 0, 800)]),
    ]
}

fn history(range: RangeInclusive<Nanos>) -> History {
    let mut history = History::new(head(), range);
    for entry in entries() {
        history.add(&entry).unwrap();
    }
    history
}

/// (line, grown, returned, resident, cumulative net) of each line.
fn lines(profile: &Profile) -> Vec<(u32, i64, i64, i64, i64)> {
    let figures = |line: &crate::profile::LineFigures| {
        let Bytes(resident) = line.self_resident;
        let (grown, returned) = (line.self_grown.0, line.self_returned.0);
        (line.place.line, grown, returned, resident, line.cumulative_net.0)
    };
    profile.processes[0].lines.iter().map(figures).collect()
}

#[test]
fn the_whole_of_time_is_the_sum_of_its_windows() {
    let profile = history(WHOLE).profile();
    let process = &profile.processes[0];
    assert_eq!(
        lines(&profile),
        [(3, 1100, 900, 200, 200), (2, 100, 0, 100, 100), (9, 0, 0, 0, 300)]
    );
    assert_eq!((process.before, process.after), (anon(1000), anon(1310)));
    assert_eq!((process.peak, process.law_gap()), (Bytes(2200), Memory::ZERO));
    assert_eq!(process.unattributed[0].net, anon(10));
    assert_eq!((process.events, process.overhead.userspace_cpu), (5, Nanos(6)));
    assert_eq!(profile.duration, Nanos(30));
    let moments: Vec<_> = process.moments.iter().map(|m| (m.at.0, m.rss.anon.0)).collect();
    assert_eq!(moments, [(10, 1600), (20, 2110), (30, 1310)]);
    assert_eq!(process.moments[1].changes, [(0, Bytes(500))]);
}

/// Line 3 has 100 pages walked that stand for 400 each, then half of both given back.
#[test]
fn what_walked_pages_stand_for_goes_with_them_and_the_law_holds_without_it() {
    let part = |at, (grown, returned): (i64, i64)| {
        let mut entry = window(at, 1000, 1000, &[(0, 4096 * grown, 4096 * returned)]);
        if let Entry::Window(window) = &mut entry {
            window.rss = anon(1000 + 4096 * 100 * if at == 10 { 1 } else { 0 });
            let squares = (grown.cast_unsigned(), returned.cast_unsigned());
            window.changes[0].unseen = Unseen::of(2, (grown, returned), squares);
        }
        entry
    };
    let estimate = |range| {
        let mut history = History::new(head(), range);
        for entry in [names(), began(), part(10, (100, 0)), part(20, (0, 100))] {
            history.add(&entry).unwrap();
        }
        let process = history.profile().processes.remove(0);
        assert_eq!(process.law_gap(), Memory::ZERO);
        let line = process.lines.iter().find(|line| line.place.line == 3).unwrap();
        (line.self_estimate.more.0 / 4096, line.self_estimate.variance)
    };
    assert_eq!(estimate(Nanos(0)..=Nanos(10)), (300, 1200));
    assert_eq!(estimate(WHOLE), (0, 0));
    // As sure as what was grown before.
    assert_eq!(estimate(Nanos(10)..=Nanos(20)), (-300, 1200));
}

#[test]
fn a_range_begins_with_the_rss_of_its_beginning_and_the_law_holds_in_it() {
    let profile = history(Nanos(10)..=Nanos(20)).profile();
    let process = &profile.processes[0];
    // Line 3 held 500 when the range began and grew 500 net in it; line 2 did nothing in it.
    assert_eq!(lines(&profile), [(3, 600, 100, 1000, 500), (9, 0, 0, 0, 500), (2, 0, 0, 100, 0)]);
    assert_eq!((process.before, process.after), (anon(1600), anon(2110)));
    assert_eq!((process.peak, process.law_gap()), (Bytes(2200), Memory::ZERO));
    assert_eq!(profile.duration, Nanos(10));
    assert_eq!(process.moments.len(), 1);
    assert_eq!(process.moments[0].at, Nanos(10));
}

#[test]
fn a_history_that_begins_anew_says_what_one_of_that_range_says() {
    let mut anew = History::new(head(), WHOLE);
    let mut from = 0;
    for entry in entries() {
        anew.add(&entry).unwrap();
        let Some(at) = entry.at().filter(|at| *at > Nanos(0)) else { continue };
        assert_eq!(anew.profile(), history(Nanos(from)..=at).profile(), "{from} to {at:?}");
        anew.begin_anew(at);
        from = at.0;
    }
    // A process that is over is not in the next.
    let ended = Ended { space: SPACE, at: Nanos(35), ending: Ending::Exited, present: Vec::new() };
    anew.add(&Entry::Ended(ended)).unwrap();
    assert_eq!(anew.profile().processes.len(), 1);
    anew.begin_anew(Nanos(35));
    assert_eq!(anew.profile().processes, []);
}

#[test]
fn the_peak_is_at_the_window_that_ended_highest() {
    let history = history(WHOLE);
    assert_eq!(history.time_of_peak(), Some(Nanos(20)));
}

#[test]
fn what_is_found_present_at_the_end_is_resident() {
    let mut history = history(WHOLE);
    let ended = Ended {
        space: SPACE,
        at: Nanos(40),
        ending: Ending::Exited,
        present: vec![(StackId(0), ThreadId(0), Bytes(150))],
    };
    history.add(&Entry::Ended(ended)).unwrap();
    let profile = history.profile();
    assert_eq!(lines(&profile)[0], (3, 1100, 900, 150, 200));
    assert_eq!(profile.processes[0].ended, Some(Nanos(40)));
    assert_eq!(profile.duration, Nanos(40));
}

#[test]
fn a_process_that_was_over_before_the_range_is_not_in_it() {
    let mut history = History::new(head(), Nanos(50)..=Nanos(60));
    for entry in entries() {
        history.add(&entry).unwrap();
    }
    let ending = Ending::Exited;
    let ended = Ended { space: SPACE, at: Nanos(40), ending, present: Vec::new() };
    history.add(&Entry::Ended(ended)).unwrap();
    assert!(history.profile().processes.is_empty());
}

#[test]
fn what_was_never_named_is_refused() {
    let check = |entry: Entry, what: &str| {
        let error = history(WHOLE).add(&entry).unwrap_err().to_string();
        assert_eq!(error, what);
    };
    check(window(40, 1, 1, &[(3, 1, 0)]), "stack 3 was never named");
    check(began(), "process 1 begins a second time");
    let empty = StackName::Lines { frames: Vec::new(), truncated: false };
    check(
        Entry::Names(Names { stacks: vec![empty], ..Names::default() }),
        "a stack without frames",
    );
    let stranger = StackName::Lines { frames: vec![PlaceId(9)], truncated: false };
    let names = Names { stacks: vec![stranger], ..Names::default() };
    check(Entry::Names(names), "place 9 was never named");
}

#[test]
fn recorded_sources_stand_at_their_line_numbers() {
    use crate::profile::SourceText;
    let mut history = history(WHOLE);
    let source = Source {
        space: SPACE,
        file: TextId(0),
        first_line: 3,
        lines: vec!["    x = 1".to_owned()],
        changed: true,
        unreadable: None,
    };
    history.add(&Entry::Source(source)).unwrap();
    let text = SourceText::new("\n\n    x = 1", true);
    assert_eq!(history.sources().get(0, "app.py"), Some(&text));
}

/// Stack 0 with `memset` above `fill` above it, and the native thread's with `fill`.
fn native_names() -> Entry {
    let native = |function| NativeName {
        function: TextId(function),
        library: TextId(6),
        file: TextId(7),
        line: function,
    };
    Entry::Names(Names {
        texts: ["memset", "fill", "libx.so", ""].map(str::to_owned).to_vec(),
        natives: vec![native(4), native(5)],
        stacks: vec![
            StackName::Native { frames: vec![NativeId(0), NativeId(1)], below: StackId(0) },
            StackName::Native { frames: vec![NativeId(1)], below: StackId(2) },
        ],
        ..Names::default()
    })
}

#[test]
fn native_frames_have_figures_of_their_own_and_leave_the_lines_theirs() {
    let mut history = history(WHOLE);
    history.add(&native_names()).unwrap();
    history.add(&window(40, 1410, 2110, &[(3, 100, 20), (4, 20, 0)])).unwrap();
    let profile = history.profile();
    let process = &profile.processes[0];
    assert_eq!(lines(&profile)[0], (3, 1200, 920, 280, 280));
    assert_eq!(process.law_gap(), Memory::ZERO);
    let [row] = &process.unattributed[..] else { panic!("{:?}", process.unattributed) };
    assert_eq!((row.net, row.native[0].net), (anon(30), anon(20)));
    let functions = process.native_functions();
    let figures: Vec<_> = functions
        .iter()
        .map(|it| (it.function.as_str(), it.self_net.0, it.self_grown.0, it.cumulative_net.0))
        .collect();
    assert_eq!(figures, [("fill", 20, 20, 100), ("memset", 80, 100, 80)]);
    let callers = functions[0].callers.iter();
    let callers: Vec<_> =
        callers.map(|(place, net)| (place.as_ref().map(|place| place.line), net.0)).collect();
    assert_eq!(callers, [(Some(3), 80), (None, 20)]);
}

#[test]
fn native_frames_stand_above_stacks_that_are_there_and_above_no_native_ones() {
    let mut history = history(WHOLE);
    history.add(&native_names()).unwrap();
    let mut refused = |frames: Vec<NativeId>, below| {
        let stacks = vec![StackName::Native { frames, below: StackId(below) }];
        history.add(&Entry::Names(Names { stacks, ..Names::default() })).unwrap_err()
    };
    let unnamed = |what, number| Inconsistent::Unnamed { what, number };
    assert_eq!(refused(vec![NativeId(9)], 0), unnamed("native frame", 9));
    assert_eq!(refused(vec![NativeId(0)], 99), unnamed("stack", 99));
    assert_eq!(refused(vec![NativeId(0)], 3), Inconsistent::NoFrames);
    assert_eq!(refused(Vec::new(), 0), Inconsistent::NoFrames);
}
