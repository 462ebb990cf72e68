//! Writes a replayed trace with memtrace's own writer, and tells on standard output how many windows
//! are closed, each time once they are: `closed N`. For tests that kill it.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use harness::Result;
use harness::replayed::Replayed;
use memtrace::recording::Writer;

/// Writes a replayed trace.
#[derive(Parser)]
struct Arguments {
    /// The recording
    file: PathBuf,
    /// What the trace is made of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Windows; without end unless given
    #[arg(long)]
    windows: Option<u64>,
    /// Changes in each
    #[arg(long, default_value_t = 50)]
    changes: u32,
    /// Milliseconds between windows
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Tell how many are closed
    #[arg(long)]
    tell: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut replayed = Replayed::seeded(arguments.seed, arguments.changes);
    let mut writer = Writer::begin(File::create(&arguments.file)?, &Replayed::head())?;
    for entry in replayed.beginning() {
        writer.add(&entry)?;
    }
    let mut out = std::io::stdout().lock();
    let mut closed = 0;
    while arguments.windows.is_none_or(|windows| closed < windows) {
        writer.add(&replayed.window())?;
        writer.flush()?;
        closed += 1;
        if arguments.tell {
            // The file has it: whoever reads this may count on it.
            writeln!(out, "closed {closed}")?;
            out.flush()?;
        }
        std::thread::sleep(Duration::from_millis(arguments.pause));
    }
    writer.finish()?;
    Ok(())
}
