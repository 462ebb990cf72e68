//! A pusher, as its user has it: give it windows, ask how it goes, stop it.
//!
//! It has a thread of its own. Whoever traces is never held up by encoding, the disk or the network.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};

use super::client::{Client, NoClient};
use super::queue::{Queue, QueueError};
use super::service::{Deadline, Service};
use super::{QueueLimits, Settings, Window};

/// Windows that may wait to be encoded. More means that the machine is too slow, not the store.
const WINDOWS: usize = 16;

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests made of windows.
    pub requests: u64,
    /// Requests that the store took.
    pub sent: u64,
    /// Of those: not all that was in them.
    pub partial: u64,
    /// Requests that the store will never take.
    pub refused: u64,
    /// Tries that are to be made again.
    pub retries: u64,
    /// Requests in the queue now.
    pub waiting: u64,
    /// Their size.
    pub waiting_bytes: u64,
    /// Requests that made room for newer ones.
    pub dropped_full: u64,
    /// Requests that grew too old.
    pub dropped_expired: u64,
    /// Files of the queue that were not readable.
    pub dropped_damaged: u64,
    /// Requests that could not be written to the queue.
    pub dropped_unwritable: u64,
    /// Windows that came faster than they could be encoded.
    pub dropped_windows: u64,
    /// What the store or the network said last when something failed.
    pub last_error: Option<String>,
}

impl Counts {
    /// Requests and windows that never reached the store and never will.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_full
            + self.dropped_expired
            + self.dropped_damaged
            + self.dropped_unwritable
            + self.dropped_windows
    }
}

/// How it goes, for whoever has no hold of the pusher itself.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Counts>>);

impl Meter {
    /// How it goes.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// It can't be started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A folder for it, a thread, a runtime.
    #[error("can't start pushing: {0}")]
    Machine(#[from] std::io::Error),
    /// The client.
    #[error(transparent)]
    Client(#[from] NoClient),
}

/// A pusher that runs.
#[derive(Debug)]
pub struct Pusher {
    windows: Option<mpsc::Sender<Window>>,
    stop: watch::Sender<Deadline>,
    counts: Arc<Mutex<Counts>>,
    thread: Option<JoinHandle<()>>,
    limits: QueueLimits,
    /// Its queue, when nobody named one.
    _folder: Option<tempfile::TempDir>,
}

impl Pusher {
    /// Starts one. What the queue's folder holds is sent first.
    ///
    /// # Errors
    ///
    /// The folder can't be used, or no thread be started.
    pub fn start(settings: &Settings) -> Result<Self, NotStarted> {
        let (folder, path) = match &settings.queue {
            Some(path) => (None, path.clone()),
            None => {
                let folder = tempfile::tempdir()?;
                let path = folder.path().to_owned();
                (Some(folder), path)
            }
        };
        let queue = Queue::open(&path, settings.limits)?;
        let limits = queue.limits();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (windows, receiver) = mpsc::channel(WINDOWS);
        let (stop, deadline) = watch::channel(None);
        let (started, ready) = std::sync::mpsc::sync_channel(1);
        let (own, shared) = (settings.clone(), Arc::clone(&counts));
        // The runtime lives and ends in the thread: the caller may be in a runtime of its own.
        let run = move || {
            let service = Self::service(own, queue, shared);
            let (outcome, service) = match service {
                Ok(service) => (Ok(()), Some(service)),
                Err(error) => (Err(error), None),
            };
            // The caller waits for it.
            let _ = started.send(outcome);
            if let Some((runtime, service)) = service {
                runtime.block_on(service.run(receiver, deadline));
            }
        };
        let thread = std::thread::Builder::new().name("memtrace-push".to_owned()).spawn(run)?;
        match ready.recv() {
            Ok(outcome) => outcome?,
            Err(_) => return Err(std::io::Error::other("its thread ended at once").into()),
        }
        let windows = Some(windows);
        Ok(Self { windows, stop, counts, thread: Some(thread), limits, _folder: folder })
    }

    fn service(
        settings: Settings,
        queue: Queue,
        counts: Arc<Mutex<Counts>>,
    ) -> Result<(Runtime, Service), NotStarted> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = {
            let _inside = runtime.enter();
            Client::new(&settings.backend, &settings.credentials, settings.patience)?
        };
        let service = Service {
            backend: settings.backend,
            client,
            queue: queue.into(),
            patience: settings.patience,
            counts,
            more: Notify::new(),
        };
        Ok((runtime, service))
    }

    /// Gives it a window, at once and whatever the store does. `false`, and counted, when it has not
    /// come to the last sixteen.
    pub fn offer(&self, window: Window) -> bool {
        let taken = self.try_offer(window).is_ok();
        if !taken {
            self.locked().dropped_windows += 1;
        }
        taken
    }

    /// The same for somebody who can wait: a window that there is no room for comes back.
    ///
    /// # Errors
    ///
    /// Not now.
    pub fn try_offer(&self, window: Window) -> Result<(), Box<Window>> {
        match &self.windows {
            Some(windows) => windows.try_send(window).map_err(|error| match error {
                TrySendError::Full(window) | TrySendError::Closed(window) => Box::new(window),
            }),
            None => Err(Box::new(window)),
        }
    }

    /// How it goes.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.locked().clone()
    }

    /// The same for somebody else.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.counts))
    }

    /// How much may wait.
    #[must_use]
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// Whether it has ended by itself, all windows sent.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// No more windows will come; it goes on with the queue.
    pub fn close(&mut self) {
        self.windows = None;
    }

    /// Ends it: what waits is sent for as long as `patience` allows and then stays in the queue.
    pub fn stop(&mut self, patience: Duration) -> Counts {
        self.end(patience);
        self.counts()
    }

    fn end(&mut self, patience: Duration) {
        self.windows = None;
        self.stop.send_replace(Some(tokio::time::Instant::now() + patience));
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its own thread.
            let _ = thread.join();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}
