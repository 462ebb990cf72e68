//! The counts of one process, as its interpreter wrote them:
//!
//!     F <first line> <last line> <calls> <file> <function>
//!     L <line> <executions>
//!     end
//!
//! separated by tabs, `\`, tab and line feed escaped in names. Trusts nothing in it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Processes of one command whose counts are read: as many as there can be targets.
pub(super) const MAX_FILES: usize = memtrace_common::limits::MAX_SPACES as usize;
/// Bytes of all of them: more than the counts of ten million lines.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// No line ran more often: a century of nanoseconds.
const MAX_COUNT: u64 = 1 << 52;

/// How often the lines of one process ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedProcess {
    /// As the process itself sees it.
    pub pid: u32,
    /// Functions that ran.
    pub functions: Vec<CountedFunction>,
}

/// How often the lines of one function ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedFunction {
    /// `co_filename`
    pub file: String,
    /// `co_qualname`
    pub name: String,
    /// `co_firstlineno`
    pub first_line: u32,
    /// The last line of its line table.
    pub last_line: u32,
    /// How often it was entered.
    pub calls: u64,
    /// Line and executions.
    pub lines: Vec<(u32, u64)>,
}

impl CountedFunction {
    /// Executions by line. The line of `def`, which runs no code of the function's own, has its calls,
    /// as in memory_profiler's tables; code that is not called, a module's, has none.
    pub fn executions(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let of_its_own = self.lines.iter().any(|(line, _)| *line == self.first_line);
        let called = !of_its_own && self.calls > 0 && self.name != "<module>";
        let calls = called.then_some((self.first_line, self.calls));
        calls.into_iter().chain(self.lines.iter().copied())
    }
}

/// The text of a regular file that there is `room` for, which it takes.
pub(super) fn text(path: &Path, room: &mut u64) -> Option<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > *room {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(*room).read_to_end(&mut bytes).ok()?;
    *room -= bytes.len() as u64;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The counts in the file of that name, whose first part is the pid.
pub(super) fn read(path: &Path, room: &mut u64) -> Option<CountedProcess> {
    let (pid, random) = path.file_name()?.to_str()?.split_once('-')?;
    if random.contains('.') {
        return None; // not finished
    }
    let functions = parse(&text(path, room)?)?;
    Some(CountedProcess { pid: pid.parse().ok()?, functions })
}

fn parse(text: &str) -> Option<Vec<CountedFunction>> {
    let mut functions: Vec<CountedFunction> = Vec::new();
    let mut rows = text.lines();
    for row in rows.by_ref() {
        let cells: Vec<&str> = row.split('\t').collect();
        match cells[..] {
            ["F", first, last, calls, file, name] => functions.push(CountedFunction {
                file: plain(file),
                name: plain(name),
                first_line: first.parse().ok()?,
                last_line: last.parse().ok()?,
                calls: count(calls)?,
                lines: Vec::new(),
            }),
            ["L", line, executions] => {
                functions.last_mut()?.lines.push((line.parse().ok()?, count(executions)?));
            }
            ["end"] => return rows.next().is_none().then_some(functions),
            _ => return None,
        }
    }
    None
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|count| *count <= MAX_COUNT)
}

fn plain(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some(other) => other,
                None => break,
            },
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let text = "F\t3\t5\t2\t/srv/a\\tb.py\tf\nL\t4\t20\nL\t5\t2\nF\t1\t9\t1\t/m.py\t<module>\n\
                    L\t2\t1\nend\n";
        let functions = parse(text).unwrap();
        assert_eq!(functions.len(), 2);
        assert_eq!(functions[0].file, "/srv/a\tb.py");
        let executions: Vec<_> = functions[0].executions().collect();
        assert_eq!(executions, [(3, 2), (4, 20), (5, 2)]);
        let executions: Vec<_> = functions[1].executions().collect();
        assert_eq!(executions, [(2, 1)], "nobody calls a module");
    }

    #[test]
    fn the_line_of_a_function_on_one_line_has_its_executions_alone() {
        let functions = parse("F\t7\t7\t5\ta.py\t<lambda>\nL\t7\t5\nend\n").unwrap();
        assert_eq!(functions[0].executions().collect::<Vec<_>>(), [(7, 5)]);
    }

    /// Anybody may put something into the folder.
    #[test]
    fn forged_counts_lead_nowhere_and_take_no_more_than_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let counts = "F\t1\t2\t3\ta.py\tf\nL\t1\t3\nend\n";
        let whole = put("7-whole", counts);
        let link = folder.path().join("8-link");
        std::os::unix::fs::symlink(&whole, &link).unwrap();
        let pipe = folder.path().join("9-pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let hole = put("10-hole", counts);
        File::options().write(true).open(&hole).unwrap().set_len(MAX_BYTES + 1).unwrap();

        let mut room = MAX_BYTES;
        assert_eq!(read(&whole, &mut room).unwrap().pid, 7);
        assert_eq!(room, MAX_BYTES - counts.len() as u64);
        for forged in [link, pipe, hole, put("10-writing.tmp", counts), put("x-11", counts)] {
            assert_eq!(read(&forged, &mut room), None, "{}", forged.display());
        }
        let mut little = counts.len() as u64 - 1;
        assert_eq!(read(&whole, &mut little), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = |text: &str| assert_eq!(parse(text), None, "{text:?}");
        refused("");
        refused("F\t1\t2\t3\ta.py\tf\nL\t1\t1\n"); // cut short
        refused("L\t1\t1\nend\n");
        refused("F\t-1\t2\t3\ta.py\tf\nend\n");
        refused("F\t1\t2\t99999999999999999999\ta.py\tf\nend\n");
        refused("F\t1\t2\t3\ta.py\nend\n");
        refused("end\nend\n");
        refused("F\t1\t2\t3\ta.py\tf\nL\t1\t9007199254740993\nend\n");
    }
}
