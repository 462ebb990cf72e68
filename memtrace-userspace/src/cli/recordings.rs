//! What can be typed for recordings: made, reported, drawn, compared.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{ArgGroup, Args};

use super::{FormArgs, ListFormat, ProbeArgs, duration, window};
use crate::profile::filter::{Filter, Glob};
use crate::units::{Bytes, Nanos};

/// `memtrace record`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["pids", "command"]))]
pub struct RecordArgs {
    /// Process ids, as this host sees them
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Trace the Python processes that these have started already, too: a server's workers. What is forked
    /// later is followed anyway
    #[arg(long, conflicts_with = "command")]
    pub children: bool,
    /// The recording; it must not be there yet
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Stop after this time: 30s, 5m, 1h30m
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Write what has happened every so often; a crash costs no more than that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = window)]
    pub window: Duration,
    /// Begin when a process's RSS is as large as this: 2GiB. Until then it is only looked at, from
    /// outside, and nothing is attached
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with = "command")]
    pub start_at_rss: Option<Bytes>,
    /// Begin when a process's RSS grows as fast as this: 50MiB/min
    #[arg(long, value_name = "SIZE/TIME", value_parser = rate, conflicts_with = "command")]
    pub start_at_growth: Option<Growth>,
    /// Keep the last windows in memory, and write them only when a process was killed (by the OOM
    /// killer, or by SIGKILL otherwise)
    #[arg(long)]
    pub on_oom: bool,
    /// How to probe
    #[command(flatten)]
    pub probes: ProbeArgs,
    /// Count evaluations by function, too, as `attach` does
    #[arg(long, conflicts_with = "no_uprobes")]
    pub calls: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error, the kernel side included
    #[arg(short, long)]
    pub verbose: bool,
    /// A command to start and to record from its first instruction, after `--`
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Growth in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// So much
    pub bytes: Bytes,
    /// in this time.
    pub time: Duration,
}

/// `memtrace report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What to report, and where to
    #[command(flatten)]
    pub form: FormArgs,
    /// Of which time
    #[command(flatten)]
    pub time: TimeArgs,
    /// Up to the moment when RSS was highest: who held memory then
    #[arg(long, conflicts_with = "to")]
    pub peak: bool,
    /// Of what
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Fail when the recording is cut off or damaged, instead of reporting what there is
    #[arg(long)]
    pub strict: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// A part of a recording's time.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct TimeArgs {
    /// Begin at this time after the start: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub from: Option<Nanos>,
    /// End at this time after the start
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub to: Option<Nanos>,
}

/// A part of what was recorded. What is left out of a process stays in its sum, in one row.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only the process with this id; may be given more than once
    #[arg(long, value_name = "PID")]
    pub process: Vec<u32>,
    /// Only threads whose name matches this pattern, or with this number
    #[arg(long, value_name = "GLOB")]
    pub thread: Vec<Glob>,
    /// Only lines of files that match this pattern
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<Glob>,
    /// No lines of files that match this pattern
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<Glob>,
}

impl FilterArgs {
    /// What is meant.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter {
            processes: self.process.clone(),
            threads: self.thread.clone(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        }
    }
}

/// `memtrace plot`
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// A recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Draw into this file, by its ending .svg, .png or .txt; in the terminal unless given
    #[arg(short, long, value_name = "FILE", value_parser = picture())]
    pub output: Option<PathBuf>,
    /// Begin at this time after the start: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub from: Option<Nanos>,
    /// End at this time after the start
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub to: Option<Nanos>,
    /// Only the process with this id
    #[arg(long, value_name = "PID")]
    pub process: Option<u32>,
    /// Width in pixels (640 to 8192; 1200 is the default), of text in columns
    #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(u32).range(40..=8192))]
    pub width: Option<u32>,
    /// Height in pixels (320 to 8192), of text in rows; by default what it takes
    #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(u32).range(16..=8192))]
    pub height: Option<u32>,
}

