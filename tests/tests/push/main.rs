//! `memtrace push`: what arrives is what the report says, whatever the store and the network do in
//! between.

mod daemon;
mod decode;
mod faults;
mod figures;
mod queue;
mod refused;

use std::process::Command;
use std::time::Duration;

use harness::interpreters::newest;
use harness::memtrace::{self, Output, finish};
use harness::recorder::{Recorder, Recording};
use harness::store::Store;
use harness::target::Target;
use harness::truth::Mark;
use harness::{Context, Result};

/// A recording of a program that grew by 16 MiB twice, more than a second apart.
struct Recorded {
    recording: Recording,
    pid: u32,
    mark: Mark,
}

impl Recorded {
    fn make() -> Result<Self> {
        let mut target = Target::start(&newest()?, "resident.py", &["keeps"])?;
        let pid = target.pid;
        let recorder = Recorder::of(&[pid], &["--window", "100ms"])?;
        let mut mark = None;
        for _ in 0..2 {
            mark = Some(target.go()?.mark("keeps")?.clone());
            std::thread::sleep(Duration::from_millis(1300));
        }
        Ok(Self { recording: recorder.stop()?, pid, mark: mark.context("a mark")? })
    }

    /// `memtrace push FILE --to STORE --as FORM OPTION…`
    fn command(&self, store: &Store, form: &str, options: &[&str]) -> Result<Command> {
        let mut command = memtrace::command(["push"])?;
        command.arg(&self.recording.file).args(["--to", &store.url(), "--as", form]);
        command.args(["--every", "1s"]).args(options);
        // What the machine's own way to the network is must not matter.
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        Ok(command)
    }

    fn push(&self, store: &Store, form: &str, options: &[&str]) -> Result<Output> {
        finish(&mut self.command(store, form, options)?)
    }
}
