//! A process in full, with the law as a sum by kind of memory, and the selected line.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::cells::{Cells, signed};
use super::lines::source_line;
use super::palette::Palette;
use crate::profile::{Allocated, LineFigures, Memory, ProcessProfile};
use crate::report::figures::{count, duration, mib, mib_unit};
use crate::report::fit::wrapped;
use crate::report::remarks;
use crate::report::table::{command_line, ending};
use crate::top::model::{Life, Measure, NativeSum, Picture, RowKey, Scope, Screen, Subject};
use crate::units::Bytes;

/// Columns of a figure, and of the words before it, at most and at least.
const FIGURE: usize = 11;
const WORDS: usize = 28;
const LEAST_WORDS: usize = 13;

/// The page, from its first line to its last.
pub(super) fn page(
    screen: &Screen,
    life: Life,
    row: Option<&RowKey>,
    columns: usize,
    palette: Palette,
) -> Vec<Line<'static>> {
    let Some(picture) = screen.picture() else { return Vec::new() };
    let Some(process) = picture.process(life) else {
        return vec![Line::raw(" The process is not in this picture.")];
    };
    let page = Page { picture, process, life, span: screen.choice().span, columns, palette };
    let mut lines = Vec::new();
    if let Some(RowKey { subject: subject @ Subject::Line(place), .. }) = row
        && let Some(line) = process.lines.iter().find(|line| line.place == *place)
    {
        page.line(&mut lines, subject, line);
    }
    page.process(&mut lines);
    lines
}

struct Page<'a> {
    picture: &'a Picture,
    process: &'a ProcessProfile,
    life: Life,
    span: usize,
    columns: usize,
    palette: Palette,
}

