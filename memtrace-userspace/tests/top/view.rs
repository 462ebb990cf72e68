//! Whole screens, and what must hold on any of them.

use memtrace::profile::{Ending, Memory, ProcessProfile, Reason, lines_of};
use memtrace::report::SourceText;
use memtrace::top::model::{Refused, Screen};
use memtrace::units::{Bytes, Nanos};
use ratatui::style::{Color, Modifier};

use super::build::{line, memory, process, stack, unattributed};
use super::script::{SERVICE, at, service, service_text, worker};
use super::{check, drawn, press, text, watched};

/// Two processes and one that is refused, after so many seconds.
fn machine(seconds: u64) -> Screen {
    let refused = Refused {
        pid: 977,
        command: vec!["pypy3".to_owned()],
        why: "PyPy is not CPython, and memtrace knows CPython only".to_owned(),
    };
    let mut screen = Screen::new(vec![refused]);
    for second in 1..=seconds {
        screen.take(at(second, vec![service(second), worker(second)]));
    }
    screen
}

/// A screen whose source was read.
fn with_source(seconds: u64, changed: bool) -> Screen {
    let mut screen = watched(seconds);
    let life = screen.rows().rows[0].key.life;
    screen.source(life, SERVICE, SourceText::new(&service_text(), changed));
    screen
}

#[test]
fn the_screen_of_a_service() {
    // 20 + 48.5 + 0.25 = 68.75; the leak 1.25 MiB a second, so 75 a minute; the bars stand for
    // 1 to 4 MiB (▅) and 256 KiB to 1 MiB (▄) a second. 9 % and 3 % of one CPU.
    let text = text(&mut watched(30), 80, 24);
    assert!(
        text.contains(
            "before attach 20.000 + lines 48.500 + unattributed 0.250 = RSS now 68.750 MiB"
        )
    );
    check("service.txt", &text);
}

#[test]
fn the_screen_of_several_processes_on_a_wide_terminal() {
    let mut screen = machine(30);
    check("wide.txt", &text(&mut screen, 140, 20));
    // With the arrows in the table of processes, it has half of the screen.
    press(&mut screen, "<tab><down>");
    check("processes.txt", &text(&mut screen, 80, 16));
    press(&mut screen, "<enter>");
    check("only.txt", &text(&mut screen, 80, 16));
}

#[test]
fn the_screen_names_what_a_small_terminal_has_no_room_for() {
    check("small.txt", &text(&mut watched(30), 40, 10));
    check("middle.txt", &text(&mut machine(30), 60, 15));
    let mut screen = watched(30);
    press(&mut screen, "?");
    let help = text(&mut screen, 40, 10);
    for name in ["losses", "cost", "command", "trend", "function", "events"] {
        assert!(help.contains(name), "{help}");
    }
    let tiny = text(&mut watched(30), 39, 9);
    assert!(tiny.contains("needs 40×10") && tiny.contains("39×9"), "{tiny}");
}

#[test]
fn the_screen_with_callers() {
    let mut screen = watched(30);
    press(&mut screen, "<enter><down>");
    check("callers.txt", &text(&mut screen, 80, 24));
}

#[test]
fn the_screen_with_cumulative_figures_by_rate() {
    let mut screen = watched(30);
    press(&mut screen, "co");
    check("cumulative.txt", &text(&mut screen, 80, 24));
    press(&mut screen, "cg");
    check("grown.txt", &text(&mut screen, 80, 24));
}

#[test]
fn the_screen_while_a_filter_is_typed() {
    let mut screen = watched(30);
    press(&mut screen, "/service !31");
    let typed = text(&mut screen, 80, 24);
    // 37.5 + 7.5 are shown; 2 + 1.5 + 0.5 - 0.25 are not.
    assert!(typed.contains("(45.000 shown + 3.750 in 4 rows hidden)"), "{typed}");
    check("filter.txt", &typed);
    press(&mut screen, " zzz<enter>");
    assert!(text(&mut screen, 80, 24).contains("no row passes the filter"));
}

#[test]
fn the_page_of_details_shows_the_law_by_kind() {
    let mut screen = watched(30);
    press(&mut screen, "d");
    let page = text(&mut screen, 80, 30);
    // 20971520 + 50855936 + 262144 = 72089600: 20 + 48.5 + 0.25 = 68.75 MiB.
    assert!(page.contains("20971520 + 50855936 + 262144 = 72089600"));
    check("detail.txt", &page);
    check("detail-small.txt", &text(&mut screen, 40, 10));
    press(&mut screen, "<end>");
    assert!(text(&mut screen, 80, 12).contains("memtrace itself 900.000 ms (3.0%)"));
}

