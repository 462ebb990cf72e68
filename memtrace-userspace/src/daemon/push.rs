//! Each closed window to the stores that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::config::{self, Config};
use super::group::Labels;
use super::windows::{ClosedWindow, WindowSink};
use crate::profile::Profile;
use crate::push::{
    Backend, BackendError, Credentials, Identity, Meter, NotStarted, Patience, Pusher, QueueLimits,
    Settings, SettingsError, Value, Window,
};
use crate::units::Nanos;

/// A store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Its address.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Its token.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its queue or client.
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
}

/// What pushing to each store takes; tokens are read now, while privileges are there.
///
/// # Errors
///
/// [`PushError`]: a token that can't be read.
pub fn settings(config: &Config) -> Result<Vec<Settings>, PushError> {
    config.push.iter().map(settings_of).collect()
}

fn settings_of(push: &config::Push) -> Result<Settings, PushError> {
    let mut credentials = Credentials::default();
    if let Some(file) = &push.token_file {
        credentials.read_token(file)?;
    }
    Ok(Settings {
        backend: Backend::new(push.form, push.to.get_ref())?,
        credentials,
        queue: push.queue.clone(),
        limits: QueueLimits { bytes: push.queue_size.0, age: push.queue_age.0 },
        patience: Patience::default(),
    })
}

/// A store's name, and how pushing to it goes.
pub type Metered = (String, Meter);

/// Stores that get windows, and how each does.
pub type Started = (Vec<Box<dyn WindowSink>>, Vec<Metered>);

/// Starts pushing: one thread for each store.
///
/// # Errors
///
/// [`PushError`]: a queue's folder can't be used.
pub fn start(all: &[Settings]) -> Result<Started, PushError> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim_end();
    let (mut sinks, mut meters) = (Vec::new(), Vec::new());
    for settings in all {
        let store = Store::start(settings, host)?;
        meters.push((store.backend.to_string(), store.pusher.meter()));
        sinks.push(Box::new(store) as Box<dyn WindowSink>);
    }
    Ok((sinks, meters))
}

/// A store that gets windows.
struct Store {
    pusher: Pusher,
    backend: Backend,
    host: String,
}

impl Store {
    fn start(settings: &Settings, host: &str) -> Result<Self, NotStarted> {
        let (backend, host) = (settings.backend.clone(), host.to_owned());
        Ok(Self { pusher: Pusher::start(settings)?, backend, host })
    }
}

impl WindowSink for Store {
    fn closed(&mut self, groups: &[Arc<ClosedWindow>]) {
        // One that doesn't fit is counted; `/metrics` tells, and so does the end.
        if let Some(window) = together(groups, &self.host) {
            self.pusher.offer(window);
        }
    }

    fn drain(&mut self, within: Duration) {
        let counts = self.pusher.stop(within);
        let (waiting, dropped) = (counts.waiting, counts.dropped() + counts.refused);
        if waiting > 0 || dropped > 0 {
            let why = counts.last_error.as_deref().unwrap_or("no answer yet");
            warn!("{}: {waiting} requests wait, {dropped} were dropped: {why}", self.backend);
        }
    }
}

/// The processes of all groups: they have one beginning and one end, and take one place in the queue.
fn together(groups: &[Arc<ClosedWindow>], host: &str) -> Option<Window> {
    let first = groups.first()?;
    let length = first.to.duration_since(first.from).unwrap_or_default();
    let mut profile = Profile {
        started_at: first.from,
        duration: Nanos(length.as_nanos() as u64),
        kernel: first.profile.kernel.clone(),
        exact: first.profile.exact,
        processes: Vec::new(),
    };
    let mut identities = Vec::new();
    for group in groups {
        for process in &group.profile.processes {
            identities.push(with_labels(Identity::of(process), &group.labels, host));
            profile.processes.push(process.clone());
        }
    }
    Some(Window { profile, identities, split_threads: false })
}

/// What a profile doesn't know, by the names of OpenTelemetry's semantic conventions.
fn with_labels(mut identity: Identity, labels: &Labels, host: &str) -> Identity {
    let container = labels.container.as_ref();
    let attributes = [
        ("service.name", labels.name.as_str()),
        ("process.owner", &labels.user),
        ("container.id", container.map_or("", |container| &container.id)),
        ("container.name", &labels.named.container),
        ("k8s.pod.uid", container.and_then(|it| it.pod_uid.as_deref()).unwrap_or_default()),
        ("k8s.pod.name", &labels.named.pod),
        ("k8s.namespace.name", &labels.named.namespace),
        ("host.name", host),
    ];
    for (key, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
        identity.set(key, Value::Text(value.to_owned()));
    }
    identity
}

#[cfg(test)]
mod tests;
