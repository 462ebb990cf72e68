//! What an answer means: taken, later, or never.

use std::time::{Duration, SystemTime};

use prost::Message;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tonic::Code;

use crate::report::printable;

/// What came of sending a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The store has it; a sentence where not all of it.
    Taken(Option<String>),
    /// Another try may succeed: after this time, where the store names one.
    Later { after: Option<Duration>, why: String },
    /// No try will succeed.
    Refused(String),
}

/// Longest wait that a store may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Longest words of a store that are passed on.
const LONGEST_WORDS: usize = 300;

/// The answer of an HTTP server; `body` is the beginning of what it said.
pub(super) fn of_http(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Answer {
    if status.is_success() {
        return Answer::Taken(None);
    }
    let why = match words(body) {
        said if said.is_empty() => status.to_string(),
        said => format!("{status}: {said}"),
    };
    let later = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || (status.is_server_error()
            && status != StatusCode::NOT_IMPLEMENTED
            && status != StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    if later {
        Answer::Later { after: retry_after(headers, now), why }
    } else if status.is_redirection() {
        Answer::Refused(format!("{why} (a redirection, which is not followed: name its goal)"))
    } else {
        Answer::Refused(why)
    }
}

/// Seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The answer of a gRPC server, by the rules of the OTLP specification ("OTLP/gRPC response").
pub(super) fn of_grpc(status: &tonic::Status) -> Answer {
    let why = format!("{:?}: {}", status.code(), words(status.message().as_bytes()));
    // With a source, it is the connection that failed, and not the server that answered.
    if std::error::Error::source(status).is_some() {
        return Answer::Later { after: None, why };
    }
    let after = retry_info(status.details());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Answer::Later { after, why },
        // "… only if the server signals that it can recover": too large a message is the same code.
        Code::ResourceExhausted if after.is_some() => Answer::Later { after, why },
        _ => Answer::Refused(why),
    }
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, prost::Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn retry_info(details: &[u8]) -> Option<Duration> {
    let details = Details::decode(details).ok()?.details;
    let info = details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = u32::try_from(delay.nanos).ok()?.min(999_999_999);
    Some(Duration::new(seconds, nanos).min(LONGEST_WAIT))
}

/// The first line of what a store said, harmless and not too long.
pub(super) fn words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.trim().lines().next().unwrap_or_default();
    let cut = &line[..line.floor_char_boundary(LONGEST_WORDS)];
    printable(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(status: u16, after: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        of_http(StatusCode::from_u16(status).unwrap(), &headers, b"why\x1b[2J\nmore", now)
    }

    fn wait(answer: &Answer) -> Option<u64> {
        match answer {
            Answer::Later { after, .. } => after.map(|wait| wait.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [200, 202, 204] {
            assert_eq!(http(status, None), Answer::Taken(None));
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(http(status, None), Answer::Later { after: None, .. }), "{status}");
        }
        for status in [301, 307, 400, 401, 403, 404, 413, 415, 422, 501, 505] {
            let Answer::Refused(why) = http(status, Some("5")) else { panic!("{status}") };
            assert!(why.contains(&status.to_string()) && why.contains("why\\x1b[2J"), "{why}");
            assert!(!why.contains("more"), "{why}");
        }
    }

    #[test]
    fn a_store_may_name_a_time_within_bounds() {
        for (text, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("86400", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait(&http(503, Some(text))), seconds, "{text:?}");
        }
    }

    #[test]
    fn a_grpc_server_out_of_resources_is_asked_again_only_if_it_says_when() {
        let info = RetryInfo { retry_delay: Some(Delay { seconds: 3, nanos: 5 }) };
        let any = Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        };
        let details = Details { details: vec![any] }.encode_to_vec();
        let with = |code, details: &[u8]| {
            of_grpc(&tonic::Status::with_details(code, "why", details.to_vec().into()))
        };
        assert_eq!(wait(&with(Code::ResourceExhausted, &details)), Some(3));
        assert_eq!(wait(&with(Code::Unavailable, &details)), Some(3));
        for code in [Code::ResourceExhausted, Code::InvalidArgument, Code::Unauthenticated] {
            assert!(matches!(with(code, b"\xff\xff"), Answer::Refused(_)), "{code:?}");
        }
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted] {
            assert!(matches!(with(code, b""), Answer::Later { after: None, .. }), "{code:?}");
        }
    }
}
