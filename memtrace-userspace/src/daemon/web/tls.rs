//! Certificates and keys, from PEM files, once at the start.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::WebError;

/// What speaks TLS with these.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, WebError> {
    let read = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let certificates: Vec<CertificateDer<'static>> =
        read.map_err(|error| unreadable(certificate, "certificate", &error))?;
    if certificates.is_empty() {
        let why = "there is no certificate in it; tls_certificate wants PEM";
        return Err(WebError::file(certificate, why));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, "key", &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private))
        .map_err(|error| {
            WebError::file(key, format!("{error}; is it the key of {}?", certificate.display()))
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unreadable(file: &Path, what: &str, error: &rustls::pki_types::pem::Error) -> WebError {
    WebError::file(file, format!("{error}; a {what} in PEM is wanted"))
}
