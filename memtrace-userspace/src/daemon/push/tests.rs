//! Windows of more programs than the pusher's queue has places: none is lost.

use std::time::SystemTime;

use super::*;
use crate::daemon::group::GroupId;
use crate::profile::{
    Allocated, Counts, Ending, Estimate, Memory, Overhead, Place, ProcessProfile, StackFigures,
    Thread,
};
use crate::push::Form;
use crate::units::Bytes;

fn process(pid: u32) -> ProcessProfile {
    let grown = Memory { anon: Bytes(4096), ..Memory::ZERO };
    let place =
        Place { file: "app.py".to_owned(), line: 1, function: "work".to_owned(), function_line: 1 };
    let stack = StackFigures {
        thread: 0,
        frames: vec![Arc::new(place)],
        native: Vec::new(),
        allocated: Allocated::default(),
        grown,
        returned: Memory::ZERO,
        resident: Bytes(4096),
        copied: Bytes::ZERO,
        released: Bytes::ZERO,
        events: 1,
        peak_rss: Bytes(4096),
        estimate: Estimate::default(),
    };
    ProcessProfile {
        pid,
        parent: None,
        command: vec!["worker".to_owned()],
        python: None,
        ending: Ending::Running,
        began: Nanos(0),
        ended: None,
        before: Memory::ZERO,
        after: grown,
        peak: Bytes(4096),
        threads: vec![Thread { tid: pid, name: "python".to_owned() }],
        stacks: vec![stack],
        lines: Vec::new(),
        functions: Vec::new(),
        unattributed: Vec::new(),
        moments: Vec::new(),
        events: 1,
        lost_events: 0,
        lost_bytes: Bytes::ZERO,
        overhead: Overhead::default(),
        lens: None,
        counts: Counts::default(),
        notes: Vec::new(),
    }
}

/// The windows of so many programs that close at one time, two processes each.
fn programs(count: u32) -> Vec<Arc<ClosedWindow>> {
    let (from, to) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(2));
    let window = |number: u32| ClosedWindow {
        group: GroupId(number),
        labels: Labels { name: format!("program-{number}"), ..Labels::default() },
        from,
        to,
        profile: Profile {
            started_at: from,
            duration: Nanos(1),
            kernel: "6.18.0".to_owned(),
            exact: true,
            processes: vec![process(2 * number), process(2 * number + 1)],
        },
    };
    (0..count).map(|number| Arc::new(window(number))).collect()
}

#[test]
fn windows_of_one_time_are_one_with_each_process_under_its_programs_name() {
    let window = together(&programs(3), "web-1").unwrap();
    assert_eq!(window.profile.duration, Nanos(2_000_000_000));
    let pids: Vec<u32> = window.profile.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [0, 1, 2, 3, 4, 5]);
    let expected = |pid: &u32| {
        Identity::of(&process(*pid))
            .with("service.name", Value::Text(format!("program-{}", pid / 2)))
            .with("host.name", Value::Text("web-1".to_owned()))
    };
    assert_eq!(window.identities, pids.iter().map(expected).collect::<Vec<_>>());
    assert!(together(&[], "web-1").is_none());
}

#[test]
fn a_hundred_programs_that_are_active_at_once_lose_no_window() {
    let settings = Settings {
        // Nobody listens there: what was taken is what waits.
        backend: Backend::new(Form::Pyroscope, "http://127.0.0.1:1").unwrap(),
        credentials: Credentials::default(),
        queue: None,
        limits: QueueLimits::default(),
        patience: Patience::default(),
    };
    let mut store = Store::start(&settings, "").unwrap();
    let meter = store.pusher.meter();
    store.closed(&programs(100));
    store.drain(Duration::ZERO);
    let counts = meter.counts();
    assert_eq!((counts.requests, counts.dropped(), counts.waiting), (200, 0, 200));
}
