//! A program of `programs/`, started with one interpreter, that does its step when told to.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::conversation::Conversation;
use crate::interpreters::Interpreter;
use crate::memory::{self, Resident};
use crate::resources;
use crate::truth::Truth;
use crate::wait;

/// A running program. Dropping it kills it and all that it started.
#[derive(Debug)]
pub struct Target {
    child: Child,
    conversation: Conversation,
    /// The program's pid.
    pub pid: u32,
}

/// The file of a test program.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

/// The command that runs a test program, without streams.
///
/// # Errors
/// When the native library for it can't be built.
pub fn command<A: AsRef<OsStr>>(
    python: &Interpreter,
    program_name: &str,
    arguments: &[A],
) -> Result<Command> {
    let mut command = Command::new(&python.path);
    command.arg(program(program_name)).args(arguments);
    prepare(&mut command)?;
    Ok(command)
}

/// Sets the environment of a test program: nothing of the user's own Python settings.
///
/// # Errors
/// When the native library can't be built.
pub fn prepare(command: &mut Command) -> Result<()> {
    for key in ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONMALLOC", "MALLOC_ARENA_MAX"] {
        command.env_remove(key);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONNOUSERSITE", "1");
    command.env("MEMTRACE_TEST_NATIVE", resources::native_library()?);
    Ok(())
}

impl Target {
    /// Starts a program and waits until it is ready and holds still.
    ///
    /// # Errors
    /// When it doesn't get there.
    pub fn start(python: &Interpreter, program_name: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_command(command(python, program_name, arguments)?)
    }

    /// Starts a command that ends up as a test program.
    ///
    /// # Errors
    /// When it doesn't get there.
    pub fn start_command(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let streams = child.stdin.take().zip(child.stdout.take());
        let (input, output) = streams.context("streams of the program")?;
        let mut target =
            Self { pid: child.id(), conversation: Conversation::new(input, output), child };
        target.pid = target.conversation.ready().with_context(|| format!("{command:?}"))?;
        Ok(target)
    }

    /// Lets it do its step; gives what it says it did, once it is parked again.
    ///
    /// # Errors
    /// When the step fails.
    pub fn go(&mut self) -> Result<Truth> {
        let truth = self.conversation.go()?;
        self.settled()?;
        Ok(truth)
    }

    /// Lets it do its step without waiting for the answer.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin(&mut self) -> Result<()> {
        self.conversation.say("go")
    }

    /// The streams, for programs that speak differently.
    pub fn conversation(&mut self) -> &mut Conversation {
        &mut self.conversation
    }

    /// The process that was started; the program itself unless a command stands before it.
    #[must_use]
    pub fn leader(&self) -> u32 {
        self.child.id()
    }

    /// Its memory, once it holds still.
    ///
    /// # Errors
    /// When it doesn't, or is gone.
    pub fn settled(&self) -> Result<Resident> {
        memory::settled(self.pid)
    }

    /// Ends it in peace.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn exit(mut self) -> Result<ExitStatus> {
        self.conversation.say("exit")?;
        let child = &mut self.child;
        wait::until("the program to end", || Ok(child.try_wait()?))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        if group > 1 {
            // SAFETY: kill has no memory effects here. The group was made by process_group(0) at
            // the start, and its leader is not reaped before the next statement.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        // An error means that the child was reaped before; there is nothing left to do.
        let _ = self.child.wait();
    }
}
