//! What arrived, read by others' readers: npm's pprof-format and Parca's own client, the schema crate
//! of OpenTelemetry, and a reader of forms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::store::Came;
use harness::target::program;
use harness::{Context, Result, bail, ensure, resources};
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development::ProfilesDictionary;
use prost::Message;
use serde::Deserialize;

/// One profile of one process, whatever form it came in.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// Labels or attributes.
    pub(crate) labels: BTreeMap<String, String>,
    /// When it begins.
    pub(crate) from_ns: u64,
    /// How long it is.
    pub(crate) duration_ns: u64,
    /// All samples.
    pub(crate) samples: Vec<Sample>,
}

/// A value of a stack.
#[derive(Debug)]
pub(crate) struct Sample {
    /// `rss_net/bytes`
    pub(crate) kind: String,
    /// File, line and function of each frame.
    pub(crate) leaf_first: Vec<(String, i64, String)>,
    /// Below nothing where it came below `shrank`.
    pub(crate) value: i64,
    /// Of a thread.
    pub(crate) has_thread: bool,
}

impl Pushed {
    /// Sum of a kind at a line, or of all.
    pub(crate) fn sum(&self, kind: &str, line: Option<(&str, u32)>) -> i64 {
        let here = |sample: &&Sample| {
            let (file, number, _) = &sample.leaf_first[0];
            line.is_none_or(|line| (file.as_str(), i64::from(line.1)) == (line.0, *number))
        };
        let own = self.samples.iter().filter(|sample| sample.kind == kind);
        own.filter(here).map(|sample| sample.value).sum()
    }
}

/// As `read_pprof.cjs` prints it.
#[derive(Debug, Deserialize)]
struct Pprof {
    time_ns: String,
    duration_ns: String,
    samples: Vec<PprofSample>,
}

#[derive(Debug, Deserialize)]
struct PprofSample {
    values: BTreeMap<String, i64>,
    leaf_first: Vec<Frame>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    function: String,
    file: String,
    line: i64,
}

fn pprof(file: &Path, labels: BTreeMap<String, String>) -> Result<Pushed> {
    let mut node = Command::new("node");
    node.env("NODE_PATH", resources::viewers()?).arg(program("read_pprof.cjs")).arg(file);
    let read: Pprof = serde_json::from_str(&resources::succeed(&mut node)?)?;
    let mut pushed = Pushed {
        labels,
        from_ns: read.time_ns.parse()?,
        duration_ns: read.duration_ns.parse()?,
        samples: Vec::new(),
    };
    for sample in read.samples {
        let frames = sample.leaf_first.into_iter();
        let frames: Vec<_> = frames.map(|frame| (frame.file, frame.line, frame.function)).collect();
        let sign = sign(&frames)?;
        for (kind, value) in sample.values {
            pushed.samples.push(Sample {
                kind,
                leaf_first: frames.clone(),
                value: sign * value,
                has_thread: !sample.labels.is_empty(),
            });
        }
    }
    Ok(pushed)
}

fn sign(frames: &[(String, i64, String)]) -> Result<i64> {
    let (_, _, root) = frames.last().context("a stack without frames")?;
    Ok(if root == "shrank" { -1 } else { 1 })
}

/// What Pyroscope's `/ingest` makes of it.
pub(crate) fn pyroscope(came: &Came) -> Result<Pushed> {
    let (path, query) = came.target.split_once('?').context("a query")?;
    ensure!(path == "/ingest", "{path}");
    let pairs: BTreeMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    ensure!(!pairs.contains_key("format"), "with `format` a form is not read: {query}");
    ensure!(pairs["spyName"] == "memtrace", "{query}");
    let name = unescaped(pairs["name"])?;
    let (service, labels) = name.split_once('{').with_context(|| name.clone())?;
    let labels = labels.strip_suffix('}').with_context(|| name.clone())?;
    let mut all: BTreeMap<_, _> = labels
        .split(',')
        .map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .with_context(|| name.clone())?;
    all.insert("app".to_owned(), service.to_owned());

    let boundary = multer::parse_boundary(came.header("content-type").context("its type")?)?;
    let fields = form(came.body.clone(), boundary)?;
    ensure!(fields.keys().eq(["profile", "sample_type_config"]), "{:?}", fields.keys());
    let config: serde_json::Value = serde_json::from_slice(&fields["sample_type_config"])?;
    for kind in ["rss_net", "rss_grown", "rss_resident", "events"] {
        // `metricName` of Pyroscope takes the last one's display name for the profile's.
        ensure!(config[kind]["display-name"] == "rss", "{config}");
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile.pb.gz");
    std::fs::write(&file, &fields["profile"])?;
    let pushed = pprof(&file, all)?;
    let end = pushed.from_ns + pushed.duration_ns;
    ensure!(pairs["from"] == pushed.from_ns.to_string(), "{query}");
    ensure!(pairs["until"] == end.to_string() && pairs["until"].len() == 19, "{query}");
    Ok(pushed)
}

fn form(body: Vec<u8>, boundary: String) -> Result<BTreeMap<String, Vec<u8>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut form = multer::Multipart::with_reader(body.as_slice(), boundary);
        let mut fields = BTreeMap::new();
        while let Some(field) = form.next_field().await? {
            let name = field.name().context("a field without a name")?.to_owned();
            fields.insert(name, field.bytes().await?.to_vec());
        }
        Ok(fields)
    })
}

fn unescaped(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits)?, 16)?);
        } else {
            bytes.push(byte);
        }
    }
    Ok(String::from_utf8(bytes)?)
}

/// What Parca's client finds.
#[derive(Debug, Deserialize)]
struct Raw {
    normalized: bool,
    series: Vec<Series>,
}

