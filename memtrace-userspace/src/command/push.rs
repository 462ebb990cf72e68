//! `memtrace push`: a recording, window by window, to a store of profiles.
//!
//! It reads and cuts; `push` encodes, keeps and sends. The recording can be read again, so nothing of it
//! is dropped for want of room: reading waits for the store, until it is given up.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use self::windows::Cut;
use super::progress::say;
use super::read::Reading;
use crate::cli::PushArgs;
use crate::history::{History, WHOLE};
use crate::profile::filter::filtered;
use crate::push::{
    Backend, Counts, Credentials, Identity, Patience, Pusher, QueueLimits, Settings, Value, Window,
};

mod windows;

/// Between two looks at how it goes.
const LOOK: Duration = Duration::from_millis(20);

/// Does it.
///
/// # Errors
///
/// What was typed can't be meant, the recording can't be read, or the store did not take all of it.
pub fn run(args: &PushArgs) -> Result<()> {
    let backend = Backend::new(args.form, &args.to)?;
    let mut credentials = Credentials::default();
    if let Some(file) = &args.token_file {
        credentials.read_token(file)?;
    }
    for header in &args.header {
        credentials.add_header(header)?;
    }
    let (from, until) = (args.from.unwrap_or(*WHOLE.start()), args.until.unwrap_or(*WHOLE.end()));
    if from >= until {
        bail!("--from must be before --until: there is no time between them");
    }
    let settings = Settings {
        backend: backend.clone(),
        credentials,
        queue: args.queue.clone(),
        limits: QueueLimits {
            bytes: u64::try_from(args.queue_size.0).unwrap_or(0),
            age: args.queue_age,
        },
        patience: Patience {
            answer: (args.give_up_after / 2).min(Patience::default().answer),
            ..Patience::default()
        },
    };
    let mut pushing = Pushing {
        args,
        pusher: Pusher::start(&settings)?,
        progress: (0, Instant::now()),
        windows: 0,
    };
    let mut cut = ControlFlow::Continue(());
    if let Some(file) = &args.file {
        let reading = Reading { strict: args.strict, quiet: args.quiet };
        let cutting = Cut { from, until, every: args.every };
        cut = cutting.each(file, reading, |history| pushing.window(history))?;
    }
    let counts = pushing.finish(cut.is_continue());
    conclude(args, &backend, pushing.windows, &counts)
}

struct Pushing<'a> {
    args: &'a PushArgs,
    pusher: Pusher,
    /// Requests that the store had answered for, and when that was seen first.
    progress: (u64, Instant),
    windows: u64,
}

impl Pushing<'_> {
    /// Gives one window to the pusher as soon as there is room; breaks off when the store takes nothing.
    fn window(&mut self, history: &History) -> ControlFlow<()> {
        let profile = filtered(&history.profile(), &self.args.filter.filter());
        if profile.processes.is_empty() {
            return ControlFlow::Continue(());
        }
        let identity = |process| {
            let mut identity = Identity::of(process);
            if let Some(service) = &self.args.service {
                identity.set("service.name", Value::Text(service.clone()));
            }
            for (key, value) in &self.args.attribute {
                identity.set(key, Value::Text(value.clone()));
            }
            identity
        };
        let identities = profile.processes.iter().map(identity).collect();
        let split_threads = self.args.split_threads;
        let mut window = Window { profile, identities, split_threads };
        loop {
            // A named queue takes what fits: that is what it is for.
            let keeps = self.args.queue.is_some() && self.is_given_up();
            if keeps || self.has_room() {
                match self.pusher.try_offer(window) {
                    Ok(()) => {
                        self.windows += 1;
                        return ControlFlow::Continue(());
                    }
                    Err(back) => window = *back,
                }
            } else if self.is_given_up() {
                return ControlFlow::Break(());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn has_room(&self) -> bool {
        let counts = self.pusher.counts();
        counts.waiting_bytes <= self.pusher.limits().bytes / 2
    }

    /// Whether the store has answered for nothing in a long time.
    fn is_given_up(&mut self) -> bool {
        let counts = self.pusher.counts();
        let answered = counts.sent + counts.refused;
        if answered != self.progress.0 || (counts.waiting == 0 && counts.requests == answered) {
            self.progress = (answered, Instant::now());
        }
        self.progress.1.elapsed() >= self.args.give_up_after
    }

    /// Waits until all is sent or given up.
    fn finish(&mut self, wait: bool) -> Counts {
        self.pusher.close();
        while wait && !self.pusher.is_finished() && !self.is_given_up() {
            std::thread::sleep(LOOK);
        }
        self.pusher.stop(Duration::ZERO)
    }
}

/// The last words, and whether it went well.
fn conclude(args: &PushArgs, backend: &Backend, windows: u64, counts: &Counts) -> Result<()> {
    if counts.sent > 0 && !args.quiet {
        let dropped = counts.dropped();
        let lost = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
        say(format_args!(
            "{} of {} requests sent to {backend}{lost}",
            counts.sent,
            counts.sent + counts.refused + counts.waiting + dropped,
        ));
    }
    let why = counts.last_error.as_deref().unwrap_or("no answer");
    if counts.refused > 0 {
        bail!("{backend} refused {} requests: {why}", counts.refused);
    }
    if counts.waiting > 0 {
        let what = format!("{} requests could not be sent to {backend}: {why}", counts.waiting);
        match &args.queue {
            Some(queue) => bail!(
                "{what}. They wait in {}; `memtrace push --queue {0} --as {} --to …` sends them",
                queue.display(),
                args.form.name()
            ),
            None => bail!("{what}. With --queue FOLDER they would be kept"),
        }
    }
    if counts.dropped() > 0 {
        bail!("{} requests were dropped (queue of {} bytes)", counts.dropped(), args.queue_size.0);
    }
    if counts.sent == 0 {
        match &args.file {
            Some(file) if windows == 0 => {
                bail!("{}: no process in that time and part, nothing to send", file.display())
            }
            Some(_) => {}
            None if !args.quiet => say("nothing waits in the queue"),
            None => {}
        }
    }
    Ok(())
}
