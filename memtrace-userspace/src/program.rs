//! What a program is called, from its arguments: for groups, services and series alike. Pure.

use crate::report::printable;

/// The longest name, in characters.
const LONGEST: usize = 64;

/// The script or module that an interpreter runs, else the program. What follows (a job's number, a file) is
/// not part of it, or no two jobs would be the same.
#[must_use]
pub fn name(command: &[String]) -> String {
    let Some((program, rest)) = command.split_first() else { return UNKNOWN.to_owned() };
    let mut chosen = base(program).to_owned();
    if chosen.to_ascii_lowercase().starts_with("python") {
        let mut rest = rest.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "-m" => {
                    chosen = rest.next().cloned().unwrap_or(chosen);
                    break;
                }
                "-c" => {
                    chosen.push_str(" -c");
                    break;
                }
                "-W" | "-X" | "--check-hash-based-pycs" => drop(rest.next()),
                "-" => break,
                option if option.starts_with('-') => {}
                script => {
                    chosen = base(script).to_owned();
                    break;
                }
            }
        }
    } else if let Some((title, _)) = program.split_once([':', ' ']) {
        // A title that was set: `gunicorn: master [app]`.
        chosen = base(title).to_owned();
    }
    let chosen: String = printable(&chosen).chars().take(LONGEST).collect();
    if chosen.is_empty() { UNKNOWN.to_owned() } else { chosen }
}

/// What has no arguments that could be read.
const UNKNOWN: &str = "unknown";

/// The last part of a path.
#[must_use]
pub fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_by_what_the_interpreter_runs() {
        let check = |command: &[&str], expected: &str| {
            let command: Vec<String> = command.iter().map(ToString::to_string).collect();
            assert_eq!(name(&command), expected, "{command:?}");
        };
        check(&["/usr/bin/python3", "/usr/bin/gunicorn", "app:app"], "gunicorn");
        check(&["python3.12", "-u", "-X", "dev", "-m", "celery", "worker"], "celery");
        check(&["python", "-c", "import os"], "python -c");
        check(&["python3", "/srv/job.py", "--number", "17"], "job.py");
        check(&["gunicorn: master [app:app]"], "gunicorn");
        check(&["uwsgi", "--ini", "x"], "uwsgi");
        check(&["python3", "-"], "python3");
        check(&[], "unknown");
        check(&[""], "unknown");
        check(&["python3", "a\u{1b}[31m\nb.py"], "a\\x1b[31m\\x0ab.py");
        assert_eq!(name(&["x".repeat(500)]).len(), LONGEST);
    }
}
