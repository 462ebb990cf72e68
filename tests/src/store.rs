//! A store of profiles for tests: it takes whatever is sent over HTTP or gRPC, keeps it, and fails as
//! it is told to. What the messages mean is the tests' business.

use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::body::Body;

use crate::wait;

mod grpc;

/// What the store does instead of taking a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status and, if there is one, `Retry-After`.
    Status(u16, Option<&'static str>),
    /// It takes the request and closes the connection without an answer.
    Cut,
    /// It takes the request and never answers.
    Hang,
    /// It answers something that is no answer to this.
    Rubbish,
    /// It answers by gRPC with this code.
    Code(i32),
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Came {
    /// When.
    pub at: Instant,
    /// Path and query.
    pub target: String,
    /// Headers, by their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The message, unpacked.
    pub body: Vec<u8>,
    /// How the store failed, if it did.
    pub fault: Option<Fault>,
}

impl Came {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct State {
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    came: Vec<Came>,
}

/// A store that listens. Dropping it ends it, and cuts its connections.
#[derive(Debug)]
pub struct Store {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Store {
    /// One that takes all, after these faults, one for each request.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn open(faults: &[Fault]) -> Result<Self> {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), faults)
    }

    /// The same at an address: a store that comes back.
    ///
    /// # Errors
    /// When it can't listen there.
    pub fn at(address: SocketAddr, faults: &[Fault]) -> Result<Self> {
        let state = State { faults: faults.iter().cloned().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Its last connections may still be on their way out.
        let listener = wait::until("the store's address", || {
            Ok(runtime.block_on(TcpListener::bind(address)).ok())
        })?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = ended => {}
                }
            });
        });
        Ok(Self { address, state, end: Some(end), thread: Some(thread) })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, every request fails like this; or none.
    pub fn always(&self, fault: Option<Fault>) {
        self.locked().always = fault;
    }

    /// All that came, oldest first.
    #[must_use]
    pub fn came(&self) -> Vec<Came> {
        self.locked().came.clone()
    }

    /// What it took.
    #[must_use]
    pub fn taken(&self) -> Vec<Came> {
        self.came().into_iter().filter(|came| came.fault.is_none()).collect()
    }

    /// Waits until so many have come.
    ///
    /// # Errors
    /// When they don't.
    pub fn wait_for(&self, number: usize) -> Result<()> {
        wait::until("requests to come", || Ok((self.locked().came.len() >= number).then_some(())))
            .with_context(|| format!("{} came", self.locked().came.len()))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { answer(request, &state).await }
            });
            // A connection that ends in an error is what some tests are about.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The connection is to be cut.
#[derive(Debug)]
struct CutNow;

impl std::fmt::Display for CutNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for CutNow {}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> Result<Response<Body>, CutNow> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(CutNow) };
    let body = body.to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let is_grpc = header("content-type").is_some_and(|kind| kind == "application/grpc");
    let zipped = header("content-encoding") == Some("gzip");
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers = headers.collect();
    let target = head.uri.path_and_query().map_or(String::new(), ToString::to_string);
    let request = Request::from_parts(head, Full::new(body.clone()));
    let (message, response) = if is_grpc {
        grpc::taken(request).await
    } else {
        let body = if zipped { unzipped(&body) } else { body.to_vec() };
        (body, Response::new(Body::empty()))
    };
    let fault = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = state.faults.pop_front().or_else(|| state.always.clone());
        let came =
            Came { at: Instant::now(), target, headers, body: message, fault: fault.clone() };
        state.came.push(came);
        fault
    };
    match fault {
        None => Ok(response),
        Some(Fault::Cut) => Err(CutNow),
        Some(Fault::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Err(CutNow)
        }
        Some(Fault::Code(code)) => {
            Ok(tonic::Status::new(code.into(), "as the test wants it").into_http())
        }
        Some(Fault::Rubbish) => {
            let rubbish = "\u{1b}[2J<html>".repeat(100_000);
            let mut response = Response::new(Body::new(Full::new(Bytes::from(rubbish))));
            *response.status_mut() = hyper::StatusCode::IM_A_TEAPOT;
            Ok(response)
        }
        Some(Fault::Status(status, after)) => {
            let words = Full::new(Bytes::from_static(b"as the test wants it"));
            let mut response = Response::builder().status(status);
            if let Some(after) = after {
                response = response.header("retry-after", after);
            }
            response.body(Body::new(words)).map_err(|_| CutNow)
        }
    }
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match GzDecoder::new(body).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(error) => format!("not gzip: {error}").into_bytes(),
    }
}
