//! Several processes, losses, and sums that don't add up.

use harness::browser::Look;
use memtrace::profile::{Ending, Memory, Reason};
use memtrace::report::SourceTexts;
use memtrace::units::Bytes;

use super::build::{line, memory, mib, process, profile, server, span, unattributed};
use super::{Report, cells, with_page};

#[test]
fn of_several_processes_the_one_whose_lines_grew_most_comes_first_and_others_can_be_chosen() {
    let mut worker = process(4243, &["python", "worker.py"], memory(10.0, 4.0, 0.0));
    worker.parent = Some(4242);
    worker.ending = Ending::Exited;
    worker.lines = vec![line("/srv/worker.py", "work", 1, 2, memory(1.0, 0.0, 0.0))];
    worker.functions = vec![span("/srv/worker.py", "work", 1, 2)];
    worker.after = memory(11.0, 4.0, 0.0);
    let mut shell = process(4244, &["sh", "-c", "ls"], Memory::ZERO);
    (shell.parent, shell.python) = (Some(4242), None);
    let report = Report::of(&profile(vec![worker, server(), shell]), &SourceTexts::new());
    with_page(&report, Look::DESK, |page| {
        assert_eq!(page.texts("h1").unwrap(), ["Process 4242 python app.py --port 80"]);
        let rows = cells(page, "#processes-table tbody tr");
        assert_eq!(
            rows,
            [
                [
                    "4243",
                    "4242",
                    "3.12.1",
                    "14.000",
                    "15.000",
                    "1.000",
                    "0",
                    "exited",
                    "python worker.py"
                ],
                [
                    "4242",
                    "-",
                    "3.12.1",
                    "12.000",
                    "51.750",
                    "38.500",
                    "1016",
                    "running",
                    "python app.py --port 80"
                ],
                ["4244", "4242", "-", "0.000", "0.000", "0.000", "0", "running", "sh -c ls"],
            ]
        );
        // The shell is in this table only.
        assert_eq!(page.ask("document.querySelectorAll('[data-process]').length").unwrap(), 2);
        assert_eq!(page.texts("[data-process][aria-current=true]").unwrap(), ["4242"]);

        page.click("[data-process='0']").unwrap();
        assert_eq!(page.texts("h1").unwrap(), ["Process 4243 python worker.py"]);
        assert_eq!(page.texts("#law .figure").unwrap(), ["14.000", "1.000", "0.000", "15.000"]);
        let law = page.texts("#law .term").unwrap();
        assert!(law[3].ends_with("RSS at its end"), "{law:?}");
        assert_eq!(page.texts("#lines-status").unwrap(), ["1 line, 1.000 MiB net"]);
        let course = page.texts("#time-about").unwrap();
        assert_eq!(course, ["Nobody kept RSS over time: there is a summary only."]);
        // An address of a line of the other process leads there.
        page.ask("location.hash = '#line-1-2'").unwrap();
        page.press("Shift+Tab").unwrap();
        assert_eq!(page.texts("h1").unwrap(), ["Process 4242 python app.py --port 80"]);
    });
}

#[test]
fn losses_a_remainder_and_a_gap_are_told_before_anything_else() {
    // 4096 bytes more than the rows say, 7 records lost with 0.5 MiB, and the server's remainder.
    let mut process = server();
    process.after.anon += Bytes(4096) + mib(0.5);
    process.unattributed.push(unattributed(Reason::Lost, "", memory(0.5, 0.0, 0.0), 7));
    (process.lost_events, process.lost_bytes) = (7, mib(0.5));
    let report = Report::of(&profile(vec![process]), &SourceTexts::new());
    with_page(&report, Look::DESK, |page| {
        let told = page.texts("#warnings .banner").unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("differ by 4096 bytes (anon 4096, file 0, shmem 0)"), "{told:?}");
        assert_eq!(told[1], "7 events LOST (ring buffer full) with 0.500 MiB net, in no line.");
        assert!(told[2].starts_with("A remainder of -0.250 MiB"), "{told:?}");
        let exact = "MiB; in bytes: 12582912 + 40370176 + 1835008 + 4096 = 54792192";
        assert_eq!(page.texts("#law .exact").unwrap(), [exact]);
        assert!(page.texts("#law .term.bad").unwrap()[0].contains("UNEXPLAINED"));
    });
}

#[test]
fn nothing_at_all_is_said_to_be_nothing() {
    let report = Report::of(&profile(vec![]), &SourceTexts::new());
    with_page(&report, Look::DESK, |page| {
        assert_eq!(page.texts("h1").unwrap(), ["No process was traced."]);
        assert_eq!(
            page.ask("document.querySelectorAll('main > section').length > 1").unwrap(),
            true
        );
        let seen = "[...document.querySelectorAll('main > section')].filter((each) => each.offsetHeight > 0).length";
        assert_eq!(page.ask(seen).unwrap(), 1);
    });
    // Two shells that came to nothing: there is their summary, and no table to choose from.
    let shells = [2, 3].map(|pid| {
        let mut shell = process(pid, &["sh"], Memory::ZERO);
        (shell.parent, shell.python) = (Some(1), None);
        shell
    });
    let report = Report::of(&profile(shells.to_vec()), &SourceTexts::new());
    with_page(&report, Look::DESK, |page| {
        assert_eq!(page.texts("h1").unwrap(), ["Process 2 sh"]);
        assert_eq!(page.ask("document.querySelectorAll('[data-process]').length").unwrap(), 0);
    });
    let quiet = process(1, &["python"], memory(1.0, 0.0, 0.0));
    let report = Report::of(&profile(vec![quiet]), &SourceTexts::new());
    with_page(&report, Look::DESK, |page| {
        assert_eq!(page.texts(".headline").unwrap(), ["No Python line changed its RSS."]);
        assert_eq!(page.texts("#law .figure").unwrap(), ["1.000", "0.000", "0.000", "1.000"]);
    });
}
