//! Which of Python's own options keep the counting code out, as far as they can be read off a command.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An option with which an interpreter does not look at what memtrace gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolated {
    /// `-I`
    Isolated,
    /// `-E`
    NoEnvironment,
    /// `-S`
    NoSite,
}

impl fmt::Display for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Isolated => "-I: Python then reads no environment variables",
            Self::NoEnvironment => "-E: Python then reads no environment variables",
            Self::NoSite => {
                "-S: Python then does not import `site`, which brings the counting code"
            }
        })
    }
}

/// The first such option of a command that names an interpreter itself.
#[must_use]
pub fn isolated(command: &[OsString]) -> Option<Isolated> {
    let (program, arguments) = command.split_first()?;
    let name = Path::new(program).file_name().unwrap_or_default().as_bytes();
    if !name.starts_with(b"python") {
        return None;
    }
    let mut arguments = arguments.iter().map(OsString::as_os_str).map(OsStr::as_bytes);
    while let Some(argument) = arguments.next() {
        match argument {
            // Its long options; only one takes a value of its own.
            [b'-', b'-', name @ ..] => {
                if name == b"check-hash-based-pycs" {
                    arguments.next();
                }
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                for (at, letter) in letters.iter().enumerate() {
                    match letter {
                        b'I' => return Some(Isolated::Isolated),
                        b'E' => return Some(Isolated::NoEnvironment),
                        b'S' => return Some(Isolated::NoSite),
                        b'c' | b'm' => return None,
                        b'W' | b'X' => {
                            if at + 1 == letters.len() {
                                arguments.next();
                            }
                            break;
                        }
                        _ => {}
                    }
                }
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pythons_own_options_count() {
        let check = |words: &str, found: Option<Isolated>| {
            let command: Vec<OsString> = words.split(' ').map(Into::into).collect();
            assert_eq!(isolated(&command), found, "{words}");
        };
        check("python -I app.py", Some(Isolated::Isolated));
        check("/usr/bin/python3.13 -uE app.py", Some(Isolated::NoEnvironment));
        check("python3 -W error -X dev -S -m app", Some(Isolated::NoSite));
        check("python3 -Werror::E -XI app.py", None);
        check("python3 app.py -I", None);
        check("python3 -m app -S", None);
        check("python3 -c I -E", None);
        check("python3 - -I", None);
        check("python3 --check-hash-based-pycs always -I", Some(Isolated::Isolated));
        check("app -I", None);
        check("python3", None);
    }
}
