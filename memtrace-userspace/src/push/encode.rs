//! A window into requests, none larger than a store takes.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::part::{Part, parts};
use super::{Form, MAX_REQUEST_BYTES, Request, Window, otlp, parca, pyroscope};

/// The requests that bring a window to a store; none for a window without figures.
#[must_use]
pub fn encode(form: Form, window: &Window) -> Vec<Request> {
    let mut requests = Vec::new();
    match form {
        // Each of its requests holds one profile.
        Form::Pyroscope => {
            for part in parts(window) {
                bounded(&[part], &pyroscope::request, &mut requests);
            }
        }
        Form::Parca => bounded(&parts(window), &parca::request, &mut requests),
        Form::OtlpHttp | Form::OtlpGrpc => {
            bounded(&parts(window), &|parts| otlp::request(form, parts), &mut requests);
        }
    }
    requests
}

/// A message: its length before compression, and the request.
pub(super) type Message = (usize, Request);

/// Encodes the parts into as many requests as the bound asks for.
fn bounded(
    parts: &[Part<'_>],
    encode: &dyn Fn(&[Part<'_>]) -> Option<Message>,
    requests: &mut Vec<Request>,
) {
    let Some((size, request)) = encode(parts) else { return };
    if size <= MAX_REQUEST_BYTES {
        requests.push(request);
        return;
    }
    match parts {
        [one] => match one.halves() {
            Some(halves) => {
                for half in halves {
                    bounded(&[half], encode, requests);
                }
            }
            // One stack: the store has the last word.
            None => requests.push(request),
        },
        many => {
            let (first, second) = many.split_at(many.len() / 2);
            bounded(first, encode, requests);
            bounded(second, encode, requests);
        }
    }
}

/// Gzip'd.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // A Vec takes everything.
    let _ = gzip.write_all(bytes);
    gzip.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests;
