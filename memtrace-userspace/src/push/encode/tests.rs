//! Windows that are too large for one message: nothing is lost, and nothing comes twice.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use prost::Message as _;

use super::*;
use crate::profile::{
    Allocated, Ending, Estimate, Memory, Overhead, Place, ProcessProfile, Profile, Reason,
    StackFigures, Unattributed,
};
use crate::push::Identity;
use crate::units::{Bytes, Nanos};

fn anon(bytes: i64) -> Memory {
    Memory { anon: Bytes(bytes), ..Memory::ZERO }
}

/// A process with so many stacks, each of a function with a long name; the first one shrank. A page
/// of its change is nobody's, and one breaks the law.
fn process(pid: u32, stacks: usize) -> ProcessProfile {
    let stack = |number: usize| {
        let place = Place {
            file: format!("/srv/{pid}/{}.py", "x".repeat(200)),
            line: 1,
            function: format!("f{number:06}{}", "y".repeat(200)),
            function_line: 1,
        };
        StackFigures {
            thread: 0,
            frames: vec![Arc::new(place)],
            native: Vec::new(),
            allocated: Allocated::default(),
            grown: anon(if number == 0 { 0 } else { 4096 }),
            returned: anon(if number == 0 { 8192 } else { 0 }),
            resident: Bytes(0),
            copied: Bytes(0),
            released: Bytes(0),
            events: 1,
            peak_rss: Bytes(0),
            estimate: Estimate::default(),
        }
    };
    let row = Unattributed {
        reason: Reason::Kernel,
        name: "kswapd0".to_owned(),
        net: anon(4096),
        events: 1,
        native: Vec::new(),
        allocated: Allocated::default(),
    };
    let change = 4096 * (i64::try_from(stacks).unwrap() - 1) - 8192 + 4096 + 4096;
    ProcessProfile {
        pid,
        parent: None,
        command: vec!["python".to_owned()],
        python: None,
        ending: Ending::Running,
        began: Nanos(0),
        ended: None,
        before: anon(1 << 20),
        after: anon((1 << 20) + change),
        peak: Bytes(0),
        threads: Vec::new(),
        stacks: (0..stacks).map(stack).collect(),
        lines: Vec::new(),
        functions: Vec::new(),
        unattributed: vec![row],
        moments: Vec::new(),
        events: 0,
        lost_events: 0,
        lost_bytes: Bytes(0),
        overhead: Overhead::default(),
        lens: None,
        counts: crate::profile::Counts::default(),
        notes: Vec::new(),
    }
}

fn window(processes: Vec<ProcessProfile>) -> Window {
    let identities = processes.iter().map(Identity::of).collect();
    let profile = Profile {
        started_at: SystemTime::UNIX_EPOCH,
        duration: Nanos(1),
        kernel: String::new(),
        exact: true,
        processes,
    };
    Window { profile, identities, split_threads: false }
}

/// All values of net growth in a request, signed, and the ids of its profiles.
fn net(request: &Request) -> (i64, Vec<Vec<u8>>) {
    let plain = crate::push::client::plain(&request.body).unwrap();
    assert!(plain.len() <= MAX_REQUEST_BYTES, "{}", plain.len());
    let message = ExportProfilesServiceRequest::decode(plain.as_slice()).unwrap();
    let tables = message.dictionary.unwrap();
    let text = |at: i32| tables.string_table[usize::try_from(at).unwrap()].as_str();
    let root = |stack: i32| {
        let stack = &tables.stack_table[usize::try_from(stack).unwrap()];
        let root = usize::try_from(*stack.location_indices.last().unwrap()).unwrap();
        let function = tables.location_table[root].lines[0].function_index;
        text(tables.function_table[usize::try_from(function).unwrap()].name_strindex)
    };
    let scopes = message.resource_profiles.iter().flat_map(|resource| &resource.scope_profiles);
    let (mut sum, mut ids) = (0, Vec::new());
    for profile in scopes.flat_map(|scope| &scope.profiles) {
        ids.push(profile.profile_id.clone());
        if text(profile.sample_type.unwrap().type_strindex) == "rss_net" {
            let signed = |sample: &opentelemetry_proto::tonic::profiles::v1development::Sample| {
                let sign = if root(sample.stack_index) == "shrank" { -1 } else { 1 };
                sign * sample.values[0]
            };
            sum += profile.samples.iter().map(signed).sum::<i64>();
        }
    }
    (sum, ids)
}

#[test]
fn a_process_too_large_for_a_message_goes_in_parts_that_add_up() {
    let processes = vec![process(1, 20_000), process(2, 3)];
    let changes = processes.iter().map(|one| (one.after - one.before).total().0);
    let change: i64 = changes.sum();
    let requests = encode(Form::OtlpHttp, &window(processes));
    assert!(requests.len() > 2, "{}", requests.len());
    let (sums, ids): (Vec<_>, Vec<_>) = requests.iter().map(net).unzip();
    assert_eq!(sums.iter().sum::<i64>(), change);
    let mut ids = ids.concat();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "two profiles of one id");
}

#[test]
fn the_same_window_is_the_same_message() {
    for form in [Form::Pyroscope, Form::Parca, Form::OtlpHttp, Form::OtlpGrpc] {
        let made = || encode(form, &window(vec![process(1, 50), process(2, 3)]));
        assert_eq!(made(), made());
        let requests = if form == Form::Pyroscope { 2 } else { 1 };
        assert_eq!(made().len(), requests, "{form:?}");
        assert!(encode(form, &window(Vec::new())).is_empty());
    }
}
