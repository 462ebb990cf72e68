//! Profiles on their way to a store that somebody already runs: Pyroscope, Parca, or whatever takes
//! OTLP profiles.
//!
//! A window of time goes in as a [`Profile`](crate::profile::Profile) with an [`Identity`] for each
//! process; encoders make [`Request`](request::Request)s of it, a bounded folder of files holds
//! them, and one thread sends them, oldest first, for as long as it takes. The encoders are pure.
//! It finds no processes, reads no recording and shows nothing: the daemon and `memtrace push` do.

mod answer;
mod backend;
mod client;
mod encode;
mod grpc;
mod identity;
mod otlp;
mod parca;
mod part;
mod pusher;
mod pyroscope;
mod queue;
mod request;
mod service;
mod settings;

pub use backend::{Backend, BackendError, Form};
pub use encode::encode;
pub use identity::{Identity, Value};
pub use pusher::{Counts, Meter, NotStarted, Pusher};
pub use queue::{QueueError, QueueLimits};
pub use request::{MAX_REQUEST_BYTES, Request};
pub use settings::{Credentials, Patience, Settings, SettingsError};

use crate::profile::Profile;

/// A stretch of time to push.
#[derive(Debug, Clone)]
pub struct Window {
    /// Its figures.
    pub profile: Profile,
    /// Whose they are, one for each process of the profile, in its order.
    pub identities: Vec<Identity>,
    /// Tell threads apart.
    pub split_threads: bool,
}
