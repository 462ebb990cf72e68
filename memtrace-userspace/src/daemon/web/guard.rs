//! Who gets an answer: whoever has the token, where there is one; otherwise whoever asks for this
//! machine by a name of its own, which no page from elsewhere can make a browser do.

use std::path::Path;

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use constant_time_eq::constant_time_eq;

use super::WebError;

/// A token that could be guessed is none.
const SHORTEST: usize = 16;

/// More of a token file is not read.
const LONGEST: u64 = 4096;

/// The one that decides.
#[derive(Clone)]
pub(super) struct Guard {
    token: Option<String>,
}

impl Guard {
    /// With the token of a file, if there is one.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, WebError> {
        let Some(file) = file else { return Ok(Self { token: None }) };
        let wrong = |why: String| WebError::file(file, why);
        let opened = std::fs::File::open(file).map_err(|error| wrong(error.to_string()))?;
        let mut text = String::new();
        io_read(opened, &mut text).map_err(|error| wrong(error.to_string()))?;
        let token = text.trim().to_owned();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(format!(
                "no token: write one line of at least {SHORTEST} letters and digits, as \
                 `openssl rand -hex 32` does"
            )));
        }
        Ok(Self { token: Some(token) })
    }

    /// Whether a request is answered; if not, with which status instead.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        match &self.token {
            Some(token) => {
                let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let shown = shown.and_then(credentials).unwrap_or_default();
                if constant_time_eq(shown.as_bytes(), token.as_bytes()) {
                    Ok(())
                } else {
                    Err(StatusCode::UNAUTHORIZED)
                }
            }
            None => {
                let host = headers.get(HOST).and_then(|value| value.to_str().ok());
                if host.is_none_or(is_this_machine) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
            }
        }
    }
}

fn io_read(file: std::fs::File, text: &mut String) -> std::io::Result<usize> {
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LONGEST), text)
}

/// The token of `Bearer TOKEN`, or the password of `Basic`, which browsers ask for.
fn credentials(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return decoded.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

/// `localhost:9464`, `127.0.0.1`, `[::1]:80`
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn without_a_token_only_this_machine_s_own_names_are_answered() {
        let guard = Guard { token: None };
        for host in ["localhost", "LocalHost:9464", "127.0.0.1:9464", "127.1.2.3", "[::1]:9464"] {
            assert_eq!(guard.admit(&asked(HOST, host)), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "192.168.1.1:9464", "[::2]", ""] {
            assert_eq!(guard.admit(&asked(HOST, host)), Err(StatusCode::FORBIDDEN), "{host}");
        }
    }

    #[test]
    fn with_a_token_only_who_has_it_is_answered() {
        let guard = Guard { token: Some("0123456789abcdef".to_owned()) };
        let basic = format!("Basic {}", STANDARD.encode("memtrace:0123456789abcdef"));
        for value in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", basic.as_str()] {
            assert_eq!(guard.admit(&asked(AUTHORIZATION, value)), Ok(()), "{value}");
        }
        let wrong = ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer", "Basic %", ""];
        for value in wrong.into_iter().chain(["0123456789abcdef"]) {
            let answer = guard.admit(&asked(AUTHORIZATION, value));
            assert_eq!(answer, Err(StatusCode::UNAUTHORIZED), "{value}");
        }
        assert!(guard.admit(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for text in ["", "short\n", "with a space in it and long", "0123456789abcdef\nsecond"] {
            std::fs::write(&file, text).unwrap();
            let error = Guard::read(Some(&file)).err().expect(text).to_string();
            assert!(error.contains("openssl rand -hex 32"), "{error}");
        }
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        assert!(Guard::read(Some(&file)).is_ok());
        assert!(Guard::read(Some(&folder.path().join("none"))).is_err());
    }
}
