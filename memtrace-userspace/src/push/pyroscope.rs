//! Pyroscope's `/ingest`: a form of one pprof profile and what its sample types are, whose name and
//! labels are in the query.

use std::time::{Duration, SystemTime};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::encode::{Message, gzip};
use super::part::Part;
use super::{Form, Identity, Request};
use crate::report::Measure;
use crate::report::pprof;

/// Parts the form's fields; a gzip'd pprof can't hold it by accident but one in 2^200 times.
const BOUNDARY: &str = "memtrace-5f1d6a2e0c7b4938a1e2d3c4b5f60718";

/// How the store is to name and sum up what is in the profile. With one name for all, they become
/// types of one profile: `rss:rss_net:bytes:rss:bytes` and so on.
fn sample_types() -> String {
    let one = |measure: Measure| {
        let aggregation = if measure == Measure::Resident { "average" } else { "sum" };
        let units = if measure == Measure::Events { "samples" } else { "bytes" };
        let config = serde_json::json!({
            "units": units, "display-name": "rss", "aggregation": aggregation,
        });
        (pprof::sample_type(measure).to_owned(), config)
    };
    serde_json::Value::Object(Measure::ALL.map(one).into_iter().collect()).to_string()
}

pub(super) fn request(parts: &[Part<'_>]) -> Option<Message> {
    let part = parts.first()?;
    let profile = pprof::for_store(&part.profile, Measure::Net);
    let mut body = Vec::new();
    for (field, file, content) in [
        ("profile", "profile.pprof", gzip(&profile)),
        ("sample_type_config", "sample_type_config.json", sample_types().into_bytes()),
    ] {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; \
             filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());

    let from = part.profile.started_at;
    let until = from + Duration::from_nanos(part.profile.duration.0);
    let name = utf8_percent_encode(&name(part.identity), NON_ALPHANUMERIC).to_string();
    let request = Request {
        form: Form::Pyroscope.name().to_owned(),
        query: format!("name={name}&from={}&until={}&spyName=memtrace", nanos(from), nanos(until)),
        content_type: format!("multipart/form-data; boundary={BOUNDARY}"),
        gzip: false,
        body,
    };
    Some((profile.len(), request))
}

/// Nineteen digits, by which the store knows nanoseconds.
fn nanos(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// `app{key=value,…}`, as `api/model/labelset` of Pyroscope reads it: it knows no quotes, so what would
/// part or end a label is replaced.
fn name(identity: &Identity) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-./".contains(c) { c } else { '_' };
    let service: String = identity.service().chars().map(fits).collect();
    let clean = |value: &str| value.replace([',', '}', '{', '='], "_");
    let labels: Vec<_> = identity
        .labels()
        .iter()
        .map(|(label, value)| format!("{label}={}", clean(value)))
        .collect();
    format!("{service}{{{}}}", labels.join(","))
}
