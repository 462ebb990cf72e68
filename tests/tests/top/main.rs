//! `memtrace top` on live targets, in a terminal: what it shows is what they did, keys do what they
//! say, and the terminal is afterwards as it was.

mod whom;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use ::memtrace::history::{History, WHOLE};
use ::memtrace::profile::{Memory, Profile};
use ::memtrace::recording::Reader;
use harness::interpreters::newest;
use harness::memtrace::{self, finish};
use harness::target::Target;
use harness::terminal::Terminal;
use harness::truth::Truth;
use harness::{Context, Result, bail, ensure, resources};

const WIDE: (u16, u16) = (120, 40);

/// A program that grows by 16 MiB at a line each time it is told to, and a screen on it.
struct Watched {
    target: Target,
    screen: Terminal,
}

impl Watched {
    fn start(size: (u16, u16)) -> Result<Self> {
        Self::start_with(size, &[])
    }

    fn start_with(size: (u16, u16), environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(size, environment, Path::new("."), &[])
    }

    fn start_in(
        (columns, rows): (u16, u16),
        environment: &[(&str, &str)],
        folder: &Path,
        options: &[&str],
    ) -> Result<Self> {
        resources::root()?;
        let target = Target::start(&newest()?, "resident.py", &["keeps"])?;
        target.settled()?;
        let arguments = ["top", "--window", "200ms", &target.pid.to_string()];
        let mut command = memtrace::command(arguments)?;
        command.args(options).envs(environment.iter().copied()).current_dir(folder);
        let screen = Terminal::start(&mut command, columns, rows)?;
        Ok(Self { target, screen })
    }

    /// Waits until the screen is live.
    fn live(&mut self) -> Result<()> {
        self.screen.wait_for_words("● live").map(drop)
    }

    /// Lets the target grow; waits until the screen says by how much, in all, in `times` such steps.
    fn grow(&mut self, times: u32) -> Result<(Truth, String)> {
        let truth = self.target.go()?;
        let line = truth.mark("keeps")?.line;
        let place = format!("resident.py:{line}");
        let screen = self.screen.wait_for("the line with its growth", |text| {
            row(text, &place).is_some_and(|row| grown(row) == Some(16 * times))
        })?;
        Ok((truth, screen))
    }

    /// Ends it with `q`; there is nothing below what was there before.
    fn quit(mut self) -> Result<()> {
        self.screen.press("q")?;
        let (status, below) = self.screen.ended()?;
        ensure!(status.code() == Some(0), "{status}: {below}");
        ensure!(below.is_empty(), "something is left on the terminal: {below}");
        Ok(())
    }
}

/// The first row with these words.
fn row<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.lines().find(|line| line.contains(words))
}

/// The first figure of a row, to the MiB: what a line grew by.
fn grown(row: &str) -> Option<u32> {
    let figure = row.trim_start_matches(['›', ' ']).split_whitespace().next()?;
    let whole: f64 = figure.parse().ok()?;
    // Beside the buffer there may be a page or two.
    (0..200).find(|mib| (whole - f64::from(*mib)).abs() < 0.1)
}

#[test]
fn the_line_that_grows_is_on_top_with_what_it_grew_and_the_sum_adds_up() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    ensure!(watched.screen.is_taken_over()?, "the terminal is not its own");
    watched.grow(1)?;
    let (truth, text) = watched.grow(2)?;
    let mut rows = text.lines().skip_while(|line| !line.contains("Self net"));
    let first = rows.nth(1).context("no rows")?;
    let line = truth.mark("keeps")?.line;
    ensure!(first.contains(&format!("resident.py:{line}")), "on top is {first}\n{text}");
    ensure!(first.contains("keeps"), "the function is missing: {first}");
    let process = row(&text, &watched.target.pid.to_string()).context("no process")?;
    let version = newest()?.version_text();
    ensure!(process.contains(&format!(" {version} ")), "Python {version}: {process}");
    // The sum is written out, and true to the last digit that is shown.
    let sum = row(&text, "= RSS now").context("no sum")?;
    let figures: Vec<f64> = sum.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [before, lines, unattributed, now] = figures[..] else {
        bail!("{sum}");
    };
    ensure!((before + lines + unattributed - now).abs() < 0.0025, "{sum}");
    let rss = watched.target.settled()?.rss as f64 / f64::from(1 << 20);
    ensure!((rss - now).abs() < 0.0006, "RSS is {rss}, not as in: {sum}");
    watched.quit()
}

