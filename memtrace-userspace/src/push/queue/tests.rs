//! The queue over restarts, when it is full, too old or damaged.

use super::*;

fn request(name: &str, bytes: usize) -> Request {
    Request {
        form: "parca".to_owned(),
        query: name.to_owned(),
        content_type: "application/grpc".to_owned(),
        gzip: false,
        body: vec![b'\n'; bytes],
    }
}

fn limits(bytes: u64) -> QueueLimits {
    QueueLimits { bytes, age: Duration::from_secs(60) }
}

/// Takes everything out and gives the names, oldest first.
fn names(queue: &mut Queue, now: SystemTime) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(request) = queue.front(now) {
        names.push(request.query);
        queue.done();
    }
    names
}

#[test]
fn a_restart_finds_what_waited_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut queue = Queue::open(folder.path(), limits(1 << 20)).unwrap();
    for name in ["a", "b", "c"] {
        queue.add(&request(name, 100), now).unwrap();
    }
    assert_eq!(queue.front(now).unwrap(), request("a", 100));
    queue.done();
    let bytes = queue.bytes();
    drop(queue);
    fs::write(folder.path().join("00000000000000000009.part"), "cut").unwrap();
    let mut queue = Queue::open(folder.path(), limits(1 << 20)).unwrap();
    assert_eq!((queue.len(), queue.bytes()), (2, bytes));
    queue.add(&request("d", 100), now).unwrap();
    assert_eq!(names(&mut queue, now), ["b", "c", "d"]);
    assert_eq!((queue.bytes(), queue.dropped), (0, Dropped::default()));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}

#[test]
fn the_oldest_make_room_but_not_the_one_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut queue = Queue::open(folder.path(), limits(4000)).unwrap();
    for name in ["a", "b", "c"] {
        queue.add(&request(name, 1000), now).unwrap();
    }
    assert_eq!(queue.front(now).unwrap().query, "a");
    queue.add(&request("d", 1000), now).unwrap();
    assert!(queue.bytes() <= 4000);
    assert_eq!(queue.dropped, Dropped { full: 1, ..Dropped::default() });
    queue.put_back();
    assert_eq!(names(&mut queue, now), ["a", "c", "d"]);
    queue.add(&request("larger than all", 5000), now).unwrap();
    assert_eq!((queue.len(), queue.dropped.full), (0, 2));
}

#[test]
fn what_is_too_old_goes_and_a_clock_that_steps_back_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    let mut queue = Queue::open(folder.path(), limits(1 << 20)).unwrap();
    queue.add(&request("a", 10), now).unwrap();
    queue.add(&request("b", 10), later(50)).unwrap();
    queue.add(&request("c", 10), later(61)).unwrap();
    assert_eq!((queue.len(), queue.dropped.expired), (2, 1));
    assert_eq!(names(&mut queue, now - Duration::from_secs(3600)), ["b", "c"]);
}

#[test]
fn damaged_files_are_counted_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut queue = Queue::open(folder.path(), limits(1 << 20)).unwrap();
    for name in ["a", "b", "c", "d"] {
        queue.add(&request(name, 100), now).unwrap();
    }
    let damage = |number: u64, bytes: &[u8]| {
        fs::write(folder.path().join(format!("{number:020}.request")), bytes).unwrap();
    };
    damage(0, b"");
    damage(1, b"no JSON\nbody");
    let mut whole = request("c", 100).to_file();
    let last = whole.len() - 1;
    whole[last] ^= 1;
    damage(2, &whole);
    assert_eq!(names(&mut queue, now), ["d"]);
    assert_eq!(queue.dropped.damaged, 3);
}

#[test]
fn a_folder_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let first = Queue::open(folder.path(), limits(1)).unwrap();
    let error = Queue::open(folder.path(), limits(1)).unwrap_err().to_string();
    assert!(error.contains("a folder of its own"), "{error}");
    drop(first);
    Queue::open(folder.path(), limits(1)).unwrap();
    let file = folder.path().join("lock");
    let error = Queue::open(&file, limits(1)).unwrap_err().to_string();
    assert!(error.contains("can't use"), "{error}");
}

#[test]
fn a_full_disk_costs_the_new_request_only() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut queue = Queue::open(folder.path(), limits(1 << 20)).unwrap();
    queue.add(&request("a", 10), now).unwrap();
    // A folder where the file should be: no file can be made of that name, as on a full disk.
    fs::create_dir(folder.path().join("00000000000000000001.part")).unwrap();
    assert!(queue.add(&request("b", 10), now).is_err());
    queue.add(&request("c", 10), now).unwrap();
    assert_eq!(queue.dropped, Dropped { unwritable: 1, ..Dropped::default() });
    assert_eq!(names(&mut queue, now), ["a", "c"]);
}