#[test]
fn the_page_of_source_has_the_figures_in_its_margin() {
    let mut screen = with_source(30, true);
    assert_eq!(press(&mut screen, "v"), None);
    check("source.txt", &text(&mut screen, 80, 24));
    press(&mut screen, "c<end>");
    check("source-cumulative.txt", &text(&mut screen, 80, 24));
    press(&mut screen, "<right>");
    assert!(text(&mut screen, 80, 24).contains("self.number)"));
}

#[test]
fn the_page_of_source_without_text_says_why() {
    let mut screen = watched(30);
    press(&mut screen, "v");
    assert!(text(&mut screen, 80, 24).contains("reading …"));
    let life = screen.rows().rows[0].key.life;
    screen.source(life, SERVICE, SourceText::Unreadable("permission denied".to_owned()));
    check("source-unreadable.txt", &text(&mut screen, 80, 12));
    // Figures up to line 39, but three lines of text.
    screen.source(life, SERVICE, SourceText::new("a\nb\nc\n", true));
    let page = text(&mut screen, 80, 12);
    assert!(page.contains("figures up to line 39, but the file has 3 lines now"), "{page}");
}

#[test]
fn the_page_of_help() {
    let mut screen = watched(30);
    press(&mut screen, "?");
    check("help.txt", &text(&mut screen, 80, 40));
    // On a small terminal it scrolls, to its very end and back.
    press(&mut screen, "<end>");
    assert!(text(&mut screen, 80, 10).contains("never hidden."));
    press(&mut screen, "<home>");
    assert!(text(&mut screen, 80, 10).contains("Page Up"));
}

#[test]
fn the_first_line_tells_the_state() {
    let first =
        |screen: &mut Screen, columns| text(screen, columns, 24).lines().next().unwrap().to_owned();
    let mut screen = Screen::new(Vec::new());
    assert!(first(&mut screen, 80).ends_with("waiting"));
    assert!(text(&mut screen, 80, 24).contains("waiting for the end of the first window"));
    let mut screen = watched(83);
    assert!(first(&mut screen, 80).starts_with(" memtrace top  00:01:23  1 process"));
    assert!(first(&mut screen, 80).ends_with("● live"));
    screen.waited(Nanos(2_900_000_000));
    assert!(first(&mut screen, 80).ends_with("● live"));
    screen.waited(Nanos(7_300_000_000));
    assert!(first(&mut screen, 80).ends_with("STALE: nothing new for 7 s"));
    press(&mut screen, "p");
    assert!(first(&mut screen, 80).ends_with("PAUSED at 00:01:23"));
    press(&mut screen, "p");
    screen.end("process 4242 exited");
    assert!(first(&mut screen, 80).ends_with("ENDED: process 4242 exited"));
    assert!(first(&mut screen, 40).ends_with("ENDED: process 4242 exited"));
}

#[test]
fn losses_and_a_broken_law_are_loud() {
    let mut lossy = service(10);
    (lossy.lost_events, lossy.lost_bytes) = (7, Bytes(1 << 19));
    lossy.unattributed.push(unattributed(Reason::Lost, "", memory(0.5, 0.0, 0.0), 7));
    lossy.after += memory(0.5, 0.0, 0.0);
    let mut screen = Screen::new(Vec::new());
    screen.take(at(10, vec![lossy]));
    let shown = text(&mut screen, 80, 24);
    assert!(shown.contains("!! 7 events were lost, 0.500 MiB net"), "{shown}");

    let mut broken = service(10);
    broken.after.anon += Bytes(4096);
    let mut screen = Screen::new(Vec::new());
    screen.take(at(10, vec![broken]));
    let shown = text(&mut screen, 80, 24);
    assert!(shown.contains("!! rows and RSS differ by 4096 bytes"), "{shown}");
    press(&mut screen, "d");
    let shown = text(&mut screen, 80, 30);
    assert!(
        shown.contains("+ UNEXPLAINED") && shown.contains("DOES NOT ADD UP by 4096"),
        "{shown}"
    );
}

