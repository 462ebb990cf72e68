//! Which rows there are, in which order, and that they add up.

use memtrace::profile::Ending;
use memtrace::top::model::{Measure, Order, Screen};
use memtrace::units::Bytes;

use super::words;
use crate::build::{Random, memory, mib};
use crate::script::{at, service, worker};
use crate::{press, watched};

#[test]
fn rows_are_sorted_by_what_was_chosen() {
    let mut screen = watched(30);
    let (gc, kernel) = ("native thread", "kernel (swap, reclaim, khugepaged)");
    // 37.5, 7.5, 2, 1.5, 0.5, -0.25
    assert_eq!(words(&screen), ["25", "39", "353", "31", gc, kernel]);
    press(&mut screen, "o");
    assert_eq!(screen.choice().order, Order::Rate);
    // 1.25 and 0.25 a second; the others nothing, so by size.
    assert_eq!(words(&screen), ["25", "39", "353", "31", gc, kernel]);
    press(&mut screen, "o");
    // 5068800, 600, 512, 30, 3, 1
    assert_eq!(words(&screen), ["31", "25", "353", "39", gc, kernel]);
    press(&mut screen, "o");
    // /srv before /usr, then by line; reasons behind lines.
    assert_eq!(words(&screen), ["25", "31", "39", "353", gc, kernel]);
    press(&mut screen, "o");
    assert_eq!(screen.choice().order, Order::Size);
}

#[test]
fn the_line_that_grows_now_is_first_by_rate_and_not_by_size() {
    let mut screen = watched(4);
    // At 4 s: 353 has 2 MiB at 0.5 a second, 39 has 1 at 0.25, 31 has 1.5 since the beginning:
    // 1.5 MiB in the first of four windows.
    assert_eq!(words(&screen)[..4], ["25", "353", "31", "39"]);
    for second in 5..=20 {
        screen.take(at(second, vec![service(second)]));
    }
    press(&mut screen, "o");
    assert_eq!(words(&screen)[..4], ["25", "39", "353", "31"]);
}

#[test]
fn each_measure_is_that_of_the_lines() {
    let mut screen = watched(30);
    let value = |screen: &Screen, of: &str| {
        let rows = screen.rows().rows;
        let row = rows.iter().find(|row| super::word(row) == of).unwrap();
        row.value.map(Bytes::mib)
    };
    assert_eq!(value(&screen, "31"), Some(1.5));
    assert_eq!(value(&screen, "native thread"), Some(0.5));
    press(&mut screen, "g");
    assert_eq!(screen.choice().measure, Measure::Grown);
    assert_eq!(value(&screen, "31"), Some(19800.0));
    // What no line answers for has only a net change.
    assert_eq!(value(&screen, "native thread"), None);
    press(&mut screen, "c");
    // do_GET's line 46 calls `render` only, 47 `checksum` only; the handler calls all three.
    assert_eq!(value(&screen, "46"), Some(30.0));
    assert_eq!(value(&screen, "47"), Some(19800.0));
    assert_eq!(value(&screen, "761"), Some(30.0 + 19800.0 + 2.0));
    press(&mut screen, "g");
    assert_eq!(screen.choice().measure, Measure::Resident);
    assert_eq!(value(&screen, "761"), Some(30.0 + 1.5 + 2.0));
    press(&mut screen, "gc");
    assert_eq!((screen.choice().measure, value(&screen, "31")), (Measure::Net, Some(1.5)));
}

#[test]
fn the_rows_of_any_process_add_up_to_its_growth_with_any_filter() {
    for seed in 1..=40 {
        let process = Random::seeded(seed).process(1);
        let growth = (process.after - process.before).total();
        let mut screen = Screen::new(Vec::new());
        screen.take(at(1, vec![process]));
        let all = screen.rows();
        assert_eq!((all.shown, all.hidden, all.hidden_rows), (growth, Bytes::ZERO, 0));
        let sum: Bytes = all.rows.iter().filter_map(|row| row.value).sum();
        assert_eq!(sum, growth);
        press(&mut screen, "/f1.py !f3<enter>");
        let some = screen.rows();
        assert_eq!(some.shown + some.hidden, growth, "seed {seed}");
        assert_eq!(some.rows.len() + some.hidden_rows, all.rows.len());
    }
}

#[test]
fn a_filter_shows_rows_with_all_of_its_words() {
    let mut screen = watched(30);
    press(&mut screen, "/SERVICE !31<enter>");
    assert_eq!(words(&screen), ["25", "39"]);
    let rows = screen.rows();
    assert_eq!((rows.shown, rows.hidden), (mib(45.0), mib(2.0 + 1.5 + 0.5 - 0.25)));
    press(&mut screen, "/<backspace><backspace><backspace><backspace> render<enter>");
    assert_eq!(words(&screen), ["25"]);
    press(&mut screen, "<esc>");
    assert_eq!(words(&screen).len(), 6);
}

#[test]
fn processes_that_ended_leave_the_table_while_others_run() {
    let mut screen = Screen::new(Vec::new());
    screen.take(at(10, vec![service(10), worker(10)]));
    assert!(words(&screen).contains(&"7".to_owned()));
    let ended = || {
        let mut worker = worker(10);
        (worker.ending, worker.ended) = (Ending::Exited, Some(memtrace::units::Nanos(1)));
        worker
    };
    screen.take(at(11, vec![service(11), ended()]));
    assert!(!words(&screen).contains(&"7".to_owned()));
    // The user can still look at it; and when none runs any more, all are there.
    press(&mut screen, "<tab><down><enter>");
    assert_eq!(words(&screen), ["7"]);
    press(&mut screen, "<esc>");
    let mut service = service(11);
    service.ending = Ending::Exited;
    screen.take(at(12, vec![service, ended()]));
    assert!(words(&screen).contains(&"7".to_owned()) && words(&screen).contains(&"25".to_owned()));
}

#[test]
fn lines_that_only_call_have_no_row_of_their_own() {
    let mut screen = watched(5);
    assert!(!words(&screen).contains(&"46".to_owned()));
    press(&mut screen, "c");
    assert!(words(&screen).contains(&"46".to_owned()));
}

#[test]
fn processes_are_sorted_by_growth_and_say_what_they_cost() {
    let mut screen = Screen::new(Vec::new());
    let mut other = worker(30);
    other.after = other.before + memory(60.0, 0.0, 0.0);
    screen.take(at(30, vec![service(30), other]));
    let rows = screen.processes();
    assert_eq!(rows.iter().map(|row| row.life.pid).collect::<Vec<_>>(), [4243, 4242]);
    assert_eq!(rows[1].growth, mib(48.75));
    // 90 and 30 ms a second.
    assert!((rows[1].cost.probe - 0.09).abs() < 1e-9);
    assert!((rows[1].cost.userspace - 0.03).abs() < 1e-9);
}
