//! Which store, and how it wants to be spoken to.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use reqwest::Url;
use serde::Deserialize;

/// The forms that stores take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Pyroscope and Grafana Cloud Profiles: pprof to /ingest
    Pyroscope,
    /// Parca and Polar Signals: pprof by gRPC (WriteRaw)
    Parca,
    /// OTLP profiles as protobuf over HTTP
    OtlpHttp,
    /// OTLP profiles by gRPC
    OtlpGrpc,
}

impl Form {
    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pyroscope => "pyroscope",
            Self::Parca => "parca",
            Self::OtlpHttp => "otlp-http",
            Self::OtlpGrpc => "otlp-grpc",
        }
    }

    /// Whether it is a gRPC.
    #[must_use]
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Parca | Self::OtlpGrpc)
    }

    /// What the address ends in, unless the user has typed it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Pyroscope => "/ingest",
            Self::Parca => "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw",
            Self::OtlpHttp => "/v1development/profiles",
            Self::OtlpGrpc => {
                "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
            }
        }
    }
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// How to speak to it.
    pub form: Form,
    /// Where it is, its path complete, without user and password.
    pub(super) url: Url,
    /// The user that the address names.
    pub(super) user: Option<String>,
}

/// An address that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No address at all.
    #[error("`{0}` is no address ({1}); write it like http://pyroscope:4040")]
    NoAddress(String, String),
    /// Another protocol.
    #[error("`{0}:` is not spoken; use http: or https:")]
    Scheme(String),
    /// A secret where everybody sees it.
    #[error(
        "the address holds a password, which every user of this machine can see; put it into a file and name that by --token-file"
    )]
    Password,
    /// A query or a fragment.
    #[error("an address with `?` or `#`; only scheme, host, port and path are used")]
    Query,
    /// A path where gRPC has its own.
    #[error("gRPC has a path of its own; write the address without `{0}`")]
    Path(String),
}

impl Backend {
    /// The store of that form at that address.
    ///
    /// # Errors
    ///
    /// The address can't be meant.
    pub fn new(form: Form, address: &str) -> Result<Self, BackendError> {
        let no_address = |why: &str| BackendError::NoAddress(address.to_owned(), why.to_owned());
        let mut url = Url::from_str(address).map_err(|error| no_address(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BackendError::Scheme(url.scheme().to_owned()));
        }
        if url.password().is_some() {
            return Err(BackendError::Password);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BackendError::Query);
        }
        let typed = url.path().trim_end_matches('/').to_owned();
        if form.is_grpc() && !typed.is_empty() {
            return Err(BackendError::Path(typed));
        }
        if !typed.ends_with(form.path()) {
            url.set_path(&format!("{typed}{}", form.path()));
        }
        let user = Some(url.username().to_owned()).filter(|user| !user.is_empty());
        url.set_username("").map_err(|()| no_address("no host"))?;
        Ok(Self { form, url, user })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        write!(f, "{} at {origin}", self.form.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_completed_and_not_doubled() {
        let url = |form, address| Backend::new(form, address).unwrap().url.to_string();
        for (address, expected) in [
            ("http://a:4040", "http://a:4040/ingest"),
            ("http://a:4040/", "http://a:4040/ingest"),
            ("https://a/pyroscope/", "https://a/pyroscope/ingest"),
            ("http://a/ingest", "http://a/ingest"),
        ] {
            assert_eq!(url(Form::Pyroscope, address), expected);
        }
        assert_eq!(url(Form::OtlpHttp, "http://c:4318"), "http://c:4318/v1development/profiles");
        assert!(url(Form::Parca, "http://p:7070").ends_with("ProfileStoreService/WriteRaw"));
    }

    #[test]
    fn a_user_is_kept_apart_from_the_address() {
        let backend = Backend::new(Form::Pyroscope, "https://4711@a/").unwrap();
        assert_eq!(backend.user.as_deref(), Some("4711"));
        assert_eq!(backend.to_string(), "pyroscope at https://a");
        assert_eq!(backend.url.as_str(), "https://a/ingest");
    }

    #[test]
    fn nonsense_is_refused_with_the_mend() {
        let said = |form, address| Backend::new(form, address).unwrap_err().to_string();
        for (address, word) in [
            ("pyroscope:4040", "use http:"),
            ("somewhere", "http://pyroscope:4040"),
            ("ftp://a", "use http:"),
            ("http://u:secret@a", "--token-file"),
            ("http://a/?x=1", "only scheme"),
        ] {
            assert!(said(Form::Pyroscope, address).contains(word), "{address}");
        }
        assert!(!said(Form::Pyroscope, "http://u:secret@a").contains("secret"));
        assert!(said(Form::Parca, "http://a/b").contains("without `/b`"));
    }
}
