//! The screen's thread, seen from the one that traces: news go in, wishes come out, nobody waits.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::top::log;
use crate::top::model::Screen;
use crate::top::show::{News, Wish, show};
use crate::top::view::Palette;

/// News that wait in the channel at most; more wait here.
const UNDER_WAY: usize = 4;

/// How long a terminal may take to be put back.
const PATIENCE: Duration = Duration::from_secs(5);

/// A screen that is shown.
pub(super) struct Display {
    news: SyncSender<News>,
    /// What a screen that takes its time has not taken yet: the newest window, and whatever else.
    waiting: VecDeque<News>,
    wishes: UnboundedReceiver<Wish>,
    thread: JoinHandle<io::Result<()>>,
}

impl Display {
    /// Takes the terminal over. From then on, lines of the log are kept for the time after.
    pub(super) fn start(screen: Screen, palette: Palette) -> Result<Self> {
        let (news, incoming) = sync_channel(UNDER_WAY);
        let (wish, wishes) = unbounded_channel();
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let log = log::keep();
            let pass_on = |wanted| {
                // When that fails, memtrace is ending, and nobody grants wishes any more.
                let _ = wish.send(wanted);
            };
            show(screen, palette, &incoming, pass_on, &log)
        });
        let thread = thread.context("a thread for the screen")?;
        Ok(Self { news, waiting: VecDeque::new(), wishes, thread })
    }

    /// Tells the screen, as soon as it listens. Of windows, only the newest waits.
    pub(super) fn tell(&mut self, news: News) {
        if matches!(news, News::Window(..)) {
            self.waiting.retain(|waiting| !matches!(waiting, News::Window(..)));
        }
        self.waiting.push_back(news);
        self.pass_on();
    }

    fn pass_on(&mut self) {
        while let Some(news) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(news)) = self.news.try_send(news) {
                self.waiting.push_front(news);
                break;
            }
        }
    }

    /// What the user wants next; `None` once the screen is gone.
    pub(super) async fn wish(&mut self) -> Option<Wish> {
        while !self.waiting.is_empty() {
            match timeout(Duration::from_millis(50), self.wishes.recv()).await {
                Ok(wish) => return wish,
                Err(_) => self.pass_on(),
            }
        }
        self.wishes.recv().await
    }

    /// Ends the screen, if it is still there. The terminal is then as it was. A panic of its thread
    /// goes on here.
    pub(super) async fn close(self) -> Result<()> {
        let Self { news, mut wishes, thread, .. } = self;
        drop(news);
        let gone = async { while wishes.recv().await.is_some() {} };
        timeout(PATIENCE, gone).await.context("the terminal takes nothing more")?;
        match thread.join() {
            Ok(shown) => shown.context("the terminal"),
            Err(panic) => resume_unwind(panic),
        }
    }
}
