//! `memtrace plot`: memory over time, by line, as a picture or in the terminal.
//!
//! The file's ending says which.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Result, bail};

use super::color;
use super::output::Output;
use super::read::{self, Reading};
use crate::cli::{PlotArgs, TimeArgs};
use crate::profile::Profile;
use crate::report::plot::{self, PlotOptions};
use crate::units::Nanos;

/// Draws the part of a recording that `args` name.
///
/// # Errors
///
/// The recording can't be read; a process isn't there; the place can't be written to, which is found
/// before anything is read.
pub fn run(args: &PlotArgs) -> Result<()> {
    draw(args, |args| {
        let time = TimeArgs { from: args.from, to: args.to };
        let reading = Reading { strict: false, quiet: false };
        Ok(read::history(&args.file, time, reading)?.profile())
    })
}

/// Draws what `read` gives.
fn draw(args: &PlotArgs, read: impl FnOnce(&PlotArgs) -> Result<Profile>) -> Result<()> {
    let output = Output::open(args.output.as_deref())?;
    let profile = read(args)?;
    if let Some(pid) = args.process
        && !profile.processes.iter().any(|process| process.pid == pid)
    {
        bail!("there is no process {pid} in {}; {}", args.file.display(), processes(&profile));
    }
    let (options, form) = (options(args), Form::of(args.output.as_deref()));
    output.write(|out| {
        match form {
            Form::Svg => plot::write_svg(out, &profile, &options)?,
            Form::Png => plot::write_png(out, &profile, &options)?,
            Form::Text => plot::write_text(out, &profile, &options)?,
        }
        Ok(())
    })
}

/// What is drawn.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Svg,
    Png,
    Text,
}

impl Form {
    /// By the ending of the file; what has none of those known is refused when it is typed.
    fn of(path: Option<&Path>) -> Self {
        let ending = path.and_then(Path::extension).map(|ending| ending.to_ascii_lowercase());
        match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("svg") => Self::Svg,
            Some("png") => Self::Png,
            _ => Self::Text,
        }
    }
}

fn options(args: &PlotArgs) -> PlotOptions {
    let terminal = if args.output.is_none() { terminal_size() } else { None };
    PlotOptions {
        width: args.width.or(terminal.map(|(columns, _)| columns)),
        height: args.height.or(terminal.map(|(_, rows)| rows)),
        process: args.process,
        begins_later: args.from.is_some_and(|from| from > Nanos(0)),
        color: color::wanted(terminal.is_some()),
        ..PlotOptions::default()
    }
}

/// Columns and rows of the terminal that standard output is.
fn terminal_size() -> Option<(u32, u32)> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Which ones there are, as the end of a sentence.
fn processes(profile: &Profile) -> String {
    const SHOWN: usize = 10;
    let mut pids: Vec<u32> = profile.processes.iter().map(|process| process.pid).collect();
    pids.dedup();
    let more = if pids.len() > SHOWN { ", …" } else { "" };
    let pids: Vec<_> = pids.iter().take(SHOWN).map(ToString::to_string).collect();
    if pids.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}{more}", pids.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;

    fn nothing() -> Profile {
        Profile {
            started_at: SystemTime::UNIX_EPOCH,
            duration: Nanos(0),
            kernel: String::new(),
            exact: true,
            processes: Vec::new(),
        }
    }

    fn args(output: Option<PathBuf>) -> PlotArgs {
        PlotArgs {
            file: "a.memtrace".into(),
            output,
            from: None,
            to: None,
            process: None,
            width: None,
            height: None,
        }
    }

    #[test]
    fn the_files_ending_says_what_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let drawn = |name: &str| {
            let path = folder.path().join(name);
            draw(&args(Some(path.clone())), |_| Ok(nothing())).unwrap();
            std::fs::read(path).unwrap()
        };
        assert!(drawn("a.SVG").starts_with(b"<svg "));
        assert!(drawn("a.png").starts_with(b"\x89PNG\r\n"));
        assert_eq!(drawn("a.txt"), b"There is no process to plot.\n");
    }

    #[test]
    fn what_cant_be_is_said_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/a.svg");
        let unread = |_: &PlotArgs| -> Result<Profile> { panic!("read") };
        assert!(draw(&args(Some(missing)), unread).is_err());

        let other = PlotArgs { process: Some(7), ..args(None) };
        let error = draw(&other, |_| Ok(nothing())).unwrap_err().to_string();
        assert_eq!(error, "there is no process 7 in a.memtrace; it has none");
    }
}