#[test]
fn with_the_allocator_lens_what_is_live_is_a_figure_as_well() -> Result<()> {
    let lens = ["--lens", "allocator", "--exact"];
    let mut watched = Watched::start_in(WIDE, &[], Path::new("."), &lens)?;
    watched.live()?;
    let (truth, _) = watched.grow(1)?;
    for (figure, allocated) in [("self grown", 16), ("self resident", 16), ("self live", 16)] {
        watched.screen.press("g")?;
        watched.screen.wait_for_words(figure)?;
        let place = format!("resident.py:{}", truth.mark("keeps")?.line);
        watched.screen.wait_for(figure, |text| {
            row(text, &place).is_some_and(|row| grown(row) == Some(allocated))
        })?;
    }
    watched.quit()
}

/// The line of our extension's source that is marked so.
fn line_in_c(name: &str) -> Result<usize> {
    let text = std::fs::read_to_string(resources::workspace().join("tests/programs/growth.c"))?;
    let mark = format!("/* mark: {name} */");
    let found = text.lines().position(|line| line.ends_with(&mark));
    Ok(found.context("a marked line")? + 1)
}

#[test]
fn with_native_the_function_that_grew_is_below_the_line_that_called_it() -> Result<()> {
    resources::root()?;
    let folder = tempfile::tempdir()?;
    let extension = resources::growth_extension(folder.path(), resources::Symbols::Debug)?;
    let extension = extension.to_str().context("a readable path")?;
    let mut target = Target::start(&newest()?, "native_growth.py", &[extension])?;
    let arguments = ["top", "--native", "--window", "200ms", &target.pid.to_string()];
    let mut screen = Terminal::start(&mut memtrace::command(arguments)?, 160, 60)?;
    screen.wait_for_words("● live")?;
    let truth = target.go()?;
    let at = |name| truth.mark(name).map(|mark| format!("native_growth.py:{}", mark.line));
    let places: Vec<String> =
        ["touching", "allocating", "reading", "deep"].map(at).into_iter().collect::<Result<_>>()?;
    let text = screen.wait_for("all lines", |text| {
        places.iter().all(|place| row(text, place).and_then(grown) == Some(8))
    })?;
    // The largest is the first below its line.
    let below = |place: &str| {
        let rows = text.lines().skip_while(|line| !line.contains(place));
        rows.skip(1).find(|line| line.contains('↳')).context("no native function")
    };
    let touch = format!("↳ touch (growth) growth.c:{}", line_in_c("touching")?);
    for (place, words, called_as) in [
        (&places[0], touch.as_str(), "as grow_touching"),
        // memset, by whichever name libc has for it on this processor.
        (&places[1], "(libc)", "as grow_allocating"),
        (&places[2], "(libc)", "as grow_reading"),
        (&places[3], touch.as_str(), "as grow_deep"),
    ] {
        let native = below(place)?;
        ensure!(native.contains(words), "{place}: not {words}: {native}\n{text}");
        ensure!(native.contains(called_as), "{place}: not {called_as}: {native}\n{text}");
        let figure = native.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        ensure!(figure.is_some_and(|mib| (7.6..8.1).contains(&mib)), "{place}: {native}");
    }
    // In full on the page of details; and they can be hidden.
    screen.press(&format!("/{}\rd", places[0]))?;
    let detail = screen.wait_for_words("Native, in MiB")?;
    ensure!(detail.contains("growth.abi3.so") && detail.contains("/growth.c:"), "{detail}");
    screen.press("\x1bn")?;
    screen
        .wait_for("no native function", |text| text.contains(&places[0]) && !text.contains('↳'))?;
    screen.press("q")?;
    let (status, below) = screen.ended()?;
    ensure!(status.code() == Some(0), "{status}: {below}");
    Ok(())
}

#[test]
fn enter_opens_a_line_to_its_callers_and_closes_it() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    watched.grow(1)?;
    watched.screen.press("\r")?;
    let text = watched.screen.wait_for_words("▾")?;
    let at = text.lines().position(|line| line.contains('▾')).context("no open row")?;
    let caller = text.lines().nth(at + 1).context("no caller")?;
    ensure!(caller.contains("protocol.py:"), "called from {caller}\n{text}");
    ensure!(grown(caller) == Some(16), "its callers don't add up to it: {caller}");
    watched.screen.press("\r")?;
    watched.screen.wait_for("a closed row", |text| !text.contains('▾'))?;
    watched.quit()
}

#[test]
fn a_filter_leaves_the_rows_with_its_words() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    let (truth, _) = watched.grow(1)?;
    let place = format!("resident.py:{}", truth.mark("keeps")?.line);
    watched.screen.press("/nosuchline")?;
    let text = watched.screen.wait_for_words("no row passes the filter")?;
    ensure!(!text.contains(&place), "{text}");
    ensure!(text.contains("filter: nosuchline"), "{text}");
    // Taken back, then another one.
    watched.screen.press("\x1b")?;
    watched.screen.wait_for("all rows", |text| text.contains(&place))?;
    watched.screen.press("/keeps\r")?;
    let text = watched.screen.wait_for_words("filter: keeps  (")?;
    ensure!(text.contains(&place), "{text}");
    watched.quit()
}

