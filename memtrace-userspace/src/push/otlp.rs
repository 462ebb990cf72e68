//! OTLP profiles: a resource for each process, a profile for each figure, tables that all share.
//!
//! As in pprof, what came to less than nothing is, with its size, below a root `shrank`: viewers
//! refuse negative sizes.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value,
};
use opentelemetry_proto::tonic::profiles::v1development::{
    Profile, ResourceProfiles, Sample, ScopeProfiles,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use sha2::{Digest, Sha256};

use self::dictionary::Dictionary;
use super::encode::{Message, gzip};
use super::part::Part;
use super::{Form, Identity, Request, Value};
use crate::profile::ProcessProfile;
use crate::report::stacks::{self, Stack, What, names};
use crate::report::{Measure, pprof};

mod dictionary;

pub(super) fn request(form: Form, parts: &[Part<'_>]) -> Option<Message> {
    let mut dictionary = Dictionary::new();
    let resources: Vec<_> =
        parts.iter().filter_map(|part| resource(&mut dictionary, part)).collect();
    if resources.is_empty() {
        return None;
    }
    let message = ExportProfilesServiceRequest {
        resource_profiles: resources,
        dictionary: Some(dictionary.finish()),
    };
    let message = message.encode_to_vec();
    let content_type =
        if form.is_grpc() { "application/grpc" } else { "application/x-protobuf" }.to_owned();
    let request = Request {
        form: form.name().to_owned(),
        query: String::new(),
        content_type,
        gzip: true,
        body: gzip(&message),
    };
    Some((message.len(), request))
}

fn resource(dictionary: &mut Dictionary, part: &Part<'_>) -> Option<ResourceProfiles> {
    let process = part.process()?;
    let measures = [Measure::Net, Measure::Grown, Measure::Resident, Measure::Events];
    let mut profiles: Vec<_> =
        measures.iter().map(|measure| profile(dictionary, part, process, *measure)).collect();
    profiles.retain(|profile| !profile.samples.is_empty());
    if profiles.is_empty() {
        return None;
    }
    let scope = InstrumentationScope {
        name: "memtrace".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope = ScopeProfiles { scope: Some(scope), profiles, schema_url: String::new() };
    Some(ResourceProfiles {
        resource: Some(Resource { attributes: attributes(part.identity), ..Resource::default() }),
        scope_profiles: vec![scope],
        schema_url: String::new(),
    })
}

fn profile(
    dictionary: &mut Dictionary,
    part: &Part<'_>,
    process: &ProcessProfile,
    measure: Measure,
) -> Profile {
    let sample_type = dictionary.value_type(pprof::sample_type(measure), pprof::unit(measure));
    let period_type = dictionary.value_type("rss", "bytes");
    let samples = stacks::of(process).filter_map(|stack| sample(dictionary, &stack, measure));
    let samples = samples.collect();
    let since = part.profile.started_at.duration_since(SystemTime::UNIX_EPOCH);
    let time_unix_nano = u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
    Profile {
        sample_type: Some(sample_type),
        samples,
        time_unix_nano,
        duration_nano: part.profile.duration.0,
        period_type: Some(period_type),
        period: 1,
        profile_id: profile_id(part, process, measure, time_unix_nano),
        ..Profile::default()
    }
}

/// The same for the same figures, so that a store can tell what came twice.
fn profile_id(part: &Part<'_>, process: &ProcessProfile, measure: Measure, time: u64) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(part.identity.service());
    hash.update(process.pid.to_le_bytes());
    hash.update(time.to_le_bytes());
    hash.update(part.profile.duration.0.to_le_bytes());
    hash.update(part.number.to_le_bytes());
    hash.update(measure.name());
    hash.finalize()[..16].to_vec()
}

fn sample(dictionary: &mut Dictionary, stack: &Stack<'_>, measure: Measure) -> Option<Sample> {
    let value = stack.value(measure);
    if value == 0 {
        return None;
    }
    let mut locations = match stack.what {
        What::Lines(lines) => {
            let native = lines.native.iter().map(|frame| dictionary.native(frame));
            let mut locations: Vec<_> = native.collect();
            locations.extend(lines.frames.iter().map(|place| dictionary.line(place)));
            locations
        }
        What::Native(row, part) => {
            let native = part.frames.iter().map(|frame| dictionary.native(frame));
            let mut locations: Vec<_> = native.collect();
            locations.push(dictionary.artificial(&names::unattributed(row)));
            locations
        }
        What::Row(row) => vec![dictionary.artificial(&names::unattributed(row))],
        What::Gap(_) => vec![dictionary.artificial(names::GAP)],
    };
    if value < 0 {
        locations.push(dictionary.artificial(stacks::SHRANK));
    }
    let mut attribute_indices = Vec::new();
    if let Some(thread) = stack.thread {
        let number = any_value::Value::IntValue(thread.tid.into());
        attribute_indices.push(dictionary.attribute("thread.id", &thread.tid.to_string(), number));
        if !thread.name.is_empty() {
            let name = crate::report::printable(&thread.name).into_owned();
            let value = any_value::Value::StringValue(name.clone());
            attribute_indices.push(dictionary.attribute("thread.name", &name, value));
        }
    }
    let values = vec![value.saturating_abs()];
    let stack_index = dictionary.stack(locations);
    Some(Sample { stack_index, attribute_indices, values, ..Sample::default() })
}

fn attributes(identity: &Identity) -> Vec<KeyValue> {
    let text = |text: &String| any_value::Value::StringValue(text.clone());
    let one = |(key, value): (&str, &Value)| {
        let value = match value {
            Value::Text(value) => text(value),
            Value::Number(number) => any_value::Value::IntValue(*number),
            Value::Texts(texts) => {
                let values = texts.iter().map(|value| AnyValue { value: Some(text(value)) });
                any_value::Value::ArrayValue(ArrayValue { values: values.collect() })
            }
        };
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    };
    identity.attributes().map(one).collect()
}
