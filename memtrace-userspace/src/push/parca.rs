//! Parca's `WriteRaw`: pprof profiles with their labels, several in one message.
//!
//! Written by hand from the published schema, `proto/parca/profilestore/v1alpha1/profilestore.proto`;
//! deprecated fields and those for native programs are left out.

use prost::Message as _;

use super::encode::{Message, gzip};
use super::part::Part;
use super::{Form, Request};
use crate::report::Measure;
use crate::report::pprof;

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRawRequest {
    #[prost(message, repeated, tag = "2")]
    series: Vec<RawProfileSeries>,
    #[prost(bool, tag = "3")]
    normalized: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawProfileSeries {
    #[prost(message, optional, tag = "1")]
    labels: Option<LabelSet>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelSet {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
}

pub(super) fn request(parts: &[Part<'_>]) -> Option<Message> {
    if parts.is_empty() {
        return None;
    }
    let mut size = 0;
    let series = parts.iter().map(|part| {
        let own = ("__name__".to_owned(), "memtrace".to_owned());
        let labels = part.identity.labels().into_iter().chain([own]);
        let labels = labels.map(|(name, value)| Label { name, value }).collect();
        let profile = pprof::for_store(&part.profile, Measure::Net);
        size += profile.len();
        let raw_profile = gzip(&profile);
        RawProfileSeries {
            labels: Some(LabelSet { labels }),
            samples: vec![RawSample { raw_profile }],
        }
    });
    let message = WriteRawRequest { series: series.collect(), normalized: true };
    let request = Request {
        form: Form::Parca.name().to_owned(),
        query: String::new(),
        content_type: "application/grpc".to_owned(),
        gzip: false,
        body: message.encode_to_vec(),
    };
    Some((size, request))
}
