//! Each closed window to the stores that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::config::{self, Config};
use super::group::Labels;
use super::windows::{ClosedWindow, WindowSink};
use crate::push::{
    Backend, BackendError, Credentials, Identity, NotStarted, Patience, Pusher, QueueLimits,
    Settings, SettingsError, Value, Window,
};

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
        backend: Backend::new(push.form, &push.to)?,
        credentials,
        queue: push.queue.clone(),
        limits: QueueLimits { bytes: push.queue_size.0, age: push.queue_age.0 },
        patience: Patience::default(),
    })
}

/// Starts pushing: one thread for each store.
///
/// # Errors
///
/// [`PushError`]: a queue's folder can't be used.
pub fn start(all: &[Settings]) -> Result<Vec<Box<dyn WindowSink>>, PushError> {
    let one = |settings: &Settings| -> Result<Box<dyn WindowSink>, PushError> {
        Ok(Box::new(Store { pusher: Pusher::start(settings)?, backend: settings.backend.clone() }))
    };
    all.iter().map(one).collect()
}

/// A store that gets windows.
struct Store {
    pusher: Pusher,
    backend: Backend,
}

impl WindowSink for Store {
    fn closed(&mut self, window: &Arc<ClosedWindow>) {
        let profile = window.profile.clone();
        let identity = |process| with_labels(Identity::of(process), &window.labels);
        let identities = profile.processes.iter().map(identity).collect();
        // One that doesn't fit is counted, and told at the end.
        self.pusher.offer(Window { profile, identities, split_threads: false });
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

/// What a profile doesn't know, by the names of OpenTelemetry's semantic conventions.
fn with_labels(mut identity: Identity, labels: &Labels) -> Identity {
    let container = labels.container.as_ref();
    let attributes = [
        ("service.name", labels.name.as_str()),
        ("process.owner", &labels.user),
        ("container.id", container.map_or("", |container| &container.id)),
        ("container.name", &labels.named.container),
        ("k8s.pod.uid", container.and_then(|it| it.pod_uid.as_deref()).unwrap_or_default()),
        ("k8s.pod.name", &labels.named.pod),
        ("k8s.namespace.name", &labels.named.namespace),
    ];
    for (key, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
        identity.set(key, Value::Text(value.to_owned()));
    }
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        identity.set("host.name", Value::Text(host.trim_end().to_owned()));
    }
    identity
}
