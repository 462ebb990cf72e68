//! The names of frames.
//!
//! Each kind of frame has its form, whatever names a target chooses: a line ends in `:NUMBER)`, what
//! no line answers for stands in brackets. So no stack ends in a blank and a number, which readers of
//! folded stacks would take for its size. Characters that a terminal acts on, that XML can't hold or that part frames are
//! escaped as `\xNN` or `\u{NNNN}`.

use std::borrow::Cow;

use crate::profile::{NativeFrame, Place, ProcessProfile, Thread, Unattributed};
use crate::report::fit::cut_middle;
use crate::report::printable;
use crate::report::table::summary::command_line;

/// What breaks the law.
pub(crate) const GAP: &str = "[UNEXPLAINED: the sum does not add up]";

/// Commands may be whole programs (`python -c …`), and this frame is on every stack.
const COMMAND_COLUMNS: usize = 80;

/// `process 4242: python app.py`
pub(in crate::report) fn process(process: &ProcessProfile) -> String {
    format!("process {}: {}", process.pid, escaped(&command(process)))
}

/// A process's command line, harmless on a terminal, its middle cut out if it is long.
pub(in crate::report) fn command(process: &ProcessProfile) -> String {
    cut_middle(&command_line(&process.command), COMMAND_COLUMNS).into_owned()
}

/// `thread 4250: worker-1`
pub(in crate::report) fn thread(thread: &Thread) -> String {
    let Thread { tid, name } = thread;
    match (tid, name.as_str()) {
        (0, _) => "other threads".to_owned(),
        (_, "") => format!("thread {tid}:"),
        _ => format!("thread {tid}: {}", escaped(name)),
    }
}

/// `handle (/srv/app.py:8)`
pub(in crate::report) fn line(place: &Place) -> String {
    format!("{} ({}:{})", escaped(&place.function), escaped(&place.file), place.line)
}

/// `array_zeros (multiarraymodule.c:2033 in _multiarray_umath.so)`, `read (libc.so.6)`
pub(in crate::report) fn native(frame: &NativeFrame) -> String {
    let (function, library) = (escaped(&frame.function), escaped(&frame.library));
    // Where it was built is of no interest here.
    let file = frame.file.rsplit('/').next().unwrap_or_default();
    match (frame.library.as_str(), frame.file.as_str()) {
        ("", _) => function.into_owned(),
        (_, "") => format!("{function} ({library})"),
        _ => format!("{function} ({}:{} in {library})", escaped(file), frame.line),
    }
}

/// `[native thread: gc]`
pub(crate) fn unattributed(row: &Unattributed) -> String {
    let colon = if row.name.is_empty() { "" } else { ": " };
    format!("[{}{colon}{}]", row.reason.as_str(), escaped(&row.name))
}

/// Text without what parts frames or can't be in any form.
pub(in crate::report) fn escaped(text: &str) -> Cow<'_, str> {
    let text = printable(text);
    if !text.contains([';', '\u{fffe}', '\u{ffff}']) {
        return text;
    }
    let text = text.replace(';', "\\x3b");
    Cow::Owned(text.replace('\u{fffe}', "\\u{fffe}").replace('\u{ffff}', "\\u{ffff}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Memory, Reason};

    #[test]
    fn no_name_can_part_frames_or_end_them_in_a_number() {
        let name = "a;b\n 12";
        let place = Place { file: name.into(), line: 7, function: name.into(), function_line: 1 };
        assert_eq!(line(&place), "a\\x3bb\\x0a 12 (a\\x3bb\\x0a 12:7)");
        let row = |reason, name: &str| Unattributed {
            reason,
            name: name.into(),
            net: Memory::ZERO,
            events: 0,
            native: Vec::new(),
        };
        assert_eq!(unattributed(&row(Reason::NativeThread, "gc 12")), "[native thread: gc 12]");
        assert_eq!(unattributed(&row(Reason::Remainder, "")), "[remainder]");
    }

    #[test]
    fn native_frames_say_where_they_are_as_far_as_that_is_known() {
        let frame = |library: &str, file: &str| NativeFrame {
            function: "f;1".into(),
            library: library.into(),
            file: file.into(),
            line: 7,
        };
        assert_eq!(native(&frame("libx.so 1", "/src/x.c")), "f\\x3b1 (x.c:7 in libx.so 1)");
        assert_eq!(native(&frame("libx.so", "")), "f\\x3b1 (libx.so)");
        assert_eq!(native(&frame("", "")), "f\\x3b1");
    }

    #[test]
    fn threads_are_told_apart_by_their_numbers() {
        let named = |tid, name: &str| thread(&Thread { tid, name: name.into() });
        assert_eq!(named(12, "a;b"), "thread 12: a\\x3bb");
        assert_eq!(named(12, ""), "thread 12:");
        assert_eq!(named(0, ""), "other threads");
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        assert_eq!(escaped("\u{fffe}a\u{ffff}\u{fffd}"), "\\u{fffe}a\\u{ffff}\u{fffd}");
    }
}