/// `memtrace diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Two recordings, the earlier first; or one, with --from and --to given twice
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Begin at this time after the start: the first for the earlier side, the second for the later
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub from: Vec<Nanos>,
    /// End at this time after the start, likewise
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub to: Vec<Nanos>,
    /// Of what
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Exit with 4 when resident memory has grown by more than this: 10MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub fail_above: Option<Bytes>,
    /// Form of the comparison
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
    /// Write the comparison to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Lines in the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Fail when a recording is cut off or damaged
    #[arg(long)]
    pub strict: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    pub quiet: bool,
}

pub(super) fn since(text: &str) -> Result<Nanos, String> {
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 90s, 5m or 1h30m"))?;
    u64::try_from(time.as_nanos()).map(Nanos).map_err(|_| "longer than 500 years".to_owned())
}

pub(super) fn size(text: &str) -> Result<Bytes, String> {
    match text.parse::<ByteSize>().map(|size| i64::try_from(size.0)) {
        Ok(Ok(bytes)) => Ok(Bytes(bytes)),
        _ => Err("write it like 512KiB, 50MiB or 2GiB".to_owned()),
    }
}

fn rate(text: &str) -> Result<Growth, String> {
    let mend = || "write it like 50MiB/min, 1MiB/s or 2GiB/h".to_owned();
    let (bytes, unit) = text.split_once('/').ok_or_else(mend)?;
    let seconds = match unit {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" | "hour" => 3600,
        _ => return Err(mend()),
    };
    match size(bytes) {
        Ok(bytes) if bytes > Bytes::ZERO => {
            Ok(Growth { bytes, time: Duration::from_secs(seconds) })
        }
        _ => Err(mend()),
    }
}

/// A file whose ending says what to draw into it.
fn picture() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("svg" | "png" | "txt") => Ok(path),
            _ => Err("its name must end in .svg, .png or .txt"),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_plots_file_says_by_its_ending_what_it_is() {
        #[derive(Parser)]
        struct Plot {
            #[command(flatten)]
            args: PlotArgs,
        }
        let typed = |typed: &str| Plot::try_parse_from(typed.split(' ')).map(|plot| plot.args);
        let args = typed("plot a.memtrace -o b.Svg --from 90s --width 640").unwrap();
        assert_eq!(args.output, Some("b.Svg".into()));
        assert_eq!((args.from, args.width), (Some(Nanos(90_000_000_000)), Some(640)));
        for file in ["b", "b.jpg", "svg", "b.svg.gz"] {
            let error = typed(&format!("plot a.memtrace -o {file}")).unwrap_err().to_string();
            assert!(error.contains("must end in .svg, .png or .txt"), "{error}");
        }
    }

    #[test]
    fn a_recording_is_of_processes_or_of_a_command() {
        let record = |words: &[&str]| {
            let words = [&["memtrace", "record", "-o", "a.memtrace"], words].concat();
            Cli::try_parse_from(words).map(|cli| match cli.command {
                Command::Record(args) => args,
                _ => panic!("another command"),
            })
        };
        assert_eq!(record(&["1", "2"]).unwrap().pids, [1, 2]);
        assert_eq!(record(&["--", "python", "a.py"]).unwrap().command, ["python", "a.py"]);
        assert!(record(&[]).is_err());
        assert!(record(&["1", "--", "python"]).is_err());
        assert!(record(&["--start-at-rss", "1GiB", "--", "python"]).is_err());
    }

    #[test]
    fn sizes_and_rates_are_what_they_say() {
        assert_eq!(size("2GiB"), Ok(Bytes(2 << 30)));
        assert_eq!(size("4096"), Ok(Bytes(4096)));
        for nonsense in ["", "much", "-1MiB", "2 parrots"] {
            assert!(size(nonsense).unwrap_err().contains("2GiB"), "{nonsense:?}");
        }
        let minute = Growth { bytes: Bytes(50 << 20), time: Duration::from_secs(60) };
        assert_eq!(rate("50MiB/min"), Ok(minute));
        for nonsense in ["50MiB", "50MiB/week", "/min", "0/s"] {
            assert!(rate(nonsense).unwrap_err().contains("50MiB/min"), "{nonsense:?}");
        }
    }
}