#[derive(Debug, Deserialize)]
struct Series {
    labels: BTreeMap<String, String>,
    profiles: Vec<PathBuf>,
}

/// What Parca's `WriteRaw` makes of it.
pub(crate) fn parca(came: &Came) -> Result<Vec<Pushed>> {
    let path = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";
    ensure!(came.target == path, "{}", came.target);
    let folder = tempfile::tempdir()?;
    let message = folder.path().join("message");
    std::fs::write(&message, &came.body)?;
    let mut node = Command::new("node");
    node.env("NODE_PATH", resources::viewers()?).arg(program("read_parca.mjs"));
    node.arg(&message).arg(folder.path().join("profile"));
    let raw: Raw = serde_json::from_str(&resources::succeed(&mut node)?)?;
    ensure!(raw.normalized, "addresses are not those of a mapping: there are none");
    let mut all = Vec::new();
    for series in raw.series {
        ensure!(series.labels["__name__"] == "memtrace", "{:?}", series.labels);
        for file in series.profiles {
            all.push(pprof(&file, series.labels.clone())?);
        }
    }
    Ok(all)
}

fn text(value: Option<&AnyValue>) -> Result<String> {
    match value.and_then(|value| value.value.as_ref()).context("an attribute without a value")? {
        Any::StringValue(text) => Ok(text.clone()),
        Any::IntValue(number) => Ok(number.to_string()),
        Any::ArrayValue(array) => {
            let all: Result<Vec<_>> = array.values.iter().map(|one| text(Some(one))).collect();
            Ok(all?.join(" "))
        }
        other => bail!("{other:?}"),
    }
}

/// What an OTLP receiver makes of it. All that the specification asks of the tables is asked here.
pub(crate) fn otlp(came: &Came) -> Result<Vec<Pushed>> {
    let request = ExportProfilesServiceRequest::decode(came.body.as_slice())?;
    let tables = request.dictionary.context("a dictionary")?;
    nulls(&tables)?;
    let mut all = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for resource in &request.resource_profiles {
        let attributes = resource.resource.as_ref().context("a resource")?.attributes.iter();
        let pair = |pair: &KeyValue| Ok((pair.key.clone(), text(pair.value.as_ref())?));
        let mut pushed =
            Pushed { labels: attributes.map(pair).collect::<Result<_>>()?, ..Pushed::default() };
        let scope = resource.scope_profiles.first().context("a scope")?;
        ensure!(scope.scope.as_ref().is_some_and(|scope| scope.name == "memtrace"));
        for profile in &scope.profiles {
            (pushed.from_ns, pushed.duration_ns) = (profile.time_unix_nano, profile.duration_nano);
            ensure!(profile.profile_id.len() == 16 && ids.insert(profile.profile_id.clone()));
            let kind = profile.sample_type.context("a type")?;
            let kind = [kind.type_strindex, kind.unit_strindex].map(|at| string(&tables, at));
            let [kind, unit] = kind;
            let kind = format!("{}/{}", kind?, unit?);
            for sample in &profile.samples {
                let stack = at(&tables.stack_table, sample.stack_index)?;
                let frames = stack.location_indices.iter().map(|place| frame(&tables, *place));
                let leaf_first: Vec<_> = frames.collect::<Result<_>>()?;
                let [value] = sample.values[..] else { bail!("{sample:?}") };
                ensure!(value > 0, "{sample:?}");
                let value = value * sign(&leaf_first)?;
                let has_thread = !sample.attribute_indices.is_empty();
                pushed.samples.push(Sample { kind: kind.clone(), leaf_first, value, has_thread });
            }
        }
        all.push(pushed);
    }
    Ok(all)
}

fn nulls(tables: &ProfilesDictionary) -> Result<()> {
    use opentelemetry_proto::tonic::profiles::v1development::{
        Function, KeyValueAndUnit, Link, Location, Mapping, Stack,
    };
    ensure!(tables.string_table.first().is_some_and(String::is_empty));
    ensure!(tables.mapping_table.first() == Some(&Mapping::default()));
    ensure!(tables.location_table.first() == Some(&Location::default()));
    ensure!(tables.function_table.first() == Some(&Function::default()));
    ensure!(tables.link_table.first() == Some(&Link::default()));
    ensure!(tables.attribute_table.first() == Some(&KeyValueAndUnit::default()));
    ensure!(tables.stack_table.first() == Some(&Stack::default()));
    let mut texts = tables.string_table.clone();
    texts.sort_unstable();
    texts.dedup();
    ensure!(texts.len() == tables.string_table.len(), "a text twice");
    Ok(())
}

fn at<T>(table: &[T], index: i32) -> Result<&T> {
    table.get(usize::try_from(index)?).with_context(|| format!("nothing at {index}"))
}

fn string(tables: &ProfilesDictionary, index: i32) -> Result<String> {
    at(&tables.string_table, index).cloned()
}

fn frame(tables: &ProfilesDictionary, index: i32) -> Result<(String, i64, String)> {
    ensure!(index != 0, "the location that stands for none");
    let location = at(&tables.location_table, index)?;
    let [line] = location.lines[..] else { bail!("{location:?}") };
    let function = at(&tables.function_table, line.function_index)?;
    if line.line > 0 {
        let [kind] = location.attribute_indices[..] else { bail!("{location:?}") };
        let kind = at(&tables.attribute_table, kind)?;
        ensure!(string(tables, kind.key_strindex)? == "profile.frame.type");
        ensure!(text(kind.value.as_ref())? == "cpython");
    }
    let file = string(tables, function.filename_strindex)?;
    Ok((file, line.line, string(tables, function.name_strindex)?))
}
