//! Sends one request and says what came of it. When to try again is the service's business.

use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceResponse;
use prost::Message as _;
use prost::bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{ClientTlsConfig, Endpoint};

use super::answer::{self, Answer, of_grpc, of_http, words};
use super::grpc::{Checked, Plain};
use super::{Backend, Credentials, Form, MAX_REQUEST_BYTES, Patience, Request};

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 64 << 10;
/// For a connection to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// A client of one store.
#[derive(Debug)]
pub(super) struct Client {
    form: Form,
    headers: HeaderMap,
    answer: Duration,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Http(reqwest::Client, reqwest::Url),
    Grpc(Box<tonic::client::Grpc<Checked>>, PathAndQuery),
}

/// No client can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't prepare connections to {backend}: {why}")]
pub struct NoClient {
    backend: String,
    why: String,
}

impl Client {
    /// Must be called where tokio runs. Connects when it is first needed.
    pub(super) fn new(
        backend: &Backend,
        credentials: &Credentials,
        patience: Patience,
    ) -> Result<Self, NoClient> {
        let failed = |why: String| NoClient { backend: backend.to_string(), why };
        // One provider is compiled in; another part of the process may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = headers(backend, credentials).map_err(failed)?;
        let way = if backend.form.is_grpc() {
            let origin = backend.url.origin().ascii_serialization();
            let mut endpoint = Endpoint::from_shared(origin)
                .map_err(|error| failed(error.to_string()))?
                .connect_timeout(CONNECT)
                .user_agent(concat!("memtrace/", env!("CARGO_PKG_VERSION")))
                .map_err(|error| failed(error.to_string()))?;
            if backend.url.scheme() == "https" {
                let tls = ClientTlsConfig::new().with_native_roots();
                endpoint = endpoint.tls_config(tls).map_err(|error| failed(chain(&error)))?;
            }
            let mut grpc = tonic::client::Grpc::new(Checked(endpoint.connect_lazy()));
            if backend.form == Form::OtlpGrpc {
                grpc = grpc.send_compressed(CompressionEncoding::Gzip);
            }
            let path = PathAndQuery::from_static(backend.form.path());
            Way::Grpc(Box::new(grpc), path)
        } else {
            let mut builder = reqwest::Client::builder();
            if backend.url.scheme() == "http" {
                // A small container has no certificates, and needs none for this.
                let none = rustls::RootCertStore::empty();
                let config = rustls::ClientConfig::builder().with_root_certificates(none);
                builder = builder.tls_backend_preconfigured(config.with_no_client_auth());
            }
            let client = builder
                .user_agent(concat!("memtrace/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .redirect(redirect::Policy::none())
                .build()
                .map_err(|error| failed(chain(&error)))?;
            Way::Http(client, backend.url.clone())
        };
        Ok(Self { form: backend.form, headers, answer: patience.answer, way })
    }

    /// Sends it and waits for the answer, not for ever.
    pub(super) async fn send(&mut self, request: Request) -> Answer {
        if request.form != self.form.name() {
            return Answer::Refused(format!(
                "encoded for {}, while the store speaks {}",
                request.form,
                self.form.name()
            ));
        }
        let (answer, headers, form) = (self.answer, self.headers.clone(), self.form);
        let sending = async {
            match &mut self.way {
                Way::Http(client, url) => http(client, url, headers, form, request).await,
                Way::Grpc(client, path) => grpc(client, path, headers, form, request).await,
            }
        };
        match tokio::time::timeout(answer, sending).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = format!("no answer within {}", humantime::format_duration(answer));
                Answer::Later { after: None, why }
            }
        }
    }
}

fn headers(backend: &Backend, credentials: &Credentials) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in credentials.headers() {
        headers.append(name.clone(), value.clone());
    }
    let authorization = match (&backend.user, credentials.token()) {
        (Some(user), token) => {
            let pair = format!("{user}:{}", token.unwrap_or_default());
            Some(format!("Basic {}", STANDARD.encode(pair)))
        }
        (None, Some(token)) => Some(format!("Bearer {token}")),
        (None, None) => None,
    };
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(&authorization).map_err(|e| e.to_string())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

async fn http(
    client: &reqwest::Client,
    url: &reqwest::Url,
    headers: HeaderMap,
    form: Form,
    request: Request,
) -> Answer {
    let mut url = url.clone();
    if !request.query.is_empty() {
        url.set_query(Some(&request.query));
    }
    let mut sending = client.post(url).headers(headers).header(CONTENT_TYPE, request.content_type);
    if request.gzip {
        sending = sending.header(CONTENT_ENCODING, "gzip");
    }
    let mut response = match sending.body(request.body).send().await {
        Ok(response) => response,
        Err(error) => return Answer::Later { after: None, why: chain(&error.without_url()) },
    };
    let mut body = Vec::new();
    // The status is the answer: what comes after it may be cut.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            body.truncate(LONGEST_ANSWER);
            break;
        }
    }
    match of_http(response.status(), response.headers(), &body, SystemTime::now()) {
        Answer::Taken(_) if form == Form::OtlpHttp => Answer::Taken(partial_success(&body)),
        other => other,
    }
}

async fn grpc(
    client: &mut tonic::client::Grpc<Checked>,
    path: &PathAndQuery,
    headers: HeaderMap,
    form: Form,
    request: Request,
) -> Answer {
    let body = match request.gzip.then(|| plain(&request.body)) {
        None => request.body,
        Some(Ok(body)) => body,
        Some(Err(error)) => return Answer::Refused(format!("not to be unpacked: {error}")),
    };
    if let Err(error) = client.ready().await {
        return Answer::Later { after: None, why: chain(&error) };
    }
    let mut call = tonic::Request::new(Bytes::from(body));
    *call.metadata_mut() = MetadataMap::from_headers(headers);
    match client.unary(call, path.clone(), Plain).await {
        Ok(response) if form == Form::OtlpGrpc => {
            Answer::Taken(partial_success(&response.into_inner()))
        }
        Ok(_) => Answer::Taken(None),
        Err(status) => match of_grpc(&status) {
            Answer::Later { after, .. } if std::error::Error::source(&status).is_some() => {
                Answer::Later { after, why: chain(&status) }
            }
            answer => answer,
        },
    }
}

/// Unpacks what was packed by ourselves, and a file may have been put in its place: bounded.
pub(super) fn plain(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(body).take(2 * MAX_REQUEST_BYTES as u64).read_to_end(&mut plain)?;
    Ok(plain)
}

/// What an OTLP store did not take of a message that it took.
fn partial_success(body: &[u8]) -> Option<String> {
    let partial = ExportProfilesServiceResponse::decode(body).ok()?.partial_success?;
    if partial.rejected_profiles == 0 && partial.error_message.is_empty() {
        return None;
    }
    let said = words(partial.error_message.as_bytes());
    Some(format!("{} profiles rejected: {said}", partial.rejected_profiles))
}

/// An error with its causes, those that only repeat left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    answer::words(text.as_bytes())
}
