//! Answers: a body, what it is, and what a browser may do with it.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What a page of ours may do: run our script, apply our style, ask us, show our reports.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     frame-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a report may do, which has its script in itself: nothing with this server.
const REPORT_POLICY: &str = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'";

/// Kinds of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Page,
    Script,
    Style,
    Json,
    Text,
    Csv,
    Html,
    Svg,
    Binary,
    PrometheusText,
    OpenMetrics,
}

impl Kind {
    fn media_type(self) -> &'static str {
        match self {
            Self::Page | Self::Html => "text/html; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Svg => "image/svg+xml",
            Self::Binary => "application/octet-stream",
            Self::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    fn policy(self) -> &'static str {
        match self {
            Self::Page => PAGE_POLICY,
            Self::Html | Self::Svg => REPORT_POLICY,
            _ => "default-src 'none'",
        }
    }
}

/// A body.
pub(super) fn body(kind: Kind, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    let set = [
        (header::CONTENT_TYPE, kind.media_type()),
        (header::CONTENT_SECURITY_POLICY, kind.policy()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A body to be saved as a file. `name` is ours: letters, digits, hyphens and dots.
pub(super) fn download(kind: Kind, name: &str, content: impl Into<axum::body::Body>) -> Response {
    let mut response = body(kind, content);
    let value = format!("attachment; filename=\"{name}\"");
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// Why there is no other answer.
#[derive(Debug)]
pub(super) struct Problem(pub(super) StatusCode, pub(super) String);

impl Problem {
    pub(super) fn wrong(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }

    pub(super) fn nothing(why: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, why.into())
    }

    pub(super) fn failed(why: impl std::fmt::Display) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("memtrace failed: {why}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, why) = self;
        let mut response = body(Kind::Text, format!("{why}\n"));
        *response.status_mut() = status;
        if status == StatusCode::UNAUTHORIZED {
            let ask = HeaderValue::from_static("Basic realm=\"memtrace\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        response
    }
}
