//! Connections: so many at a time, each for a bounded time, whatever the other side does with it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

/// Connections at a time; others wait their turn.
const CONNECTIONS: usize = 64;

/// For the head of a request, and for the beginnings of TLS.
const HEAD: Duration = Duration::from_secs(10);

/// For a connection as a whole. Who needs longer asks again.
const WHOLE: Duration = Duration::from_secs(120);

/// After an error that more of the same would only repeat: no descriptors, mostly.
const PAUSE: Duration = Duration::from_millis(200);

/// Accepts and answers.
pub(super) async fn forever(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return warn!("no server: {error}"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("accept: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            // Over time, the connection is closed: nobody waits for its answer any more.
            let _ = timeout(WHOLE, one(stream, tls, router)).await;
            drop(place);
        });
    }
}

async fn one(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    match tls {
        None => answer(stream, router).await,
        Some(tls) => match timeout(HEAD, tls.accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, router).await,
            Ok(Err(error)) => debug!("TLS: {error}"),
            Err(_) => debug!("TLS: too slow"),
        },
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(64)
        .max_buf_size(32 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!("HTTP: {error}");
    }
}
