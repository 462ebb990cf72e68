//! A terminal that a command runs in: a real pseudo-terminal, with what stands on its screen.
//!
//! Keys go in as bytes, the screen comes out as text. What an emulator makes of the bytes is the
//! crate vt100's business.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::pty::OpenptFlags;
use rustix::termios::{self, Termios, Winsize};

use crate::wait;

/// What stands on the terminal before the command starts, and must stand there afterwards.
const BEFORE: &str = "what was there before";

/// A command in a terminal of its own. Dropping it kills the command.
pub struct Terminal {
    child: Child,
    /// The side of whoever sits before it.
    master: File,
    /// The side of the command, kept to ask for its modes.
    slave: OwnedFd,
    modes: Termios,
    emulator: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Starts a command in a terminal of this size.
    ///
    /// # Errors
    /// When there is no pseudo-terminal, or the command can't be started.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Result<Self> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        termios::tcsetwinsize(&master, winsize(columns, rows))?;
        let modes = termios::tcgetattr(&slave)?;
        rustix::io::write(&slave, format!("{BEFORE}\r\n").as_bytes())?;

        // A backtrace is longer than the screen that it would be looked for on.
        command.env("TERM", "xterm-256color").env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::from(slave.try_clone()?));
        command.stdout(Stdio::from(slave.try_clone()?));
        command.stderr(Stdio::from(slave.try_clone()?));
        // SAFETY: only system calls between fork and exec; standard input is the terminal by then.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let (rows, columns) = (cells(rows)?, cells(columns)?);
        let emulator = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let master = File::from(master);
        let (mut output, screen) = (master.try_clone()?, Arc::clone(&emulator));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is the end: nobody has the other side open any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                screen.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
            }
        });
        Ok(Self { child, master, slave, modes, emulator })
    }

    fn emulator(&self) -> MutexGuard<'_, vt100::Parser> {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What stands on the screen, without the blanks at the ends of its lines.
    #[must_use]
    pub fn text(&self) -> String {
        let emulator = self.emulator();
        let (_, columns) = emulator.screen().size();
        let rows = emulator.screen().rows(0, columns.get());
        rows.map(|row| row.trim_end().to_owned() + "\n").collect()
    }

    /// Waits until the screen is as `wanted` says; gives its text.
    ///
    /// # Errors
    /// When it never is; with what there is instead.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let seen = wait::until(what, || {
            let text = self.text();
            if wanted(&text) {
                return Ok(Some(text));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the command ended ({status})");
            }
            Ok(None)
        });
        seen.with_context(|| format!("the screen:\n{}", self.text()))
    }

    /// Waits until these words are on the screen; gives its text.
    ///
    /// # Errors
    /// When they never are.
    pub fn wait_for_words(&mut self, words: &str) -> Result<String> {
        self.wait_for(words, |text| text.contains(words))
    }

    /// Presses keys, given as the bytes that a terminal sends for them.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.master.write_all(keys.as_bytes())?;
        Ok(())
    }

    /// The window gets another size.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        self.emulator().screen_mut().set_size(cells(rows)?, cells(columns)?);
        termios::tcsetwinsize(&self.master, winsize(columns, rows))?;
        Ok(())
    }

    /// Sends the command a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: kill has no memory effects; the child is not reaped, so the pid is its own.
        let answer = unsafe { libc::kill(pid, signal) };
        ensure!(answer == 0, "signal {signal}: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// Whether the command has the terminal to itself: the alternate screen, no cursor, raw keys.
    ///
    /// # Errors
    /// When the terminal can't be asked.
    pub fn is_taken_over(&self) -> Result<bool> {
        let raw = !termios::tcgetattr(&self.slave)?
            .local_modes
            .intersects(termios::LocalModes::ICANON | termios::LocalModes::ECHO);
        let emulator = self.emulator();
        Ok(raw && emulator.screen().alternate_screen() && emulator.screen().hide_cursor())
    }

    /// Waits for the command's end; the terminal must then be as it was before: its modes, its
    /// cursor, and what stood on its screen. Gives what has come to stand below that.
    ///
    /// # Errors
    /// When the command doesn't end, or the terminal is not as it was.
    pub fn ended(&mut self) -> Result<(ExitStatus, String)> {
        let child = &mut self.child;
        let status = wait::until("the command to end", || Ok(child.try_wait()?))
            .with_context(|| format!("the screen:\n{}", self.text()))?;
        // What it wrote last may still be under way to the emulator.
        wait::until("the main screen", || {
            let emulator = self.emulator();
            let screen = emulator.screen();
            Ok((!screen.alternate_screen() && !screen.hide_cursor()).then_some(()))
        })?;
        thread::sleep(Duration::from_millis(100));
        let modes = termios::tcgetattr(&self.slave)?;
        let same = modes.local_modes == self.modes.local_modes
            && modes.input_modes == self.modes.input_modes
            && modes.output_modes == self.modes.output_modes
            && modes.control_modes == self.modes.control_modes;
        ensure!(same, "the modes are {modes:?}, and were {:?}", self.modes);
        let text = self.text();
        let below = text.strip_prefix(BEFORE);
        let below = below.with_context(|| format!("another screen than before:\n{text}"))?;
        Ok((status, below.trim().to_owned()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(count: u16) -> Result<NonZeroU16> {
    NonZeroU16::new(count).context("a terminal without cells")
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
