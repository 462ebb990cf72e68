//! The page, the API and the metrics, by HTTP.
//!
//! In a thread of its own, with copies of what the [`Board`](super::board::Board) says: a reader can be
//! as slow as it likes. Nothing here traces, and nothing that a request names is ever opened: source
//! text is read by the names that a process's own code has, through that process's root.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use self::guard::Guard;
use super::config::Http;
use super::metrics::Bound;
use super::watch::SharedBoard;

mod answer;
mod guard;
mod overview;
mod packed;
mod reports;
mod routes;
mod serve;
mod tls;

/// What keeps the server from starting.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address.
    #[error("{0} can't be listened on: {1}; `listen` under [http] names another address")]
    Listen(SocketAddr, #[source] io::Error),
    /// A file of the configuration.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not, and the mend.
        why: String,
    },
    /// The thread or its runtime.
    #[error("a thread for the server: {0}")]
    Thread(#[source] io::Error),
}

impl WebError {
    fn file(file: &Path, why: impl Into<String>) -> Self {
        Self::File { file: file.to_owned(), why: why.into() }
    }
}

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    guard: Guard,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Whether the files of the configuration are what they should be; nothing is listened on.
    ///
    /// # Errors
    ///
    /// [`WebError`] with the mend.
    pub fn check(http: &Http) -> Result<(), WebError> {
        Self::files(http).map(drop)
    }

    fn files(http: &Http) -> Result<(Guard, Option<TlsAcceptor>), WebError> {
        let guard = Guard::read(http.token_file.as_deref())?;
        let tls = match (&http.tls_certificate, &http.tls_key) {
            (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
            _ => None,
        };
        Ok((guard, tls))
    }

    /// Reads the token and the certificates and begins to listen: all that may take privileges.
    ///
    /// # Errors
    ///
    /// [`WebError`] with the mend.
    pub fn prepare(http: &Http) -> Result<Self, WebError> {
        let (guard, tls) = Self::files(http)?;
        let address = http.listen;
        let listener =
            TcpListener::bind(address).map_err(|error| WebError::Listen(address, error))?;
        listener.set_nonblocking(true).map_err(|error| WebError::Listen(address, error))?;
        Ok(Self { listener, guard, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the kernel doesn't say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// `http` or `https`
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Answers from now on, until the process ends.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    pub fn start(self, board: SharedBoard, bound: Bound) -> Result<(), WebError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(routes::THREADS)
            .build()
            .map_err(WebError::Thread)?;
        let Self { listener, guard, tls } = self;
        let router = routes::router(Arc::new(routes::State::new(board, bound)), guard);
        let thread = std::thread::Builder::new().name("http".to_owned());
        let serving = move || runtime.block_on(serve::forever(listener, tls, router));
        thread.spawn(serving).map_err(WebError::Thread)?;
        Ok(())
    }
}