#[test]
fn a_paused_screen_stays_as_it_is_while_tracing_goes_on() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    watched.grow(1)?;
    watched.screen.press("p")?;
    let paused = watched.screen.wait_for_words("PAUSED at ")?;
    let truth = watched.target.go()?;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let text = watched.screen.text();
        ensure!(text == paused, "it changed from\n{paused}\nto\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
    watched.screen.press("p")?;
    let place = format!("resident.py:{}", truth.mark("keeps")?.line);
    watched.screen.wait_for("what happened meanwhile", |text| {
        text.contains("● live") && row(text, &place).and_then(grown) == Some(32)
    })?;
    watched.quit()
}

#[test]
fn the_source_of_a_line_is_shown_around_it_with_its_figure() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    let (truth, _) = watched.grow(1)?;
    watched.screen.press("v")?;
    let text = watched.screen.wait_for_words("# mark: keeps")?;
    let shown = row(&text, "# mark: keeps").context("no line")?;
    let mark = truth.mark("keeps")?;
    ensure!(shown.contains(&format!(" {}     kept = bytearray(SIZE)", mark.line)), "{shown}");
    ensure!(grown(shown) == Some(16), "{shown}");
    ensure!(text.contains(&mark.file), "which file?\n{text}");
    ensure!(text.contains("def keeps():"), "nothing around it\n{text}");
    watched.quit()
}

#[test]
fn the_detail_of_a_line_has_the_sum_in_bytes() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    watched.grow(1)?;
    watched.screen.press("d")?;
    let text = watched.screen.wait_for_words("in bytes")?;
    let sum = row(&text, "in bytes").context("no sum")?;
    let figures: Vec<i64> = sum.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [before, lines, unattributed, now] = figures[..] else {
        bail!("{sum}");
    };
    ensure!(before + lines + unattributed == now, "{sum}");
    let rss = watched.target.settled()?.rss;
    ensure!(now == rss, "RSS is {rss}, not as in: {sum}");
    watched.quit()
}

/// The profile of a recording, which must be whole.
fn replay(path: &Path) -> Result<Profile> {
    let mut reader = Reader::open(BufReader::new(File::open(path)?))?;
    let mut history = History::new(reader.head().clone(), WHOLE);
    for entry in &mut reader {
        history.add(&entry)?;
    }
    let stop = reader.into_stop().context("it goes on")?;
    ensure!(stop.is_complete(), "{}: {stop}", path.display());
    Ok(history.profile())
}

#[test]
fn a_saved_recording_has_what_the_screen_showed_and_tracing_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut watched = Watched::start_in(WIDE, &[], folder.path(), &[])?;
    watched.live()?;
    let mut names = Vec::new();
    for times in 1..=2 {
        let (truth, _) = watched.grow(times)?;
        watched.screen.press("s")?;
        let new = |text: &str| saved_name(text).filter(|name| !names.contains(name));
        let text = watched.screen.wait_for("its name", |text| new(text).is_some())?;
        let name = new(&text).context("no name")?;
        let profile = replay(&folder.path().join(&name))?;
        let [process] = &profile.processes[..] else { bail!("{:?}", profile.processes) };
        ensure!(process.pid == watched.target.pid, "pid {}", process.pid);
        let mark = truth.mark("keeps")?;
        let line = process.lines.first().context("no line")?;
        ensure!((&line.place.file, line.place.line) == (&mark.file, mark.line), "{line:?}");
        let beside = line.self_net.total().0 - i64::from(times) * mark.grown()?;
        ensure!((0..1 << 20).contains(&beside), "{beside} bytes too many: {line:?}");
        ensure!(process.law_gap() == Memory::ZERO, "{:?}", process.law_gap());
        let rss = watched.target.settled()?.rss;
        ensure!(process.after.total().0 == rss, "{:?} is not {rss}", process.after);
        names.push(name);
    }
    watched.screen.press("q")?;
    let (status, below) = watched.screen.ended()?;
    ensure!(status.code() == Some(0), "{status}: {below}");
    // They are named once more where they can be copied from.
    ensure!(names.iter().all(|name| below.contains(name.as_str())), "{names:?}: {below}");
    ensure!(std::fs::read_dir(folder.path())?.count() == 2, "something else is in the folder");
    Ok(())
}

/// The file that the screen says something was saved as.
fn saved_name(text: &str) -> Option<String> {
    let (_, name) = text.split_once("saved as ")?;
    name.split_whitespace().next().map(str::to_owned)
}

