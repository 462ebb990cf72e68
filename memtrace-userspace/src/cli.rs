//! What can be typed. Turning it into what is meant is the commands' business.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use lens::{LensArgs, LensKind};
pub use push::PushArgs;
pub use recordings::{DiffArgs, FilterArgs, Growth, PlotArgs, RecordArgs, ReportArgs, TimeArgs};

use crate::report::{Column, Measure};

mod lens;
mod push;
mod recordings;

/// Which Python line made this process's resident memory grow, and is that memory still there?
///
/// Works on unmodified, running CPython processes (3.8 to 3.15), by PID: nothing is injected,
/// paused or restarted.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace running processes until --duration or Ctrl-C, then report
    Attach(AttachArgs),
    /// Start a command and trace it from its first instruction
    Run(RunArgs),
    /// Trace running processes and show on a live screen what grows
    Top(TopArgs),
    /// Trace the whole machine, all the time: page, API and metrics
    Daemon(DaemonArgs),
    /// Where a process's RSS is now: no probe, one look from outside
    Explain(ExplainArgs),
    /// The Python processes here: version, build, what can be traced
    Ps(ListArgs),
    /// Trace into a file, for minutes or for weeks, that every report can be made of later
    Record(RecordArgs),
    /// Report from a recording
    Report(ReportArgs),
    /// Draw a recording: memory over time, by line
    Plot(PlotArgs),
    /// What grew between two recordings, or two times of one
    Diff(DiffArgs),
    /// Send a recording to Pyroscope, Parca or a collector of OTLP profiles
    Push(PushArgs),
    /// What this kernel and these privileges allow, and the mend for what they don't
    Doctor(ListArgs),
    /// Allocates and frees, to measure what probes cost
    #[command(hide = true)]
    Calibrate,
    /// Waits for memtrace's end, and takes out what it could not
    #[command(hide = true)]
    Mend,
    /// Completions for a shell: where to put them says that shell's manual
    Completions(CompletionsArgs),
}

/// `memtrace attach`
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Process ids, as this host sees them
    #[arg(required = true, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Trace the Python processes that these have started already, too: a server's workers. What is forked
    /// later is followed anyway
    #[arg(long)]
    pub children: bool,
    /// How to trace and report
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// `memtrace run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// How to trace and report
    #[command(flatten)]
    pub trace: TraceArgs,
    /// Count how often each line runs, for Occurrences: the one option with which code of memtrace's
    /// runs in the program. CPython 3.12 or newer
    #[arg(long, conflicts_with = "duration")]
    pub count_lines: bool,
    /// The command and its arguments, after `--`
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// What `attach` and `run` share.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Stop after this time: 30s, 5m, 1h30m
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// What to report, and where to
    #[command(flatten)]
    pub form: FormArgs,
    /// How to probe
    #[command(flatten)]
    pub probes: ProbeArgs,
    /// Count evaluations by function, by a breakpoint in the interpreter: each takes 1.3 to 2 µs more.
    /// From 3.11 on only what C calls is an evaluation of its own
    #[arg(long, conflicts_with = "no_uprobes")]
    pub calls: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error, the kernel side included
    #[arg(short, long)]
    pub verbose: bool,
}

/// What all commands that trace share.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Do not trace forked children
    #[arg(long)]
    pub no_follow: bool,
    /// Put no breakpoint into targets: code objects that die and whose address comes back are then
    /// noticed by their fingerprints only
    #[arg(long)]
    pub no_uprobes: bool,
    /// Show the native functions (C, C++, Rust, Fortran) in which memory grew, above the Python line
    #[arg(long)]
    pub native: bool,
    /// Size of the ring buffer in bytes, a power of two from 4096 on; four times the default with
    /// --native
    #[arg(long, value_name = "BYTES", default_value_t = memtrace_common::limits::DEFAULT_RING_BYTES,
          value_parser = ring_bytes)]
    pub ring_bytes: u32,
    /// How threads are bound to their Python thread states
    #[arg(long, value_enum, default_value_t = Bind::Slot, hide = true)]
    pub bind: Bind,
    /// What to look at beside RSS
    #[command(flatten)]
    pub lens: LensArgs,
}

