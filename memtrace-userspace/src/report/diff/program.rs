//! Which program a command line runs, so that two recordings of different ones are told apart.
//!
//! A guess from its arguments: the script or module of a Python, the file of anything else, without
//! folders, which differ from one release to the next. It looks at no file.

use std::collections::{BTreeSet, HashSet};

use crate::profile::{Ending, Profile};

/// The programs of those processes that no other of them forked. What became another by exec (a
/// shell, a launcher) counts for nothing: whether its name was seen at all is a matter of luck.
pub(super) fn programs(profile: &Profile) -> BTreeSet<String> {
    let pids: HashSet<u32> = profile.processes.iter().map(|process| process.pid).collect();
    let roots = profile
        .processes
        .iter()
        .filter(|process| process.parent.is_none_or(|parent| !pids.contains(&parent)))
        .filter(|process| process.ending != Ending::Execed);
    roots.map(|process| program(&process.command)).collect()
}

/// `app.py`, `-m gunicorn`, `-c`, `sh`.
fn program(command: &[String]) -> String {
    let mut arguments = command.iter().map(String::as_str);
    let own = arguments.next().map(base).unwrap_or_default();
    if !own.starts_with("python") && !own.starts_with("pypy") {
        return own.to_owned();
    }
    while let Some(argument) = arguments.next() {
        match argument {
            "-m" => return format!("-m {}", arguments.next().unwrap_or_default()),
            "-c" => return argument.to_owned(),
            // Options with a value of their own.
            "-W" | "-X" => drop(arguments.next()),
            "-" => return argument.to_owned(),
            option if option.starts_with('-') => {}
            script => return base(script).to_owned(),
        }
    }
    own.to_owned()
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_script_and_not_the_interpreter() {
        let check = |command: &[&str], expected: &str| {
            let command: Vec<_> = command.iter().map(ToString::to_string).collect();
            assert_eq!(program(&command), expected, "{command:?}");
        };
        check(&["python3", "/srv/app.py", "--port", "80"], "app.py");
        check(&["/usr/bin/python3.12", "-u", "-X", "dev", "app.py"], "app.py");
        check(&["python", "-m", "gunicorn", "app:app"], "-m gunicorn");
        check(&["python", "-c", "import app"], "-c");
        check(&["python"], "python");
        check(&["/usr/sbin/uwsgi", "--ini", "x"], "uwsgi");
        check(&[], "");
    }
}
