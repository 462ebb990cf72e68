//! The real terminal: raw mode, the alternate screen, keys, and everything put back at the end.
//!
//! However memtrace ends (a key, a signal, an error, a panic in whatever thread), the terminal is as
//! it was: [`FullScreen`] puts it back when it is dropped, and the panic hook before a panic's
//! message is printed. What to draw and what keys mean is not decided here.

use std::io::{self, IsTerminal, Stdout, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};
use std::time::Duration;

use crossterm::cursor::Show;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use rustix::event::{PollFd, PollFlags};

use super::model::{Key, Screen};
use super::view::{Palette, draw};

/// Whether the terminal is ours now.
static OURS: AtomicBool = AtomicBool::new(false);

/// Held while something is written, so that nothing is drawn after the terminal was put back.
static WRITING: Mutex<()> = Mutex::new(());

/// How long putting back waits for a drawing under way, in steps.
const PATIENCE: (u32, Duration) = (40, Duration::from_millis(5));

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A key that has a meaning.
    Key(Key),
    /// The terminal has another size now.
    Resized,
    /// Nothing in the time given, or nothing that means anything.
    Nothing,
}

/// A terminal that shows nothing but us, until this is dropped.
pub struct FullScreen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    palette: Palette,
}

impl FullScreen {
    /// Whether there is a terminal to draw on. `TERM=dumb` says that it knows no escape sequences.
    #[must_use]
    pub fn is_possible() -> bool {
        stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// When it can't be put into raw mode or written to; it is then as it was.
    pub fn enter(palette: Palette) -> io::Result<Self> {
        put_back_on_panic();
        OURS.store(true, Ordering::SeqCst);
        let entered = enable_raw_mode()
            .and_then(|()| execute!(stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match entered {
            Ok(mut terminal) => {
                terminal.hide_cursor()?;
                let mut this = Self { terminal, palette };
                this.forget()?;
                Ok(this)
            }
            Err(error) => {
                put_back();
                Err(error)
            }
        }
    }

    /// Draws what has changed; nothing once the terminal was put back.
    ///
    /// # Errors
    ///
    /// When the terminal can't be written to.
    pub fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if OURS.load(Ordering::SeqCst) {
            let palette = self.palette;
            self.terminal.draw(|frame| draw(frame, screen, palette))?;
        }
        Ok(())
    }

    /// Forgets what is on the terminal, so that all of it is drawn next time.
    ///
    /// # Errors
    ///
    /// When the terminal can't be written to.
    pub fn forget(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and not all of them answer.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Waits for a key, at most so long.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    pub fn next(&mut self, wait: Duration) -> io::Result<Input> {
        if !event::poll(wait)? {
            return if is_hung_up() {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(Input::Nothing)
            };
        }
        Ok(match event::read()? {
            Event::Key(event) => key(event).map_or(Input::Nothing, Input::Key),
            Event::Resize(..) => Input::Resized,
            _ => Input::Nothing,
        })
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        put_back();
    }
}

/// Leaves the alternate screen, shows the cursor and gives the modes back, if that is still to be
/// done. Errors are of no use: there is nobody to tell.
fn put_back() {
    let _writing = writing();
    if OURS.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// The lock, unless it is held for so long that its holder must be the one who panicked, or who is
/// stuck in a terminal that takes no more.
fn writing() -> Option<MutexGuard<'static, ()>> {
    let (steps, step) = PATIENCE;
    for _ in 0..steps {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(step),
        }
    }
    None
}

/// Puts the terminal back before a panic's message is printed.
fn put_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            put_back();
            before(info);
        }));
    });
}

/// Whether the other side of the terminal is closed. crossterm takes that for silence.
fn is_hung_up() -> bool {
    let stdout = stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let asked =
        rustix::event::poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 }));
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    asked.is_ok() && fds[0].revents().intersects(gone)
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            KeyCode::Char('c') => Some(Key::Interrupt),
            KeyCode::Char('l') => Some(Key::Redraw),
            _ => None,
        };
    }
    Some(match event.code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        _ => return None,
    })
}
