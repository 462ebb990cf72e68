//! A recorder that is killed loses the open window and nothing else: a hundred kills at random
//! moments, ninety of the writer alone with a window every millisecond, ten of `memtrace record`.
//!
//! The moments come from a seed. The machine decides what they hit, so no two runs are alike; what
//! must hold is the same.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ::memtrace::history::Entry;
use ::memtrace::recording::{Reader, Stop};
use harness::interpreters::newest;
use harness::memtrace::{self, finish};
use harness::recorder::Recorder;
use harness::replayed::Replayed;
use harness::report::Report;
use harness::target::Target;
use harness::{Context, Result, bail, check, ensure, memory};

/// Moments of a seed: splitmix64.
struct Moments(u64);

impl Moments {
    fn below(&mut self, milliseconds: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_nanos((mixed ^ (mixed >> 31)) % (milliseconds * 1_000_000))
    }
}

/// What is read back, and why reading ended.
fn read(file: &Path) -> Result<(Vec<Entry>, Stop)> {
    let mut reader = Reader::open(BufReader::new(File::open(file)?))?;
    let entries = reader.by_ref().collect();
    Ok((entries, reader.into_stop().context("an end")?))
}

/// What `memtrace report` makes of it.
fn report(file: &Path) -> Result<(Report, String)> {
    let mut command = memtrace::command(["report", "--format", "json"])?;
    let output = finish(command.arg(file))?;
    output.expect_code(0)?;
    Ok((serde_json::from_str(&output.stdout)?, output.stderr))
}

/// Kills a writer after so long; how many windows it had told to be closed, and how many there are.
fn kill_a_writer(file: &Path, seed: u64, after: Duration) -> Result<(usize, usize)> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_replay_windows"));
    writer.arg(file).args(["--seed", &seed.to_string(), "--changes", "20", "--tell"]);
    let mut child = writer.args(["--pause", "1"]).stdout(Stdio::piped()).spawn()?;
    let mut pipe = child.stdout.take().context("standard output")?;
    let mut told = vec![0; "closed 1\n".len()];
    pipe.read_exact(&mut told).context("the first window")?;
    thread::sleep(after);
    child.kill()?;
    child.wait()?;
    pipe.read_to_end(&mut told)?;
    let told = String::from_utf8(told)?;
    // The last line may have been cut off by the kill.
    let whole = told.rfind('\n').context("a line")?;
    let last = told[..whole].lines().last().and_then(|line| line.strip_prefix("closed "));
    let told: usize = last.with_context(|| told.clone())?.parse()?;

    let (entries, stop) = read(file)?;
    ensure!(matches!(stop, Stop::Unfinished { .. } | Stop::Cut { .. }), "it ended with {stop}");
    let mut replayed = Replayed::seeded(seed, 20);
    let mut expected = replayed.beginning();
    let windows = entries.len().checked_sub(expected.len()).context("not even the names")?;
    expected.extend((0..windows).map(|_| replayed.window()));
    ensure!(entries == expected, "seed {seed}: other entries than were written");
    Ok((told, windows))
}

#[test]
fn a_writer_killed_at_ninety_random_moments_loses_no_closed_window() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut moments = Moments(0x006d_656d_7472_6163);
    for seed in 0..90 {
        let file = folder.path().join(format!("{seed}.memtrace"));
        let after = moments.below(60);
        let (told, windows) =
            kill_a_writer(&file, seed, after).with_context(|| format!("{seed}"))?;
        ensure!(windows >= told, "{told} windows were told closed, {windows} are there");
        ensure!(windows <= told + 1, "{windows} windows, though only {told} were told");
        let (report, warned) = report(&file)?;
        check::law(&report)?;
        ensure!(report.processes[0].events > 0, "nothing in the report");
        ensure!(warned.contains("memtrace: warning:") && warned.contains("byte "), "{warned:?}");
    }
    Ok(())
}

/// Windows of this process, and RSS after each.
fn windows(entries: &[Entry]) -> Vec<i64> {
    let rss = |entry: &Entry| match entry {
        Entry::Window(window) => Some(window.rss.total().0),
        _ => None,
    };
    entries.iter().filter_map(rss).collect()
}

#[test]
fn memtrace_record_killed_at_ten_random_moments_keeps_what_was_in_the_file() -> Result<()> {
    let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
    let mut moments = Moments(0x0065_2072_6563_6f72);
    for number in 0..10 {
        let before = target.settled()?.rss;
        let recorder = Recorder::of(&[target.pid], &["--window", "100ms"])?;
        target.begin()?;
        thread::sleep(moments.below(600));
        // A reader sees closed windows while the recorder goes on: these must stay.
        let there = read(&recorder.recording().file).map_or_else(|_| Vec::new(), |(all, _)| all);
        thread::sleep(moments.below(50));
        let recording = recorder.kill()?;
        if !recording.file.exists() || std::fs::metadata(&recording.file)?.len() == 0 {
            bail!("{number}: no recording, though it had said that it records");
        }
        let (entries, stop) = read(&recording.file)?;
        ensure!(matches!(stop, Stop::Unfinished { .. } | Stop::Cut { .. }), "{number}: {stop}");
        ensure!(entries.starts_with(&there), "{number}: what was there is not there any more");
        let windows = windows(&entries);
        let (report, warned) = report(&recording.file)?;
        ensure!(warned.contains("no end mark") || warned.contains("cut off"), "{warned:?}");
        if let Some(last) = windows.last() {
            check::law(&report)?;
            let process = report.process(target.pid)?;
            ensure!(process.rss_before_bytes == before, "before: {}", process.rss_before_bytes);
            ensure!(process.rss_after_bytes == *last, "after: {}", process.rss_after_bytes);
        }
        ensure!(memory::alive(target.pid), "the target died with it");
        target.conversation().patient_answer(harness::wait::PATIENCE)?;
    }
    Ok(())
}
