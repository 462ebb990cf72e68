//! The daemon's configuration: one TOML file, checked as a whole before anything is done.
//!
//! Every key has a default, a key that is not known is an error, and each error says file, line and
//! mend. `docs/daemon.md` is the reference.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

pub use rules::{Rule, Subject};
pub use values::{Pattern, Size, Time};

use crate::push::{Backend, Form, QueueLimits};
use crate::report::printable;

mod rules;
mod values;

/// Where metrics and the page are served when nothing else is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// The file as a whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How to trace.
    pub trace: Trace,
    /// What is traced: all, or what one of these rules names.
    pub include: Vec<Rule>,
    /// What is not.
    pub exclude: Vec<Rule>,
    /// Bounds.
    pub limits: Limits,
    /// For Prometheus.
    pub metrics: Metrics,
    /// Page, API and metrics.
    pub http: Http,
    /// Stores that get each window.
    pub push: Vec<Push>,
}

/// `[[push]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// The form that the store takes.
    #[serde(rename = "as")]
    pub form: Form,
    /// Its address.
    pub to: Spanned<String>,
    /// A file with the bearer token that it asks for.
    pub token_file: Option<PathBuf>,
    /// The folder where requests wait; without one they wait in a folder that ends with the daemon.
    pub queue: Option<PathBuf>,
    /// How much may wait.
    #[serde(default = "queue_size")]
    pub queue_size: Size,
    /// For how long.
    #[serde(default = "queue_age")]
    pub queue_age: Time,
}

fn queue_size() -> Size {
    Size(QueueLimits::default().bytes)
}

fn queue_age() -> Time {
    Time(QueueLimits::default().age)
}

/// `[trace]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trace {
    /// Length of a window.
    pub window: Time,
    /// Time between two looks for processes that load an interpreter late.
    pub scan: Time,
    /// How long windows are kept.
    pub keep: Time,
    /// Whether targets whose code comes and goes get a breakpoint.
    pub uprobes: bool,
    /// The ring buffer.
    pub ring: Size,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            window: Time(Duration::from_secs(2)),
            scan: Time(Duration::from_secs(2)),
            keep: Time(Duration::from_secs(3600)),
            uprobes: true,
            ring: Size(memtrace_common::limits::DEFAULT_RING_BYTES.into()),
        }
    }
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Processes traced at once.
    pub processes: usize,
    /// Stacks that have names.
    pub stacks: usize,
    /// For the windows that are kept.
    pub memory: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self { processes: 1000, stacks: 50_000, memory: Size(48 << 20) }
    }
}

/// `[metrics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Lines of each group that have series: those that grew most.
    pub lines: usize,
    /// Groups that have series: those with the largest RSS. The others are one, `other`.
    pub groups: usize,
    /// Series of a group without processes go after this time.
    pub stale: Time,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { lines: 10, groups: 100, stale: Time(Duration::from_secs(300)) }
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Whether there is a server at all.
    pub enabled: bool,
    /// Its address.
    pub listen: SocketAddr,
    /// A file with the bearer token that requests must have.
    pub token_file: Option<PathBuf>,
    /// PEM: the certificate and those that it is signed by.
    pub tls_certificate: Option<PathBuf>,
    /// PEM: its key.
    pub tls_key: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: LISTEN,
            token_file: None,
            tls_certificate: None,
            tls_key: None,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// From 1; 0 when the file could not be read.
    pub line: usize,
    /// What, and the mend.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            0 => write!(f, "{file}: {}", self.message),
            line => write!(f, "{file}:{line}: {}", self.message),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first mistake.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError {
            file: file.to_owned(),
            line: 0,
            message: format!("{error}; --config names the file"),
        })?;
        Self::parse(&text, file)
    }

    /// The configuration that a file's text means.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first mistake.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let wrong = |at: usize, message: String| ConfigError {
            file: file.to_owned(),
            line: 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count(),
            message: printable(&message).into_owned(),
        };
        let config: Self = toml::from_str(text).map_err(|error| {
            wrong(error.span().map_or(0, |span| span.start), one_line(error.message()))
        })?;
        config.check().map_err(|(key, message)| wrong(place_of(text, key), message))?;
        for push in &config.push {
            Backend::new(push.form, push.to.get_ref())
                .map_err(|error| wrong(push.to.span().start, format!("to: {error}")))?;
        }
        Ok(config)
    }

    /// What the types can't say. The key that is to be changed, and how.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let between = |key, time: Time, least: u64, most: u64, words: &str| {
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
            if (least..=most).contains(&time.0) {
                return Ok(());
            }
            Err((key, format!("{key}: {time} is out of range; write a time from {words}")))
        };
        const HOUR: u64 = 3_600_000;
        between("window", self.trace.window, 200, 60_000, "200ms to 1m")?;
        between("scan", self.trace.scan, 200, 60_000, "200ms to 1m")?;
        between("keep", self.trace.keep, 1000, 48 * HOUR, "1s to 48h")?;
        between("stale", self.metrics.stale, 1000, 48 * HOUR, "1s to 48h")?;
        let ring = self.trace.ring.0;
        if !ring.is_power_of_two() || !(64 << 10..=1 << 30).contains(&ring) {
            let message = "ring: write a power of two from 64KiB to 1GiB, like \"8MiB\"";
            return Err(("ring", message.to_owned()));
        }
        let most = memtrace_common::limits::MAX_SPACES as usize;
        let counts = [
            ("processes", self.limits.processes, 1..=most),
            ("stacks", self.limits.stacks, 100..=10_000_000),
            ("lines", self.metrics.lines, 0..=1000),
            ("groups", self.metrics.groups, 1..=10_000),
        ];
        for (key, count, range) in counts {
            if !range.contains(&count) {
                let (least, most) = (range.start(), range.end());
                let message = format!(
                    "{key}: {count} is out of range; write a number from {least} to {most}"
                );
                return Err((key, message));
            }
        }
        if self.limits.memory.0 < 1 << 20 {
            return Err(("memory", "memory: write at least \"1MiB\"".to_owned()));
        }
        self.http.check()
    }
}

impl Http {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let pair = (&self.tls_certificate, &self.tls_key);
        if let (Some(_), None) | (None, Some(_)) = pair {
            let (has, lacks) = match pair.0 {
                Some(_) => ("tls_certificate", "tls_key"),
                None => ("tls_key", "tls_certificate"),
            };
            return Err((has, format!("{has} is nothing without {lacks}: name both, or neither")));
        }
        let listen = self.listen;
        let open = !listen.ip().is_loopback();
        if self.enabled && open && (self.token_file.is_none() || self.tls_key.is_none()) {
            let message = format!(
                "listen: {listen} can be reached from other machines; name token_file, tls_certificate \
                 and tls_key, or listen on 127.0.0.1:{}",
                listen.port()
            );
            return Err(("listen", message));
        }
        Ok(())
    }
}

/// Where a key is set; the end of the text where it isn't, which then is a default's fault.
fn place_of(text: &str, key: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_it = line.split_once('=').is_some_and(|(left, _)| {
            let left = left.rsplit(['.', '{', ',']).next().unwrap_or(left);
            left.trim().trim_matches(['"', '\'']) == key
        });
        if is_it {
            return at;
        }
        at += line.len();
    }
    at
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
