//! Parts of a profile: the law holds for each, and a part says what it lacks.

use memtrace::profile::filter::{Filter, Idle, filtered, idle};
use memtrace::profile::{Counts, LineFigures, Memory, ProcessProfile, Reason, lines_of};

use super::build::*;

fn files(include: &[&str], exclude: &[&str]) -> Filter {
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Filter { include: globs(include), exclude: globs(exclude), ..Filter::default() }
}

fn threads(names: &[&str]) -> Filter {
    let threads = names.iter().map(|name| name.parse().unwrap()).collect();
    Filter { threads, ..Filter::default() }
}

/// The part of the sample server.
fn part(filter: &Filter) -> ProcessProfile {
    let mut part = filtered(&profile(vec![server()]), filter);
    assert_eq!(part.processes.len(), 1);
    part.processes.remove(0)
}

/// Numbers of the lines, in order.
fn numbers(process: &ProcessProfile) -> Vec<u32> {
    process.lines.iter().map(|line| line.place.line).collect()
}

#[test]
fn lines_of_other_files_become_one_row() {
    for filter in [
        files(&["/srv/*"], &[]),
        files(&["app.py"], &[]),
        files(&[], &["/usr/lib/python3.12/*"]),
        files(&[], &["decod?r.py"]),
        files(&["*.py"], &["*/json/*"]),
    ] {
        let part = part(&filter);
        // `block`, `shared` and their caller; the decoder and its caller are gone.
        assert_eq!(numbers(&part), [8, 10, 16]);
        let rows: Vec<_> =
            part.unattributed.iter().map(|row| (row.reason, row.net, row.events)).collect();
        assert_eq!(
            rows,
            [
                (Reason::NativeThread, memory(1.5, 0.0, 0.0), 12),
                (Reason::LeftOut, memory(2.0, 0.5, 0.0), 40),
                (Reason::Remainder, memory(0.0, -0.25, 0.0), 0),
            ]
        );
        assert_eq!(part.law_gap(), Memory::ZERO);
        assert_eq!(part.after, server().after);
        // Its course: the decoder was line 2.
        let changes: Vec<_> = part.moments.iter().map(|moment| moment.changes.clone()).collect();
        let (of_block, of_shared) = (|net| (0, mib(net)), |net| (1, mib(net)));
        assert_eq!(
            changes,
            [vec![of_block(20.0)], vec![of_block(16.0), of_shared(4.0)], vec![of_block(-4.0)],]
        );
        let functions: Vec<_> = part.functions.iter().map(|span| span.function.as_str()).collect();
        assert_eq!(functions, ["handle", "main"]);
        assert_eq!(part.notes, server().notes);
    }
}

#[test]
fn threads_are_chosen_by_name_or_number() {
    for filter in [threads(&["worker-*"]), threads(&["4250"])] {
        let part = part(&filter);
        assert_eq!(numbers(&part), [10, 16]);
        let left_out = part.unattributed.iter().find(|row| row.reason == Reason::LeftOut);
        let left_out = left_out.unwrap();
        assert_eq!((left_out.net, left_out.events), (memory(34.0, 0.5, 0.0), 940));
        assert_eq!(part.law_gap(), Memory::ZERO);
        let changes: Vec<_> = part.moments.iter().map(|moment| moment.changes.clone()).collect();
        assert_eq!(changes, [vec![], vec![(0, mib(4.0))], vec![]]);
    }
    assert_eq!(numbers(&part(&threads(&["python", "worker-1"]))), numbers(&server()));
}