/// `memtrace top`
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Process ids, as this host sees them; without any, all Python processes that can be traced
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Trace the Python processes that these have started already, too: a server's workers. What is forked
    /// later is followed anyway
    #[arg(long, requires = "pids")]
    pub children: bool,
    /// Renew the picture after this time: 100ms, 1s, 10s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = window)]
    pub window: Duration,
    /// How to probe
    #[command(flatten)]
    pub probes: ProbeArgs,
}

/// What all commands that report share.
#[derive(Debug, Args)]
pub struct FormArgs {
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What gives stacks their size in folded, flamegraph, pprof and html: bytes grown, grown less
    /// returned (net, the default), still resident, or events; with the allocator lens, bytes
    /// allocated, allocations, or bytes that are live
    #[arg(long, value_name = "FIGURE", value_parser = measures())]
    pub measure: Option<Measure>,
    /// In folded and flamegraph, a frame for each thread
    #[arg(long)]
    pub split_threads: bool,
    /// Order of the lines in table and csv, the largest first; net is the default
    #[arg(long, value_name = "FIGURE", value_parser = measures())]
    pub sort: Option<Measure>,
    /// Lines in the table's summary over all files; 20 is the default
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// With the allocator lens, the lines in the table whose blocks have lived for --older-than
    #[arg(long, conflicts_with = "temporary")]
    pub leaks: bool,
    /// So long: 10s is the default
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "leaks")]
    pub older_than: Option<Duration>,
    /// With the allocator lens, the lines in the table whose blocks were freed at once
    #[arg(long)]
    pub temporary: bool,
    /// Further columns of the table: Self, Resident, Returned, Faults, Anon, File, Shmem, Copied,
    /// Released, Estimate
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<Column>,
}

/// `memtrace daemon`
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// What to trace, keep and serve, in TOML; docs/daemon.md has all of it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say whether the configuration is sound, and do nothing
    #[arg(long)]
    pub check: bool,
    /// Say more on standard error, the kernel side included
    #[arg(short, long)]
    pub verbose: bool,
}

/// `memtrace completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// `memtrace explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Process id, as this host sees it
    #[arg(required_unless_present = "diff", value_name = "PID",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,
    /// Compare two earlier results of `--format json`: what grew from the first to the second
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"],
          conflicts_with_all = ["pid", "freeze"])]
    pub diff: Option<Vec<PathBuf>>,
    /// Stop the process while it is looked at, for an exact picture, and say for how long
    #[arg(long)]
    pub freeze: bool,
    /// Types of objects, files and blocks that the table shows
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
    /// Write the result to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `memtrace ps` and `memtrace doctor`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
    /// Write the list to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: the per-line table
    Table,
    /// For programs: one document
    Json,
    /// For spreadsheets: one row a line
    Csv,
    /// Folded stacks, one a line, for flame graph programs
    Folded,
    /// profile.proto, gzip'd, for pprof, speedscope and others
    Pprof,
    /// An SVG that zooms and searches, for browsers
    Flamegraph,
    /// A page for a browser: course, table, flame graph and source in one file
    Html,
    /// For memory_profiler's `mprof plot` and `mprof peak`
    Mprof,
}

/// How threads are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bind {
    /// By their slot in thread-local storage; by the probe where there is none
    Slot,
    /// By the frame-evaluation probe
    FrameEval,
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it like 30s, 5m or 1h30m")),
    }
}

fn window(text: &str) -> Result<Duration, String> {
    let window = duration(text)?;
    if (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&window) {
        Ok(window)
    } else {
        Err("must be from 100ms to 1m".to_owned())
    }
}

fn measures() -> impl TypedValueParser<Value = Measure> {
    PossibleValuesParser::new(Measure::ALL.map(Measure::name))
        .try_map(|name| name.parse::<Measure>())
}

fn ring_bytes(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(bytes) if bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err("must be a power of two from 4096 to 1073741824".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nonsense_is_refused_with_the_mend() {
        for nonsense in ["soon", "0s", "", "-3s"] {
            assert!(duration(nonsense).is_err(), "{nonsense:?}");
        }
        assert!(duration("soon").unwrap_err().contains("30s"));
        for nonsense in ["0s", "99ms", "61s", "often"] {
            assert!(window(nonsense).is_err(), "{nonsense:?}");
        }
        for nonsense in ["0", "4095", "5000", "many"] {
            assert!(ring_bytes(nonsense).is_err(), "{nonsense}");
        }
    }
}
