//! What a pusher is to do: checked as a whole before anything starts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::{Backend, QueueLimits};

/// How to push.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to.
    pub backend: Backend,
    /// Who we are to it.
    pub credentials: Credentials,
    /// Where requests wait; a folder that goes with the process when there is none.
    pub queue: Option<PathBuf>,
    /// How many.
    pub limits: QueueLimits,
    /// How to wait for an answer.
    pub patience: Patience,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For an answer.
    pub answer: Duration,
    /// After the first failure; twice as long after each further one.
    pub first_pause: Duration,
    /// At most.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// What is sent with each request.
#[derive(Clone, Default)]
pub struct Credentials {
    /// A bearer token, or the password of the user that the address names.
    token: Option<String>,
    /// Further headers.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A setting that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The token's file.
    #[error("can't read the token from {0}: {1}")]
    TokenFile(PathBuf, String),
    /// What is in it.
    #[error("{0} holds no token: one line of printable ASCII is wanted")]
    NoToken(PathBuf),
    /// A header.
    #[error("`{0}` is no header; write it like X-Scope-OrgID=team")]
    Header(String),
}

/// Longest token.
const LONGEST_TOKEN: usize = 16 << 10;

impl Credentials {
    /// Reads the token.
    ///
    /// # Errors
    ///
    /// The file can't be read, or holds something else.
    pub fn read_token(&mut self, file: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| SettingsError::TokenFile(file.to_owned(), error.to_string()))?;
        let token = text.trim();
        let fits = |c: char| c.is_ascii_graphic();
        if token.is_empty() || token.len() > LONGEST_TOKEN || !token.chars().all(fits) {
            return Err(SettingsError::NoToken(file.to_owned()));
        }
        self.token = Some(token.to_owned());
        Ok(())
    }

    /// Adds a header, `NAME=VALUE`.
    ///
    /// # Errors
    ///
    /// It is none, or one that memtrace sets.
    pub fn add_header(&mut self, typed: &str) -> Result<(), SettingsError> {
        let wrong = || SettingsError::Header(typed.to_owned());
        let (name, value) = typed.split_once('=').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        let own = ["content-type", "content-encoding", "content-length", "host", "te"];
        if own.contains(&name.as_str()) {
            return Err(wrong());
        }
        self.headers.push((name, value));
        Ok(())
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

/// Without secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Credentials").field("token", &token).field("headers", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_from_files_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let mut credentials = Credentials::default();
            credentials.read_token(&file).map(|()| credentials)
        };
        let credentials = read("  glc_s3cret\n").unwrap();
        assert_eq!(credentials.token(), Some("glc_s3cret"));
        assert!(!format!("{credentials:?}").contains("s3cret"));
        for nonsense in ["", "\n", "two words", "a\nb", "é"] {
            let error = read(nonsense).unwrap_err().to_string();
            assert!(error.contains("holds no token"), "{error}");
        }
        let none = Credentials::default().read_token(Path::new("/nowhere/token"));
        assert!(none.unwrap_err().to_string().contains("/nowhere/token"));
    }

    #[test]
    fn headers_are_a_name_and_a_value() {
        let mut credentials = Credentials::default();
        credentials.add_header("X-Scope-OrgID=team=a").unwrap();
        assert_eq!(credentials.headers()[0].1, "team=a");
        for nonsense in ["X", "=a", "a b=c", "a=b\nc: d", "Content-Type=text/html"] {
            let error = credentials.add_header(nonsense).unwrap_err().to_string();
            assert!(error.contains("X-Scope-OrgID=team"), "{error}");
        }
    }
}
