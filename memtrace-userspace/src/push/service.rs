//! What the pusher's thread does: windows in, requests into the queue, the oldest on its way.
//!
//! Both go on side by side, so that a store that hangs keeps no window from the queue.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Notify, mpsc, watch};

use super::answer::Answer;
use super::client::Client;
use super::queue::Queue;
use super::{Backend, Counts, Patience, Window, encode};

/// The thread's state.
pub(super) struct Service {
    pub(super) backend: Backend,
    pub(super) client: Client,
    pub(super) queue: RefCell<Queue>,
    pub(super) patience: Patience,
    pub(super) counts: Arc<Mutex<Counts>>,
    /// Something waits, or nothing will come any more.
    pub(super) more: Notify,
}

/// When to stop, once that is known.
pub(super) type Deadline = Option<tokio::time::Instant>;

impl Service {
    /// Until the windows end, and then until the queue is empty or the deadline has passed.
    pub(super) async fn run(
        mut self,
        windows: mpsc::Receiver<Window>,
        mut stop: watch::Receiver<Deadline>,
    ) {
        self.tell();
        let Self { backend, client, queue, patience, counts, more } = &mut self;
        let shared = Shared { backend, queue, counts, more };
        let ended = RefCell::new(false);
        let filling = shared.fill(windows, &ended);
        let emptying = shared.empty(client, *patience, &ended);
        let deadline = async {
            loop {
                let at = *stop.borrow_and_update();
                match at {
                    Some(at) => return tokio::time::sleep_until(at).await,
                    None => {
                        if stop.changed().await.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        // What has been given to it gets into the queue; only the sending has an end.
        let sending = async {
            tokio::select! {
                biased;
                () = emptying => {}
                () = deadline => {}
            }
        };
        tokio::join!(filling, sending);
        shared.tell();
    }

    fn tell(&self) {
        let Self { backend, queue, counts, more, .. } = self;
        Shared { backend, queue, counts, more }.tell();
    }
}

#[derive(Clone, Copy)]
struct Shared<'a> {
    backend: &'a Backend,
    queue: &'a RefCell<Queue>,
    counts: &'a Mutex<Counts>,
    more: &'a Notify,
}

impl Shared<'_> {
    async fn fill(self, mut windows: mpsc::Receiver<Window>, ended: &RefCell<bool>) {
        let mut lost = 0_u64;
        while let Some(window) = windows.recv().await {
            for request in encode(self.backend.form, &window) {
                let added = self.queue.borrow_mut().add(&request, SystemTime::now());
                match added {
                    Ok(()) if lost > 0 => {
                        tracing::warn!("push: the queue takes requests again; {lost} were lost");
                        lost = 0;
                    }
                    Ok(()) => {}
                    Err(error) => {
                        if lost == 0 {
                            let queue = self.queue.borrow();
                            let folder = queue.folder().display();
                            tracing::warn!(
                                "push: can't write to the queue {folder} ({error}); profiles are lost \
                                 until there is room"
                            );
                        }
                        lost += 1;
                    }
                }
                self.count(|counts| counts.requests += 1);
            }
            self.tell();
            self.more.notify_one();
            // One thread for both: let what is on its way go on.
            tokio::task::yield_now().await;
        }
        *ended.borrow_mut() = true;
        self.more.notify_one();
    }

    async fn empty(self, client: &mut Client, patience: Patience, ended: &RefCell<bool>) {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(patience.first_pause)
            .with_max_delay(patience.longest_pause)
            .with_jitter()
            .without_max_times();
        let mut pause = pauses.build();
        let mut is_down = false;
        loop {
            let request = self.queue.borrow_mut().front(SystemTime::now());
            self.tell();
            let Some(request) = request else {
                if *ended.borrow() {
                    return;
                }
                self.more.notified().await;
                continue;
            };
            match client.send(request).await {
                Answer::Taken(partial) => {
                    self.queue.borrow_mut().done();
                    self.count(|counts| {
                        counts.sent += 1;
                        counts.partial += u64::from(partial.is_some());
                    });
                    if let Some(what) = partial {
                        tracing::warn!("push: {} took a part only: {what}", self.backend);
                    }
                    if std::mem::take(&mut is_down) {
                        tracing::warn!("push: {} answers again", self.backend);
                    }
                    pause = pauses.build();
                }
                Answer::Refused(why) => {
                    self.queue.borrow_mut().done();
                    self.count(|counts| {
                        counts.refused += 1;
                        counts.last_error = Some(why.clone());
                    });
                    tracing::warn!("push: {} refused a request: {why}", self.backend);
                    pause = pauses.build();
                }
                Answer::Later { after, why } => {
                    self.queue.borrow_mut().put_back();
                    if !std::mem::replace(&mut is_down, true) {
                        tracing::warn!("push: {}: {why}; trying again until it goes", self.backend);
                    }
                    self.count(|counts| {
                        counts.retries += 1;
                        counts.last_error = Some(why);
                    });
                    let own = pause.next().unwrap_or(patience.longest_pause);
                    // Never sooner than the store says, and not all at that moment.
                    let wait = after.map_or(own, |after| after + own / 4);
                    self.tell();
                    tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
                }
            }
        }
    }

    fn count(self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What the queue holds and has dropped.
    fn tell(self) {
        let queue = self.queue.borrow();
        let (waiting, bytes, dropped) = (queue.len() as u64, queue.bytes(), queue.dropped);
        self.count(|counts| {
            counts.waiting = waiting;
            counts.waiting_bytes = bytes;
            counts.dropped_full = dropped.full;
            counts.dropped_expired = dropped.expired;
            counts.dropped_damaged = dropped.damaged;
            counts.dropped_unwritable = dropped.unwritable;
        });
    }
}
