//! What keys do beside opening lines.

use memtrace::report::SourceText;
use memtrace::top::model::{Focus, Page, Request, Screen};

use super::{word, words};
use crate::script::{SERVICE, at, service, service_text, worker};
use crate::{press, watched};

fn selected(screen: &Screen) -> String {
    let rows = screen.rows().rows;
    word(&rows[screen.selected(&rows)])
}

#[test]
fn quitting_works_from_everywhere() {
    for before in ["", "?", "d", "v", "<tab>", "p", "/x<enter>"] {
        let mut screen = watched(3);
        press(&mut screen, before);
        assert_eq!(press(&mut screen, "q"), Some(Request::Quit), "after {before:?}");
    }
    let mut screen = watched(3);
    assert_eq!(press(&mut screen, "/q"), None, "it belongs to the filter");
    assert_eq!(press(&mut screen, "<ctrl-c>"), Some(Request::Quit));
    assert_eq!(press(&mut Screen::new(Vec::new()), "q"), Some(Request::Quit));
}

#[test]
fn nothing_moves_while_paused_and_the_newest_is_there_afterwards() {
    let mut screen = watched(10);
    press(&mut screen, "p");
    let before = screen.rows();
    for second in 11..=30 {
        screen.take(at(second, vec![service(second)]));
    }
    assert_eq!(screen.rows(), before);
    assert!(screen.is_paused());
    // Choices still work, on the frozen picture: 10 s of 1.25 MiB.
    press(&mut screen, "/render<enter>");
    assert_eq!(screen.rows().shown, crate::build::mib(12.5));
    press(&mut screen, "<esc>p");
    assert_eq!(screen.rows(), watched(30).rows());
}

#[test]
fn the_selection_stays_with_its_line_and_the_first_row_with_the_top() {
    let mut screen = watched(4);
    assert_eq!(words(&screen)[..4], ["25", "353", "31", "39"]);
    press(&mut screen, "<down><down><down>");
    assert_eq!(selected(&screen), "39");
    for second in 5..=30 {
        screen.take(at(second, vec![service(second)]));
    }
    assert_eq!(words(&screen)[..4], ["25", "39", "353", "31"]);
    assert_eq!(selected(&screen), "39");
    press(&mut screen, "<home>oo");
    // By events, another line is first, and selected.
    assert_eq!(selected(&screen), "31");
    press(&mut screen, "<end>");
    assert_eq!(selected(&screen), "kernel (swap, reclaim, khugepaged)");
    press(&mut screen, "k");
    assert_eq!(selected(&screen), "native thread");
}

#[test]
fn a_filter_is_typed_kept_and_taken_back() {
    let mut screen = watched(30);
    press(&mut screen, "/hist?q");
    assert_eq!(screen.choice().filter, "hist?q");
    press(&mut screen, "<backspace><backspace>");
    assert_eq!(words(&screen), ["39"], "it works while it is typed");
    press(&mut screen, "<enter>");
    assert!(!screen.is_typing());
    press(&mut screen, "/xyz<esc>");
    assert_eq!(screen.choice().filter, "hist");
    press(&mut screen, "<esc>");
    assert_eq!(screen.choice().filter, "");
}

#[test]
fn escape_takes_back_the_chosen_process_before_the_filter() {
    let mut screen = Screen::new(Vec::new());
    screen.take(at(10, vec![service(10), worker(10)]));
    press(&mut screen, "/py<enter><tab>");
    assert_eq!(screen.focus(), Focus::Processes);
    press(&mut screen, "<down><enter>");
    assert_eq!(screen.focus(), Focus::Lines);
    assert_eq!(words(&screen), ["7"]);
    press(&mut screen, "<esc>");
    assert!(words(&screen).len() > 1 && screen.choice().filter == "py");
    press(&mut screen, "<esc>");
    assert_eq!(screen.choice().filter, "");
}

#[test]
fn source_is_asked_for_once_and_shown_at_the_line() {
    let mut screen = watched(30);
    let request = press(&mut screen, "<down>v");
    let rows = screen.rows().rows;
    let life = rows[0].key.life;
    assert_eq!(request, Some(Request::ReadSource(life, SERVICE.to_owned())));
    screen.source(life, SERVICE, SourceText::new(&service_text(), false));
    let at_line = |screen: &Screen| match screen.page() {
        Some(Page::Source { line, .. }) => *line,
        page => panic!("{page:?}"),
    };
    assert_eq!(at_line(&screen), 39);
    press(&mut screen, "N");
    assert_eq!(at_line(&screen), 31);
    press(&mut screen, "NN");
    assert_eq!(at_line(&screen), 25);
    press(&mut screen, "n<down><down>");
    assert_eq!(at_line(&screen), 33);
    press(&mut screen, "<esc>");
    assert_eq!((screen.page(), selected(&screen).as_str()), (None, "39"));
    assert_eq!(press(&mut screen, "v"), None, "the text is there already");
    // A caller's row leads to the caller's source.
    press(&mut screen, "<esc><home><enter><down>v");
    assert_eq!(at_line(&screen), 46);
}

#[test]
fn what_has_no_line_has_no_source_and_says_so() {
    let mut screen = watched(30);
    assert_eq!(press(&mut screen, "<end>v"), None);
    assert_eq!(screen.page(), None);
    assert!(screen.message().unwrap().contains("no source"));
    press(&mut screen, "<end><enter>");
    assert!(screen.message().unwrap().contains("No line"));
}

#[test]
fn details_are_of_the_selected_line_or_process() {
    let mut screen = Screen::new(Vec::new());
    screen.take(at(10, vec![service(10), worker(10)]));
    press(&mut screen, "<down>d");
    let Some(Page::Detail { life, row: Some(row) }) = screen.page() else { panic!() };
    assert_eq!((life.pid, row.place().unwrap().line), (4242, 39));
    press(&mut screen, "<esc><tab><down>d");
    let Some(Page::Detail { life, row: None }) = screen.page() else { panic!() };
    assert_eq!(life.pid, 4243);
}

#[test]
fn keys_before_the_first_profile_do_no_harm() {
    let mut screen = Screen::new(Vec::new());
    for key in "gcow?/x".chars() {
        press(&mut screen, &key.to_string());
    }
    press(&mut screen, "<enter><up><down><left><right><tab><enter><down><pgup><pgdn><end><home>");
    press(&mut screen, "<esc>dv<esc>p");
    assert!(!screen.is_paused(), "there is nothing to pause at");
    press(&mut screen, "<esc>");
    screen.take(at(1, vec![service(1)]));
    // The choices hold: cumulative, grown, by rate. 761 calls nearly everything.
    assert_eq!(words(&screen)[0], "761");
}

#[test]
fn a_message_lasts_until_the_next_key() {
    let mut screen = watched(3);
    screen.say("saved");
    assert_eq!(screen.message(), Some("saved"));
    press(&mut screen, "<down>");
    assert_eq!(screen.message(), None);
    assert_eq!(press(&mut screen, "s"), Some(Request::Save));
    assert_eq!(press(&mut screen, "<ctrl-l>"), Some(Request::Redraw));
}
