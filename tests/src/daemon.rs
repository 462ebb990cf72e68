//! `memtrace daemon` while it runs, asked over its own HTTP as any client would.
//!
//! Speaks HTTP/1.1 itself, one request a connection: what a real client library would hide is part of
//! what is tested.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::conversation::Lines;
use crate::memtrace::{self, Build};
use crate::report::Report;
use crate::{resources, wait};

/// A daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    stderr: Lines,
    folder: tempfile::TempDir,
    /// `127.0.0.1:PORT`
    pub address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An argument that no other process of the machine has, for rules to know a test's own programs by.
#[must_use]
pub fn tag() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("--of-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A configuration for the programs with this tag: quick windows, a port of its own.
#[must_use]
pub fn config(tag: &str) -> String {
    format!(
        "[trace]\nwindow = \"200ms\"\nscan = \"200ms\"\nkeep = \"10m\"\n\
         [[include]]\ncommand = \"*{tag}*\"\n[http]\nlisten = \"127.0.0.1:0\"\n"
    )
}

impl Daemon {
    /// Starts one and waits until it watches.
    ///
    /// # Errors
    /// When it ends before that.
    pub fn start(config: &str) -> Result<Self> {
        Self::start_with(Build::Dev, config)
    }

    /// [`Daemon::start`] with a chosen build.
    ///
    /// # Errors
    /// When it ends before it watches.
    pub fn start_with(build: Build, config: &str) -> Result<Self> {
        Self::start_as(build, config, |_| ())
    }

    /// [`Daemon::start_with`], of a command that `change` has seen before.
    ///
    /// # Errors
    /// When it ends before it watches.
    pub fn start_as(build: Build, config: &str, change: impl FnOnce(&mut Command)) -> Result<Self> {
        let (folder, mut command) = Self::command(build, config)?;
        change(&mut command);
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = Lines::new("memtrace", child.stderr.take().context("standard error")?);
        let mut daemon = Self { child, stderr, folder, address: String::new() };
        if !config.contains("enabled = false") {
            let line = daemon.says("listening on ")?;
            let (_, address) = line.rsplit_once('/').context("an address")?;
            daemon.address = address.to_owned();
        }
        daemon.says("watching")?;
        Ok(daemon)
    }

    /// One that has nowhere to say anything, with an address that is free now.
    ///
    /// # Errors
    /// When it never answers.
    pub fn start_unheard(config: &str, stderr: File) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = config.replace("127.0.0.1:0", &address);
        let (folder, mut command) = Self::command(Build::Dev, &config)?;
        let child = command.stderr(stderr).spawn()?;
        let stderr = Lines::new("memtrace", std::io::empty());
        let mut daemon = Self { child, stderr, folder, address };
        wait::until("an answer", || {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("memtrace ended: {status}");
            }
            Ok(daemon.get("/healthz").is_ok_and(|answer| answer.status == 200).then_some(()))
        })?;
        Ok(daemon)
    }

    fn command(build: Build, config: &str) -> Result<(tempfile::TempDir, Command)> {
        resources::root()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("memtrace.toml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(memtrace::binary(build)?);
        command.env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.arg("daemon").arg("--config").arg(file);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // In a session of its own, as a service is: the scheduler shares time out by session.
        // SAFETY: setsid is async-signal-safe, and the child does nothing else.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
        Ok((folder, command))
    }

    /// Waits for a line of standard error with these words.
    ///
    /// # Errors
    /// When it ends before it says so.
    pub fn says(&mut self, words: &str) -> Result<String> {
        while let Some(line) = self.stderr.take_line()? {
            if line.contains(words) {
                return Ok(line);
            }
        }
        let status = self.child.wait()?;
        bail!("memtrace ended ({status}) before it said {words:?}: {}", self.stderr.seen())
    }

    /// Writes another configuration and has it read.
    ///
    /// # Errors
    /// When that can't be done.
    pub fn reload(&self, config: &str) -> Result<()> {
        std::fs::write(self.folder.path().join("memtrace.toml"), config)?;
        self.signal(libc::SIGHUP)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
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

    /// SIGTERM, and its end: what it said.
    ///
    /// # Errors
    /// When it doesn't end well.
    pub fn stop(self) -> Result<String> {
        self.signal(libc::SIGTERM)?;
        let (status, said) = self.wait()?;
        ensure!(status.code() == Some(0), "{status}: {said}");
        Ok(said)
    }

    /// `kill -9`
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn kill(self) -> Result<()> {
        self.signal(libc::SIGKILL)?;
        let (status, said) = self.wait()?;
        ensure!(status.signal() == Some(libc::SIGKILL), "{status}: {said}");
        Ok(())
    }

    fn wait(mut self) -> Result<(ExitStatus, String)> {
        let child = &mut self.child;
        let status = wait::until("memtrace to end", || Ok(child.try_wait()?))?;
        let said = self.stderr.rest()?;
        ensure!(!said.contains("panicked at"), "memtrace panicked: {said}");
        Ok((status, said))
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.ask(path, &[("Host", "localhost")])
    }

    /// Asks for a path, with these headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        Answer::parse(&self.exchange(request.as_bytes())?)
    }

    /// Sends bytes and takes what comes back until the other side has had enough.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn exchange(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(wait::PATIENCE))?;
        // The other side may hang up before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Ok(answer)
    }

    /// An answer in JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(path)?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).with_context(|| path.to_owned())
    }

    /// A report in JSON.
    ///
    /// # Errors
    /// When there is none.
    pub fn report(&self, query: &str) -> Result<Report> {
        let value = self.json(&format!("/api/report?format=json&{query}"))?;
        serde_json::from_value(value).context("a report")
    }

    /// What the page is made of.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn overview(&self) -> Result<Value> {
        self.json("/api/overview")
    }

    /// A process, once it is shown: its group's row and its own.
    ///
    /// # Errors
    /// When it never is.
    pub fn process(&self, pid: u32) -> Result<(Value, Value)> {
        let found = wait::until("a process to be shown", || Ok(find(&self.overview()?, pid)));
        found.with_context(|| format!("process {pid}"))
    }

    /// Waits until a process is as this says.
    ///
    /// # Errors
    /// When it never is.
    pub fn process_is(&self, pid: u32, is: impl Fn(&Value) -> bool) -> Result<Value> {
        wait::until("a process to come to something", || {
            Ok(find(&self.overview()?, pid).map(|(_, row)| row).filter(&is))
        })
    }

    /// Waits until a window has closed that began after this call.
    ///
    /// # Errors
    /// When none does.
    pub fn next_window(&self) -> Result<()> {
        let windows = |value: &Value| value["own"]["windows"].as_u64();
        let before = windows(&self.overview()?).context("windows")?;
        wait::until("two windows", || {
            Ok(windows(&self.overview()?).filter(|now| *now > before + 1).map(drop))
        })
    }
}

fn find(overview: &Value, pid: u32) -> Option<(Value, Value)> {
    for group in overview["groups"].as_array()? {
        for process in group["processes"].as_array()? {
            if process["pid"] == pid {
                return Some((group.clone(), process.clone()));
            }
        }
    }
    None
}

impl Answer {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").with_context(|| {
            format!("no head in {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))
        })?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        });
        Ok(Self {
            status: status.with_context(|| head.clone())?,
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Errors mean that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
