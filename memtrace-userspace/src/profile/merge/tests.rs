//! Workers as one: sums, the law, and those that have ended.

use super::*;
use crate::profile::Estimate;

fn anon(bytes: i64) -> Memory {
    Memory { anon: Bytes(bytes), ..Memory::ZERO }
}

fn place(line: u32) -> Arc<Place> {
    Arc::new(Place {
        file: "app.py".to_owned(),
        line,
        function: "work".to_owned(),
        function_line: 1,
    })
}

/// A process in which each given line grew by so much, at the end of a window at `at`.
fn process(pid: u32, before: i64, lines: &[(u32, i64)], at: u64, ending: Ending) -> ProcessProfile {
    let stack = |(line, grown): &(u32, i64)| StackFigures {
        thread: 0,
        frames: vec![place(*line)],
        native: Vec::new(),
        allocated: Allocated::default(),
        grown: anon(*grown),
        returned: Memory::ZERO,
        resident: Bytes(*grown),
        copied: Bytes(4096),
        released: Bytes::ZERO,
        events: 1,
        peak_rss: Bytes(before + grown),
        estimate: Estimate::default(),
    };
    let stacks: Vec<StackFigures> = lines.iter().map(stack).collect();
    let grown: i64 = lines.iter().map(|(_, grown)| grown).sum();
    let lines = lines_of(&stacks);
    let changes = (0..lines.len()).map(|at| (at, lines[at].self_net.total())).collect();
    let after = anon(before + grown);
    ProcessProfile {
        pid,
        parent: None,
        command: vec!["worker".to_owned()],
        python: Some("3.12.1".to_owned()),
        ending,
        began: Nanos(0),
        ended: (ending == Ending::Exited).then_some(Nanos(at + 1)),
        before: anon(before),
        after,
        peak: after.total(),
        threads: vec![Thread { tid: pid, name: "python".to_owned() }],
        stacks,
        lines,
        functions: Vec::new(),
        unattributed: Vec::new(),
        moments: vec![Moment { at: Nanos(at), rss: after, peak: after.total(), changes }],
        events: 1,
        lost_events: 0,
        lost_bytes: Bytes::ZERO,
        overhead: super::super::Overhead::default(),
        lens: None,
        counts: super::super::Counts::default(),
        notes: Vec::new(),
    }
}

fn merged(processes: &[ProcessProfile], pid: u32, command: &[String]) -> Option<ProcessProfile> {
    let mut merging = Merging::default();
    processes.iter().for_each(|process| merging.add(process));
    merging.finish(pid, command)
}

#[test]
fn workers_as_one_have_the_sums_of_their_lines_and_the_law_holds() {
    let one = process(10, 1000, &[(3, 4096), (5, 8192)], 10, Ending::Running);
    let two = process(11, 500, &[(3, 4096)], 20, Ending::Running);
    let process = merged(&[one, two], 10, &["master".to_owned()]).unwrap();
    assert_eq!((process.pid, process.command.as_slice()), (10, &["master".to_owned()][..]));
    assert_eq!((process.before, process.after), (anon(1500), anon(1500 + 16384)));
    assert_eq!(process.law_gap(), Memory::ZERO);
    let lines: Vec<_> = process.lines.iter().map(|it| (it.place.line, it.self_grown.0)).collect();
    assert_eq!(lines, [(3, 8192), (5, 8192)]);
    assert_eq!(process.stacks.iter().map(|stack| stack.copied.0).sum::<i64>(), 3 * 4096);
    assert_eq!(process.threads.len(), 1);
    // RSS of both at each moment of one.
    let moments: Vec<_> = process.moments.iter().map(|it| (it.at.0, it.rss.anon.0)).collect();
    assert_eq!(moments, [(10, 1000 + 12288 + 500), (20, 1500 + 16384)]);
    assert_eq!(process.moments[1].changes, [(0, Bytes(4096))]);
}

#[test]
fn what_ended_took_its_memory_with_it() {
    let one = process(10, 1000, &[(3, 4096)], 10, Ending::Running);
    let two = process(11, 500, &[(3, 8192)], 10, Ending::Exited);
    let process = merged(&[one, two], 10, &[]).unwrap();
    assert_eq!((process.after, process.law_gap()), (anon(1000 + 4096), Memory::ZERO));
    assert_eq!(process.lines[0].self_grown, Bytes(12288));
    assert_eq!(process.lines[0].self_resident, Bytes(4096));
    let row = process.unattributed.iter().find(|row| row.reason == Reason::Ended);
    assert_eq!(row.map(|row| row.net), Some(anon(-8692)));
    assert_eq!(process.moments.last().map(|moment| moment.rss), Some(anon(5096)));
    assert!(process.notes[0].contains("2 processes, 1 of which have ended"), "{:?}", process.notes);
}

#[test]
fn a_worker_that_began_later_is_no_part_of_the_beginning() {
    let check = |began: u64, worker: Ending, after: i64| {
        let mut master = process(10, 1000, &[(3, 4096)], 20, Ending::Running);
        let mut forked = process(11, 900, &[(5, 8192)], 40, worker);
        (master.began, forked.began) = (Nanos(began), Nanos(began + 5));
        let process = merged(&[forked, master], 10, &[]).unwrap();
        assert_eq!((process.began, process.before), (Nanos(began), anon(1000)));
        assert_eq!((process.after, process.law_gap()), (anon(after), Memory::ZERO));
        let row = process.unattributed.iter().find(|row| row.reason == Reason::BeganLater);
        assert_eq!(row.map(|row| row.net), Some(anon(900)));
        let rss: Vec<_> = process.moments.iter().map(|moment| moment.rss.anon.0).collect();
        assert_eq!(rss[..2], [5096, 5096 + 9092]);
    };
    check(0, Ending::Running, 5096 + 9092);
    check(0, Ending::Exited, 5096);
    // Nor does it matter when the master was met.
    check(7, Ending::Running, 5096 + 9092);
}

#[test]
fn nobody_is_nobody() {
    assert_eq!(merged(&[], 1, &[]), None);
}
