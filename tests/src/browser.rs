//! A real browser, without a window: pages opened, keys pressed, pictures taken.
//!
//! Debian's Chromium is spoken to in its own protocol (DevTools) over two pipes: no port, no driver
//! and no other language in between. Each browser has a folder of its own that goes with it. It
//! knows nothing of what is on a page; the tests ask that in the page's own language.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wait::PATIENCE;

mod page;

pub use page::{Look, Page};

/// Names under which distributions install it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// No window, no sandbox (tests run as root), nothing of its own over the network.
const OPTIONS: [&str; 14] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
];

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    /// What came while an answer was waited for.
    events: VecDeque<Value>,
    commands_sent: u64,
    folder: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// When there is none, or it doesn't start.
    pub fn start() -> Result<Self> {
        let program = NAMES
            .iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok())
            .context("no Chromium here; `cargo xtask setup` installs it")?;
        let folder = tempfile::tempdir()?;
        let messages = File::create(folder.path().join("messages"))?;
        // It reads commands from descriptor 3 and answers on 4: a shell puts our pipes there.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2", program])
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let commands = child.stdin.take().context("the pipe for commands")?;
        let output = BufReader::new(child.stdout.take().context("the pipe for answers")?);
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for message in output.split(0) {
                let parsed = message.ok().and_then(|text| serde_json::from_slice(&text).ok());
                if parsed.is_none_or(|value: Value| sender.send(value).is_err()) {
                    return;
                }
            }
        });
        let events = VecDeque::new();
        let mut browser = Self { child, commands, answers, events, commands_sent: 0, folder };
        browser.call(None, "Browser.getVersion", json!({}))?;
        Ok(browser)
    }

    /// Opens a file in a new page and waits until it is loaded.
    ///
    /// # Errors
    /// When the browser fails, or the file can't be opened.
    pub fn open(&mut self, file: &Path, look: Look) -> Result<Page<'_>> {
        Page::open(self, file, look)
    }

    /// Opens a page of a server and waits until it is loaded.
    ///
    /// # Errors
    /// When the browser fails, or nobody answers.
    pub fn visit(&mut self, url: &str, look: Look) -> Result<Page<'_>> {
        Page::visit(self, url, look)
    }

    /// A command and its result. `session` names the page.
    fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        self.commands_sent += 1;
        let id = self.commands_sent;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = json!(session);
        }
        let sent = write!(self.commands, "{command}\0").and_then(|()| self.commands.flush());
        sent.with_context(|| format!("{method}: {}", self.last_words()))?;
        loop {
            let mut message = self.receive(method)?;
            if message["id"] != id {
                self.events.push_back(message);
            } else if let Some(error) = message.get("error") {
                bail!("{method}: {error}");
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    /// Waits for an event of a page.
    fn event(&mut self, session: &str, method: &str) -> Result<Value> {
        let wanted = |event: &Value| event["sessionId"] == session && event["method"] == method;
        if let Some(at) = self.events.iter().position(wanted) {
            return self.events.remove(at).context("an event that was there");
        }
        loop {
            let message = self.receive(method)?;
            if wanted(&message) {
                return Ok(message);
            }
            self.events.push_back(message);
        }
    }

    fn receive(&mut self, what: &str) -> Result<Value> {
        let start = Instant::now();
        self.answers
            .recv_timeout(PATIENCE)
            .with_context(|| format!("{what}, after {:?}: {}", start.elapsed(), self.last_words()))
    }

    /// The end of what it said on standard error.
    fn last_words(&self) -> String {
        let said = std::fs::read(self.folder.path().join("messages")).unwrap_or_default();
        String::from_utf8_lossy(&said[said.len().saturating_sub(500)..]).into_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end when it does. Failing is no matter: it is gone then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