/// A process that would like to write all over the terminal.
fn hostile() -> ProcessProfile {
    let file = "/tmp/\x1b[2J\u{202e}evil\n› forged\r.py";
    let own = line(file, "数据处理\x07<lambda>", 1, 2, Memory::ZERO);
    let stacks = vec![stack(0, &[&own, &own], memory(2.0, 0.0, 0.0))];
    let thread = "thread\x1b]0;owned\x07";
    ProcessProfile {
        python: Some("3.12\x1b[0m".to_owned()),
        after: memory(4.0, 0.0, 0.0),
        lines: lines_of(&stacks),
        stacks,
        unattributed: vec![unattributed(Reason::NativeThread, thread, memory(1.0, 0.0, 0.0), 1)],
        notes: vec!["a note\nwith \x1b[31mcolour".to_owned()],
        ending: Ending::Running,
        ..process(9, &["python\n", "\x1b[8m", "", "it's; rm -rf"], memory(1.0, 0.0, 0.0))
    }
}

/// Every page of a screen whose target's texts are hostile.
fn hostile_pages() -> Vec<Screen> {
    let pages = ["", "<enter>", "d", "v", "?", "/\x07evil", "<tab>", "p"];
    pages
        .map(|keys| {
            let refused = Refused { pid: 1, command: Vec::new(), why: "\x1b[2J\n".to_owned() };
            let mut screen = Screen::new(vec![refused]);
            screen.take(at(1, vec![hostile()]));
            let life = screen.rows().rows[0].key.life;
            let file = hostile().lines[0].place.file.clone();
            let source = "def 数据处理():\n\treturn '\x1b[2J' # \u{9b}31m\u{2028}\n";
            screen.source(life, &file, SourceText::new(source, true));
            press(&mut screen, keys);
            screen
        })
        .into()
}

#[test]
fn nothing_from_a_target_reaches_the_terminal_raw_at_any_size() {
    let acts = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}' | '\u{9b}');
    for mut screen in hostile_pages() {
        screen.say("a message\x1b[2J");
        for (width, height) in [(200, 50), (120, 30), (80, 24), (60, 15), (40, 10), (7, 3)] {
            let buffer = drawn(&mut screen, width, height, true);
            let raw = buffer.content.iter().find(|cell| cell.symbol().contains(acts));
            assert!(raw.is_none(), "{raw:?} at {width}×{height}");
        }
        screen.press(memtrace::top::model::Key::Up);
    }
    let mut screen = hostile_pages().remove(0);
    check("hostile.txt", &text(&mut screen, 80, 24));
}

#[test]
fn every_page_can_be_drawn_at_every_size() {
    let pages = ["", "<enter>", "d", "v", "?", "/x", "<tab>", "p", "cgow"];
    for keys in pages {
        let mut screen = machine(5);
        press(&mut screen, keys);
        for width in [1, 2, 20, 39, 40, 41, 59, 60, 69, 70, 79, 80, 99, 100, 109, 110, 300] {
            for height in [1, 2, 9, 10, 11, 13, 24, 80] {
                text(&mut screen, width, height);
            }
        }
    }
}

#[test]
fn without_colours_weight_tells_everything() {
    let mut screen = machine(30);
    let plain = drawn(&mut screen, 100, 24, false);
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let colored = drawn(&mut screen, 100, 24, true);
    assert!(colored.content.iter().any(|cell| cell.fg == Color::Yellow), "75 MiB a minute");
    assert!(colored.content.iter().any(|cell| cell.fg == Color::Red));
    let symbols = |buffer: &ratatui::buffer::Buffer| {
        buffer.content.iter().map(|cell| cell.symbol().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(symbols(&plain), symbols(&colored));
}

#[test]
fn the_selected_row_is_reversed_and_rows_without_a_line_are_dim() {
    let mut screen = watched(30);
    let rows = text(&mut screen, 80, 24);
    let row_of = |words: &str| {
        let at = rows.lines().position(|line| line.contains(words)).unwrap();
        u16::try_from(at).unwrap()
    };
    let buffer = drawn(&mut screen, 80, 24, false);
    let has = |words: &str, modifier| {
        let y = row_of(words);
        (0..80).all(|x| buffer[(x, y)].modifier.contains(modifier))
    };
    assert!(has("render", Modifier::REVERSED));
    assert!(!has("keep_history", Modifier::REVERSED));
    assert!(has("native thread: gc", Modifier::DIM));
    assert!(has("kernel (swap", Modifier::DIM));
    assert!(!has("keep_history", Modifier::DIM));
}
