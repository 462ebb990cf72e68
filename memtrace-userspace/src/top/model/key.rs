//! What comes in from the keyboard, and what the screen asks for in return.

use super::recent::Life;

/// A key press, whatever the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Tab, either way.
    Tab,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
}

/// What the screen can't do by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// End.
    Quit,
    /// Draw everything anew, whatever else has been written on the terminal.
    Redraw,
    /// Save what was traced so far as a recording.
    Save,
    /// Read the source text of a file of a process, and give it to
    /// [`Screen::source`](super::Screen::source).
    ReadSource(Life, String),
}
