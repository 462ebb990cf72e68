//! `cargo xtask demo`: memtrace on a sample service that leaks, from nothing to its table.
//!
//! It builds memtrace, starts `tests/programs/demo_service.py` with the newest Python here that
//! memtrace traces, attaches for a few seconds and always stops the service again. The service is
//! bounded in time by itself, should this program be killed outright.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::process::{self, root};
use crate::python::{self, Python};

/// How long the service may take until it serves.
const START: Duration = Duration::from_secs(10);
/// How long it runs at most, whatever happens to us.
const SERVICE_SECONDS: u64 = 90;
/// How long memtrace may take beyond its duration.
const END: Duration = Duration::from_secs(30);

/// What was typed.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds to trace
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// The interpreter to run the service with, instead of the newest that is found
    #[arg(long)]
    python: Option<PathBuf>,
    /// memtrace has been built already (used when the demo starts itself again as root)
    #[arg(long, hide = true)]
    built: bool,
}

/// The chore.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.built {
        process::run(process::cargo().args(["build", "--release", "--locked", "-p", "memtrace"]))?;
    }
    let python = choose(options)?;
    if !process::is_root() {
        return again_as_root(options, &python);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot watch signals")?;
    }
    let mut service = Service::start(&python)?;
    println!("Python {} at {}, pid {}", python.series(), python.path.display(), service.pid());
    let result = trace(&mut service, options.seconds, &stop);
    service.stop();
    println!("the service is stopped");
    result
}

/// The interpreter to use.
fn choose(options: &Options) -> Result<Python> {
    if let Some(path) = &options.python {
        return python::probe(path).with_context(|| {
            format!("{} is not a CPython that memtrace traces (3.8 to 3.15)", path.display())
        });
    }
    python::find().pop().context(
        "no CPython from 3.8 to 3.15 was found on PATH, with pyenv or in /usr/bin; install one \
         (Debian: apt-get install python3) or name one with --python",
    )
}

/// The same chore through sudo; what was built as this user stays this user's.
fn again_as_root(options: &Options, python: &Python) -> Result<()> {
    if process::find_program("sudo").is_none() {
        bail!(
            "tracing needs root, and there is no sudo here: run `cargo xtask demo` as root, or \
             `target/release/memtrace attach PID` as root on a process of yours"
        );
    }
    println!("tracing needs root: going on through sudo");
    let own = std::env::current_exe().context("cannot find my own path")?;
    let mut command = Command::new("sudo");
    command.arg(own).args(["demo", "--built", "--seconds", &options.seconds.to_string()]);
    command.arg("--python").arg(&python.path);
    process::run(&mut command)
}

/// Attaches memtrace and waits for its end; on a signal, memtrace is asked to report and stop.
fn trace(service: &mut Service, seconds: u64, stop: &AtomicBool) -> Result<()> {
    let mut command = Command::new(root().join("target/release/memtrace"));
    command.args(["attach", &service.pid().to_string(), "--duration", &format!("{seconds}s")]);
    println!("$ {}", process::shown(&command));
    // A group of its own: Ctrl-C reaches memtrace once, from here.
    let mut memtrace = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map(Running)
        .with_context(|| process::not_started(&command))?;
    let mut deadline = Instant::now() + Duration::from_secs(seconds) + END;
    let mut told = false;
    loop {
        if let Some(status) = memtrace.0.try_wait().context("waiting for memtrace")? {
            return ended(status, service);
        }
        if stop.load(Ordering::Relaxed) && !told {
            told = true;
            signal(&memtrace.0, Signal::INT);
            deadline = Instant::now() + END;
        }
        if Instant::now() > deadline {
            bail!("memtrace did not end in time");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Judges memtrace's end and the service's health.
fn ended(status: ExitStatus, service: &mut Service) -> Result<()> {
    if !status.success() {
        bail!(
            "memtrace failed ({status}); `target/release/memtrace doctor` says what this machine allows"
        );
    }
    if let Some(status) = service.child.0.try_wait().context("looking after the service")? {
        bail!("the service ended while it was traced ({status})");
    }
    Ok(())
}

/// A child that doesn't outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Sends a signal; a child that has ended needs none.
fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The sample service.
struct Service {
    child: Running,
}

impl Service {
    /// Starts it and waits until it serves.
    fn start(python: &Python) -> Result<Self> {
        let program = root().join("tests/programs/demo_service.py");
        let mut command = Command::new(&python.path);
        command.arg("-u").arg(&program).args(["--seconds", &SERVICE_SECONDS.to_string()]);
        println!("$ {}", process::shown(&command));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| process::not_started(&command))?;
        let output = child.stdout.take();
        let service = Self { child: Running(child) };
        let (send, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            if let Some(output) = output {
                // An end without a line shows as a line that isn't `ready`.
                drop(BufReader::new(output).read_line(&mut line));
            }
            drop(send.send(line));
        });
        match ready.recv_timeout(START) {
            Ok(line) if line.starts_with("ready") => Ok(service),
            _ => bail!("the sample service did not start to serve; its messages are above"),
        }
    }

    fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Asks it to end; dropping it makes sure.
    fn stop(&mut self) {
        signal(&self.child.0, Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if !matches!(self.child.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