impl Page<'_> {
    fn heading(&self, text: &str) -> Line<'static> {
        let mut cells = Cells::new();
        cells.blanks(1);
        cells.path(text, self.columns.saturating_sub(2), self.palette.heading());
        cells.line(0, self.palette.plain())
    }

    fn fact(&self, name: &str, text: &str) -> Line<'static> {
        let mut cells = Cells::new();
        cells.blanks(1);
        cells.text(name, 9, self.palette.dim());
        cells.text(text, self.columns.saturating_sub(11), self.palette.plain());
        cells.line(0, self.palette.plain())
    }

    /// Words, then as many of the four figures as there is room for.
    fn figures(&self, words: &str, figures: [Bytes; 4], bold: bool) -> Line<'static> {
        let style = if bold { self.palette.bold() } else { self.palette.plain() };
        self.row(words, &figures.map(mib), style)
    }

    /// The heads of the figures, and those that there is no room for.
    fn heads(&self, lines: &mut Vec<Line<'static>>, words: &str, heads: [&str; 4]) {
        lines.push(self.row(words, &heads.map(str::to_owned), self.palette.heading()));
        if let Some(missing @ [_, ..]) = heads.get(self.fitting()..) {
            lines.push(self.fact("no room", &missing.join(", ")));
        }
    }

    fn row(&self, words: &str, figures: &[String; 4], style: Style) -> Line<'static> {
        let shown = self.fitting();
        let mut cells = Cells::new();
        cells.blanks(1);
        let room = self.columns.saturating_sub(2 + shown * (FIGURE + 1));
        cells.path(words, room.min(WORDS), style);
        for figure in &figures[..shown] {
            cells.number(figure, FIGURE, style);
        }
        cells.line(0, self.palette.plain())
    }

    /// How many of four figures fit beside a few words.
    fn fitting(&self) -> usize {
        (self.columns.saturating_sub(LEAST_WORDS) / (FIGURE + 1)).clamp(1, 4)
    }

    fn line(&self, lines: &mut Vec<Line<'static>>, subject: &Subject, line: &LineFigures) {
        let place = &line.place;
        lines.push(self.heading(&format!("Line {}:{}", place.file, place.line)));
        let function = format!("{} (from line {})", place.function, place.function_line);
        lines.push(self.fact("Function", &function));
        let now = |scope, measure| self.picture.recent.now(self.life, subject).get(scope, measure);
        self.heads(lines, "MiB", ["Net", "Grown", "Returned", "Resident"]);
        for scope in Scope::ALL {
            let (net, grown) = (now(scope, Measure::Net), now(scope, Measure::Grown));
            let resident = now(scope, Measure::Resident);
            let figures = [net, grown, grown - net, resident];
            lines.push(self.figures(scope.as_str(), figures, scope == Scope::Own));
        }
        let minute = |scope, measure| {
            let recent = &self.picture.recent;
            let rate = recent.per_minute(self.life, subject, scope, measure, self.span);
            format!("{} {}", scope.as_str(), signed(rate))
        };
        let rates = Scope::ALL.map(|scope| minute(scope, Measure::Net)).join(", ");
        let covered = self.picture.recent.covered(self.span).seconds();
        lines.push(self.fact("MiB/min", &format!("{rates} net, over {covered:.0} s")));
        let events = format!("{}, {} of them as the innermost line", line.events, line.self_events);
        lines.push(self.fact("Events", &events));
        let also = format!(
            "peak RSS {}, copied on write {}, released {}",
            mib_unit(line.peak_rss),
            mib_unit(line.copied),
            mib_unit(line.released)
        );
        lines.push(self.fact("Also", &also));
        if let Some(thinned) = self.process.thinned() {
            for (scope, of) in
                [("self", thinned.of_self(line)), ("cumulative", thinned.of_cumulative(line))]
            {
                let (low, high) = of.interval;
                let text = format!(
                    "{scope} net about {}, 95 %: {} to {}",
                    mib_unit(of.bytes),
                    mib(low),
                    mib(high)
                );
                lines.push(self.fact("Estimate", &text));
            }
        }
        self.blocks(lines, &line.self_allocated);
        self.natives(lines, subject);
        lines.push(Line::default());
    }

    /// What of the line's own figures was in native functions: each with its library, its source lines
    /// and as what it was called.
    fn natives(&self, lines: &mut Vec<Line<'static>>, subject: &Subject) {
        let mut natives: Vec<_> =
            self.picture.natives.below(Scope::Own, self.life, subject).iter().collect();
        if natives.is_empty() {
            return;
        }
        let rank = |native: &NativeSum| (native.get(Measure::Net), native.get(Measure::Grown));
        natives.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name)));
        self.heads(lines, "Native, in MiB", ["Net", "Grown", "Returned", "Resident"]);
        for native in natives {
            let (net, grown) = (native.get(Measure::Net), native.get(Measure::Grown));
            let figures = [net, grown, grown - net, native.get(Measure::Resident)];
            lines.push(self.figures(&native.name.function, figures, false));
            let library = match native.name.library.as_str() {
                "" => "code made at run time",
                library => library,
            };
            lines.push(self.fact("  in", library));
            let places = native.places.iter();
            let places: Vec<_> = places.map(|(file, line)| source_line(file, *line)).collect();
            if !places.is_empty() {
                lines.push(self.fact("  at", &places.join(", ")));
            }
            if native.name.called_as != native.name.function {
                lines.push(self.fact("  as", &native.name.called_as));
            }
        }
    }

    fn process(&self, lines: &mut Vec<Line<'static>>) {
        let process = self.process;
        let title = format!("Process {}: {}", process.pid, command_line(&process.command));
        lines.push(self.heading(&title));
        let python = process.python.as_deref().unwrap_or("none");
        let forked = process.parent.map_or_else(String::new, |pid| format!(", forked from {pid}"));
        let threads = count(process.threads.len() as u64, "thread", "threads");
        let state = ending(process.ending);
        lines.push(
            self.fact("Python", &format!("{python} ({state}{forked}), {threads} changed its RSS")),
        );
        let (before, after) = (mib_unit(process.before.total()), mib_unit(process.after.total()));
        let peak = mib_unit(process.peak);
        lines.push(self.fact("RSS", &format!("{before} → {after} (peak {peak})")));
        self.law(lines);
        self.blocks(lines, &process.allocated());
        let lost = match process.lost_events {
            0 => "none lost".to_owned(),
            lost => format!(
                "and {lost} LOST (ring buffer full) with {} net, in no line",
                mib_unit(process.lost_bytes)
            ),
        };
        lines.push(self.fact("Events", &format!("{}, {lost}", process.events)));
        for remark in remarks::of(process) {
            for (row, part) in wrapped(&remark, self.columns.saturating_sub(12)).iter().enumerate()
            {
                lines.push(self.fact(if row == 0 { "Measured" } else { "" }, part));
            }
        }
        let cost = self.picture.recent.cost(self.life, self.span);
        let overhead = process.overhead;
        lines.push(self.fact(
            "Cost",
            &format!(
                "probes {} ({:.1}% of one CPU lately)",
                duration(overhead.probe),
                cost.probe * 100.0
            ),
        ));
        lines.push(self.fact(
            "",
            &format!(
                "memtrace itself {} ({:.1}%)",
                duration(overhead.userspace_cpu),
                cost.userspace * 100.0
            ),
        ));
        for note in &process.notes {
            lines.push(self.fact("Note", note));
        }
    }

    /// What the allocator lens counted, where it looks.
    fn blocks(&self, lines: &mut Vec<Line<'static>>, allocated: &Allocated) {
        let Some(lens) = &self.process.lens else { return };
        let about = if lens.is_exact() { "" } else { "about " };
        let (all, once) = (allocated.all, allocated.temporary.count);
        let blocks = format!(
            "{about}{} allocated with {}, {once} freed at once",
            all.count,
            mib_unit(all.bytes)
        );
        lines.push(self.fact("Blocks", &blocks));
        let live = if lens.frees_seen {
            format!("{} live with {}", allocated.live(), mib_unit(allocated.live_bytes()))
        } else {
            "what is live is not known (--exact)".to_owned()
        };
        lines.push(self.fact("", &live));
    }

    /// Before attach + lines + unattributed = RSS now, for each kind of memory.
    fn law(&self, lines: &mut Vec<Line<'static>>) {
        let process = self.process;
        let row = |words: &str, memory: Memory, bold: bool| {
            let figures = [memory.total(), memory.anon, memory.file, memory.shmem];
            self.figures(words, figures, bold)
        };
        self.heads(lines, "The sum, in MiB", ["Total", "Anon", "File", "Shmem"]);
        lines.push(row("  before attach", process.before, false));
        lines.push(row("+ lines", process.attributed(), false));
        let mut unattributed: Vec<_> = process.unattributed.iter().collect();
        unattributed.sort_by_key(|row| std::cmp::Reverse(row.net.total().0.unsigned_abs()));
        for no_line in unattributed {
            let colon = if no_line.name.is_empty() { "" } else { ": " };
            let words = format!("+ {}{colon}{}", no_line.reason.as_str(), no_line.name);
            lines.push(row(&words, no_line.net, false));
        }
        let gap = process.law_gap();
        if gap != Memory::ZERO {
            lines.push(row("+ UNEXPLAINED", gap, true));
        }
        lines.push(row("= RSS now", process.after, true));
        let terms = [
            process.before.total(),
            process.attributed().total(),
            process.unattributed_net().total(),
        ];
        let exact: Vec<_> = terms.iter().map(|bytes| bytes.0.to_string()).collect();
        let sum = format!("{} = {}", exact.join(" + "), process.after.total().0);
        lines.push(self.fact("in bytes", &sum));
        if gap != Memory::ZERO {
            let text = format!(
                " !! THE SUM DOES NOT ADD UP by {} bytes. Please report this fault of memtrace.",
                gap.total().0
            );
            lines.push(Line::from(Span::styled(text, self.palette.alarm())));
        }
    }
}
