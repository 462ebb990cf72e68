//! Whose figures these are: attributes by OpenTelemetry's semantic conventions, and the labels that
//! Pyroscope and Parca make series of.
//!
//! What a profile tells of a process is filled in here; what it can't tell (host, container, pod) is
//! the caller's to add.

use std::collections::BTreeMap;

use crate::profile::ProcessProfile;
use crate::program;
use crate::report::printable;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Texts.
    Texts(Vec<String>),
}

/// Whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    attributes: BTreeMap<String, Value>,
}

/// Longest text of a label; stores refuse longer ones.
const LONGEST_LABEL: usize = 1024;

const SERVICE: &str = "service.name";

impl Identity {
    /// What its profile tells of a process. The service is the script's, the module's or the
    /// command's name.
    #[must_use]
    pub fn of(process: &ProcessProfile) -> Self {
        let mut identity = Self { attributes: BTreeMap::new() };
        identity.set(SERVICE, Value::Text(program::name(&process.command)));
        identity.set("process.pid", Value::Number(process.pid.into()));
        if let Some(parent) = process.parent {
            identity.set("process.parent_pid", Value::Number(parent.into()));
        }
        if let Some(program) = process.command.first() {
            identity.set("process.executable.name", Value::Text(program::base(program).to_owned()));
            let arguments = process.command.iter().map(|word| printable(word).into_owned());
            identity.set("process.command_args", Value::Texts(arguments.collect()));
        }
        if let Some(version) = &process.python {
            identity.set("process.runtime.name", Value::Text("cpython".to_owned()));
            identity.set("process.runtime.version", Value::Text(version.clone()));
        }
        identity
    }

    /// Adds an attribute, or sets another value.
    pub fn set(&mut self, key: &str, value: Value) {
        let value = match value {
            Value::Text(text) => Value::Text(printable(&text).into_owned()),
            other => other,
        };
        self.attributes.insert(key.to_owned(), value);
    }

    /// The same with a further attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.set(key, value);
        self
    }

    /// All attributes, by name.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The service's name.
    pub(super) fn service(&self) -> &str {
        match self.attributes.get(SERVICE) {
            Some(Value::Text(name)) if !name.is_empty() => name,
            _ => "unknown_service",
        }
    }

    /// Labels, by name: the attributes of one value, `_` for what label names can't hold. The command
    /// line is none, since it has no bound.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let one = |(key, value): (&str, &Value)| {
            let text = match value {
                Value::Text(text) if text.is_empty() => return None,
                Value::Text(text) => cut(text),
                Value::Number(number) => number.to_string(),
                Value::Texts(_) => return None,
            };
            Some((label_name(key), text))
        };
        let mut labels: BTreeMap<_, _> = self.attributes().filter_map(one).collect();
        labels.insert(label_name(SERVICE), cut(self.service()));
        labels
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_LABEL)].to_owned()
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
fn label_name(key: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = key.chars().map(fits).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_names_and_values_that_stores_take() {
        let mut identity = Identity { attributes: BTreeMap::new() };
        identity.set("k8s.pod/name", Value::Text("a\nb".to_owned()));
        identity.set("9x", Value::Number(7));
        identity.set("process.command_args", Value::Texts(vec!["secret".to_owned()]));
        identity.set("long", Value::Text("ä".repeat(LONGEST_LABEL)));
        let labels = identity.labels();
        assert_eq!(labels["k8s_pod_name"], "a\\x0ab");
        assert_eq!(labels["_9x"], "7");
        assert_eq!(labels["service_name"], "unknown_service");
        assert_eq!(labels["long"].len(), LONGEST_LABEL);
        assert_eq!(labels.len(), 4);
    }
}