#[test]
fn what_cannot_be_saved_is_said_and_tracing_goes_on() -> Result<()> {
    // Nobody can make a file there. First where recordings go, then where they are kept until then.
    let folder = tempfile::tempdir()?;
    for (environment, folder, why) in [
        (&[][..], Path::new("/proc"), "not saved: memtrace-"),
        (&[("TMPDIR", "/proc")][..], folder.path(), "not saved: a temporary file"),
    ] {
        let mut watched = Watched::start_in(WIDE, environment, folder, &[])?;
        watched.live()?;
        watched.screen.press("s")?;
        watched.screen.wait_for_words(why)?;
        watched.grow(1)?;
        watched.screen.press("q")?;
        let (status, below) = watched.screen.ended()?;
        ensure!(status.code() == Some(0) && below.contains(why), "{status}: {below}");
    }
    ensure!(std::fs::read_dir(folder.path())?.count() == 0, "something is left");
    Ok(())
}

#[test]
fn small_screens_show_the_line_and_name_what_they_have_no_room_for() -> Result<()> {
    let mut watched = Watched::start((80, 24))?;
    watched.live()?;
    let (truth, _) = watched.grow(1)?;
    watched.screen.resize(60, 15)?;
    let text = watched.screen.wait_for_words("no room: cost command events")?;
    let line = truth.mark("keeps")?.line;
    let shown = row(&text, &format!(".py:{line} keeps")).context("no row of the line")?;
    ensure!(grown(shown) == Some(16), "{shown}");
    ensure!(row(&text, " = ").is_some_and(|sum| sum.ends_with(" MiB")), "no sum\n{text}");
    // And back, growing on.
    watched.screen.resize(80, 24)?;
    watched.grow(2)?;
    watched.screen.wait_for("all columns", |text| {
        !text.contains("no room: ") && text.contains("Command") && text.contains("q quit")
    })?;
    watched.screen.resize(30, 8)?;
    watched.screen.wait_for_words("needs 40×10")?;
    watched.screen.resize(80, 24)?;
    watched.live()?;
    watched.quit()
}

#[test]
fn the_keys_are_explained() -> Result<()> {
    let mut watched = Watched::start((80, 24))?;
    watched.live()?;
    watched.screen.press("?")?;
    let text = watched.screen.wait_for_words(" help")?;
    ensure!(text.contains("filter") && text.contains("pause"), "{text}");
    watched.screen.press("\x1b")?;
    watched.screen.wait_for_words("Self net")?;
    watched.quit()
}

#[test]
fn ctrl_c_on_the_keyboard_puts_the_terminal_back() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    watched.screen.press("\x03")?;
    let (status, below) = watched.screen.ended()?;
    ensure!(status.code() == Some(0) && below.is_empty(), "{status}: {below}");
    Ok(())
}

#[test]
fn a_signal_puts_the_terminal_back() -> Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut watched = Watched::start(WIDE)?;
        watched.live()?;
        ensure!(watched.screen.is_taken_over()?, "the terminal is not its own");
        watched.screen.signal(signal)?;
        let (status, below) = watched.screen.ended()?;
        ensure!(status.code() == Some(0) && below.is_empty(), "{signal}: {status}: {below}");
    }
    Ok(())
}

#[test]
fn a_panic_puts_the_terminal_back_before_it_is_told() -> Result<()> {
    for place in ["screen", "trace"] {
        let mut watched = Watched::start_with(WIDE, &[("MEMTRACE_TEST_PANIC", place)])?;
        let (status, below) = watched.screen.ended()?;
        ensure!(status.code() == Some(101), "{place}: {status}: {below}");
        ensure!(below.contains("as the test wants it"), "{place}: {below}");
        ensure!(watched.target.go().is_ok(), "the target is gone, too");
    }
    Ok(())
}

#[test]
fn the_last_picture_stays_when_the_target_has_ended() -> Result<()> {
    let mut watched = Watched::start(WIDE)?;
    watched.live()?;
    let (truth, _) = watched.grow(1)?;
    let Watched { target, mut screen } = watched;
    target.exit()?;
    let text = screen.wait_for_words("ENDED: all targets have ended")?;
    ensure!(text.contains("(exited)"), "{text}");
    // Keys still work.
    screen.press("g")?;
    let place = format!("resident.py:{}", truth.mark("keeps")?.line);
    screen.wait_for("what it had grown", |text| {
        text.contains("Self grown") && row(text, &place).and_then(grown) == Some(16)
    })?;
    screen.press("v")?;
    screen.wait_for_words("# mark: keeps")?;
    screen.press("q")?;
    let (status, below) = screen.ended()?;
    ensure!(status.code() == Some(0) && below.is_empty(), "{status}: {below}");
    Ok(())
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() -> Result<()> {
    let output = finish(&mut memtrace::command(["top"])?)?;
    output.expect_code(1)?.expect_words(&["terminal", "memtrace attach"])?;
    ensure!(output.stdout.is_empty(), "{output:?}");
    Ok(())
}