#[test]
fn a_line_of_several_threads_says_that_its_course_is_not_known_for_one() {
    let mut server = server();
    let mut elsewhere = server.stacks[0].clone();
    elsewhere.thread = 1;
    elsewhere.returned = elsewhere.grown;
    server.stacks.push(elsewhere);
    server.lines = lines_of(&server.stacks);
    let before = server.clone();
    let part = filtered(&profile(vec![server]), &threads(&["python"])).processes.remove(0);
    assert_eq!(part.law_gap(), before.law_gap());
    assert_eq!(part.lines[0].self_net, memory(32.0, 0.0, 0.0));
    let changes: Vec<_> = part.moments.iter().map(|moment| moment.changes.clone()).collect();
    // The decoder ran in one thread only.
    assert_eq!(changes, [vec![(1, mib(1.0))], vec![(1, mib(1.0))], vec![(1, mib(0.5))]]);
    assert_eq!(part.notes.len(), 1);
    assert!(part.notes[0].starts_with("1 lines ran in threads that are left out, too"));
}

#[test]
fn other_processes_go_with_all_they_have() {
    let child = process(4243, &["sh"], memory(1.0, 0.0, 0.0));
    let both = profile(vec![server(), child]);
    let filter = Filter { processes: vec![4243], ..Filter::default() };
    let part = filtered(&both, &filter);
    assert_eq!(part.processes, both.processes[1..]);
    assert_eq!(filtered(&both, &Filter::default()), both);
}

#[test]
fn what_matches_nothing_is_told() {
    let mut filter = files(&["/srv/*", "/opt/*"], &["*.pyx"]);
    filter.processes = vec![4242, 7];
    filter.threads = threads(&["python", "gunicorn*"]).threads;
    let idle = idle(&profile(vec![server()]), &filter);
    assert_eq!(
        idle,
        [
            Idle::Process(7),
            Idle::Thread("gunicorn*".to_owned()),
            Idle::Include("/opt/*".to_owned()),
            Idle::Exclude("*.pyx".to_owned()),
        ]
    );
    assert_eq!(idle[2].to_string(), "no file with figures matches \"/opt/*\"");
}

#[test]
fn any_part_of_any_profile_obeys_the_law() {
    let filters = [files(&["f1.py"], &[]), files(&[], &["*"]), files(&["nothing"], &["*"])];
    for seed in 1..=60 {
        let whole = Random::seeded(seed).process(1);
        for filter in &filters {
            let part = filtered(&profile(vec![whole.clone()]), filter).processes.remove(0);
            assert_eq!(part.law_gap(), Memory::ZERO, "seed {seed}, {filter:?}");
            assert_eq!(part.after, whole.after);
            let events = |process: &ProcessProfile| -> u64 {
                process.stacks.iter().map(|stack| stack.events).sum::<u64>()
                    + process.unattributed.iter().map(|row| row.events).sum::<u64>()
            };
            assert_eq!(events(&part), events(&whole));
        }
    }
}

#[test]
fn a_bad_pattern_is_told_with_a_good_one() {
    use memtrace::profile::filter::Glob;
    for bad in ["[a", "{a,b", ""] {
        let error = bad.parse::<Glob>().unwrap_err().to_string();
        assert!(error.contains("'/srv/*'"), "{error}");
    }
}

#[test]
fn counts_are_those_of_the_files_that_are_kept() {
    let mut server = server();
    let place = |file: &str, line| line_of(file, line).place;
    let counts = [(place(APP, 8), 3), (place("/usr/lib/python3.12/json/decoder.py", 40), 5)];
    server.counts = Counts { executions: Some(counts.into()), evaluations: None };
    let whole = profile(vec![server]);
    let kept = |filter: &Filter| filtered(&whole, filter).processes.remove(0);
    let part = kept(&files(&["app.py"], &[]));
    let executions: Vec<_> = part
        .counts
        .executions
        .iter()
        .flatten()
        .map(|(place, count)| (place.line, *count))
        .collect();
    assert_eq!((executions, part.counts.evaluations), (vec![(8, 3)], None));
    // Of threads nobody has counts: all of them stay, and that is said.
    let part = kept(&threads(&["python"]));
    assert_eq!(part.counts.executions.map(|counts| counts.len()), Some(2));
    assert!(
        part.notes.iter().any(|note| note.contains("counted in all threads")),
        "{:?}",
        part.notes
    );
}

fn line_of(file: &str, number: u32) -> LineFigures {
    line(file, "f", number, number, Memory::ZERO)
}
